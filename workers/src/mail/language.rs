//! The two languages of mails: the phrases that all kinds share, and the formats of dates, times, counts and money.

mod english;
mod french;

use super::text::{MAX_NAME_CHARS, one_line};
use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use pvt_domain::money::{Currency, Money, percent};
use pvt_domain::people::language::nearest;
use pvt_domain::pricing::{TaxBasis, TaxLine};

/// A language that mails are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    /// The guest's language if it is supported, else the property's first supported one, else English.
    pub fn choose(guest: Option<&str>, property: &[String]) -> Self {
        let wanted = guest.into_iter().chain(property.iter().map(String::as_str));
        match nearest(wanted, &["en", "fr"]) {
            Some("fr") => Self::French,
            _ => Self::English,
        }
    }

    /// The tag for `Content-Language` and the page.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// The shared phrases.
    pub(super) fn phrases(self) -> &'static Phrases {
        match self {
            Self::English => &english::ENGLISH,
            Self::French => &french::FRENCH,
        }
    }

    /// `Hello Ada,`, or `Hello,` without a name.
    pub(super) fn greeting(self, name: &str) -> String {
        let hello = self.phrases().hello;
        match one_line(name, MAX_NAME_CHARS) {
            name if name.is_empty() => format!("{hello},"),
            name => format!("{hello} {name},"),
        }
    }

    /// `Sunday 10 January 2027`, `dimanche 10 janvier 2027`.
    pub(super) fn date(self, date: NaiveDate) -> String {
        let phrases = self.phrases();
        let weekday = phrases.weekdays[date.weekday().num_days_from_monday() as usize];
        let month = phrases.months[date.month0() as usize];
        let first = if self == Self::French && date.day() == 1 { "er" } else { "" };
        format!("{weekday} {}{first} {month} {}", date.day(), date.year())
    }

    /// `15:00`, `15 h 00`.
    pub(super) fn time(self, time: NaiveTime) -> String {
        match self {
            Self::English => format!("{:02}:{:02}", time.hour(), time.minute()),
            Self::French => format!("{}\u{a0}h\u{a0}{:02}", time.hour(), time.minute()),
        }
    }

    /// `1,234.50 CAD`, `1 234,50 CAD`, with spaces that do not break.
    pub(super) fn money(self, money: Money) -> String {
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
    pub(super) fn percent(self, rate_ppm: u32) -> String {
        let digits = percent(rate_ppm);
        match self {
            Self::English => format!("{digits}%"),
            Self::French => format!("{}\u{a0}%", digits.replace('.', ",")),
        }
    }

    /// `1 night`, `3 nuits`.
    pub(super) fn nights(self, count: i64) -> String {
        let [one, many] = self.phrases().nights;
        format!("{count}\u{a0}{}", if count.abs() == 1 { one } else { many })
    }

    /// How a tax was computed, and whether the nights contain it: `10%, included`, `6 nuitées × 1,65 CAD`.
    pub(super) fn tax_basis(self, tax: &TaxLine, currency: Currency) -> String {
        let phrases = self.phrases();
        let unit = |amount| self.money(Money::new(amount, currency));
        let basis = match tax.basis {
            TaxBasis::Percent { rate_ppm } => self.percent(rate_ppm),
            TaxBasis::PersonNight { unit_amount, count } => {
                let [one, many] = phrases.person_nights;
                format!("{count}\u{a0}{} × {}", if count == 1 { one } else { many }, unit(unit_amount))
            }
            TaxBasis::Stay { unit_amount, count } => format!("{count} × {}", unit(unit_amount)),
        };
        if tax.included { format!("{basis}, {}", phrases.included) } else { basis }
    }

    /// `1 guest`, `2 personnes`.
    pub(super) fn guests(self, count: u32) -> String {
        let [one, many] = self.phrases().guests;
        format!("{count}\u{a0}{}", if count == 1 { one } else { many })
    }
}

/// The guest who reads a mail.
pub(super) struct Reader<'a> {
    /// The language that the mail is in.
    pub(super) language: Language,
    /// The guest's own, if it is known.
    pub(super) own: Option<&'a str>,
}

impl Reader<'_> {
    /// The languages in which the guest reads names, preferred first.
    pub(super) fn languages(&self) -> impl Iterator<Item = &str> {
        self.own.into_iter().chain([self.language.tag()])
    }
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

/// What the attached calendar file does to the guest's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CalendarNote {
    AddsStay,
    UpdatesStay,
    CancelsStay,
    RemovesStay,
    Tentative,
    ShowsStatus,
}

