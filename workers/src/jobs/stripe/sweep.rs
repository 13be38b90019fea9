//! Sweep of Stripe's list of events: those that never arrived are replayed.
//!
//! A run reads one span of time per command, publishes what was missing in it and saves how far it came, before the
//! next command continues: what was found is not lost when a later step fails. It changes no booking and no amount.

use super::StripeCalls;
use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::failure::Failure;
use pvt_domain::ledger::Refetch;
use pvt_domain::messages::{
    CompareBalance, RECONCILE_BALANCE, RECONCILE_PAYMENTS, ReconcilePayments, STRIPE_EVENT, StripeCommand, StripeEvent,
    SweepSpan, stripe_event_message_id,
};
use pvt_domain::stripe::Event;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{EncodeError, Outgoing};
use pvt_stores::mongo::payment_sweeps::PaymentSweep;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use pvt_stripe::{EventQuery, StripeClient};
use pvt_worker_runtime::{Job, failpoint};
use serde_json::Value;
use std::collections::HashSet;
use uuid::Uuid;

/// Overlap with the last run, for events that were in flight at its end.
const OVERLAP: TimeDelta = TimeDelta::hours(2);
/// How far back the first run looks, and the longest gap that is closed: Stripe keeps events for 30 days.
const MAX_LOOKBACK: TimeDelta = TimeDelta::days(29);
/// Whole days before today whose balance transactions are compared, beside today so far.
const DAYS_COMPARED: i64 = 3;
/// The first span is short; the next are longer where events are sparse.
const FIRST_SPAN: TimeDelta = TimeDelta::minutes(15);
const MAX_SPAN: TimeDelta = TimeDelta::hours(12);
/// A span with fewer events than this is sparse.
const SPARSE_EVENTS: u32 = 1_000;
/// The shortest span.
const MIN_SPAN: TimeDelta = TimeDelta::minutes(1);
/// Most pages of events of a span that can still be shortened.
const MAX_SPAN_PAGES: usize = 50;
const PAGE: u32 = 100;

/// Counter: events at Stripe that never arrived as webhooks.
const MISSED: &str = "pvt_stripe_events_missed_total";
/// Counter: missed events that are too large for a message, or have no id.
const SKIPPED: &str = "pvt_stripe_events_skipped_total";

/// The events of a span.
struct SpanEvents {
    /// End of the span: what follows was not read.
    until: DateTime<Utc>,
    /// Number of events at Stripe.
    events: u32,
    /// Those that are not stored, oldest first.
    missing: Vec<Value>,
}

/// An alert compares with the scrape before, so counters begin at 0, not with their first event.
pub(super) fn begin_counters() {
    for counter in [MISSED, SKIPPED] {
        metrics::counter!(counter).increment(0);
    }
}

impl StripeCalls {
    pub(super) async fn sweep(&self, job: &mut Job<StripeCommand>, command: &ReconcilePayments) -> Result<(), Failure> {
        let Some(client) = &self.client else { return Ok(()) };
        let now = self.ledgers.now();
        let mut report = match self.ledgers.mongo.payment_sweeps().find(command.run_id).await? {
            Some(report) => report,
            None => new_report(command, self.since(now).await?, now),
        };
        let from = command.span.map_or(report.since, |span| span.from).as_datetime();
        let length = command.span.map_or(FIRST_SPAN, |span| TimeDelta::seconds(span.seconds.into()));
        let found = self.read_span(client, from, length).await?;
        // By Stripe's clock, which dates the events: ours may be wrong.
        let present = DateTime::from_timestamp(client.time(), 0).unwrap_or_default() - self.grace;
        let until = found.until.min(present).max(from);
        let is_last = until >= present.min(now.as_datetime() - self.grace);
        let lost = count(found.missing.len());
        let mut oversize = 0;
        if !command.dry_run {
            for event in found.missing {
                oversize += u32::from(!self.replay(job, event, now).await?);
            }
        }
        if is_last {
            job.emit(self.compare_command(command, present)?);
        } else {
            let read = found.until - from;
            let next = if found.events < SPARSE_EVENTS { (read * 2).min(MAX_SPAN) } else { read };
            job.emit(self.next_span_command(command, until.into(), next)?);
        }
        // A redelivery finds its span in the report.
        if report.until.as_datetime() <= from {
            metrics::counter!(MISSED).increment(u64::from(lost));
            report.events += found.events;
            report.missing += lost;
            report.oversize += oversize;
            report.replayed += if command.dry_run { 0 } else { lost - oversize };
        }
        report.until = report.until.max(until.into());
        report.complete |= is_last;
        report.took_ms = elapsed_ms(report.started_at, self.ledgers.now());
        self.ledgers.mongo.payment_sweeps().save(&report).await?;
        failpoint::hit("after_sweep_before_publish");
        Ok(())
    }

    /// The start of a run: a while before the end of the last one, or where an incomplete one stopped.
    async fn since(&self, now: Timestamp) -> Result<Timestamp, Failure> {
        let farthest = now.as_datetime() - MAX_LOOKBACK;
        let Some(last) = self.ledgers.mongo.payment_sweeps().last(now).await? else { return Ok(farthest.into()) };
        // Only at a real end may events have been in flight. Reports of the version before do not say it.
        let was_complete = last.complete || last.until >= (last.started_at.as_datetime() - self.grace).into();
        let from = last.until.as_datetime() - if was_complete { OVERLAP } else { TimeDelta::zero() };
        Ok(from.max(farthest).into())
    }

