//! Columns of a batch of events: one vector per column, ready for `UNNEST`. Pure.
//!
//! The rows of every table are sorted by their key, so that concurrent loads never deadlock. A booking that occurs
//! several times is reduced to its newest revision, because one statement cannot write a row twice.

use super::bed_nights::{BedNight, sold};
use super::payments::PaymentColumns;
use chrono::{DateTime, NaiveDate, Utc};
use pvt_domain::events::{BookingEvent, NotificationEvent, PaymentEvent};
use pvt_domain::messages::{AnalyticsEvent, MessageType};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use uuid::Uuid;

/// All rows of one batch.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) events: EventColumns,
    pub(super) notifications: NotificationColumns,
    pub(super) bookings: BookingColumns,
    pub(super) bed_nights: BedNightColumns,
    pub(super) payments: PaymentColumns,
    pub(super) properties: Vec<String>,
    pub(super) room_types: PairColumns,
    pub(super) channels: Vec<&'static str>,
    pub(super) dates: Vec<NaiveDate>,
}

/// Rows of `fact_booking_event`.
#[derive(Debug, Default)]
pub(super) struct EventColumns {
    pub(super) event_id: Vec<Uuid>,
    pub(super) booking_id: Vec<Uuid>,
    pub(super) rev: Vec<i64>,
    pub(super) kind: Vec<&'static str>,
    pub(super) property_id: Vec<String>,
    pub(super) occurred_at: Vec<DateTime<Utc>>,
}

/// Rows of `fact_notification`.
#[derive(Debug, Default)]
pub(super) struct NotificationColumns {
    pub(super) event_id: Vec<Uuid>,
    pub(super) booking_id: Vec<Uuid>,
    pub(super) property_id: Vec<String>,
    pub(super) kind: Vec<String>,
    pub(super) version: Vec<i64>,
    pub(super) delivered: Vec<bool>,
    pub(super) occurred_at: Vec<DateTime<Utc>>,
}

/// Rows of `fact_booking`.
#[derive(Debug, Default)]
pub(super) struct BookingColumns {
    pub(super) booking_id: Vec<Uuid>,
    pub(super) rev: Vec<i64>,
    pub(super) status: Vec<&'static str>,
    pub(super) rejection: Vec<Option<&'static str>>,
    pub(super) property_id: Vec<String>,
    pub(super) rate_plan_id: Vec<String>,
    pub(super) channel: Vec<&'static str>,
    pub(super) arrival: Vec<Option<NaiveDate>>,
    pub(super) departure: Vec<Option<NaiveDate>>,
    pub(super) stays: Vec<i64>,
    pub(super) guests: Vec<i64>,
    pub(super) bed_nights: Vec<i64>,
    pub(super) currency: Vec<Option<&'static str>>,
    pub(super) room_amount: Vec<Option<i64>>,
    pub(super) tax_amount: Vec<Option<i64>>,
    pub(super) total_amount: Vec<Option<i64>>,
    pub(super) created_at: Vec<DateTime<Utc>>,
    pub(super) decided_at: Vec<DateTime<Utc>>,
}

/// Rows of `fact_bed_night`.
#[derive(Debug, Default)]
pub(super) struct BedNightColumns {
    pub(super) booking_id: Vec<Uuid>,
    pub(super) night: Vec<NaiveDate>,
    pub(super) bed_id: Vec<String>,
    pub(super) stay: Vec<i64>,
    pub(super) property_id: Vec<String>,
    pub(super) room_type_id: Vec<String>,
    pub(super) channel: Vec<&'static str>,
    pub(super) currency: Vec<Option<&'static str>>,
    pub(super) amount: Vec<i64>,
}

/// Rows of `dim_room_type`.
#[derive(Debug, Default)]
pub(super) struct PairColumns {
    pub(super) property_id: Vec<String>,
    pub(super) room_type_id: Vec<String>,
}