impl Phrases {
    pub(super) fn calendar_note(&self, note: CalendarNote) -> &'static str {
        match note {
            CalendarNote::AddsStay => self.calendar_adds,
            CalendarNote::UpdatesStay => self.calendar_updates,
            CalendarNote::CancelsStay => self.calendar_cancels,
            CalendarNote::RemovesStay => self.calendar_removes,
            CalendarNote::Tentative => self.calendar_tentative,
            CalendarNote::ShowsStatus => self.calendar_status,
        }
    }
}

/// The phrases that all kinds share. Those of a single kind stand in its declaration.
pub(super) struct Phrases {
    pub hello: &'static str,
    pub calendar_adds: &'static str,
    pub calendar_updates: &'static str,
    pub calendar_cancels: &'static str,
    pub calendar_removes: &'static str,
    pub calendar_tentative: &'static str,
    pub calendar_status: &'static str,
    pub changes: &'static str,
    pub pending_changes: &'static str,
    pub stay_number: &'static str,
    pub nothing: &'static str,
    pub details: &'static str,
    pub updated: &'static str,
    /// Names the guest's mail address, and says that it is another one.
    pub email: &'static str,
    pub email_changed: &'static str,
    /// To an address that was removed, where the guest has no other.
    pub address_removed: &'static str,
    /// To an address that was replaced or removed.
    pub not_asked_for: &'static str,
    pub reference: &'static str,
    pub check_in: &'static str,
    pub check_out: &'static str,
    pub from: &'static str,
    pub until: &'static str,
    pub address: &'static str,
    pub stay: &'static str,
    pub price: &'static str,
    pub payments: &'static str,
    pub total: &'static str,
    pub pay_on_arrival: &'static str,
    pub not_due: &'static str,
    pub all_paid: &'static str,
    pub balance_on_arrival: &'static str,
    pub paid_twice: &'static str,
    pub pay: &'static str,
    pub receipt: &'static str,
    pub manage: &'static str,
    pub free_until: &'static str,
    pub cancelling_costs: &'static str,
    pub cancelling_then_costs: &'static str,
    pub cancelling_once_confirmed_costs: &'static str,
    pub cancelling_until: &'static str,
    pub cancelling_later: &'static str,
    pub agreed: &'static str,
    pub fee_open: &'static str,
    pub fee_open_note: &'static str,
    pub due_now: &'static str,
    pub deadline: &'static str,
    pub due_on_arrival: &'static str,
    pub unused_nights: &'static str,
    /// One night of one person, and several.
    pub person_nights: [&'static str; 2],
    /// Of a tax that prices contain.
    pub included: &'static str,
    pub change_fee: &'static str,
    /// Heads stays of guests who did not arrive, and names their fee.
    pub absent: &'static str,
    pub this_payment: &'static str,
    pub this_refund: &'static str,
    pub paid: &'static str,
    pub refunded: &'static str,
    pub charged_back: &'static str,
    pub refund_pending: &'static str,
    pub refund_manual: &'static str,
    pub refund_manual_note: &'static str,
    pub refund_disputed: &'static str,
    pub refund_disputed_note: &'static str,
    pub other_currency: &'static str,
    pub other_currency_note: &'static str,
    pub balance: &'static str,
    pub fee: &'static str,
    pub no_show_fee: &'static str,
    pub refund: &'static str,
    pub footer: &'static str,
    pub colon: &'static str,
    pub nights: [&'static str; 2],
    pub guests: [&'static str; 2],
    pub weekdays: [&'static str; 7],
    pub months: [&'static str; 12],
}

#[cfg(test)]
mod tests {
    use super::Language::{self, English, French};
    use pvt_domain::money::{Currency, Money};

    #[test]
    fn guest_locale_wins_over_property_locales() {
        let montreal = ["fr".to_owned(), "en".to_owned()];
        assert_eq!(Language::choose(Some("en-CA"), &montreal), English);
        assert_eq!(Language::choose(Some("FR_ca"), &[]), French);
        assert_eq!(Language::choose(None, &montreal), French);
        assert_eq!(Language::choose(Some("de"), &montreal), French);
        assert_eq!(Language::choose(Some("de"), &["de".to_owned()]), English);
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
    }

    #[test]
    fn counts_use_singular_and_plural() {
        assert_eq!((English.nights(1), English.nights(2)), ("1\u{a0}night".to_owned(), "2\u{a0}nights".to_owned()));
        assert_eq!((French.guests(1), French.guests(3)), ("1\u{a0}personne".to_owned(), "3\u{a0}personnes".to_owned()));
    }
}