    /// The events from `from` on within `length`, or within less where there are many.
    async fn read_span(
        &self,
        client: &StripeClient,
        from: DateTime<Utc>,
        length: TimeDelta,
    ) -> Result<SpanEvents, Failure> {
        let (mut length, end) = (length, self.ledgers.now().as_datetime() - self.grace);
        loop {
            let until = (from + length).min(end).max(from);
            let pages = if length > MIN_SPAN { MAX_SPAN_PAGES } else { usize::MAX };
            match self.list_events(client, from.timestamp(), until.timestamp() + 1, pages).await? {
                Some((events, missing)) => return Ok(SpanEvents { until, events, missing }),
                None => length = (length / 2).max(MIN_SPAN),
            }
        }
    }

    /// The number of events of a span, and those that are not stored, oldest first. `None` when there are more `pages`.
    async fn list_events(
        &self,
        client: &StripeClient,
        created_from: i64,
        created_until: i64,
        pages: usize,
    ) -> Result<Option<(u32, Vec<Value>)>, Failure> {
        let (mut events, mut missing, mut after, mut read) = (0, Vec::new(), None, 0);
        loop {
            if read >= pages {
                return Ok(None);
            }
            let page = client
                .events(&EventQuery {
                    created_from,
                    created_until: Some(created_until),
                    starting_after: after,
                    limit: PAGE,
                })
                .await?;
            read += 1;
            events += count(page.items.len());
            let ids: Vec<&str> = page.items.iter().filter_map(|event| event["id"].as_str()).collect();
            let known: HashSet<String> = self.ledgers.mongo.stripe_events().known(&ids).await?;
            missing.extend(
                page.items.into_iter().filter(|event| event["id"].as_str().is_some_and(|id| !known.contains(id))),
            );
            after = page.next;
            if after.is_none() {
                missing.reverse();
                return Ok(Some((events, missing)));
            }
        }
    }

    /// Emits the command that the webhook would have sent. An event that no message can carry is stored, so that it is
    /// not found again, and its payment is read from Stripe instead; then the answer is `false`.
    async fn replay(&self, job: &mut Job<StripeCommand>, payload: Value, now: Timestamp) -> Result<bool, Failure> {
        let text = |field: &str| payload[field].as_str().unwrap_or_default().to_owned();
        let (event_id, event_type) = (text("id"), text("type"));
        let id = stripe_event_message_id(&event_id);
        let event = StripeEvent { event_id, event_type, payload, received_at: now };
        match Outgoing::command(self.ledgers.topology.command_key(STRIPE_EVENT, ""), id, &event) {
            Ok(message) => {
                job.emit(message.with_actor("schedule:reconcile_payments"));
                return Ok(true);
            }
            Err(EncodeError::Oversize { bytes, .. }) => {
                tracing::error!(event = %event.event_id, kind = %event.event_type, bytes,
                    "event is too large for a message: stored, and its payment is read from Stripe");
            }
            Err(error) => tracing::error!(event = %event.event_id, %error, "event cannot be replayed"),
        }
        metrics::counter!(SKIPPED).increment(1);
        let object = Event::read(&event.payload).ok().map(|event| event.object);
        if let Some(refetch) = object.as_ref().and_then(Refetch::payment_of) {
            job.emit(self.ledgers.refresh_command(&refetch, &event.event_id)?);
        }
        match StoredStripeEvent::of(&event) {
            Ok(stored) => {
                self.ledgers.mongo.stripe_events().insert(&[stored]).await?;
            }
            Err(error) => tracing::error!(event = %event.event_id, %error, "event cannot be stored"),
        }
        Ok(false)
    }

    fn next_span_command(
        &self,
        command: &ReconcilePayments,
        from: Timestamp,
        length: TimeDelta,
    ) -> Result<Outgoing, EncodeError> {
        let seconds = u32::try_from(length.max(MIN_SPAN).num_seconds()).unwrap_or(u32::MAX);
        let next = ReconcilePayments { span: Some(SweepSpan { from, seconds }), ..command.clone() };
        let id = Uuid::new_v5(&command.run_id, format!("span|{from}").as_bytes());
        Ok(Outgoing::command(self.ledgers.topology.command_key(RECONCILE_PAYMENTS, ""), id, &next)?
            .with_actor(command.actor.clone()))
    }

    fn compare_command(&self, command: &ReconcilePayments, present: DateTime<Utc>) -> Result<Outgoing, EncodeError> {
        let last_day = present.date_naive();
        self.compare_day_command(&CompareBalance {
            run_id: command.run_id,
            day: last_day - TimeDelta::days(DAYS_COMPARED),
            last_day,
            dry_run: command.dry_run,
            actor: command.actor.clone(),
            requested_at: command.requested_at,
        })
    }

    /// The command to compare a day; one a run and day.
    pub(super) fn compare_day_command(&self, command: &CompareBalance) -> Result<Outgoing, EncodeError> {
        let id = Uuid::new_v5(&command.run_id, format!("balance|{}", command.day).as_bytes());
        Ok(Outgoing::command(self.ledgers.topology.command_key(RECONCILE_BALANCE, ""), id, command)?
            .with_actor(command.actor.clone()))
    }
}

fn new_report(command: &ReconcilePayments, since: Timestamp, now: Timestamp) -> PaymentSweep {
    PaymentSweep {
        run_id: command.run_id,
        actor: command.actor.clone(),
        dry_run: command.dry_run,
        since,
        until: since,
        events: 0,
        complete: false,
        missing: 0,
        oversize: 0,
        replayed: 0,
        fees: 0,
        differences: Vec::new(),
        started_at: now,
        took_ms: 0,
    }
}

/// Milliseconds from one instant to another.
pub(super) fn elapsed_ms(from: Timestamp, until: Timestamp) -> u64 {
    u64::try_from((until.as_datetime() - from.as_datetime()).num_milliseconds()).unwrap_or(0)
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}
