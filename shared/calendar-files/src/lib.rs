//! The calendar file of a booking (RFC 5545, RFC 5546), for its mails and its download alike: a guest's calendar that
//! imports both shows each stay once, because `UID`, `SEQUENCE` and everything else are the same in both.
//!
//! A file names no guest and holds no link, since guests pass it on.

mod content_lines;
mod text;
mod wording;

use chrono::{DateTime, Datelike, Timelike, Utc};
use content_lines::ContentLines;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pvt_domain::booking::{Booking, CalendarEntry, Status};
use pvt_domain::business_day::{check_in_instant, instant_of};
use pvt_domain::inventory::Property;
use pvt_domain::timestamp::Timestamp;
use text::{lines, one_line, parameter};
use wording::Wording;

const PRODUCT: &str = "-//PVT Booking//Bookings//EN";

const CANCELLED: &str = "CANCELLED";

/// Characters of a mail address that a `mailto:` URI has to encode (RFC 6068 §2).
const ENCODED_IN_MAILTO: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'@')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~')
    .remove(b'+')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'*');

/// The sender of the mails, as the organizer of the events: every `METHOD` requires one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organizer {
    address: String,
}

impl Organizer {
    /// From a mailbox: `Name <address>`, or an address alone.
    pub fn of_mailbox(mailbox: &str) -> Self {
        let address = mailbox.rsplit_once('<').map_or(mailbox, |(_, address)| address);
        Self { address: address.trim().trim_end_matches('>').to_owned() }
    }
}

/// `METHOD` of a file. Neither asks for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Publish,
    Cancel,
}

impl Method {
    /// `CANCEL` is what lets Outlook offer to remove an event. Its events must all have one `UID` (RFC 5546 §3.2.5), so
    /// that several cancelled ones are published with their status, as are files that cancel only some.
    fn of(events: &[Event<'_>]) -> Self {
        match events {
            [event] if event.status == CANCELLED => Self::Cancel,
            _ => Self::Publish,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Publish => "PUBLISH",
            Self::Cancel => "CANCEL",
        }
    }
}

/// A finished file.
#[derive(Debug, Clone)]
pub struct CalendarFile {
    method: Method,
    name: String,
    text: String,
}

impl CalendarFile {
    /// The file of this booking as it is now. Times are UTC, so that no calendar needs a definition of the time zone.
    ///
    /// `now` is its `DTSTAMP`: of two files with one `SEQUENCE`, as after a property moved, the later one counts.
    pub fn of(booking: &Booking, property: &Property, organizer: &Organizer, now: Timestamp) -> Self {
        let shared = SharedLines {
            booking,
            property,
            name: one_line(&property.name),
            organizer: format!("mailto:{}", utf8_percent_encode(&organizer.address, ENCODED_IN_MAILTO)),
            wording: Wording::of(booking, property),
            stamp: utc(now.as_datetime()),
            modified: utc(booking.history.last().map_or(booking.updated_at, |entry| entry.at).as_datetime()),
        };
        let status = status_of(booking.status);
        let event = |entry: CalendarEntry| Event {
            status: if entry.is_dropped { CANCELLED } else { status },
            entry,
            shared: &shared,
        };
        let events: Vec<_> = booking.calendar_entries().into_iter().map(event).collect();
        let method = Method::of(&events);
        let mut lines = ContentLines::default();
        lines.push("BEGIN", "VCALENDAR");
        lines.push("VERSION", "2.0");
        lines.push("PRODID", PRODUCT);
        lines.push("CALSCALE", "GREGORIAN");
        lines.push("METHOD", method.name());
        for event in &events {
            event.write(&mut lines);
        }
        lines.push("END", "VCALENDAR");
        let name = format!("{}.ics", booking.reference.to_ascii_lowercase());
        Self { method, name, text: lines.into_text() }
    }

    /// `Content-Type`, which has to repeat the `METHOD` (RFC 5545 §8.1).
    pub fn content_type(&self) -> &'static str {
        match self.method {
            Method::Publish => "text/calendar; charset=utf-8; method=PUBLISH",
            Method::Cancel => "text/calendar; charset=utf-8; method=CANCEL",
        }
    }

    /// A name to save it under, of ASCII letters, digits, dots and hyphens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, with lines of at most 75 octets that end in CRLF.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// What the events of a file have in common.
struct SharedLines<'a> {
    booking: &'a Booking,
    property: &'a Property,
    /// The property's.
    name: String,
    organizer: String,
    wording: &'static Wording,
    stamp: String,
    modified: String,
}

struct Event<'a> {
    entry: CalendarEntry,
    status: &'static str,
    shared: &'a SharedLines<'a>,
}

impl Event<'_> {
    fn write(&self, file: &mut ContentLines) {
        let Self { entry, status, shared: SharedLines { booking, property, name, .. } } = self;
        let check_out = entry.departure.and_time(property.check_out_until);
        file.push("BEGIN", "VEVENT");
        file.push_text("UID", &entry.uid);
        file.push("DTSTAMP", &self.shared.stamp);
        file.push("LAST-MODIFIED", &self.shared.modified);
        file.push("SEQUENCE", &booking.rev.to_string());
        file.push("STATUS", status);
        file.push("DTSTART", &utc(check_in_instant(property, entry.arrival).as_datetime()));
        file.push("DTEND", &utc(instant_of(property.time_zone, check_out)));
        file.push_text("SUMMARY", &format!("{name} – {}", booking.reference));
        file.push_text("LOCATION", &lines(&property.address));
        file.push_text("DESCRIPTION", &self.shared.wording.description(booking, property, entry));
        file.push(&format!("ORGANIZER;CN={}", parameter(name)), &self.shared.organizer);
        file.push("END", "VEVENT");
    }
}

fn utc(instant: DateTime<Utc>) -> String {
    let (year, month, day) = (instant.year(), instant.month(), instant.day());
    let (hour, minute, second) = (instant.hour(), instant.minute(), instant.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Beds that are requested or not paid yet are tentative; a past stay took place.
fn status_of(status: Status) -> &'static str {
    match status {
        Status::Requested | Status::Held => "TENTATIVE",
        Status::Confirmed | Status::CheckedIn | Status::CheckedOut => "CONFIRMED",
        Status::NoShow | Status::Rejected | Status::Cancelled | Status::Expired => CANCELLED,
    }
}

#[cfg(test)]
mod tests;
