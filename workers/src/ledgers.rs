//! Changes of ledgers: read, changed by a pure function, stored by compare-and-set, published.
//!
//! Follow-ups are computed from the stored ledger, never from what this process believes to have changed: a redelivered
//! message finds the change made and emits the same follow-ups under the same ids.

use crate::clock::Clock;
use pvt_domain::actor::Actor;
use pvt_domain::events::PaymentEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{AttentionItem, Ledger, LedgerChange, Record, Refetch};
use pvt_domain::messages::{ACCOUNT_MAIL, StaffAlert};
use pvt_domain::messages::{
    BOOKING_SETTLE_PAYMENT, CommandHeader, PAYMENT_REFRESH, PAYMENT_REFUND, RefreshPayment, Refund, SettlePayment,
};
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{EncodeError, Outgoing, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::ledgers::BookingHead;
use pvt_worker_runtime::Job;
use uuid::Uuid;

/// How often a change is repeated because another writer was faster.
const SAVE_ATTEMPTS: u32 = 8;

/// Who changed a ledger, and why: its booking's history says the same.
#[derive(Debug, Clone)]
pub(crate) struct ChangeCause {
    pub(crate) actor: Actor,
    pub(crate) reason: Option<String>,
}

impl ChangeCause {
    /// Stripe, by an event or an answer.
    pub(crate) const STRIPE: Self = Self { actor: Actor::STRIPE, reason: None };

    /// Staff, who recorded what Stripe does not see.
    pub(crate) fn record(record: &Record) -> Self {
        Self { actor: record.actor.clone(), reason: record.note.clone() }
    }

    /// That of the latest change, where no message says it any more: the last record, unless Stripe reported something
    /// since.
    pub(crate) fn latest(ledger: &Ledger) -> Self {
        let sessions = ledger.sessions.iter().map(|fact| &fact.observation);
        let intents = ledger.intents.iter().map(|fact| &fact.observation);
        let refunds = ledger.refunds.iter().map(|fact| &fact.observation);
        let disputes = ledger.disputes.iter().map(|fact| &fact.observation);
        let observed = sessions.chain(intents).chain(refunds).chain(disputes).map(|observation| observation.at).max();
        let last = ledger.records.iter().max_by_key(|record| record.at);
        let last = last.filter(|record| observed.is_none_or(|at| at <= record.at.as_datetime().timestamp()));
        last.map_or(Self::STRIPE, Self::record)
    }
}

/// The command that gives a booking the totals of its ledger.
pub(crate) fn settle_payment(
    ledger: &Ledger,
    topology: &Topology,
    cause: &ChangeCause,
    now: Timestamp,
) -> Result<Outgoing, EncodeError> {
    let header = CommandHeader {
        booking_id: ledger.booking_id,
        property_id: ledger.property_id.clone(),
        expected_rev: None,
        actor: cause.actor.clone(),
        as_admin: false,
        reason: cause.reason.clone(),
        requested_at: now,
    };
    let id = Uuid::new_v5(&ledger.booking_id.as_uuid(), format!("settle|{}", ledger.totals_rev).as_bytes());
    let key = topology.command_key(BOOKING_SETTLE_PAYMENT, ledger.property_id.as_str());
    Ok(Outgoing::command(key, id, &SettlePayment { header, ledger: ledger.summary() })?
        .with_correlation_id(ledger.booking_id.as_uuid())
        .with_actor(cause.actor.clone()))
}

/// Access to ledgers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledgers {
    pub(crate) mongo: Mongo,
    pub(crate) topology: Topology,
    clock: Clock,
}

/// A ledger after a stored change, with its booking.
pub(crate) struct SavedLedger<T> {
    /// As it is stored.
    pub(crate) after: Ledger,
    /// The booking, as read together with the ledger.
    pub(crate) head: BookingHead,
    /// The result of the change.
    pub(crate) answer: T,
}

