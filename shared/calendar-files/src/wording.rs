//! The description of an event in the guest's language.
//!
//! Calendars show times in the zone of their reader, so the description states those of the property.

use chrono::{NaiveTime, Timelike};
use pvt_domain::booking::{Booking, CalendarEntry};
use pvt_domain::inventory::Property;
use pvt_domain::people::writing::Language;

/// The words of a description in one language. A no-break space stands before a colon in French.
pub(crate) struct Wording {
    reference: &'static str,
    check_in: &'static str,
    from: &'static str,
    check_out: &'static str,
    until: &'static str,
}

static ENGLISH: Wording = Wording {
    reference: "Booking reference: ",
    check_in: "Check-in: ",
    from: "from",
    check_out: "Check-out: ",
    until: "until",
};

static FRENCH: Wording = Wording {
    reference: "Référence de réservation\u{a0}: ",
    check_in: "Arrivée\u{a0}: ",
    from: "à partir de",
    check_out: "Départ\u{a0}: ",
    until: "jusqu’à",
};

impl Wording {
    /// In the language of the mails.
    pub(crate) fn of(booking: &Booking, property: &Property) -> &'static Self {
        match Language::choose(booking.guest.locale.as_deref(), &property.locales) {
            Language::English => &ENGLISH,
            Language::French => &FRENCH,
        }
    }

    pub(crate) fn description(&self, booking: &Booking, property: &Property, entry: &CalendarEntry) -> String {
        let Self { reference, check_in, from, check_out, until } = self;
        [
            format!("{reference}{}", booking.reference),
            format!("{check_in}{}, {from} {}", entry.arrival, time(property.check_in_from)),
            format!("{check_out}{}, {until} {}", entry.departure, time(property.check_out_until)),
        ]
        .join("\n")
    }
}

fn time(time: NaiveTime) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}
