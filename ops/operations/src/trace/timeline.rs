//! The timeline of a booking, computed from what the stores hold. Pure.

use chrono::DateTime;
use pvt_domain::booking::{Booking, HistoryEntry, Status, mails};
use pvt_domain::ledger::{InstructionState, Ledger};
use pvt_domain::money::{Currency, Money};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::notifications::{Notification, NotificationStatus};
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// One event of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineEvent {
    /// When.
    pub at: Timestamp,
    /// `api`, `booking`, `stripe`, `ledger` or `mail`.
    pub place: &'static str,
    /// What happened.
    pub what: String,
}

/// Everything that is stored about a booking.
pub(super) struct Timeline<'a> {
    pub(super) booking: &'a Booking,
    pub(super) ledger: Option<&'a Ledger>,
    pub(super) stripe_events: &'a [StoredStripeEvent],
    pub(super) mails: &'a [Notification],
    pub(super) claims: u64,
    /// Events of its history that the mart lacks; absent when the mart could not be read.
    pub(super) missing_in_mart: Option<&'a HashSet<Uuid>>,
}

/// Ids of the Stripe events that a ledger was computed from.
pub(super) fn source_events(ledger: &Ledger) -> BTreeSet<String> {
    let sessions = ledger.sessions.iter().map(|fact| &fact.observation.by);
    let intents = ledger.intents.iter().map(|fact| &fact.observation.by);
    let refunds = ledger.refunds.iter().map(|fact| &fact.observation.by);
    let disputes = ledger.disputes.iter().map(|fact| &fact.observation.by);
    sessions.chain(intents).chain(refunds).chain(disputes).filter(|by| by.starts_with("evt_")).cloned().collect()
}

/// Text of unknown origin, safe for a terminal: control characters and direction marks become blanks.
fn sanitized(text: &str) -> String {
    let is_control = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_control(c) { ' ' } else { c }).collect()
}

fn unix(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().into()
}