impl Ledgers {
    pub(crate) fn new(mongo: Mongo, topology: Topology, clock: Clock) -> Self {
        Self { mongo, topology, clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Queues all events and follow-ups of a stored ledger, not only those of this delivery: an earlier one may have
    /// crashed between storing and publishing.
    pub(crate) async fn emit_follow_ups<M, T>(&self, job: &mut Job<M>, saved: &SavedLedger<T>) -> Result<(), Failure> {
        self.emit_follow_ups_of(job, saved, &ChangeCause::STRIPE).await
    }

    /// The same, after a change for this cause.
    pub(crate) async fn emit_follow_ups_of<M, T>(
        &self,
        job: &mut Job<M>,
        saved: &SavedLedger<T>,
        cause: &ChangeCause,
    ) -> Result<(), Failure> {
        let events = self.payment_events(&saved.after, saved.after.changes())?;
        let follow_ups = self.follow_ups(&saved.after, &saved.head, cause).await?;
        events.into_iter().chain(follow_ups).for_each(|message| job.emit(message));
        Ok(())
    }

    /// Changes the ledger of a booking; a change without effect writes nothing. `None` when the booking does not exist
    /// or has no price.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when other writers were faster on every attempt.
    pub(crate) async fn change<T>(
        &self,
        booking: BookingId,
        change: impl Fn(&mut Ledger, &BookingHead) -> T,
    ) -> Result<Option<SavedLedger<T>>, StoreError> {
        for _ in 0..SAVE_ATTEMPTS {
            // One after the other: what is copied from the booking must not be older than what the ledger has of it.
            let ledger = self.mongo.ledgers().find(booking).await?;
            let Some(head) = self.mongo.ledgers().booking_heads([booking]).await?.remove(&booking) else {
                return Ok(None);
            };
            let Some(before) = ledger.or_else(|| self.empty(&head)) else { return Ok(None) };
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

    /// An empty ledger for a booking that has none.
    pub(crate) fn empty(&self, head: &BookingHead) -> Option<Ledger> {
        Some(Ledger::new(head.id, head.property_id.clone(), head.currency()?, self.now()))
    }

    /// The events of these changes.
    pub(crate) fn payment_events(
        &self,
        ledger: &Ledger,
        changes: Vec<LedgerChange>,
    ) -> Result<Vec<Outgoing>, EncodeError> {
        let event = |change| {
            let event = PaymentEvent::of(ledger, change);
            Ok(Outgoing::event(event.event_id, &event)?.with_correlation_id(ledger.booking_id.as_uuid()))
        };
        changes.into_iter().map(event).collect()
    }

    /// The messages that a stored ledger calls for: totals for its booking, alerts to its staff, and refunds that
    /// became possible. None depends on the last change, so a crash after storing loses nothing.
    pub(crate) async fn follow_ups(
        &self,
        ledger: &Ledger,
        head: &BookingHead,
        cause: &ChangeCause,
    ) -> Result<Vec<Outgoing>, Failure> {
        let mut messages = self.staff_alerts(ledger).await?;
        // Refunds are decided from the totals, so a booking behind them is updated first, and then sends the refund
        // itself.
        messages.extend(
            self.settle_payment_command(ledger, head, cause)?
                .map_or_else(|| self.refund_command(ledger, head), |settle| Ok(Some(settle)))?,
        );
        Ok(messages)
    }

    /// The command that updates the booking's totals; `None` when they are current.
    fn settle_payment_command(
        &self,
        ledger: &Ledger,
        head: &BookingHead,
        cause: &ChangeCause,
    ) -> Result<Option<Outgoing>, EncodeError> {
        let is_behind = head.ledger_rev() < ledger.totals_rev;
        is_behind.then(|| settle_payment(ledger, &self.topology, cause, self.now())).transpose()
    }

    /// The command for a refund that the booking decided and that was impossible then, during a dispute for example, or
    /// that the ledger does not know yet.
    fn refund_command(&self, ledger: &Ledger, head: &BookingHead) -> Result<Option<Outgoing>, EncodeError> {
        let to_refund = head.payment.to_refund;
        let is_noted = ledger.to_refund.unwrap_or(0) == to_refund;
        if is_noted && !ledger.can_instruct_refunds(to_refund) {
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

    /// Alerts to staff about payments that need attention; the same mails on every delivery.
    async fn staff_alerts(&self, ledger: &Ledger) -> Result<Vec<Outgoing>, Failure> {
        let attention_items = ledger.attention_items();
        if attention_items.is_empty() {
            return Ok(Vec::new());
        }
        let (recipients, now) = (self.mongo.users().staff_alert_recipients(&ledger.property_id).await?, self.now());
        let mut mails = Vec::new();
        for AttentionItem { kind: attention, subject, amount, .. } in attention_items {
            let (booking_id, property_id) = (ledger.booking_id, ledger.property_id.clone());
            let alert = StaffAlert { booking_id, property_id, attention, amount };
            for user in &recipients {
                let mail = alert.mail_to(user.id, &subject, now);
                mails.push(
                    Outgoing::command(self.topology.command_key(ACCOUNT_MAIL, ""), mail.mail_id, &mail)?
                        .with_actor(Actor::STRIPE),
                );
            }
        }
        Ok(mails)
    }

    /// The command to read from Stripe what an event lacked.
    pub(crate) fn refresh_command(&self, refetch: &Refetch, event_id: &str) -> Result<Outgoing, EncodeError> {
        let (object, intent, charge) = match refetch {
            Refetch::Refunds { intent } | Refetch::Payment { intent } => (intent, Some(intent), None),
            Refetch::PaymentOfCharge { charge } => (charge, None, Some(charge)),
        };
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("refresh|{object}|{event_id}").as_bytes());
        let command = RefreshPayment {
            intent: intent.cloned(),
            charge: charge.cloned(),
            event_id: event_id.to_owned(),
            joined: matches!(refetch, Refetch::Refunds { .. }),
            requested_at: self.now(),
        };
        Ok(Outgoing::command(self.topology.command_key(PAYMENT_REFRESH, ""), id, &command)?.with_actor(Actor::STRIPE))
    }
}
