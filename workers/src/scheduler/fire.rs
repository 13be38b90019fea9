//! The commands of a fire.
//!
//! The night audit and the reminders are due at a local time of each property. Their schedules fire often, and each
//! fire covers the properties whose time has come since the previous one, so that the next fire makes up for an outage.

use super::schedule::{Schedule, Task};
use crate::ledgers::{self, ChangeCause};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::booking::mails::REMINDER_DAYS_BEFORE;
use pvt_domain::business_day::{business_date, instant_of};
use pvt_domain::ids::{BookingId, PropertyId, fire_id};
use pvt_domain::inventory::Property;
use pvt_domain::messages::{
    BOOKING_MARK_NO_SHOW, CommandHeader, ExpireCheckout, MarkNoShow, NOTIFICATION_SEND, NotificationKind,
    PAYMENT_EXPIRE_CHECKOUT, PAYMENT_REFUND, RECONCILE_PAYMENTS, RECONCILE_PROPERTY, ReconcilePayments,
    ReconcileProperty, Refund, SendNotification,
};
use pvt_domain::nights::Nights;
use pvt_messaging::{EncodeError, Outgoing, PublishError, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::bookings::ExpectedArrival;
use pvt_stores::mongo::hold_expiries::ExpiredHold;
use thiserror::Error;

/// Local time of the reminder some days before arrival.
const ARRIVAL_SOON_TIME: NaiveTime = clock(9);
/// Local time of the reminder on the day of arrival.
const ARRIVAL_TODAY_TIME: NaiveTime = clock(7);
/// Days that are caught up after an outage. Older reminders would be dropped, and one audit covers all days before it.
const MAX_DAYS_BACK: u64 = 3;
/// Age of a refund or of totals from which on their command counts as lost.
const IN_FLIGHT: TimeDelta = TimeDelta::minutes(15);
/// How far back bookings are looked for that do not know their ledger's totals.
const LOOKBACK: TimeDelta = TimeDelta::hours(25);
/// Most refunds that one fire continues.
const MAX_REFUNDS: i64 = 1_000;
/// Most bookings that one fire brings the totals of their ledgers to: within [`LOOKBACK`] as many as a change of the
/// rules can affect.
const MAX_TOTALS: i64 = 10_000;
/// How far back the audit looks for no-shows.
const AUDIT_LOOKBACK: Days = Days::new(365);

const fn clock(hour: u32) -> NaiveTime {
    match NaiveTime::from_hms_opt(hour, 0, 0) {
        Some(time) => time,
        None => NaiveTime::MIN,
    }
}

/// The reason why a fire failed. It is repeated until it succeeds.
#[derive(Debug, Error)]
pub(super) enum FireError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the scheduler's lease has expired")]
    LeaseLost,
    #[error("the scheduler is stopping")]
    Stopped,
    #[error("reading took too long")]
    TooSlow,
    #[error("failed at {count} properties, first at {first}: {text}; {sent} messages of the others were sent")]
    Properties { count: usize, first: PropertyId, text: String, sent: u64 },
}

/// The time that a fire covers: after the previous fire, up to its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FireWindow {
    /// The previous fire, or the first time the schedule was seen.
    pub(super) after: DateTime<Utc>,
    /// The fire.
    pub(super) until: DateTime<Utc>,
}

impl FireWindow {
    /// The dates on which the property's local `time` lies in the window, oldest first.
    fn days(&self, property: &Property, time: NaiveTime) -> Vec<NaiveDate> {
        let today = self.until.with_timezone(&property.time_zone).date_naive();
        let first = today.checked_sub_days(Days::new(MAX_DAYS_BACK)).unwrap_or(today);
        let is_within = |date: &NaiveDate| {
            let instant = instant_of(property.time_zone, date.and_time(time));
            self.after < instant && instant <= self.until
        };
        first.iter_days().take_while(|date| *date <= today).filter(is_within).collect()
    }
}

