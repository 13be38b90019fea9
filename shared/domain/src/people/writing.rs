//! The languages in which guests are written to, in mails, pages and calendar files alike: which one, and how it writes
//! dates, times, counts and amounts.

use super::language::nearest;
use crate::money::{Currency, Money, percent};
use crate::pricing::{TaxBasis, TaxLine};
use crate::timestamp::Timestamp;
use chrono::{Datelike, NaiveDate, NaiveTime, Offset as _, Timelike};
use chrono_tz::Tz;

/// A language in which guests are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    /// The guest's language. A guest of another one is written to in English where the property speaks it; that guest
    /// and one who named none otherwise in the property's first language that is one of these, else in English.
    pub fn choose(guest: Option<&str>, property: &[String]) -> Self {
        let of = |tag: &str| Self::near([tag]);
        let in_english = || property.iter().any(|tag| of(tag) == Some(Self::English)).then_some(Self::English);
        let of_guest = guest.and_then(|own| of(own).or_else(in_english));
        of_guest.or_else(|| Self::near(property.iter().map(String::as_str))).unwrap_or(Self::English)
    }

    /// The language of the first tag that is near one.
    fn near<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let all = [Self::English, Self::French];
        let found = nearest(tags, &all.map(Self::tag))?;
        all.into_iter().find(|language| language.tag() == found)
    }

    /// Its tag, for `Content-Language` and pages.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::French => &FRENCH,
        }
    }

    /// `Sunday 10 January 2027`, `dimanche 10 janvier 2027`.
    pub fn date(self, date: NaiveDate) -> String {
        let weekday = self.words().weekdays[date.weekday().num_days_from_monday() as usize];
        let month = self.words().months[date.month0() as usize];
        let first = if self == Self::French && date.day() == 1 { "er" } else { "" };
        format!("{weekday} {}{first} {month} {}", date.day(), date.year())
    }

    /// `15:00`, `15 h 00`.
    pub fn time(self, time: NaiveTime) -> String {
        match self {
            Self::English => format!("{:02}:{:02}", time.hour(), time.minute()),
            Self::French => format!("{}\u{a0}h\u{a0}{:02}", time.hour(), time.minute()),
        }
    }

    /// Date and time as clocks in this zone show them, with its distance from UTC: guests may be in another one.
    pub fn moment(self, at: Timestamp, zone: Tz) -> String {
        let local = at.as_datetime().with_timezone(&zone);
        format!("{}, {} (UTC{})", self.date(local.date_naive()), self.time(local.time()), local.offset().fix())
    }

    /// `1,234.50 CAD`, `1 234,50 CAD`, with spaces that do not break.
    pub fn money(self, money: Money) -> String {
        let text = money.to_string();
        let (number, code) = text.split_once(' ').unwrap_or((&text, ""));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let (thousands, point) = match self {
            Self::English => (',', "."),
            Self::French => ('\u{a0}', ","),
        };
        let point = if fraction.is_empty() { "" } else { point };
        format!("{}{point}{fraction}\u{a0}{code}", grouped(whole, thousands))
    }

    /// `9.975%`, `9,975 %`.
    pub fn percent(self, rate_ppm: u32) -> String {
        let digits = percent(rate_ppm);
        match self {
            Self::English => format!("{digits}%"),
            Self::French => format!("{}\u{a0}%", digits.replace('.', ",")),
        }
    }

    /// `1 night`, `3 nuits`.
    pub fn nights(self, count: i64) -> String {
        counted(count, self.words().nights)
    }

    /// `1 guest`, `2 personnes`.
    pub fn guests(self, count: u32) -> String {
        counted(count.into(), self.words().guests)
    }

    /// How a tax was computed, and whether the nights contain it: `10%, included`, `6 nuitées × 1,65 CAD`.
    pub fn tax_basis(self, tax: &TaxLine, currency: Currency) -> String {
        let unit = |amount| self.money(Money::new(amount, currency));
        let basis = match tax.basis {
            TaxBasis::Percent { rate_ppm } => self.percent(rate_ppm),
            TaxBasis::PersonNight { unit_amount, count } => {
                format!("{} × {}", counted(count.into(), self.words().person_nights), unit(unit_amount))
            }
            TaxBasis::Stay { unit_amount, count } => format!("{count} × {}", unit(unit_amount)),
        };
        if tax.included { format!("{basis}, {}", self.words().included) } else { basis }
    }
}

