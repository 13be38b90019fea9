//! Facts of one batch, in a fixed order of tables: mails, payments, events, bookings, bed-nights.
//!
//! The row of `fact_booking` is the lock of everything about its booking: the load that moves it to a newer revision
//! also replaces its bed-nights, and a load with an older revision changes nothing.

use super::columns::{BedNightColumns, BookingColumns, Columns, EventColumns, NotificationColumns};
use super::{Load, payments};
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

const INSERT_EVENTS: &str = "
    INSERT INTO fact_booking_event (event_id, booking_id, rev, kind, property_id, occurred_at)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[])
    ON CONFLICT (event_id) DO NOTHING";

const INSERT_NOTIFICATIONS: &str = "
    INSERT INTO fact_notification (event_id, booking_id, property_id, kind, version, delivered, occurred_at)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::boolean[], $7::timestamptz[])
    ON CONFLICT (event_id) DO NOTHING";

/// Returns the bookings whose revision advanced, and whether their row existed before (`xmax` of a new row is 0).
const UPSERT_BOOKINGS: &str = "
    INSERT INTO fact_booking AS held (booking_id, rev, status, rejection, property_id, rate_plan_id, channel, arrival,
        departure, stays, guests,
                                      bed_nights, currency, room_amount, tax_amount, total_amount, created_at,
                                          decided_at)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::date[], $9::date[], $10::bigint[],
                         $11::bigint[], $12::bigint[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[],
                             $17::timestamptz[], $18::timestamptz[])
    ON CONFLICT (booking_id) DO UPDATE
    SET rev = excluded.rev, status = excluded.status, rejection = excluded.rejection,
        property_id = excluded.property_id,
        rate_plan_id = excluded.rate_plan_id, channel = excluded.channel, arrival = excluded.arrival,
            departure = excluded.departure,
        stays = excluded.stays, guests = excluded.guests, bed_nights = excluded.bed_nights,
            currency = excluded.currency,
        room_amount = excluded.room_amount, tax_amount = excluded.tax_amount, total_amount = excluded.total_amount,
        created_at = excluded.created_at, decided_at = excluded.decided_at
    WHERE held.rev < excluded.rev
    RETURNING booking_id, xmax <> 0";

const DELETE_BED_NIGHTS: &str = "DELETE FROM fact_bed_night WHERE booking_id = ANY($1::uuid[])";

const INSERT_BED_NIGHTS: &str = "
    INSERT INTO fact_bed_night (booking_id, night, bed_id, stay, property_id, room_type_id, channel, currency, amount)
    SELECT * FROM unnest($1::uuid[], $2::date[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::bigint[])";

/// Writes all facts of the batch.
pub(super) async fn load(connection: &mut PgConnection, columns: &Columns) -> sqlx::Result<Load> {
    let mut load = Load::default();
    if !columns.notifications.event_id.is_empty() {
        load.new_events += insert_notifications(connection, &columns.notifications).await?;
    }
    if !columns.payments.entry_id.is_empty() {
        load.entries = payments::upsert(connection, &columns.payments).await?;
    }
    if columns.events.event_id.is_empty() {
        return Ok(load);
    }
    load.new_events += insert_events(connection, &columns.events).await?;
    let advanced = upsert_bookings(connection, &columns.bookings).await?;
    load.bookings = u64::try_from(advanced.len()).unwrap_or(u64::MAX);
    let had_older: Vec<Uuid> = advanced.iter().filter(|(_, existed)| *existed).map(|(id, _)| *id).collect();
    if !had_older.is_empty() {
        sqlx::query(DELETE_BED_NIGHTS).bind(&had_older).execute(&mut *connection).await?;
    }
    let advanced: HashSet<Uuid> = advanced.into_iter().map(|(id, _)| id).collect();
    load.bed_nights = insert_bed_nights(connection, &columns.bed_nights, &advanced).await?;
    Ok(load)
}

async fn insert_events(connection: &mut PgConnection, rows: &EventColumns) -> sqlx::Result<u64> {
    let done = sqlx::query(INSERT_EVENTS)
        .bind(&rows.event_id)
        .bind(&rows.booking_id)
        .bind(&rows.rev)
        .bind(&rows.kind)
        .bind(&rows.property_id)
        .bind(&rows.occurred_at)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

async fn insert_notifications(connection: &mut PgConnection, rows: &NotificationColumns) -> sqlx::Result<u64> {
    let done = sqlx::query(INSERT_NOTIFICATIONS)
        .bind(&rows.event_id)
        .bind(&rows.booking_id)
        .bind(&rows.property_id)
        .bind(&rows.kind)
        .bind(&rows.version)
        .bind(&rows.delivered)
        .bind(&rows.occurred_at)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

async fn upsert_bookings(connection: &mut PgConnection, rows: &BookingColumns) -> sqlx::Result<Vec<(Uuid, bool)>> {
    let query = sqlx::query_as(UPSERT_BOOKINGS)
        .bind(&rows.booking_id)
        .bind(&rows.rev)
        .bind(&rows.status)
        .bind(&rows.rejection)
        .bind(&rows.property_id)
        .bind(&rows.rate_plan_id)
        .bind(&rows.channel)
        .bind(&rows.arrival)
        .bind(&rows.departure)
        .bind(&rows.stays)
        .bind(&rows.guests)
        .bind(&rows.bed_nights)
        .bind(&rows.currency)
        .bind(&rows.room_amount)
        .bind(&rows.tax_amount)
        .bind(&rows.total_amount)
        .bind(&rows.created_at)
        .bind(&rows.decided_at);
    query.fetch_all(connection).await
}

/// Inserts the bed-nights of the bookings whose revision advanced.
async fn insert_bed_nights(
    connection: &mut PgConnection,
    rows: &BedNightColumns,
    advanced: &HashSet<Uuid>,
) -> sqlx::Result<u64> {
    let narrowed;
    let rows = if rows.booking_id.iter().all(|id| advanced.contains(id)) {
        rows
    } else {
        narrowed = rows.only(advanced);
        &narrowed
    };
    if rows.booking_id.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query(INSERT_BED_NIGHTS)
        .bind(&rows.booking_id)
        .bind(&rows.night)
        .bind(&rows.bed_id)
        .bind(&rows.stay)
        .bind(&rows.property_id)
        .bind(&rows.room_type_id)
        .bind(&rows.channel)
        .bind(&rows.currency)
        .bind(&rows.amount)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
