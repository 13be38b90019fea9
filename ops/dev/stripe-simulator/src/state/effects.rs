//! Counts of what really happened, so that a test can show that nothing happened twice. Only effects are counted, never
//! requests.

use crate::table::{MAX_ROWS, Row, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often each thing was done, and the money in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Checkout Sessions made.
    pub sessions: u64,
    /// Checkout Sessions expired.
    pub expired: u64,
    /// PaymentIntents made, by requests or by guests.
    pub payment_intents: u64,
    /// Charges that succeeded.
    pub charges: u64,
    /// Charges that failed.
    pub failed_charges: u64,
    /// Money that was captured.
    pub captured_amount: i64,
    /// Refunds made, whatever became of them.
    pub refunds: u64,
    /// Refunds that failed afterwards.
    pub failed_refunds: u64,
    /// Money given back, without failed refunds.
    pub refunded_amount: i64,
    /// Disputes opened.
    pub disputes: u64,
}

/// What a snapshot of the counters holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectsReport {
    /// Everything.
    pub total: Counts,
    /// By the idempotency key of the request that caused it; a guest's payment counts for the key that made its
    /// session.
    pub by_key: BTreeMap<String, Counts>,
    /// By `metadata[booking_id]`.
    pub by_booking: BTreeMap<String, Counts>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct NamedCounts {
    name: String,
    counts: Counts,
}

impl Row for NamedCounts {
    fn id(&self) -> &str {
        &self.name
    }

    fn created(&self) -> i64 {
        0
    }
}

/// The counters; the newest names are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Effects {
    total: Counts,
    by_key: Table<NamedCounts>,
    by_booking: Table<NamedCounts>,
}

/// Entry of the metadata that names a booking.
pub(crate) const BOOKING: &str = "booking_id";

impl Effects {
    pub(crate) fn count(&mut self, key: Option<&str>, booking: Option<&str>, add: impl Fn(&mut Counts)) {
        add(&mut self.total);
        for (table, name) in [(&mut self.by_key, key), (&mut self.by_booking, booking)] {
            let Some(name) = name else { continue };
            if table.get(name).is_none() {
                table.add(NamedCounts { name: name.to_owned(), counts: Counts::default() });
            }
            if let Some(named) = table.get_mut(name) {
                add(&mut named.counts);
            }
        }
    }

    pub(crate) fn report(&self) -> EffectsReport {
        let all = |table: &Table<NamedCounts>| {
            table.newest().take(MAX_ROWS).map(|named| (named.name.clone(), named.counts)).collect()
        };
        EffectsReport { total: self.total, by_key: all(&self.by_key), by_booking: all(&self.by_booking) }
    }

    pub(crate) fn total(&self) -> Counts {
        self.total
    }

    /// What was done for one booking.
    pub(crate) fn of_booking(&self, booking: &str) -> Counts {
        self.by_booking.get(booking).map(|named| named.counts).unwrap_or_default()
    }

    /// What was done for one idempotency key.
    pub(crate) fn of_key(&self, key: &str) -> Counts {
        self.by_key.get(key).map(|named| named.counts).unwrap_or_default()
    }
}