impl Timeline<'_> {
    /// All events, oldest first.
    pub(super) fn events(&self) -> Vec<TimelineEvent> {
        let mut events = vec![TimelineEvent {
            at: self.booking.created_at,
            place: "api",
            what: format!("accepted, from {}", self.booking.source.as_str()),
        }];
        events.extend(self.booking.history.iter().map(|entry| self.revision(entry)));
        events.extend(self.ledger.iter().flat_map(|ledger| money(ledger)));
        for event in self.stripe_events {
            events.push(TimelineEvent {
                at: event.received_at,
                place: "stripe",
                what: format!("{} received ({})", event.event_type, event.id),
            });
        }
        for mail in self.mails {
            let again = if mail.attempts > 1 { format!(", {} attempts", mail.attempts) } else { String::new() };
            let what = format!("{} of revision {}: {}{again}", mail.kind.as_str(), mail.version, mail.status.as_str());
            events.push(TimelineEvent { at: mail.updated_at, place: "mail", what });
        }
        events.sort_by_key(|event| event.at);
        events
    }

    fn revision(&self, entry: &HistoryEntry) -> TimelineEvent {
        let step = if entry.from == entry.to {
            entry.to.as_str().to_owned()
        } else {
            format!("{} → {}", entry.from.as_str(), entry.to.as_str())
        };
        let mut what = format!("rev {}  {}: {step}, by {}", entry.rev, entry.action.as_str(), entry.actor);
        if let Some(reason) = &entry.reason {
            what.push_str(&format!(" ({})", sanitized(reason)));
        }
        if !entry.moved.is_empty() {
            what.push_str(&format!(", {} other bookings reassigned", entry.moved.len()));
        }
        if let Some(change) = entry.changes.as_deref().and_then(|changes| changes.payment.as_ref()) {
            let shown = |amount: i64| self.amount(amount);
            let (was, is) = (change.before.ledger(), change.after.ledger());
            for (name, was, is) in [
                ("paid", was.captured, is.captured),
                ("refunded", was.refunded, is.refunded),
                ("charged back", was.charged_back, is.charged_back),
            ] {
                if was != is {
                    what.push_str(&format!(", {name} {}", shown(is)));
                }
            }
            if change.before.to_refund != change.after.to_refund {
                what.push_str(&format!(", refundable in all {}", shown(change.after.to_refund)));
            }
        }
        if self.missing_in_mart.is_some_and(|missing| missing.contains(&entry.event_id)) {
            what.push_str(", not in the mart");
        }
        TimelineEvent { at: entry.at, place: "booking", what }
    }

    fn amount(&self, amount: i64) -> String {
        let currency = self.booking.price.as_ref().map_or(Currency::XXX, |price| price.currency);
        Money::new(amount, currency).to_string()
    }

    /// What the booking waits for, or that it is settled. Its messages may also wait in these paused queues.
    pub(super) fn summary(&self, now: Timestamp, paused_queues: Vec<String>) -> Vec<String> {
        let booking = self.booking;
        let mut waits = paused_queues;
        if let Some(ends) = booking.hold_ends() {
            let left = (ends.as_datetime() - now.as_datetime()).num_minutes();
            waits.push(format!(
                "held for {} until {ends}, {}",
                self.amount(booking.payable()),
                if left >= 0 { format!("{left} min left") } else { "which has passed".to_owned() }
            ));
        }
        if let Some(ledger) = self.ledger {
            let known = booking.payment.ledger();
            let totals = ledger.summary();
            if !totals.same_totals_as(&known) {
                waits.push(format!("the booking knows ledger revision {} of {}", known.ledger_rev, ledger.totals_rev));
            }
            for order in ledger.open_instructions() {
                waits.push(format!(
                    "refund {} of {} is requested, and Stripe has not made it",
                    order.key,
                    self.amount(order.amount)
                ));
            }
            waits
                .extend(ledger.attention().into_iter().map(|kind| format!("needs staff attention: {}", kind.as_str())));
        }
        if booking.payment.refund_due() > 0 {
            waits.push(format!("{} is to be refunded", self.amount(booking.payment.refund_due())));
        }
        waits.extend(self.owed_after_the_end());
        waits.extend(
            self.mails
                .iter()
                .filter(|mail| mail.status != NotificationStatus::Sent)
                .map(|mail| format!("the mail {} is {}", mail.kind.as_str(), mail.status.as_str())),
        );
        waits.extend(self.missing_mail());
        match self.missing_in_mart {
            None => waits.push("the mart could not be read".to_owned()),
            Some(missing) if !missing.is_empty() => {
                waits.push(format!("the mart lacks {} of {} events", missing.len(), booking.history.len()))
            }
            Some(_) => {}
        }
        let owned = u64::try_from(booking.claims().count()).unwrap_or(u64::MAX);
        if owned != self.claims {
            waits.push(format!("it owns {owned} bed-nights and claims {}", self.claims));
        }
        if waits.is_empty() {
            vec![format!(
                "Settled, as far as the stores know: {} bed-nights claimed, nothing waits (`pvt dead list` shows dead \
                letters).",
                self.claims
            )]
        } else {
            waits
        }
    }

    /// What is still owed of a booking that is over: nothing collects it.
    fn owed_after_the_end(&self) -> Option<String> {
        let owed = self.booking.outstanding();
        let what = match self.booking.status {
            Status::Cancelled | Status::NoShow => "of the fee",
            Status::CheckedOut => "of the stay",
            _ => return None,
        };
        (owed > 0).then(|| format!("{} {what} is owed, and is not collected by itself", self.amount(owed)))
    }

    /// That no mail says how the booking stands, if its guest has an address.
    fn missing_mail(&self) -> Option<String> {
        let kind = mails::of_status(self.booking).filter(|_| self.booking.guest.mail_address().is_some())?;
        let is_missing = self.mails.iter().all(|mail| mail.kind != kind);
        is_missing.then(|| {
            format!(
                "no mail {} was written: its message waits in a queue or as a dead letter, or the mail was dropped, \
                because it contradicted the booking by then or the guest had no address yet",
                kind.as_str()
            )
        })
    }
}

