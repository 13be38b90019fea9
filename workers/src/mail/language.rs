//! The phrases that all kinds of mails share, in both languages.

mod english;
mod french;

use super::text::{MAX_NAME_CHARS, one_line};
use pvt_domain::people::writing::Language;

/// What mails say in a language.
pub(super) trait Worded {
    /// The shared phrases.
    fn phrases(self) -> &'static Phrases;

    /// `Hello Ada,`, or `Hello,` without a name.
    fn greeting(self, name: &str) -> String;
}

impl Worded for Language {
    fn phrases(self) -> &'static Phrases {
        match self {
            Self::English => &english::ENGLISH,
            Self::French => &french::FRENCH,
        }
    }

    fn greeting(self, name: &str) -> String {
        let hello = self.phrases().hello;
        match one_line(name, MAX_NAME_CHARS) {
            name if name.is_empty() => format!("{hello},"),
            name => format!("{hello} {name},"),
        }
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
    /// To guests who are in house.
    pub balance_at_front_desk: &'static str,
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
    pub change_fee: &'static str,
    /// Heads stays of guests who did not arrive, and names their fee.
    pub absent: &'static str,
    pub this_payment: &'static str,
    pub this_refund: &'static str,
    pub paid: &'static str,
    pub refunded: &'static str,
    pub charged_back: &'static str,
    pub refund_pending: &'static str,
    /// That staff have returned money themselves, in cash for example.
    pub refunded_by_hand: &'static str,
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
}
