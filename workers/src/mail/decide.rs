//! Whether a message asks for a mail, judged against the newest state of its booking.
//!
//! An event tells what was true once; the mail is about what is true now. So nothing is sent that the stored booking contradicts,
//! however late or often an event comes.

use super::identity::{LedgerKey, Version};
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::events::BookingEvent;
use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};

/// What to do about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Send this mail, unless the ledger says it was sent.
    Send(Errand),
    /// Send nothing, for this reason (a metric label).
    Nothing(&'static str),
    /// The store does not know yet what the message tells of: come back.
    NotYet(&'static str),
}

/// A mail to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Which mail.
    pub kind: NotificationKind,
    /// The revision that it tells of.
    pub rev: u32,
    /// Its name in the ledger.
    pub key: LedgerKey,
}

/// The mail that goes out when a booking enters `status`.
fn kind_of(status: Status) -> Option<NotificationKind> {
    match status {
        Status::Confirmed => Some(NotificationKind::BookingConfirmed),
        Status::Cancelled => Some(NotificationKind::BookingCancelled),
        Status::Requested | Status::Rejected | Status::CheckedIn | Status::CheckedOut | Status::NoShow => None,
    }
}

/// The only status about which a mail of this kind is true.
fn status_of(kind: NotificationKind) -> Status {
    match kind {
        NotificationKind::BookingConfirmed => Status::Confirmed,
        NotificationKind::BookingCancelled => Status::Cancelled,
    }
}

/// Decides about one message. `booking` is its booking as stored now, if it is stored.
pub fn decide(command: &EmailCommand, booking: Option<&Booking>) -> Decision {
    let Some(booking) = booking else { return Decision::NotYet("booking_missing") };
    match command {
        EmailCommand::Happened(event) => happened(event, booking),
        EmailCommand::Send(wish) => wished(wish, booking),
        EmailCommand::Account(_) => Decision::Nothing("not_about_a_booking"),
    }
}

fn happened(event: &BookingEvent, booking: &Booking) -> Decision {
    if booking.rev < event.rev {
        return Decision::NotYet("booking_behind_event");
    }
    // A change that leaves the status as it is says nothing about entering it.
    let entered = matches!(event.action, None | Some(Action::Request | Action::Cancel));
    match kind_of(event.status).filter(|_| entered) {
        None => Decision::Nothing("not_notified"),
        Some(_) if booking.status != event.status => Decision::Nothing("superseded"),
        Some(kind) => send(booking, kind, event.rev, Version::Rev(event.rev)),
    }
}

fn wished(wish: &SendNotification, booking: &Booking) -> Decision {
    let status = status_of(wish.kind);
    let entry = booking.history.iter().rev().find(|entry| entry.to == status);
    match entry {
        Some(entry) if booking.status == status => send(booking, wish.kind, entry.rev, Version::Wish(wish.notification_id)),
        _ => Decision::Nothing("contradicts_state"),
    }
}

fn send(booking: &Booking, kind: NotificationKind, rev: u32, version: Version) -> Decision {
    Decision::Send(Errand { kind, rev, key: LedgerKey::new(booking.id, kind, version, &booking.guest.email) })
}

#[cfg(test)]
mod tests {
    use super::{Decision, Errand, decide};
    use crate::mail::fixtures::{booking, cancelled, event};
    use crate::mail::identity::{LedgerKey, Version};
    use pvt_domain::booking::{Booking, Rejection, Status};
    use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};
    use uuid::Uuid;

    fn wish(kind: NotificationKind) -> EmailCommand {
        let booking = booking();
        EmailCommand::Send(SendNotification {
            notification_id: Uuid::from_u128(7),
            booking_id: booking.id,
            kind,
            actor: "staff:1".to_owned(),
            requested_at: booking.created_at,
        })
    }

    fn sends(booking: &Booking, kind: NotificationKind, rev: u32, version: Version) -> Decision {
        Decision::Send(Errand { kind, rev, key: LedgerKey::new(booking.id, kind, version, &booking.guest.email) })
    }

    #[test]
    fn an_event_is_told_while_it_is_the_newest_state() {
        use NotificationKind::{BookingCancelled, BookingConfirmed};
        let (confirmed, cancelled) = (booking(), cancelled());
        let table = [
            (event(&confirmed, 1), Some(&confirmed), sends(&confirmed, BookingConfirmed, 1, Version::Rev(1))),
            (event(&cancelled, 2), Some(&cancelled), sends(&cancelled, BookingCancelled, 2, Version::Rev(2))),
            (event(&cancelled, 1), Some(&cancelled), Decision::Nothing("superseded")),
            (event(&cancelled, 2), Some(&confirmed), Decision::NotYet("booking_behind_event")),
            (event(&confirmed, 1), None, Decision::NotYet("booking_missing")),
        ];
        for (command, stored, expected) in table {
            assert_eq!(decide(&command, stored), expected);
        }
    }

    #[test]
    fn a_refused_request_is_not_mailed() {
        let mut refused = booking();
        refused.status = Status::Rejected;
        refused.rejection = Some(Rejection::NoAvailability);
        refused.history[0].to = Status::Rejected;
        assert_eq!(decide(&event(&refused, 1), Some(&refused)), Decision::Nothing("not_notified"));
    }

    #[test]
    fn a_wish_is_its_own_mail_and_never_contradicts_the_booking() {
        use NotificationKind::{BookingCancelled, BookingConfirmed};
        let (confirmed, cancelled) = (booking(), cancelled());
        let version = Version::Wish(Uuid::from_u128(7));
        assert_eq!(decide(&wish(BookingConfirmed), Some(&confirmed)), sends(&confirmed, BookingConfirmed, 1, version));
        assert_eq!(decide(&wish(BookingCancelled), Some(&cancelled)), sends(&cancelled, BookingCancelled, 2, version));
        assert_eq!(decide(&wish(BookingConfirmed), Some(&cancelled)), Decision::Nothing("contradicts_state"));
        assert_eq!(decide(&wish(BookingCancelled), Some(&confirmed)), Decision::Nothing("contradicts_state"));
    }
}