/// The events of the ledger.
fn money(ledger: &Ledger) -> Vec<TimelineEvent> {
    let shown = |amount: i64| Money::new(amount, ledger.currency).to_string();
    let mut events = Vec::new();
    for attempt in &ledger.attempts {
        let object = attempt.object.as_deref().unwrap_or("not made yet");
        events.push(TimelineEvent {
            at: attempt.opened_at,
            place: "ledger",
            what: format!("checkout of {} opened (demand {}): {object}", shown(attempt.amount), attempt.demand),
        });
    }
    for session in ledger.sessions.iter() {
        events.push(TimelineEvent {
            at: unix(session.observation.at),
            place: "stripe",
            what: format!("{} is {}", session.id, session.state.as_str()),
        });
    }
    for intent in ledger.intents.iter() {
        let what = format!(
            "{} is {}, {} received",
            intent.id,
            ledger.status_of(intent).as_str(),
            Money::new(
                intent.received,
                Currency::from_code(&intent.currency.to_uppercase()).unwrap_or(ledger.currency)
            )
        );
        events.push(TimelineEvent { at: unix(ledger.status_since(intent)), place: "stripe", what });
    }
    for order in &ledger.refund_instructions {
        let state = match ledger.instruction_state(order) {
            InstructionState::Open => "not made yet",
            InstructionState::Made => "made",
            InstructionState::Failed => "failed",
        };
        events.push(TimelineEvent {
            at: order.instructed_at,
            place: "ledger",
            what: format!("{} of {} requested by {}: {state}", order.key, shown(order.amount), order.actor),
        });
    }
    for refund in ledger.refunds.iter() {
        events.push(TimelineEvent {
            at: unix(refund.created),
            place: "stripe",
            what: format!("{} refunds {}: {}", refund.id, shown(refund.amount), refund.status.as_str()),
        });
    }
    for dispute in ledger.disputes.iter() {
        events.push(TimelineEvent {
            at: unix(dispute.created),
            place: "stripe",
            what: format!("{} disputes {}: {} ({})", dispute.id, shown(dispute.amount), dispute.status, dispute.reason),
        });
    }
    for record in &ledger.records {
        events.push(TimelineEvent {
            at: record.at,
            place: "ledger",
            what: format!("{} recorded by {}", shown(record.amount), record.actor),
        });
    }
    events
}

#[cfg(test)]
mod tests {
    use super::Timeline;
    use pvt_domain::booking::Booking;
    use pvt_domain::ledger::{Ledger, PaymentChannel};
    use pvt_domain::money::Currency;
    use pvt_domain::stripe::Event;
    use pvt_domain::timestamp::Timestamp;
    use pvt_stores::mongo::notifications::Notification;
    use serde_json::json;
    use std::collections::HashSet;