/// A fire in ids. Fires of an expression are at whole seconds, requested ones never are.
pub(super) fn text(fire: DateTime<Utc>) -> String {
    fire.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The command that starts a sweep of Stripe's events.
pub(super) fn reconcile_payments(
    schedule: &Schedule,
    fire: DateTime<Utc>,
    topology: &Topology,
) -> Result<Outgoing, EncodeError> {
    let actor = Actor::schedule(&schedule.name);
    let run_id = fire_id(&schedule.name, &text(fire), "");
    let (dry_run, requested_at) = (schedule.dry_run, fire.into());
    let command = ReconcilePayments { run_id, dry_run, actor: actor.clone(), requested_at, span: None };
    Ok(Outgoing::command(topology.command_key(RECONCILE_PAYMENTS, ""), run_id, &command)?.with_actor(actor))
}

/// The command that ends an expired hold. Its id tells the hold and the number of the request: a request that is
/// published again after a crash is the same one.
pub(super) fn expire_hold(
    schedule: &Schedule,
    fire: DateTime<Utc>,
    hold: &ExpiredHold,
    topology: &Topology,
) -> Result<Outgoing, EncodeError> {
    let actor = Actor::schedule(&schedule.name);
    let subject = format!("{}|{}", hold.booking_id, hold.requests);
    let id = fire_id(&schedule.name, &hold.expires_at.to_string(), &subject);
    let command = ExpireCheckout {
        booking_id: hold.booking_id,
        property_id: hold.property_id.clone(),
        release: true,
        rev: None,
        actor: actor.clone(),
        requested_at: fire.into(),
    };
    let key = topology.command_key(PAYMENT_EXPIRE_CHECKOUT, "");
    Ok(Outgoing::command(key, id, &command)?.with_correlation_id(hold.booking_id.as_uuid()).with_actor(actor))
}

/// The commands that continue what lost commands left behind: refunds that Stripe has not made, and bookings that do
/// not know their ledger's totals. Younger ones may still be on their way.
pub(super) async fn resume_payments(
    schedule: &Schedule,
    fire: DateTime<Utc>,
    mongo: &Mongo,
    topology: &Topology,
) -> Result<Vec<Outgoing>, FireError> {
    let scaled =
        |span: TimeDelta| i32::try_from(topology.retry_divisor()).map_or(span, |divisor| span / divisor.max(1));
    let until = (fire - scaled(IN_FLIGHT)).into();
    let mut commands = Vec::new();
    for refund in mongo.ledgers().open_refunds(until, MAX_REFUNDS).await? {
        let actor = Actor::schedule(&schedule.name);
        let id = fire_id(&schedule.name, &text(fire), &refund.booking_id.to_string());
        let (booking_id, property_id) = (refund.booking_id, refund.property_id);
        let command =
            Refund { booking_id, property_id, request: None, actor: actor.clone(), requested_at: fire.into() };
        let command = Outgoing::command(topology.command_key(PAYMENT_REFUND, ""), id, &command)?;
        commands.push(command.with_correlation_id(booking_id.as_uuid()).with_actor(actor));
    }
    let since = (fire - LOOKBACK).into();
    for ledger in mongo.ledgers().ahead_of_bookings(since, until, MAX_TOTALS).await? {
        let cause = ChangeCause::latest(&ledger);
        commands.push(ledgers::settle_payment(&ledger, topology, &cause, fire.into())?);
    }
    if !commands.is_empty() {
        tracing::warn!(
            schedule = schedule.name,
            commands = commands.len(),
            "requesting again refunds and totals whose commands were lost"
        );
    }
    Ok(commands)
}

/// The commands of one fire at one property.
pub(super) async fn property_commands(
    schedule: &Schedule,
    window: FireWindow,
    property_id: &PropertyId,
    mongo: &Mongo,
    topology: &Topology,
) -> Result<Vec<Outgoing>, FireError> {
    if schedule.task == Task::ReconcileProperties {
        return Ok(vec![reconcile(schedule, window.until, property_id, topology)?]);
    }
    let Some(inventory) = mongo.inventories().find(property_id).await? else { return Ok(Vec::new()) };
    let property = &inventory.property;
    let mut commands = Vec::new();
    match schedule.task {
        Task::ReconcileProperties | Task::ExpireHolds | Task::ReconcilePayments | Task::ResumePayments => {}
        Task::NightAudit => {
            if let Some(today) = window.days(property, property.business_day_cutoff).pop() {
                let since = today.checked_sub_days(AUDIT_LOOKBACK).unwrap_or(today);
                for expected in mongo
                    .bookings()
                    .expected_arrivals(property_id, Nights::new(since, today))
                    .await?
                    .iter()
                    .filter(|expected| is_no_show(expected, property, today))
                {
                    commands.push(no_show(schedule, window.until, today, property_id, expected.id, topology)?);
                }
            }
        }
        Task::RemindArrivalSoon | Task::RemindArrivalToday => {
            for arrival in arrivals_to_remind(schedule.task, window, property) {
                let next = arrival.succ_opt().unwrap_or(arrival);
                let expected = mongo.bookings().expected_arrivals(property_id, Nights::new(arrival, next)).await?;
                // Guests whose companions are here know the way.
                for expected in expected.into_iter().filter(|expected| !expected.is_partly_in_house) {
                    commands.push(reminder(schedule, window.until, &expected, topology)?);
                }
            }
        }
    }
    if !schedule.sends() {
        tracing::info!(schedule = schedule.name, property = %property_id, commands = commands.len(),
            "dry run, nothing is sent");
    }
    Ok(commands)
}

/// Whether the guests' day of arrival is over. A booking confirmed only today, by an undone no-show for instance, gets
/// until the next audit.
fn is_no_show(expected: &ExpectedArrival, property: &Property, today: NaiveDate) -> bool {
    expected.arrival < today && business_date(property, expected.confirmed_at) < today
}

/// The arrivals that are reminded now.
fn arrivals_to_remind(task: Task, window: FireWindow, property: &Property) -> Vec<NaiveDate> {
    match task {
        Task::RemindArrivalSoon => {
            let ahead = Days::new(REMINDER_DAYS_BEFORE.unsigned_abs());
            window.days(property, ARRIVAL_SOON_TIME).into_iter().filter_map(|day| day.checked_add_days(ahead)).collect()
        }
        // An arrival of an earlier day needs no reminder any more.
        Task::RemindArrivalToday => window.days(property, ARRIVAL_TODAY_TIME).pop().into_iter().collect(),
        Task::ReconcileProperties
        | Task::NightAudit
        | Task::ExpireHolds
        | Task::ReconcilePayments
        | Task::ResumePayments => Vec::new(),
    }
}

fn reconcile(
    schedule: &Schedule,
    fire: DateTime<Utc>,
    property_id: &PropertyId,
    topology: &Topology,
) -> Result<Outgoing, EncodeError> {
    let run_id = fire_id(&schedule.name, &text(fire), property_id.as_str());
    let actor = Actor::schedule(&schedule.name);
    let command = ReconcileProperty {
        run_id,
        property_id: property_id.clone(),
        dry_run: schedule.dry_run,
        actor: actor.clone(),
        requested_at: fire.into(),
    };
    let key = topology.command_key(RECONCILE_PROPERTY, property_id.as_str());
    Ok(Outgoing::command(key, run_id, &command)?.with_actor(actor))
}

fn no_show(
    schedule: &Schedule,
    fire: DateTime<Utc>,
    today: NaiveDate,
    property_id: &PropertyId,
    booking_id: BookingId,
    topology: &Topology,
) -> Result<Outgoing, EncodeError> {
    let id = fire_id(&schedule.name, &today.to_string(), &booking_id.to_string());
    let header = CommandHeader {
        booking_id,
        property_id: property_id.clone(),
        // At any revision: the decision refuses guests who checked in or postponed, and a reassigned bed does not
        // matter.
        expected_rev: None,
        actor: Actor::SYSTEM,
        as_admin: false,
        reason: Some("night audit".to_owned()),
        requested_at: fire.into(),
    };
    let key = topology.command_key(BOOKING_MARK_NO_SHOW, property_id.as_str());
    Ok(Outgoing::command(key, id, &MarkNoShow { header, stays: Vec::new() })?
        .with_correlation_id(booking_id.as_uuid())
        .with_actor(Actor::schedule(&schedule.name)))
}

/// One mail for each arrival date of a booking: a postponed stay is reminded on its new date.
fn reminder(
    schedule: &Schedule,
    fire: DateTime<Utc>,
    expected: &ExpectedArrival,
    topology: &Topology,
) -> Result<Outgoing, EncodeError> {
    let id = fire_id(&schedule.name, &expected.arrival.to_string(), &expected.id.to_string());
    let kind = if schedule.task == Task::RemindArrivalToday {
        NotificationKind::ArrivalToday
    } else {
        NotificationKind::ArrivalSoon
    };
    let actor = Actor::schedule(&schedule.name);
    let request = SendNotification {
        notification_id: id,
        booking_id: expected.id,
        kind,
        actor: actor.clone(),
        requested_at: fire.into(),
    };
    Ok(Outgoing::command(topology.command_key(NOTIFICATION_SEND, ""), id, &request)?
        .with_correlation_id(expected.id.as_uuid())
        .with_actor(actor))
}

#[cfg(test)]
mod tests {
    use super::{ExpectedArrival, FireWindow, Property, Task, arrivals_to_remind, is_no_show};
    use chrono::NaiveDate;
    use pvt_domain::demo;
    use pvt_domain::ids::BookingId;

    fn window(after: &str, until: &str) -> FireWindow {
        FireWindow { after: after.parse().unwrap(), until: until.parse().unwrap() }
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn property(cutoff: &str) -> Property {
        Property { business_day_cutoff: cutoff.parse().unwrap(), ..demo::inventory().property }
    }

    fn audited(property: &Property, after: &str, until: &str) -> Vec<NaiveDate> {
        window(after, until).days(property, property.business_day_cutoff)
    }

    #[test]
    fn day_is_audited_once_at_cutoff() {
        // Four in the morning in Montréal is 9:00 UTC in winter.
        let montreal = property("04:00:00");
        assert_eq!(audited(&montreal, "2027-01-11T08:30:00Z", "2027-01-11T08:45:00Z"), []);
        assert_eq!(audited(&montreal, "2027-01-11T08:45:00Z", "2027-01-11T09:00:00Z"), [date("2027-01-11")]);
        assert_eq!(audited(&montreal, "2027-01-11T09:00:00Z", "2027-01-11T09:15:00Z"), []);
    }

    #[test]
    fn missed_days_are_caught_up_within_bounds() {
        let montreal = property("04:00:00");
        assert_eq!(
            audited(&montreal, "2027-01-09T20:00:00Z", "2027-01-11T12:00:00Z"),
            [date("2027-01-10"), date("2027-01-11")]
        );
        assert_eq!(audited(&montreal, "2026-01-01T00:00:00Z", "2027-01-11T12:00:00Z").len(), 4, "and is bounded");
        let soon = arrivals_to_remind(
            Task::RemindArrivalSoon,
            window("2027-01-09T20:00:00Z", "2027-01-11T18:00:00Z"),
            &montreal,
        );
        assert_eq!(soon, [date("2027-01-13"), date("2027-01-14")]);
        let today = arrivals_to_remind(
            Task::RemindArrivalToday,
            window("2027-01-09T20:00:00Z", "2027-01-11T18:00:00Z"),
            &montreal,
        );
        assert_eq!(today, [date("2027-01-11")]);
    }

    #[test]
    fn cutoff_at_dst_change_happens_once() {
        let early = property("02:30:00");
        assert_eq!(
            audited(&early, "2027-03-14T06:45:00Z", "2027-03-14T07:00:00Z"),
            [date("2027-03-14")],
            "2:30 is skipped: 3:00"
        );
        assert_eq!(audited(&early, "2027-03-14T07:00:00Z", "2027-03-14T08:00:00Z"), []);
        let twice = property("01:30:00");
        assert_eq!(audited(&twice, "2027-11-07T05:15:00Z", "2027-11-07T05:30:00Z"), [date("2027-11-07")]);
        assert_eq!(audited(&twice, "2027-11-07T06:15:00Z", "2027-11-07T06:30:00Z"), []);
    }

    #[test]
    fn guest_expected_today_is_not_a_no_show() {
        let montreal = property("04:00:00");
        let id = BookingId::derive(None, "k", "f");
        let expected = |arrival: &str, confirmed_at: &str| ExpectedArrival {
            is_partly_in_house: false,
            id,
            arrival: date(arrival),
            confirmed_at: confirmed_at.parse::<chrono::DateTime<chrono::Utc>>().unwrap().into(),
        };
        let missed =
            |arrival, confirmed_at| is_no_show(&expected(arrival, confirmed_at), &montreal, date("2027-01-11"));
        assert!(missed("2027-01-10", "2027-01-01T12:00:00Z"));
        assert!(!missed("2027-01-11", "2027-01-01T12:00:00Z"), "the day has only begun");
        assert!(missed("2027-01-10", "2027-01-11T08:59:00Z"), "still yesterday's business day");
        assert!(!missed("2027-01-10", "2027-01-11T09:01:00Z"), "reinstated after the cut-off");
    }
}