impl Columns {
    pub(super) fn of<'a>(events: impl IntoIterator<Item = &'a AnalyticsEvent>) -> Self {
        let mut booking_events: BTreeMap<Uuid, &BookingEvent> = BTreeMap::new();
        let mut newest: BTreeMap<Uuid, &BookingEvent> = BTreeMap::new();
        let mut mails: BTreeMap<Uuid, &NotificationEvent> = BTreeMap::new();
        let mut payments: Vec<&PaymentEvent> = Vec::new();
        for event in events {
            match event {
                AnalyticsEvent::Booking(event) => {
                    booking_events.insert(event.event_id, event);
                    let held = newest.entry(event.booking_id.as_uuid()).or_insert(event);
                    if event.rev > held.rev {
                        *held = event;
                    }
                }
                // Properties are described from the stored inventory, not from events.
                AnalyticsEvent::Inventory(_) => {}
                AnalyticsEvent::Notification(event) => {
                    mails.insert(event.event_id, event);
                }
                AnalyticsEvent::Payment(event) => payments.push(event),
            }
        }
        let mut columns = Self { payments: PaymentColumns::of(payments.into_iter()), ..Self::default() };
        booking_events.values().for_each(|event| columns.events.push(event));
        mails.values().for_each(|event| columns.notifications.push(event));
        newest.values().for_each(|event| columns.push_booking(event));
        columns.collect_dimensions(newest.values().copied(), mails.values().copied());
        columns
    }

    fn push_booking(&mut self, event: &BookingEvent) {
        self.bookings.push(event);
        sold(event).iter().for_each(|bed_night| self.bed_nights.push(event, bed_night));
    }

    /// All revisions of a booking share its property and channel, so the newest ones hold every dimension of the batch.
    fn collect_dimensions<'a>(
        &mut self,
        newest: impl Iterator<Item = &'a BookingEvent>,
        mails: impl Iterator<Item = &'a NotificationEvent>,
    ) {
        let mut properties: BTreeSet<&str> = mails.map(|event| event.property_id.as_str()).collect();
        let mut room_types: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut channels: BTreeSet<&'static str> = BTreeSet::new();
        for event in newest {
            let property = event.property_id.as_str();
            properties.insert(property);
            channels.insert(event.source.as_str());
            room_types.extend(event.stays.iter().map(|stay| (property, stay.room_type_id.as_str())));
        }
        self.properties = properties.into_iter().map(str::to_owned).collect();
        self.channels = channels.into_iter().collect();
        self.room_types.property_id = room_types.iter().map(|(property, _)| (*property).to_owned()).collect();
        self.room_types.room_type_id = room_types.iter().map(|(_, room_type)| (*room_type).to_owned()).collect();
        self.dates = self.bed_nights.night.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    }
}

impl EventColumns {
    fn push(&mut self, event: &BookingEvent) {
        self.event_id.push(event.event_id);
        self.booking_id.push(event.booking_id.as_uuid());
        self.rev.push(event.rev.into());
        self.kind.push(event.kind());
        self.property_id.push(event.property_id.as_str().to_owned());
        self.occurred_at.push(event.occurred_at.as_datetime());
    }
}

impl NotificationColumns {
    fn push(&mut self, event: &NotificationEvent) {
        self.event_id.push(event.event_id);
        self.booking_id.push(event.booking_id.as_uuid());
        self.property_id.push(event.property_id.as_str().to_owned());
        self.kind.push(event.kind.clone());
        self.version.push(event.version.into());
        self.delivered.push(event.delivered);
        self.occurred_at.push(event.occurred_at.as_datetime());
    }
}

impl BookingColumns {
    fn push(&mut self, event: &BookingEvent) {
        let price = event.price.as_ref();
        let bed_nights: usize = event.stays.iter().map(|stay| stay.bed_nights().count()).sum();
        self.booking_id.push(event.booking_id.as_uuid());
        self.rev.push(event.rev.into());
        self.status.push(event.status.as_str());
        self.rejection.push(event.rejection.map(|rejection| rejection.as_str()));
        self.property_id.push(event.property_id.as_str().to_owned());
        self.rate_plan_id.push(event.rate_plan_id.as_str().to_owned());
        self.channel.push(event.source.as_str());
        self.arrival.push(event.stays.iter().map(|stay| stay.arrival).min());
        self.departure.push(event.stays.iter().map(|stay| stay.departure).max());
        self.stays.push(count(event.stays.len()));
        self.guests.push(event.stays.iter().map(|stay| i64::from(stay.guests)).sum());
        self.bed_nights.push(count(bed_nights));
        self.currency.push(price.map(|price| price.currency.code()));
        // What prices include of taxes counts with the taxes: both columns add up to the total.
        self.room_amount.push(price.map(|price| price.room_amount() - price.included_taxes()));
        self.tax_amount.push(price.map(|price| price.taxes.iter().map(|line| line.amount).sum()));
        self.total_amount.push(price.map(|price| price.total));
        self.created_at.push(event.created_at.as_datetime());
        self.decided_at.push(event.occurred_at.as_datetime());
    }
}

impl BedNightColumns {
    fn push(&mut self, event: &BookingEvent, row: &BedNight<'_>) {
        self.booking_id.push(event.booking_id.as_uuid());
        self.night.push(row.night);
        self.bed_id.push(row.bed.as_str().to_owned());
        self.stay.push(count(row.stay_index));
        self.property_id.push(event.property_id.as_str().to_owned());
        self.room_type_id.push(row.stay.room_type_id.as_str().to_owned());
        self.channel.push(event.source.as_str());
        self.currency.push(event.price.as_ref().map(|price| price.currency.code()));
        self.amount.push(row.amount);
    }

    /// The rows of these bookings.
    pub(super) fn only(&self, bookings: &HashSet<Uuid>) -> Self {
        let mut kept = Self::default();
        for (row, _) in self.booking_id.iter().enumerate().filter(|(_, id)| bookings.contains(*id)) {
            kept.booking_id.push(self.booking_id[row]);
            kept.night.push(self.night[row]);
            kept.bed_id.push(self.bed_id[row].clone());
            kept.stay.push(self.stay[row]);
            kept.property_id.push(self.property_id[row].clone());
            kept.room_type_id.push(self.room_type_id[row].clone());
            kept.channel.push(self.channel[row]);
            kept.currency.push(self.currency[row]);
            kept.amount.push(self.amount[row]);
        }
        kept
    }
}

/// Sizes of things in memory always fit.
fn count(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
