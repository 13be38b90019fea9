//! A guest's calendar that imports the files we send, one after the other, as calendar programs do (RFC 5546 §2.1.4).

use std::collections::BTreeMap;

/// An event of a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEvent {
    /// `SEQUENCE`.
    pub sequence: u32,
    /// `STATUS`.
    pub status: String,
    /// `DTSTART`.
    pub begins: String,
    /// `DTEND`.
    pub ends: String,
}

/// The calendar: events by `UID`.
#[derive(Debug, Clone, Default)]
pub struct GuestCalendar(BTreeMap<String, CalendarEvent>);

impl GuestCalendar {
    /// Imports a file. An event replaces the one with its `UID` unless its `SEQUENCE` is lower.
    ///
    /// # Panics
    /// When an event of the file lacks a property or its end.
    pub fn import(&mut self, file: &str) {
        let file = file.replace("\r\n ", "").replace("\r\n\t", "");
        for event in file.split("BEGIN:VEVENT").skip(1) {
            let (event, _) = event.split_once("END:VEVENT").unwrap_or_else(|| panic!("an event has no end in\n{file}"));
            let property = |name: &str| {
                let values = event.lines().filter_map(|line| line.split_once(':'));
                let mut values = values.filter(|(key, _)| key.split(';').next() == Some(name));
                values.next().map_or_else(|| panic!("no {name} in\n{event}"), |(_, value)| value.to_owned())
            };
            let imported = CalendarEvent {
                sequence: property("SEQUENCE").parse().unwrap_or_else(|_| panic!("no number in\n{event}")),
                status: property("STATUS"),
                begins: property("DTSTART"),
                ends: property("DTEND"),
            };
            let known = self.0.entry(property("UID")).or_insert_with(|| imported.clone());
            if known.sequence <= imported.sequence {
                *known = imported;
            }
        }
    }

    /// Events that the guest sees, as `DTSTART/DTEND`, by their `UID`: those that are not cancelled.
    pub fn shown(&self) -> BTreeMap<&str, String> {
        let shown = self.0.iter().filter(|(_, event)| event.status != "CANCELLED");
        shown.map(|(uid, event)| (uid.as_str(), format!("{}/{}", event.begins, event.ends))).collect()
    }
}