/// A number of things, of which one and several are named.
fn counted(count: i64, [one, many]: [&str; 2]) -> String {
    format!("{count}\u{a0}{}", if count.abs() == 1 { one } else { many })
}

/// Puts `separator` between groups of three digits, keeping a leading sign.
fn grouped(whole: &str, separator: char) -> String {
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// The words of dates and counts.
struct Words {
    nights: [&'static str; 2],
    guests: [&'static str; 2],
    /// One night of one person, and several.
    person_nights: [&'static str; 2],
    /// Of a tax that prices contain.
    included: &'static str,
    weekdays: [&'static str; 7],
    months: [&'static str; 12],
}

static ENGLISH: Words = Words {
    nights: ["night", "nights"],
    guests: ["guest", "guests"],
    person_nights: ["person-night", "person-nights"],
    included: "included in the price",
    weekdays: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
};

static FRENCH: Words = Words {
    nights: ["nuit", "nuits"],
    guests: ["personne", "personnes"],
    person_nights: ["nuitée", "nuitées"],
    included: "compris dans le prix",
    weekdays: ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
};

#[cfg(test)]
mod tests {
    use super::Language::{self, English, French};
    use crate::fixtures::at;
    use crate::money::{Currency, Money};

    #[test]
    fn guests_of_other_languages_are_written_to_in_english_where_it_is_spoken() {
        let (montreal, paris, berlin) = (&["fr", "en-CA"][..], &["fr"][..], &["de"][..]);
        for (guest, property, expected) in [
            (Some("en-CA"), montreal, English),
            (Some("FR_ca"), &[], French),
            (Some("fr"), &["en"], French),
            (None, montreal, French),
            (None, &["de", "en"], English),
            (None, &[], English),
            (Some("de-AT"), montreal, English),
            (Some("de-AT"), paris, French),
            (Some("de-AT"), berlin, English),
        ] {
            let locales: Vec<String> = property.iter().map(|tag| (*tag).to_owned()).collect();
            assert_eq!(Language::choose(guest, &locales), expected, "{guest:?} at {property:?}");
        }
    }

    #[test]
    fn money_is_formatted_per_language() {
        let price = Money::new(123_456_750, Currency::CAD);
        assert_eq!(English.money(price), "1,234,567.50\u{a0}CAD");
        assert_eq!(French.money(price), "1\u{a0}234\u{a0}567,50\u{a0}CAD");
        assert_eq!(French.money(Money::new(-100, Currency::JPY)), "-100\u{a0}JPY");
        assert_eq!(English.money(Money::new(-100_000, Currency::CAD)), "-1,000.00\u{a0}CAD");
    }

    #[test]
    fn tax_rates_keep_every_digit() {
        assert_eq!(English.percent(99_750), "9.975%");
        assert_eq!(French.percent(99_750), "9,975\u{a0}%");
        assert_eq!(English.percent(50_000), "5%");
        assert_eq!(English.percent(200_000), "20%");
        assert_eq!(English.percent(0), "0%");
    }

    #[test]
    fn dates_and_times_are_written_out() {
        assert_eq!(English.date("2027-01-10".parse().unwrap()), "Sunday 10 January 2027");
        assert_eq!(French.date("2027-08-01".parse().unwrap()), "dimanche 1er août 2027");
        assert_eq!(French.time("09:05:00".parse().unwrap()), "9\u{a0}h\u{a0}05");
        let moment = English.moment(at("2027-01-08T20:00:00Z"), chrono_tz::America::Toronto);
        assert_eq!(moment, "Friday 8 January 2027, 15:00 (UTC-05:00)");
    }

    #[test]
    fn counts_use_singular_and_plural() {
        assert_eq!((English.nights(1), English.nights(2)), ("1\u{a0}night".to_owned(), "2\u{a0}nights".to_owned()));
        assert_eq!((French.guests(1), French.guests(3)), ("1\u{a0}personne".to_owned(), "3\u{a0}personnes".to_owned()));
    }
}
