//! Comparison of Stripe's balance transactions with our ledgers, one day per command, and Stripe's fees, which only its
//! balance transactions show.
//!
//! It changes no booking and no amount.

use super::StripeCalls;
use super::sweep::elapsed_ms;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta};
use futures_util::TryStreamExt as _;
use pvt_domain::failure::Failure;
use pvt_domain::ledger::{EntryKind, Ledger};
use pvt_domain::messages::{CompareBalance, StripeCommand};
use pvt_domain::stripe::BalanceTransaction;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::payment_sweeps::DaySum;
use pvt_stripe::{StripeClient, StripeError, TransactionQuery};
use pvt_worker_runtime::Job;
use std::collections::{BTreeMap, HashMap};

/// Most pages of balance transactions of a day: 40,000 payments, and what fits into the handler's time limit.
const MAX_PAGES: usize = 400;
/// Ledgers whose fees are stored at once.
const CHUNK: usize = 500;
/// A ledger that changed so recently may have got its fee from a delivery that crashed before it published that.
const RECENT: TimeDelta = TimeDelta::hours(1);
/// Gauge: days and kinds of entry that differed at the last run.
const MISMATCHED: &str = "pvt_stripe_reconciliation_mismatched_days";

/// A kind of entry and a currency.
type SumKey = (&'static str, String);

/// A ledger with the fees of some of its payments.
struct LedgerFees {
    ledger: Ledger,
    /// Whether any was not known.
    is_new: bool,
    /// The payments.
    payments: Vec<String>,
}

impl StripeCalls {
    pub(super) async fn compare_balance(
        &self,
        job: &mut Job<StripeCommand>,
        command: &CompareBalance,
    ) -> Result<(), Failure> {
        let Some(client) = &self.client else { return Ok(()) };
        let (day, now) = (command.day, self.ledgers.now());
        let transactions = transactions(client, day).await?;
        let (sums, fees) = self.compare_with_ledgers(job, command, &transactions.items).await?;
        let mut differences: Vec<DaySum> = sums
            .into_iter()
            .filter(|(_, (stripe, ledger))| stripe != ledger)
            .map(|((kind, currency), (stripe, ledger))| DaySum { day, kind: kind.to_owned(), currency, stripe, ledger })
            .collect();
        if transactions.truncated {
            tracing::error!(%day, "too many balance transactions: the day is not compared");
            differences.clear();
        }
        for sum in &differences {
            tracing::warn!(day = %sum.day, kind = %sum.kind, stripe = sum.stripe, ledger = sum.ledger,
                currency = %sum.currency, "reconciliation mismatch with Stripe");
        }
        let next = day.checked_add_days(Days::new(1)).filter(|next| *next <= command.last_day);
        if let Some(mut report) = self.ledgers.mongo.payment_sweeps().find(command.run_id).await? {
            report.differences.retain(|sum| sum.day != day);
            report.differences.extend(differences);
            report.fees += fees;
            report.took_ms = elapsed_ms(report.started_at, now);
            if next.is_none() {
                let differing = u32::try_from(report.differences.len()).unwrap_or(u32::MAX);
                metrics::gauge!(MISMATCHED).set(f64::from(differing));
            }
            self.ledgers.mongo.payment_sweeps().save(&report).await?;
        }
        if let Some(day) = next {
            job.emit(self.compare_day_command(&CompareBalance { day, ..command.clone() })?);
        }
        Ok(())
    }

    /// Sums of the day at Stripe and here, and the number of fees recorded.
    async fn compare_with_ledgers(
        &self,
        job: &mut Job<StripeCommand>,
        command: &CompareBalance,
        transactions: &[BalanceTransaction],
    ) -> Result<(BTreeMap<SumKey, (i64, i64)>, u32), Failure> {
        let mut sums: BTreeMap<SumKey, (i64, i64)> = BTreeMap::new();
        for transaction in transactions {
            if let Some(kind) = kind_of(transaction) {
                sums.entry((kind.as_str(), transaction.currency.clone())).or_default().0 += transaction.amount;
            }
        }
        let with_fee = transactions.iter().filter(|transaction| transaction.fee != 0);
        let fees: HashMap<&str, &BalanceTransaction> =
            with_fee.filter_map(|transaction| Some((transaction.source.as_deref()?, transaction))).collect();
        let (mut noted, mut changed) = (0, Vec::new());
        let mut ledgers = self.ledgers.mongo.ledgers().changed_since(start_of(command.day)).await?;
        while let Some(ledger) = ledgers.try_next().await? {
            let currency = ledger.currency.code().to_ascii_lowercase();
            // Records of staff have no counterpart at Stripe.
            let entries = ledger.entries().into_iter().filter(|entry| entry.id.contains('_'));
            for entry in entries.filter(|entry| entry.at.as_datetime().date_naive() == command.day) {
                sums.entry((entry.kind.as_str(), currency.clone())).or_default().1 += entry.amount;
            }
            if !command.dry_run
                && let Some(fees) = self.fees_of(ledger, &fees)
            {
                noted += u32::from(fees.is_new);
                changed.push(fees);
            }
            if changed.len() >= CHUNK {
                self.record_fees(job, std::mem::take(&mut changed)).await?;
            }
        }
        self.record_fees(job, changed).await?;
        Ok((sums, noted))
    }

    /// The fees of a ledger's payments among these; `None` when there are none, or they have been known for long.
    fn fees_of(&self, mut ledger: Ledger, fees: &HashMap<&str, &BalanceTransaction>) -> Option<LedgerFees> {
        let (before, now) = (ledger.clone(), self.ledgers.now());
        let payments: Vec<(String, i64)> = before
            .charges
            .iter()
            .filter_map(|charge| Some((charge.intent.clone(), *fees.get(charge.id.as_str())?)))
            // In another currency it is what the account is settled in.
            .filter(|(_, transaction)| before.currency.code().eq_ignore_ascii_case(&transaction.currency))
            .map(|(intent, transaction)| (intent, transaction.fee))
            .collect();
        for (intent, fee) in &payments {
            ledger.fees.entry(intent.clone()).or_insert(*fee);
        }
        let is_new = ledger.fees != before.fees;
        if is_new {
            ledger.advance_rev(&before, now);
        }
        let is_recent = before.updated_at.as_datetime() >= now.as_datetime() - RECENT;
        let payments = payments.into_iter().map(|(intent, _)| intent).collect();
        (is_new || is_recent).then_some(LedgerFees { ledger, is_new, payments })
    }

    /// Stores the fees of these ledgers at once and publishes what is stored. A ledger that changes meanwhile is left
    /// to the next run.
    async fn record_fees(&self, job: &mut Job<StripeCommand>, fees: Vec<LedgerFees>) -> Result<(), Failure> {
        let new: Vec<Ledger> = fees.iter().filter(|fees| fees.is_new).map(|fees| fees.ledger.clone()).collect();
        self.ledgers.mongo.ledgers().save(&new).await?;
        let bookings = fees.iter().map(|fees| fees.ledger.booking_id);
        let stored = self.ledgers.mongo.ledgers().find_by_ids(bookings).await?;
        for LedgerFees { ledger, payments, .. } in &fees {
            let Some(stored) = stored.get(&ledger.booking_id) else { continue };
            let mut without = stored.clone();
            without.fees.retain(|payment, _| !payments.contains(payment));
            let events = self.ledgers.payment_events(stored, stored.changes_since(&without))?;
            events.into_iter().for_each(|event| job.emit(event));
        }
        Ok(())
    }
}

/// Balance transactions of a day.
struct Transactions {
    items: Vec<BalanceTransaction>,
    /// Whether there were more than are read.
    truncated: bool,
}

async fn transactions(client: &StripeClient, day: NaiveDate) -> Result<Transactions, StripeError> {
    let from = start_of(day).as_datetime();
    let (mut items, mut after) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let query = TransactionQuery {
            created_from: from.timestamp(),
            created_until: Some((from + TimeDelta::days(1)).timestamp()),
            starting_after: after,
        };
        let page = client.balance_transactions(&query).await?;
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(Transactions { items, truncated: after.is_some() })
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

fn start_of(day: NaiveDate) -> Timestamp {
    let start: DateTime<chrono::Utc> = day.and_time(NaiveTime::MIN).and_utc();
    start.into()
}
