// Reads calendar files with ical.js or node-ical: a JSON list of texts in, a list of calendars out.
// The arguments are the folder in which the libraries are installed, and the name of one.

"use strict";

const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");

const [folder, library] = process.argv.slice(2);
const installed = createRequire(`${folder}/`);

const instant = (date) => date.toISOString().replace(".000Z", "Z");

const readers = {
  "ical.js": () => {
    const module = installed("ical.js");
    const ICAL = module.default ?? module;
    const event = (component) => {
      const value = (name) => component.getFirstPropertyValue(name);
      return {
        uid: value("uid"),
        sequence: value("sequence"),
        status: value("status"),
        summary: value("summary"),
        description: value("description"),
        location: value("location"),
        start: instant(value("dtstart").toJSDate()),
        end: instant(value("dtend").toJSDate()),
        organizer: value("organizer"),
        organizer_name: component.getFirstProperty("organizer").getParameter("cn"),
      };
    };
    return (text) => {
      const calendar = new ICAL.Component(ICAL.parse(text));
      return {
        method: calendar.getFirstPropertyValue("method"),
        events: calendar.getAllSubcomponents("vevent").map(event),
      };
    };
  },
  "node-ical": () => {
    const ical = installed("node-ical");
    const event = (found) => ({
      uid: found.uid,
      sequence: Number(found.sequence),
      status: found.status,
      summary: found.summary,
      description: found.description,
      location: found.location,
      start: instant(found.start),
      end: instant(found.end),
      organizer: found.organizer.val,
    });
    return (text) => {
      const events = Object.values(ical.sync.parseICS(text)).filter((found) => found.type === "VEVENT");
      return { method: events[0]?.method, events: events.map(event) };
    };
  },
};

const read = readers[library]();
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(read)));
