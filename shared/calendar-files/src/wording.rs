//! The description of an event in the guest's language.
//!
//! Calendars show times in the zone of their reader, so the description states those of the property.

use pvt_domain::booking::{Booking, CalendarEntry};
use pvt_domain::inventory::Property;
use pvt_domain::people::writing::Language;

/// The words of a description in one language. A no-break space stands before a colon in French.
pub(crate) struct Wording {
    language: Language,
    reference: &'static str,
    check_in: &'static str,
    from: &'static str,
    check_out: &'static str,
    until: &'static str,
}

static ENGLISH: Wording = Wording {
    language: Language::English,
    reference: "Booking reference: ",
    check_in: "Check-in: ",
    from: "from",
    check_out: "Check-out: ",
    until: "until",
};

static FRENCH: Wording = Wording {
    language: Language::French,
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
        let Self { language, reference, check_in, from, check_out, until } = self;
        let moment = |date, word: &str, time| format!("{}, {word} {}", language.date(date), language.time(time));
        [
            format!("{reference}{}", booking.reference),
            format!("{check_in}{}", moment(entry.arrival, from, property.check_in_from)),
            format!("{check_out}{}", moment(entry.departure, until, property.check_out_until)),
        ]
        .join("\n")
    }
}
