//! Worker `payments`: stores each event that Stripe pushed once, merges it into its booking's ledger, and sends the new
//! totals to the booking.
//!
//! It never calls Stripe: what has to be fetched is left to the `stripe` queue, so that a slow call delays no
//! confirmation. Stripe may push an event any number of times; merging it again changes nothing.

use crate::clock::{self, Clock};
use crate::declaration::{Dependencies, Start, WorkerDeclaration};
use crate::jobs::records::Records;
use crate::jobs::stripe::StripeCalls;
use crate::ledgers::{ChangeCause, Ledgers};
use crate::probes;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{Ledger, Refetch};
use pvt_domain::messages::PaymentCommand;
use pvt_domain::stripe::{Event, Object};
use pvt_messaging::{Queue, RetryDelay, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::ledgers::BookingHead;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use pvt_worker_runtime::{Batch, BatchWorker, Job, Shape, Spec, Worker, failpoint};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Most events of incoming batch.
const BATCH_MAX: u16 = 100;
/// Short: a guest who has paid is waiting.
const LINGER: Duration = Duration::from_millis(2);
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a batch is merged again because another writer changed incoming of its ledgers.
const SAVE_ATTEMPTS: u32 = 8;

/// Counter, label `outcome`: events that were new, known, of no interest, of no booking of ours, or of the other mode.
const EVENTS: &str = "pvt_stripe_events_total";

/// The worker of the `payments` queue.
pub struct Payments {
    ledgers: Ledgers,
    livemode: Option<bool>,
}

/// An event of the batch about a payment.
struct IncomingEvent {
    /// Its position in the batch.
    position: usize,
    event: Event,
}

/// Events by booking, and those of which only the payment is known.
#[derive(Default)]
struct EventsByBooking {
    by_booking: BTreeMap<BookingId, Vec<IncomingEvent>>,
    unattributed: Vec<IncomingEvent>,
}

impl Payments {
    /// A worker on this database.
    pub fn new(mongo: Mongo, topology: Topology, clock: Clock) -> Self {
        Self { ledgers: Ledgers::new(mongo, topology, clock), livemode: None }
    }

    /// The same, for events of this mode only.
    #[must_use]
    pub fn of_mode(self, livemode: Option<bool>) -> Self {
        Self { livemode, ..self }
    }

    /// Whether an event is of test mode while we take real money, or the reverse. Intake refuses such events; one that
    /// it accepted before, under another key, must not count either.
    fn is_of_other_mode(&self, event: &Event) -> bool {
        self.livemode.zip(event.livemode).is_some_and(|(ours, theirs)| ours != theirs)
    }

    /// Stores the events as Stripe sent them.
    async fn store_events(&self, jobs: &mut [Job<PaymentCommand>]) -> Result<(), StoreError> {
        let mut events = Vec::with_capacity(jobs.len());
        for job in jobs {
            let PaymentCommand::Event(event) = &job.message;
            match StoredStripeEvent::of(event) {
                Ok(stored) => events.push(StoredStripeEvent { hop: Some(job.hop()), ..stored }),
                // It will not fit on any attempt.
                Err(error) => job.fail(Failure::reject("stripe_event_unstorable", error)),
            }
        }
        let new = self.ledgers.mongo.stripe_events().insert(&events).await?;
        count("stored", new);
        count("known", events.len().saturating_sub(new));
        Ok(())
    }

    /// Finds the booking of each event: by what its object names, else by the ledger that has its payment or charge.
    async fn group_by_booking(&self, jobs: &mut [Job<PaymentCommand>]) -> Result<EventsByBooking, StoreError> {
        let mut incoming_events = Vec::with_capacity(jobs.len());
        for (position, job) in jobs.iter_mut().enumerate() {
            let PaymentCommand::Event(event) = &job.message;
            match Event::read(&event.payload) {
                Ok(event) if self.is_of_other_mode(&event) => {
                    count("other_mode", 1);
                    tracing::error!(event = %event.id, kind = %event.kind, livemode = event.livemode,
                        "event of Stripe's other mode has no effect");
                }
                Ok(Event { object: Object::Other, .. }) => count("not_followed", 1),
                Ok(event) => incoming_events.push(IncomingEvent { position, event }),
                Err(error) => job.fail(Failure::reject("stripe_event_unreadable", error)),
            }
        }
        let unnamed = || {
            incoming_events.iter().map(|incoming| &incoming.event.object).filter(|object| object.booking_id().is_none())
        };
        let intents: Vec<&str> = unnamed().filter_map(Object::intent_id).collect();
        let charges: Vec<&str> = unnamed().filter_map(Object::charge_id).collect();
        let ledgers = self.ledgers.mongo.ledgers();
        let mut owners = ledgers.bookings_of_intents(&intents).await?;
        owners.extend(ledgers.bookings_of_charges(&charges).await?);
        // The ledger may not have them yet: they are named in this batch.
        let named = incoming_events.iter().flat_map(|incoming| {
            let object = &incoming.event.object;
            let ids = object.intent_id().into_iter().chain(object.charge_id());
            ids.filter_map(|id| Some((id.to_owned(), object.booking_id()?)))
        });
        owners.extend(named.collect::<Vec<_>>());
        let mut events = EventsByBooking::default();
        for incoming in incoming_events {
            let object = &incoming.event.object;
            let owner = |id: &str| owners.get(id).copied();
            let booking = object.booking_id().or_else(|| object.intent_id().and_then(owner));
            match booking.or_else(|| object.charge_id().and_then(owner)) {
                Some(booking) => events.by_booking.entry(booking).or_default().push(incoming),
                None => events.unattributed.push(incoming),
            }
        }
        Ok(events)
    }

    /// Merges the events into their ledgers and stores those.
    async fn merge_into_ledgers(
        &self,
        incoming_events: &BTreeMap<BookingId, Vec<IncomingEvent>>,
        heads: &HashMap<BookingId, BookingHead>,
    ) -> Result<MergedLedgers, StoreError> {
        for _ in 0..SAVE_ATTEMPTS {
            let mut merged = MergedLedgers {
                ledgers: self.ledgers.mongo.ledgers().find_by_ids(heads.keys().copied()).await?,
                refetches: Vec::new(),
            };
            let mut changed = Vec::new();
            for (booking, incoming_events) in incoming_events {
                let Some(head) = heads.get(booking) else { continue };
                let Some(before) = merged.ledgers.remove(booking).or_else(|| self.ledgers.empty(head)) else {
                    continue;
                };
                let mut after = before.clone();
                let refetch =
                    |incoming: &IncomingEvent| after.apply(&incoming.event).map(|refetch| (incoming.position, refetch));
                merged.refetches.extend(incoming_events.iter().filter_map(refetch).collect::<Vec<_>>());
                if after != before {
                    after.note_events(incoming_events.iter().map(|incoming| incoming.event.id.as_str()));
                    after.advance_rev(&before, self.ledgers.now());
                    changed.push(after.clone());
                }
                merged.ledgers.insert(*booking, after);
            }
            if self.ledgers.mongo.ledgers().save(&changed).await? {
                return Ok(merged);
            }
        }
        Err(StoreError::Stale(format!("ledgers changed {SAVE_ATTEMPTS} times")))
    }

    /// Queues the changes of each event, what has to be fetched, and once for a booking its new totals.
    async fn emit_follow_ups(
        &self,
        jobs: &mut [Job<PaymentCommand>],
        events: &EventsByBooking,
        merged: &MergedLedgers,
        heads: &HashMap<BookingId, BookingHead>,
    ) -> Result<(), Failure> {
        for (booking, incoming_events) in &events.by_booking {
            let (Some(ledger), Some(head)) = (merged.ledgers.get(booking), heads.get(booking)) else {
                // Of another system on the same account, or never priced.
                count("foreign", incoming_events.len());
                tracing::warn!(booking_id = %booking, "payment event for unknown booking");
                continue;
            };
            for incoming in incoming_events {
                let Some(job) = jobs.get_mut(incoming.position) else { continue };
                self.ledgers
                    .payment_events(ledger, ledger.changes_of(&incoming.event.object))?
                    .into_iter()
                    .for_each(|event| job.emit(event));
            }
            let follow_ups = self.ledgers.follow_ups(ledger, head, &ChangeCause::STRIPE).await?;
            if let Some(job) = incoming_events.last().and_then(|incoming| jobs.get_mut(incoming.position)) {
                follow_ups.into_iter().for_each(|message| job.emit(message));
            }
        }
        let refetches = merged.refetches.iter().map(|(position, refetch)| (*position, refetch.clone()));
        let unattributed = events.unattributed.iter().filter_map(|incoming| {
            let refetch = Refetch::payment_of(&incoming.event.object);
            if refetch.is_none() {
                count("foreign", 1);
                tracing::warn!(event = %incoming.event.id, kind = %incoming.event.kind,
                    "payment event names no booking and no payment");
            }
            Some((incoming.position, refetch?))
        });
        for (position, refetch) in refetches.chain(unattributed) {
            if let Some(job) = jobs.get_mut(position) {
                let PaymentCommand::Event(event) = &job.message;
                let refresh = self.ledgers.refresh_command(&refetch, &event.event_id)?;
                job.emit(refresh);
            }
        }
        Ok(())
    }
}

/// The ledgers as stored, and what has to be fetched for which message.
struct MergedLedgers {
    ledgers: HashMap<BookingId, Ledger>,
    refetches: Vec<(usize, Refetch)>,
}

fn count(outcome: &'static str, events: usize) {
    metrics::counter!(EVENTS, "outcome" => outcome).increment(u64::try_from(events).unwrap_or(u64::MAX));
}

/// The worker `payments`: three consumers, so that slow calls to Stripe never delay the events that Stripe sends, nor
/// what staff take themselves.
pub(crate) const WORKER: WorkerDeclaration = WorkerDeclaration {
    name: Payments::SPEC.name,
    about: "applies Stripe events and recorded payments to payment ledgers and makes calls to Stripe",
    health_port: 8082,
    queues: &[Payments::SPEC.queue, Records::SPEC.queue, StripeCalls::SPEC.queue],
    start: Start::Consumers(|engine, dependencies| {
        let Dependencies { mongo, topology, .. } = dependencies;
        let stripe = StripeCalls::new(mongo.clone(), topology.clone(), dependencies.stripe()?, clock::system);
        let payments = Payments::new(mongo.clone(), topology.clone(), clock::system);
        let payments = payments.of_mode(dependencies.config.stripe_livemode());
        let records = Records::new(mongo.clone(), topology.clone(), clock::system);
        Ok(engine.register_batch(payments)?.register(records)?.register(stripe)?)
    }),
};

impl BatchWorker for Payments {
    const SPEC: Spec = Spec {
        name: "payments",
        queue: Queue::One(PaymentCommand::QUEUE),
        retry_schedule: &[RetryDelay::S5, RetryDelay::M1, RetryDelay::M10, RetryDelay::H1],
        timeout: TIMEOUT,
        shape: Shape::Batch { max: BATCH_MAX, linger: LINGER },
    };
    type Message = PaymentCommand;

    async fn handle(&self, batch: &mut Batch<PaymentCommand>) -> Result<(), Failure> {
        self.store_events(&mut batch.items).await?;
        let events = self.group_by_booking(&mut batch.items).await?;
        let heads = self.ledgers.mongo.ledgers().booking_heads(events.by_booking.keys().copied()).await?;
        let merged = self.merge_into_ledgers(&events.by_booking, &heads).await?;
        failpoint::hit("after_ledger_before_settle");
        self.emit_follow_ups(&mut batch.items, &events, &merged, &heads).await
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        probes::mongodb(class, &self.ledgers.mongo).await
    }
}
