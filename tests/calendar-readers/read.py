"""Reads calendar files with Python's icalendar: a JSON list of texts in, a list of calendars out.

The form of the output is that of `read.js`, and the test of the product compares both with what the API says.
"""

import json
import sys
from datetime import timezone

from icalendar import Calendar


def instant(event, name):
    return event[name].dt.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def event(component):
    assert not component.errors, component.errors
    organizer = component["ORGANIZER"]
    return {
        "uid": str(component["UID"]),
        "sequence": int(component["SEQUENCE"]),
        "status": str(component["STATUS"]),
        "summary": str(component["SUMMARY"]),
        "description": str(component["DESCRIPTION"]),
        "location": str(component["LOCATION"]),
        "start": instant(component, "DTSTART"),
        "end": instant(component, "DTEND"),
        "organizer": str(organizer),
        "organizer_name": str(organizer.params["CN"]),
    }


def read(text):
    calendar = Calendar.from_ical(text)
    assert not calendar.errors, calendar.errors
    return {"method": str(calendar["METHOD"]), "events": [event(found) for found in calendar.walk("VEVENT")]}


json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
