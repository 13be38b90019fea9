//! Reconciliation with Stripe: missed events are replayed, and Stripe's balance transactions are compared with our
//! ledgers day by day.
//!
//! It changes no booking and no amount: it replays events, and records the fees that only Stripe's ledger shows.

use super::StripeCalls;
use chrono::{DateTime, NaiveDate, TimeDelta};
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{EntryKind, Ledger};
use pvt_domain::messages::{ReconcilePayments, STRIPE_EVENT, StripeCommand, StripeEvent, stripe_event_message_id};
use pvt_domain::stripe::BalanceTransaction;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::Outgoing;
use pvt_stores::mongo::ledgers::LedgerFilter;
use pvt_stores::mongo::payment_sweeps::{DaySum, PaymentSweep};
use pvt_stripe::{EventQuery, StripeClient, TransactionQuery};
use pvt_worker_runtime::Job;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Overlap with the last run, for events that were in flight at its end.
const OVERLAP: TimeDelta = TimeDelta::hours(2);
/// How far back the first run looks, and the longest gap that is closed: Stripe keeps events for 30 days.
const MAX_LOOKBACK: TimeDelta = TimeDelta::days(29);
/// Younger events may still be in flight.
const GRACE: TimeDelta = TimeDelta::seconds(60);
/// Whole days before today that are compared, beside today so far.
const DAYS_COMPARED: i64 = 3;
/// Events are listed in windows, oldest first. The first is short; the next are longer where events are sparse.
const FIRST_WINDOW: TimeDelta = TimeDelta::minutes(15);
const MAX_WINDOW: TimeDelta = TimeDelta::hours(12);
/// A window with fewer events than this is sparse.
const SPARSE_EVENTS: u32 = 1_000;
/// The shortest window.
const MIN_WINDOW: TimeDelta = TimeDelta::minutes(1);
/// Most pages of events of a window that can still be shortened.
const MAX_WINDOW_PAGES: usize = 50;
/// No further window starts after this; the next run continues where this one stopped.
const TIME_BUDGET: Duration = Duration::from_secs(40);
/// Most pages of balance transactions.
const MAX_PAGES: usize = 500;
const PAGE: u32 = 100;
/// Most ledgers that one comparison reads.
const MAX_LEDGERS: i64 = 100_000;

