//! Ledger entries in the mart: the newest ledger revision of an entry wins, in whatever order events arrive.

use chrono::{DateTime, Utc};
use pvt_domain::events::{EntrySnapshot, PaymentEvent};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use uuid::Uuid;

const UPSERT: &str = "
    INSERT INTO fact_payment AS held (entry_id, booking_id, property_id, kind, payment, amount, fee, currency,
        ledger_rev, occurred_at)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
        $8::text[], $9::bigint[], $10::timestamptz[])
    ON CONFLICT (entry_id) DO UPDATE
    SET amount = excluded.amount, fee = excluded.fee, ledger_rev = excluded.ledger_rev,
        occurred_at = excluded.occurred_at
    WHERE held.ledger_rev < excluded.ledger_rev";

/// Rows of `fact_payment`, by their key.
#[derive(Debug, Default)]
pub(super) struct PaymentColumns {
    pub(super) entry_id: Vec<String>,
    booking_id: Vec<Uuid>,
    property_id: Vec<String>,
    kind: Vec<&'static str>,
    payment: Vec<String>,
    amount: Vec<i64>,
    fee: Vec<i64>,
    currency: Vec<&'static str>,
    ledger_rev: Vec<i64>,
    occurred_at: Vec<DateTime<Utc>>,
}

impl PaymentColumns {
    /// The newest version of each entry in these events; events without an entry move no money.
    pub(super) fn of<'a>(events: impl Iterator<Item = &'a PaymentEvent>) -> Self {
        let mut newest: BTreeMap<&str, (&PaymentEvent, &EntrySnapshot)> = BTreeMap::new();
        for (event, entry) in events.filter_map(|event| event.entry.as_ref().map(|entry| (event, entry))) {
            let held = newest.entry(&entry.id).or_insert((event, entry));
            if event.ledger_rev > held.0.ledger_rev {
                *held = (event, entry);
            }
        }
        let mut columns = Self::default();
        newest.values().for_each(|(event, entry)| columns.push(event, entry));
        columns
    }

    fn push(&mut self, event: &PaymentEvent, entry: &EntrySnapshot) {
        self.entry_id.push(entry.id.clone());
        self.booking_id.push(event.booking_id.as_uuid());
        self.property_id.push(event.property_id.as_str().to_owned());
        self.kind.push(entry.kind.as_str());
        self.payment.push(event.payment.clone());
        self.amount.push(entry.amount);
        self.fee.push(entry.fee);
        self.currency.push(event.currency.code());
        self.ledger_rev.push(i64::try_from(event.ledger_rev).unwrap_or(i64::MAX));
        self.occurred_at.push(entry.at.as_datetime());
    }
}

/// Writes the rows.
pub(super) async fn upsert(connection: &mut PgConnection, rows: &PaymentColumns) -> sqlx::Result<u64> {
    let done = sqlx::query(UPSERT)
        .bind(&rows.entry_id)
        .bind(&rows.booking_id)
        .bind(&rows.property_id)
        .bind(&rows.kind)
        .bind(&rows.payment)
        .bind(&rows.amount)
        .bind(&rows.fee)
        .bind(&rows.currency)
        .bind(&rows.ledger_rev)
        .bind(&rows.occurred_at)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
