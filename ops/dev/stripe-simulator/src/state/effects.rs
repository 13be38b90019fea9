//! Counters of effects, with which tests show that nothing happened twice. Effects are counted, never requests.

use crate::table::{MAX_ROWS, Row, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers of effects, and amounts in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Checkout Sessions created.
    pub sessions: u64,
    /// Checkout Sessions expired.
    pub expired: u64,
    /// PaymentIntents created, by requests or by guests.
    pub payment_intents: u64,
    /// Charges that succeeded.
    pub charges: u64,
    /// Charges that failed.
    pub failed_charges: u64,
    /// Captured amount.
    pub captured_amount: i64,
    /// Refunds created, failed ones included.
    pub refunds: u64,
    /// Refunds that failed afterwards.
    pub failed_refunds: u64,
    /// Refunded amount, without failed refunds.
    pub refunded_amount: i64,
    /// Disputes opened.
    pub disputes: u64,
}

/// A snapshot of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectsReport {
    /// In total.
    pub total: Counts,
    /// By the idempotency key of the causing request; a guest's payment counts for the key that created its session.
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

/// Metadata key of a booking.
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

    /// Effects for one booking.
    pub(crate) fn of_booking(&self, booking: &str) -> Counts {
        self.by_booking.get(booking).map(|named| named.counts).unwrap_or_default()
    }

    /// Effects of one idempotency key.
    pub(crate) fn of_key(&self, key: &str) -> Counts {
        self.by_key.get(key).map(|named| named.counts).unwrap_or_default()
    }
}