    const ID: &str = "11111111-2222-5333-8444-555555555555";

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(json!(text)).unwrap()
    }

    /// One bed for one night, held until half past twelve.
    fn held() -> Booking {
        serde_json::from_value(json!({
            "_id": ID, "reference": "PVT-0000000000", "status": "held", "rev": 1, "property_id": "pvt-montreal",
            "rate_plan_id": "prepaid", "source": "direct",
            "stays": [{ "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1,
            "assigned_beds": ["a-1"] }],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "price": { "currency": "CAD", "nights": [[4200]], "taxes": [], "total": 4200 },
            "payment": { "required": 4200, "expires_at": "2026-12-01T12:30:00.000Z" }, "fingerprint": "f",
            "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:00.010Z",
            "history": [{ "rev": 1, "at": "2026-12-01T12:00:00.010Z", "action": "request", "from": "requested",
            "to": "held", "command_id": ID,
                          "event_id": "11111111-2222-5333-8444-555555555557", "actor": "guest" }],
        }))
        .unwrap()
    }

    fn mail(kind: &str, status: &str) -> Notification {
        serde_json::from_value(json!({ "_id": "k", "booking_id": ID, "property_id": "pvt-montreal",
            "kind": kind, "version": 1, "status": status,
            "message_id": "<m>", "attempts": 2, "maybe_duplicate": 0, "sender": ID,
            "created_at": "2026-12-01T12:00:01.000Z", "updated_at": "2026-12-01T12:00:02.000Z" }))
        .unwrap()
    }

    #[test]
    fn status_names_pending_work_and_hides_guest_data() {
        let (booking, mails, none) = (held(), [mail("payment_link", "failed")], HashSet::new());
        let timeline = Timeline {
            booking: &booking,
            ledger: None,
            stripe_events: &[],
            mails: &mails,
            claims: 1,
            missing_in_mart: Some(&none),
        };
        let summary = timeline.summary(at("2026-12-01T12:18:00.000Z"), Vec::new());
        assert_eq!(
            summary,
            ["held for 42.00 CAD until 2026-12-01T12:30:00.000Z, 12 min left", "the mail payment_link is failed"]
        );
        let events = timeline.events();
        assert_eq!(events.iter().map(|event| event.place).collect::<Vec<_>>(), ["api", "booking", "mail"]);
        let shown = serde_json::to_string(&events).unwrap();
        assert!(!["Ada", "Lovelace", "example.com"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    #[test]
    fn payments_are_shown_in_the_words_of_stripe() {
        let (booking, none) = (held(), HashSet::new());
        let opened = at("2026-12-01T12:00:02.000Z");
        let mut ledger = Ledger::new(booking.id, booking.property_id.clone(), Currency::CAD, opened);
        let attempt = uuid::Uuid::from_u128(1);
        ledger.open(attempt, PaymentChannel::Checkout, 4_200, opened);
        ledger.opened(attempt, "cs_1");
        let metadata = json!({ "booking_id": ID, "demand": "1" });
        for (kind, object) in [
            (
                "checkout.session.completed",
                json!({ "id": "cs_1", "status": "complete", "payment_status": "paid", "payment_intent": "pi_1",
                    "amount_total": 4_200, "currency": "cad", "created": 1_800_000_000,
                    "expires_at": 1_800_001_800, "metadata": metadata }),
            ),
            (
                "payment_intent.payment_failed",
                json!({ "id": "pi_1", "status": "requires_payment_method", "amount": 4_200, "amount_received": 0,
                    "currency": "cad", "created": 1_800_000_000, "metadata": metadata }),
            ),
            (
                "refund.failed",
                json!({ "id": "re_1", "status": "requires_action", "payment_intent": "pi_1", "charge": "ch_1",
                    "amount": 100, "currency": "cad", "created": 1_800_000_100 }),
            ),
        ] {
            let event = json!({ "id": format!("evt_{kind}"), "type": kind, "created": 1_800_000_001,
                "data": { "object": object } });
            ledger.apply(&Event::read(&event).unwrap());
        }
        let timeline = Timeline {
            booking: &booking,
            ledger: Some(&ledger),
            stripe_events: &[],
            mails: &[],
            claims: 1,
            missing_in_mart: Some(&none),
        };
        let shown: Vec<String> =
            timeline.events().into_iter().filter(|event| event.place == "stripe").map(|event| event.what).collect();
        assert_eq!(
            shown,
            ["cs_1 is paid", "pi_1 is succeeded, 42.00 CAD received", "re_1 refunds 1.00 CAD: requires_action"]
        );
    }

    #[test]
    fn control_characters_in_reasons_are_blanked() {
        let (mut booking, none) = (held(), HashSet::new());
        booking.history[0].reason = Some("plans\nchanged \u{1b}[2J\u{202e}é".to_owned());
        let timeline = Timeline {
            booking: &booking,
            ledger: None,
            stripe_events: &[],
            mails: &[],
            claims: 1,
            missing_in_mart: Some(&none),
        };
        assert_eq!(timeline.events()[1].what, "rev 1  request: requested → held, by guest (plans changed  [2J é)");
    }

    #[test]
    fn missing_mart_events_and_claims_are_reported() {
        let (mut booking, mails) = (held(), [mail("booking_confirmed", "sent")]);
        (booking.status, booking.payment.expires_at) = (pvt_domain::booking::Status::Confirmed, None);
        let (none, missing) =
            (HashSet::new(), booking.history.iter().map(|entry| entry.event_id).collect::<HashSet<_>>());
        let timeline = Timeline {
            booking: &booking,
            ledger: None,
            stripe_events: &[],
            mails: &mails,
            claims: 1,
            missing_in_mart: Some(&none),
        };
        assert!(timeline.summary(at("2026-12-01T12:18:00.000Z"), Vec::new())[0].starts_with("Settled"));
        let lacking = Timeline { claims: 0, missing_in_mart: Some(&missing), ..timeline };
        assert_eq!(
            lacking.summary(at("2026-12-01T12:18:00.000Z"), Vec::new()),
            ["the mart lacks 1 of 1 events", "it owns 1 bed-nights and claims 0"]
        );
    }

    #[test]
    fn mail_that_was_never_written_is_missed() {
        let (mut booking, none) = (held(), HashSet::new());
        (booking.status, booking.payment.expires_at) = (pvt_domain::booking::Status::Confirmed, None);
        let summary = |booking: &Booking| {
            let mails = [mail("payment_link", "sent")];
            let (ledger, stripe_events, missing_in_mart) = (None, &[], Some(&none));
            let timeline = Timeline { booking, ledger, stripe_events, mails: &mails, claims: 1, missing_in_mart };
            timeline.summary(at("2026-12-01T12:18:00.000Z"), Vec::new())
        };
        assert!(summary(&booking)[0].starts_with("no mail booking_confirmed was written"), "{:?}", summary(&booking));
        booking.status = pvt_domain::booking::Status::CheckedIn;
        assert!(summary(&booking)[0].starts_with("Settled"), "{:?}", summary(&booking));
        booking.status = pvt_domain::booking::Status::Confirmed;
        booking.guest.email.clear();
        assert!(summary(&booking)[0].starts_with("Settled"), "there is no address to write to");
    }

    #[test]
    fn booking_that_is_over_is_not_settled_while_something_is_owed() {
        let (mut booking, none) = (held(), HashSet::new());
        (booking.status, booking.payment.expires_at) = (pvt_domain::booking::Status::Cancelled, None);
        booking.guest.email.clear();
        let summary = |booking: &Booking| {
            let (ledger, stripe_events, missing_in_mart) = (None, &[], Some(&none));
            let timeline = Timeline { booking, ledger, stripe_events, mails: &[], claims: 0, missing_in_mart };
            timeline.summary(at("2026-12-01T12:18:00.000Z"), Vec::new())
        };
        booking.cancellation_fee = Some(1_050);
        assert_eq!(summary(&booking), ["10.50 CAD of the fee is owed, and is not collected by itself"]);
        booking.cancellation_fee = Some(0);
        assert!(summary(&booking)[0].starts_with("Settled"), "{:?}", summary(&booking));
        booking.status = pvt_domain::booking::Status::CheckedOut;
        assert!(summary(&booking)[0].starts_with("42.00 CAD of the stay is owed"), "{:?}", summary(&booking));
    }

    #[test]
    fn booking_is_not_settled_while_a_queue_is_paused() {
        let (mut booking, mails, none) = (held(), [mail("booking_confirmed", "sent")], HashSet::new());
        (booking.status, booking.payment.expires_at) = (pvt_domain::booking::Status::Confirmed, None);
        let timeline = Timeline {
            booking: &booking,
            ledger: None,
            stripe_events: &[],
            mails: &mails,
            claims: 1,
            missing_in_mart: Some(&none),
        };
        let now = at("2026-12-01T12:18:00.000Z");
        assert!(timeline.summary(now, Vec::new())[0].starts_with("Settled"));
        assert_eq!(timeline.summary(now, vec!["queue emails is paused".to_owned()]), ["queue emails is paused"]);
    }
}
