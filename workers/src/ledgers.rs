//! Keeping the ledgers of bookings: read, changed by a pure function, stored by compare-and-set, told of.
//!
//! What follows from a change is computed from what is stored, never from what this process believes to have changed:
//! whoever is delivered a message again finds the change made and tells of it again, under the same ids.

use crate::clock::Clock;
use pvt_domain::actor::Actor;
use pvt_domain::events::PaymentEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{Ledger, LedgerChange};
use pvt_domain::messages::{ACCOUNT_MAIL, StaffAlert};
use pvt_domain::messages::{
    BOOKING_SETTLE_PAYMENT, CommandHeader, PAYMENT_REFRESH, PAYMENT_REFUND, RefreshPayment, Refund, SettlePayment,
};
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{EncodeError, Outgoing, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::ledgers::BookingHead;
use uuid::Uuid;

/// How often a change is made anew because somebody else was faster.
const SAVE_ATTEMPTS: u32 = 8;

/// What keeps ledgers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledgers {
    pub(crate) mongo: Mongo,
    pub(crate) topology: Topology,
    clock: Clock,
}

/// A ledger after a change that is stored, and the booking that it belongs to.
pub(crate) struct SavedLedger<T> {
    /// As it is stored.
    pub(crate) after: Ledger,
    /// The booking, as it was read together with the ledger.
    pub(crate) head: BookingHead,
    /// What the change answered.
    pub(crate) answer: T,
}