/// A day, a kind of entry and a currency.
type SumKey = (NaiveDate, &'static str, String);

impl StripeCalls {
    pub(super) async fn sweep(&self, job: &mut Job<StripeCommand>, command: &ReconcilePayments) -> Result<(), Failure> {
        let (client, started, now) = (self.client()?.clone(), Instant::now(), self.ledgers.now());
        let since = self.since(command, now).await?;
        let (events, missing, until) =
            self.missing_events(&client, since, (now.as_datetime() - GRACE).into(), started).await?;
        let lost = u32::try_from(missing.len()).unwrap_or(u32::MAX);
        if !command.dry_run {
            for event in missing {
                job.emit(self.replay(event, now)?);
            }
        }
        let (differences, fees) = self.compare(&client, now, command.dry_run).await?;
        metrics::gauge!("pvt_stripe_reconciliation_mismatched_days")
            .set(f64::from(u32::try_from(differences.len()).unwrap_or(u32::MAX)));
        metrics::counter!("pvt_stripe_events_missed_total").increment(u64::from(lost));
        for sum in &differences {
            tracing::warn!(day = %sum.day, kind = %sum.kind, stripe = sum.stripe, ledger = sum.ledger,
                currency = %sum.currency, "reconciliation mismatch with Stripe");
        }
        let sweep = PaymentSweep {
            run_id: command.run_id,
            actor: command.actor.clone(),
            dry_run: command.dry_run,
            since,
            until,
            events,
            missing: lost,
            replayed: if command.dry_run { 0 } else { lost },
            fees,
            differences,
            started_at: now,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        Ok(self.ledgers.mongo.payment_sweeps().save(&sweep).await?)
    }

    /// The start of a run: a while before the end of the last one. A redelivered run starts where it started before,
    /// because it may have crashed before its events were replayed.
    async fn since(&self, command: &ReconcilePayments, now: Timestamp) -> Result<Timestamp, Failure> {
        if let Some(this) = self.ledgers.mongo.payment_sweeps().find(command.run_id).await? {
            return Ok(this.since);
        }
        let farthest = now.as_datetime() - MAX_LOOKBACK;
        let Some(last) = self.ledgers.mongo.payment_sweeps().last().await? else { return Ok(farthest.into()) };
        // An incomplete run is continued where it stopped; only at a real end may events have been in flight.
        let was_complete = last.until >= (last.started_at.as_datetime() - GRACE).into();
        let from = last.until.as_datetime() - if was_complete { OVERLAP } else { TimeDelta::zero() };
        Ok(from.max(farthest).into())
    }

    /// The number of events at Stripe from `since` on, those that are not stored, oldest first, and the end of the
    /// search: `until`, or earlier when there are many.
    async fn missing_events(
        &self,
        client: &StripeClient,
        since: Timestamp,
        until: Timestamp,
        started: Instant,
    ) -> Result<(u32, Vec<Value>, Timestamp), Failure> {
        let (mut events, mut missing) = (0, Vec::new());
        let (since, until) = (since.as_datetime(), until.as_datetime());
        let (mut from, mut span) = (since, FIRST_WINDOW);
        // At least one window, so that there is always progress.
        while from < until && (from == since || started.elapsed() < TIME_BUDGET) {
            let to = (from + span).min(until);
            let pages = if span > MIN_WINDOW { MAX_WINDOW_PAGES } else { usize::MAX };
            match self.span(client, from.timestamp(), to.timestamp() + 1, pages).await? {
                Some((found, lost)) => {
                    events += found;
                    missing.extend(lost);
                    (from, span) = (to, if found < SPARSE_EVENTS { (span * 2).min(MAX_WINDOW) } else { span });
                }
                None => span = (span / 2).max(MIN_WINDOW),
            }
        }
        if from < until {
            tracing::warn!(until = %from, "too many events for one run, the next run continues");
        }
        Ok((events, missing, from.into()))
    }

    /// The events of a window: their number, and those that are not stored, oldest first. `None` when there are more
    /// `pages`.
    async fn span(
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
            events += u32::try_from(page.items.len()).unwrap_or(u32::MAX);
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

    /// The command that the webhook would have sent.
    fn replay(&self, payload: Value, now: Timestamp) -> Result<Outgoing, Failure> {
        let text = |field: &str| payload[field].as_str().unwrap_or_default().to_owned();
        let (event_id, event_type) = (text("id"), text("type"));
        let id = stripe_event_message_id(&event_id);
        let event = StripeEvent { event_id, event_type, payload, received_at: now };
        Ok(Outgoing::command(self.ledgers.topology.command_key(STRIPE_EVENT, ""), id, &event)?
            .with_actor("schedule:reconcile_payments"))
    }

    /// The mismatching sums, and the number of fees recorded.
    async fn compare(
        &self,
        client: &StripeClient,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<(Vec<DaySum>, u32), Failure> {
        let today = now.as_datetime().date_naive();
        let first = today - TimeDelta::days(DAYS_COMPARED);
        let since: Timestamp = first.and_time(chrono::NaiveTime::MIN).and_utc().into();
        let transactions = transactions(client, since).await?;
        let filter = LedgerFilter { since: Some(since), ..LedgerFilter::default() };
        let ledgers = self.ledgers.mongo.ledgers().list(&filter, MAX_LEDGERS).await?;
        let fees = if dry_run { 0 } else { self.record_fees(&transactions, &ledgers).await? };
        let mut sums: BTreeMap<SumKey, (i64, i64)> = BTreeMap::new();
        for transaction in &transactions {
            if let Some(kind) = kind_of(transaction) {
                sums.entry((day_of(transaction.created), kind.as_str(), transaction.currency.clone()))
                    .or_default()
                    .0 += transaction.amount;
            }
        }
        for ledger in &ledgers {
            let currency = ledger.currency.code().to_ascii_lowercase();
            // Records of staff have no counterpart at Stripe.
            for entry in ledger.entries().into_iter().filter(|entry| entry.id.contains('_') && entry.at >= since) {
                let cell = (entry.at.as_datetime().date_naive(), entry.kind.as_str(), currency.clone());
                sums.entry(cell).or_default().1 += entry.amount;
            }
        }
        let differing = sums.into_iter().filter(|(_, (stripe, ledger))| stripe != ledger);
        let sum = |((day, kind, currency), (stripe, ledger)): (SumKey, (i64, i64))| DaySum {
            day,
            kind: kind.to_owned(),
            currency,
            stripe,
            ledger,
        };
        Ok((differing.map(sum).collect(), fees))
    }

    /// Records Stripe's fees in the ledgers of their payments.
    async fn record_fees(&self, transactions: &[BalanceTransaction], ledgers: &[Ledger]) -> Result<u32, Failure> {
        let unknown = ledgers.iter().flat_map(|ledger| {
            let charges = ledger.charges.iter().filter(|charge| !ledger.fees.contains_key(&charge.intent));
            charges.map(|charge| (charge.id.as_str(), (ledger.booking_id, charge.intent.as_str())))
        });
        let owners: HashMap<&str, (BookingId, &str)> = unknown.collect();
        let mut noted = 0;
        for transaction in transactions.iter().filter(|transaction| transaction.fee != 0) {
            let Some((booking, intent)) = transaction.source.as_deref().and_then(|source| owners.get(source)).copied()
            else {
                continue;
            };
            self.ledgers.change(booking, |ledger, _| ledger.fees.insert(intent.to_owned(), transaction.fee)).await?;
            noted += 1;
        }
        Ok(noted)
    }
}

async fn transactions(client: &StripeClient, since: Timestamp) -> Result<Vec<BalanceTransaction>, Failure> {
    let (mut all, mut after) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let query = TransactionQuery {
            created_from: since.as_datetime().timestamp(),
            created_until: None,
            starting_after: after,
        };
        let page = client.balance_transactions(&query).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(all)
}

/// The kind of a balance transaction; `None` for payouts, account fees and the like.
fn kind_of(transaction: &BalanceTransaction) -> Option<EntryKind> {
    match transaction.reporting_category.as_str() {
        "charge" => Some(EntryKind::Payment),
        "refund" | "refund_failure" => Some(EntryKind::Refund),
        "dispute" => Some(EntryKind::Chargeback),
        "dispute_reversal" => Some(EntryKind::ChargebackReversal),
        _ => None,
    }
}

fn day_of(unix_seconds: i64) -> NaiveDate {
    DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default().date_naive()
}