impl Ledgers {
    pub(crate) fn new(mongo: Mongo, topology: Topology, clock: Clock) -> Self {
        Self { mongo, topology, clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Changes the ledger of a booking; nothing is written when the change changes nothing. `None` when there is no
    /// such booking, or it has no price.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when others were faster again and again.
    pub(crate) async fn change<T>(
        &self,
        booking: BookingId,
        change: impl Fn(&mut Ledger, &BookingHead) -> T,
    ) -> Result<Option<SavedLedger<T>>, StoreError> {
        for _ in 0..SAVE_ATTEMPTS {
            let (heads, ledger) =
                tokio::join!(self.mongo.ledgers().booking_heads([booking]), self.mongo.ledgers().find(booking));
            let Some(head) = heads?.remove(&booking) else { return Ok(None) };
            let Some(before) = ledger?.or_else(|| self.empty(&head)) else { return Ok(None) };
            let mut after = before.clone();
            let answer = change(&mut after, &head);
            if after == before {
                return Ok(Some(SavedLedger { after, head, answer }));
            }
            after.advance_rev(&before, self.now());
            if self.mongo.ledgers().save(std::slice::from_ref(&after)).await? {
                return Ok(Some(SavedLedger { after, head, answer }));
            }
        }
        Err(StoreError::Stale(format!("the ledger of {booking} changed {SAVE_ATTEMPTS} times")))
    }

    /// The ledger of a booking that has none.
    pub(crate) fn empty(&self, head: &BookingHead) -> Option<Ledger> {
        Some(Ledger::new(head.id, head.property_id.clone(), head.currency()?, self.now()))
    }

    /// Events that tell of these news.
    pub(crate) fn payment_events(
        &self,
        ledger: &Ledger,
        news: Vec<LedgerChange>,
    ) -> Result<Vec<Outgoing>, EncodeError> {
        let tell = |news| {
            let event = PaymentEvent::of(ledger, news);
            Ok(Outgoing::event(event.event_id, &event)?.with_correlation_id(ledger.booking_id.as_uuid()))
        };
        news.into_iter().map(tell).collect()
    }

    /// What a ledger as it is stored asks for: its booking to know what it comes to, its staff to look at it, and
    /// whatever can be given back to be given back. Nothing of that depends on who changed it last, so nothing is lost
    /// with whoever did.
    pub(crate) async fn follow_ups(&self, ledger: &Ledger, head: &BookingHead) -> Result<Vec<Outgoing>, Failure> {
        let mut messages = self.staff_alerts(ledger).await?;
        // What is to go back is decided upon the sums, so a booking that does not know them is told them first; that
        // asks for it then.
        messages.extend(
            self.settle_payment_command(ledger, head)?
                .map_or_else(|| self.refund_command(ledger, head), |settle| Ok(Some(settle)))?,
        );
        Ok(messages)
    }

    /// Tells the booking what its ledger comes to, unless it knows.
    fn settle_payment_command(&self, ledger: &Ledger, head: &BookingHead) -> Result<Option<Outgoing>, EncodeError> {
        if head.ledger_rev() >= ledger.totals_rev {
            return Ok(None);
        }
        let header = CommandHeader {
            booking_id: ledger.booking_id,
            property_id: ledger.property_id.clone(),
            expected_rev: None,
            actor: Actor::STRIPE,
            as_admin: false,
            reason: None,
            requested_at: self.now(),
        };
        let id = Uuid::new_v5(&ledger.booking_id.as_uuid(), format!("settle|{}", ledger.totals_rev).as_bytes());
        let key = self.topology.command_key(BOOKING_SETTLE_PAYMENT, ledger.property_id.as_str());
        let command = SettlePayment { header, ledger: ledger.summary() };
        Ok(Some(
            Outgoing::command(key, id, &command)?
                .with_correlation_id(ledger.booking_id.as_uuid())
                .with_actor(Actor::STRIPE),
        ))
    }

    /// Has given back what the booking found too much and could not be given back then: a bank argued about it, for
    /// one.
    fn refund_command(&self, ledger: &Ledger, head: &BookingHead) -> Result<Option<Outgoing>, EncodeError> {
        let to_refund = head.payment.to_refund;
        if !ledger.can_instruct_refunds(to_refund) {
            return Ok(None);
        }
        let (booking_id, property_id) = (ledger.booking_id, ledger.property_id.clone());
        let id = Uuid::new_v5(&booking_id.as_uuid(), format!("refund|{}|{to_refund}", ledger.rev).as_bytes());
        let command = Refund { booking_id, property_id, request: None, actor: Actor::STRIPE, requested_at: self.now() };
        Ok(Some(
            Outgoing::command(self.topology.command_key(PAYMENT_REFUND, ""), id, &command)?
                .with_correlation_id(booking_id.as_uuid())
                .with_actor(Actor::STRIPE),
        ))
    }

    /// Writes to the staff of a booking whose money needs them: the same mails however often it is found.
    async fn staff_alerts(&self, ledger: &Ledger) -> Result<Vec<Outgoing>, Failure> {
        let attention_items = ledger.attention_items();
        if attention_items.is_empty() {
            return Ok(Vec::new());
        }
        let (people, now) = (self.mongo.users().staff_alert_recipients(&ledger.property_id).await?, self.now());
        let mut mails = Vec::new();
        for (attention, subject) in attention_items {
            let alert =
                StaffAlert { booking_id: ledger.booking_id, property_id: ledger.property_id.clone(), attention };
            for person in &people {
                let mail = alert.mail_to(person.id, subject, now);
                mails.push(
                    Outgoing::command(self.topology.command_key(ACCOUNT_MAIL, ""), mail.mail_id, &mail)?
                        .with_actor(Actor::STRIPE),
                );
            }
        }
        Ok(mails)
    }

    /// Asks for a payment to be read from Stripe, because an event told of it in part: `joined` to its ledger or not.
    pub(crate) fn refresh_command(&self, intent: &str, event_id: &str, joined: bool) -> Result<Outgoing, EncodeError> {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("refresh|{intent}|{event_id}").as_bytes());
        let command = RefreshPayment {
            intent: intent.to_owned(),
            event_id: event_id.to_owned(),
            joined,
            requested_at: self.now(),
        };
        Ok(Outgoing::command(self.topology.command_key(PAYMENT_REFRESH, ""), id, &command)?.with_actor(Actor::STRIPE))
    }
}
