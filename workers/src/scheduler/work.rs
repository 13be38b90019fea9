//! What a fire asks for at one property.
//!
//! The night audit and the reminders belong to a time on the wall of each property. A schedule that fires often asks
//! for those whose time has come since the fire before, however long ago that was: an outage is made up for with the
//! next fire.

use super::FireError;
use super::plan::Plan;
use crate::mail::decide::REMINDED_DAYS_BEFORE;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat, Utc};
use pvt_domain::business_day::{business_date, instant_of};
use pvt_domain::ids::{BookingId, PropertyId, fire_id};
use pvt_domain::inventory::Property;
use pvt_domain::messages::{
    BOOKING_MARK_NO_SHOW, ExpireCheckout, MarkNoShow, NOTIFICATION_SEND, NotificationKind, Order,
    PAYMENT_EXPIRE_CHECKOUT, RECONCILE_PAYMENTS, RECONCILE_PROPERTY, ReconcilePayments, ReconcileProperty,
    SendNotification,
};
use pvt_domain::nights::Nights;
use pvt_messaging::{EncodeError, Outgoing, Topology};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::bookings::Expected;

/// When guests are reminded some days before, local time.
const REMINDED_SOON_AT: NaiveTime = clock(9);
/// When guests are reminded on the day itself, local time.
const REMINDED_TODAY_AT: NaiveTime = clock(7);
/// Days that are made up for after an outage. Older reminders would be dropped anyway, and one audit covers all days
/// before it.
const DAYS_BACK: u64 = 3;
/// How far back the audit looks for guests who never came.
const AUDITED_BACK: Days = Days::new(365);

/// Holds that one fire ends; the next one goes on.
const HOLDS_MAX: i64 = 10_000;

const fn clock(hour: u32) -> NaiveTime {
    match NaiveTime::from_hms_opt(hour, 0, 0) {
        Some(time) => time,
        None => NaiveTime::MIN,
    }
}

/// What a schedule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Compares the stores, for every property at every fire.
    Reconcile,
    /// When a business day is over: whoever was expected on it and did not come is a no-show.
    NightAudit,
    /// Tells guests of their stay some days before.
    RemindSoon,
    /// Tells guests of their stay on its first day.
    RemindToday,
    /// Ends holds that nobody paid for in time.
    ExpireHolds,
    /// Compares Stripe's events and its ledger with ours.
    ReconcilePayments,
}

impl Work {
    /// Whether a fire is one thing for all properties together.
    pub(super) fn is_of_the_whole(self) -> bool {
        matches!(self, Self::ExpireHolds | Self::ReconcilePayments)
    }
}

/// The time that a fire answers for: after the fire before, up to its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The fire before, or when the schedule was first seen.
    pub after: DateTime<Utc>,
    /// The fire.
    pub until: DateTime<Utc>,
}

impl Span {
    /// The dates on which a clock at the property showed `time` within the span, oldest first.
    fn days(&self, property: &Property, time: NaiveTime) -> Vec<NaiveDate> {
        let today = self.until.with_timezone(&property.time_zone).date_naive();
        let first = today.checked_sub_days(Days::new(DAYS_BACK)).unwrap_or(today);
        let came = |date: &NaiveDate| {
            let instant = instant_of(property.time_zone, date.and_time(time));
            self.after < instant && instant <= self.until
        };
        first.iter_days().take_while(|date| *date <= today).filter(came).collect()
    }
}

/// The commands of one fire of what concerns all properties together.
pub(super) async fn commands_of_the_whole(
    plan: &Plan,
    span: Span,
    mongo: &Mongo,
    topology: &Topology,
) -> Result<Vec<Outgoing>, FireError> {
    let actor = format!("schedule:{}", plan.name);
    if plan.work == Work::ReconcilePayments {
        let run_id = fire_id(&plan.name, &span.until.to_rfc3339_opts(SecondsFormat::Secs, true), "");
        let command =
            ReconcilePayments { run_id, dry_run: plan.dry_run, actor: actor.clone(), requested_at: span.until.into() };
        return Ok(vec![Outgoing::command(topology.command_key(RECONCILE_PAYMENTS, ""), run_id, &command)?.by(actor)]);
    }
    let overdue = mongo.overdue_holds(span.until.into(), HOLDS_MAX).await?;
    if !overdue.is_empty() {
        tracing::info!(schedule = plan.name, holds = overdue.len(), dry_run = plan.dry_run, "holds are over");
    }
    let expire = |(booking_id, property_id): (BookingId, PropertyId)| {
        let id = fire_id(&plan.name, &span.until.to_rfc3339_opts(SecondsFormat::Secs, true), &booking_id.to_string());
        let command = ExpireCheckout {
            booking_id,
            property_id,
            release: true,
            actor: actor.clone(),
            requested_at: span.until.into(),
        };
        let key = topology.command_key(PAYMENT_EXPIRE_CHECKOUT, "");
        Ok(Outgoing::command(key, id, &command)?.correlated(booking_id.as_uuid()).by(actor.clone()))
    };
    if plan.dry_run { Ok(Vec::new()) } else { overdue.into_iter().map(expire).collect() }
}

/// The commands of one fire at one property.
pub(super) async fn commands(
    plan: &Plan,
    span: Span,
    property_id: &PropertyId,
    mongo: &Mongo,
    topology: &Topology,
) -> Result<Vec<Outgoing>, FireError> {
    if plan.work == Work::Reconcile {
        return Ok(vec![reconcile(plan, span.until, property_id, topology)?]);
    }
    let Some(inventory) = mongo.inventory(property_id).await? else { return Ok(Vec::new()) };
    let property = &inventory.property;
    let mut commands = Vec::new();
    match plan.work {
        Work::Reconcile | Work::ExpireHolds | Work::ReconcilePayments => {}
        Work::NightAudit => {
            if let Some(today) = span.days(property, property.business_day_cutoff).pop() {
                let since = today.checked_sub_days(AUDITED_BACK).unwrap_or(today);
                for expected in mongo
                    .expected(property_id, Nights::new(since, today))
                    .await?
                    .iter()
                    .filter(|expected| is_missed(expected, property, today))
                {
                    commands.push(no_show(plan, span.until, today, property_id, expected.id, topology)?);
                }
            }
        }
        Work::RemindSoon | Work::RemindToday => {
            for arrival in reminded_arrivals(plan.work, span, property) {
                let next = arrival.succ_opt().unwrap_or(arrival);
                for expected in mongo.expected(property_id, Nights::new(arrival, next)).await? {
                    commands.push(reminder(plan, span.until, &expected, topology)?);
                }
            }
        }
    }
    if plan.dry_run {
        tracing::info!(schedule = plan.name, property = %property_id, commands = commands.len(),
            "a dry run sends nothing");
        commands.clear();
    }
    Ok(commands)
}

/// Whether the day on which they were expected is over. Who was only confirmed today, by an undone no-show for
/// instance, may still come until the next audit.
fn is_missed(expected: &Expected, property: &Property, today: NaiveDate) -> bool {
    expected.arrival < today && business_date(property, expected.confirmed_at) < today
}

/// The first nights of those who are to be reminded now.
fn reminded_arrivals(work: Work, span: Span, property: &Property) -> Vec<NaiveDate> {
    match work {
        Work::RemindSoon => {
            let ahead = Days::new(REMINDED_DAYS_BEFORE.unsigned_abs());
            span.days(property, REMINDED_SOON_AT).into_iter().filter_map(|day| day.checked_add_days(ahead)).collect()
        }
        // Who was to come on an earlier day needs no reminder any more.
        Work::RemindToday => span.days(property, REMINDED_TODAY_AT).pop().into_iter().collect(),
        Work::Reconcile | Work::NightAudit | Work::ExpireHolds | Work::ReconcilePayments => Vec::new(),
    }
}

fn reconcile(
    plan: &Plan,
    fire: DateTime<Utc>,
    property_id: &PropertyId,
    topology: &Topology,
) -> Result<Outgoing, EncodeError> {
    let run_id = fire_id(&plan.name, &fire.to_rfc3339_opts(SecondsFormat::Secs, true), property_id.as_str());
    let actor = format!("schedule:{}", plan.name);
    let command = ReconcileProperty {
        run_id,
        property_id: property_id.clone(),
        dry_run: plan.dry_run,
        actor: actor.clone(),
        requested_at: fire.into(),
    };
    let key = topology.command_key(RECONCILE_PROPERTY, property_id.as_str());
    Ok(Outgoing::command(key, run_id, &command)?.by(actor))
}

fn no_show(
    plan: &Plan,
    fire: DateTime<Utc>,
    today: NaiveDate,
    property_id: &PropertyId,
    booking_id: BookingId,
    topology: &Topology,
) -> Result<Outgoing, EncodeError> {
    let id = fire_id(&plan.name, &today.to_string(), &booking_id.to_string());
    let order = Order {
        booking_id,
        property_id: property_id.clone(),
        // Whatever it is by then: the decision refuses what has come or was put off meanwhile, and being moved to
        // another bed is no excuse.
        expected_rev: None,
        actor: "system".to_owned(),
        as_admin: false,
        reason: Some("night audit".to_owned()),
        requested_at: fire.into(),
    };
    let key = topology.command_key(BOOKING_MARK_NO_SHOW, property_id.as_str());
    Ok(Outgoing::command(key, id, &MarkNoShow { order })?
        .correlated(booking_id.as_uuid())
        .by(format!("schedule:{}", plan.name)))
}

/// One mail for each first night of a booking: a stay that is put off has its reminder on its new day.
fn reminder(
    plan: &Plan,
    fire: DateTime<Utc>,
    expected: &Expected,
    topology: &Topology,
) -> Result<Outgoing, EncodeError> {
    let id = fire_id(&plan.name, &expected.arrival.to_string(), &expected.id.to_string());
    let kind =
        if plan.work == Work::RemindToday { NotificationKind::ArrivalToday } else { NotificationKind::ArrivalSoon };
    let actor = format!("schedule:{}", plan.name);
    let wish = SendNotification {
        notification_id: id,
        booking_id: expected.id,
        kind,
        actor: actor.clone(),
        requested_at: fire.into(),
    };
    Ok(Outgoing::command(topology.command_key(NOTIFICATION_SEND, ""), id, &wish)?
        .correlated(expected.id.as_uuid())
        .by(actor))
}

#[cfg(test)]
mod tests {
    use super::{Expected, Property, Span, Work, is_missed, reminded_arrivals};
    use chrono::NaiveDate;
    use pvt_domain::demo;
    use pvt_domain::ids::BookingId;

    fn span(after: &str, until: &str) -> Span {
        Span { after: after.parse().unwrap(), until: until.parse().unwrap() }
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn property(cutoff: &str) -> Property {
        Property { business_day_cutoff: cutoff.parse().unwrap(), ..demo::hostel().property }
    }

    fn audited(property: &Property, after: &str, until: &str) -> Vec<NaiveDate> {
        span(after, until).days(property, property.business_day_cutoff)
    }

    #[test]
    fn a_day_is_audited_once_at_its_cut_off() {
        // Four in the morning in Montréal is 9:00 UTC in winter.
        let montreal = property("04:00:00");
        assert_eq!(audited(&montreal, "2027-01-11T08:30:00Z", "2027-01-11T08:45:00Z"), []);
        assert_eq!(audited(&montreal, "2027-01-11T08:45:00Z", "2027-01-11T09:00:00Z"), [date("2027-01-11")]);
        assert_eq!(audited(&montreal, "2027-01-11T09:00:00Z", "2027-01-11T09:15:00Z"), []);
    }

    #[test]
    fn an_outage_is_made_up_for() {
        let montreal = property("04:00:00");
        assert_eq!(
            audited(&montreal, "2027-01-09T20:00:00Z", "2027-01-11T12:00:00Z"),
            [date("2027-01-10"), date("2027-01-11")]
        );
        assert_eq!(audited(&montreal, "2026-01-01T00:00:00Z", "2027-01-11T12:00:00Z").len(), 4, "and is bounded");
        let soon = reminded_arrivals(Work::RemindSoon, span("2027-01-09T20:00:00Z", "2027-01-11T18:00:00Z"), &montreal);
        assert_eq!(soon, [date("2027-01-13"), date("2027-01-14")]);
        let today =
            reminded_arrivals(Work::RemindToday, span("2027-01-09T20:00:00Z", "2027-01-11T18:00:00Z"), &montreal);
        assert_eq!(today, [date("2027-01-11")]);
    }

    #[test]
    fn a_cut_off_in_the_gap_of_spring_or_twice_in_autumn_comes_once() {
        let early = property("02:30:00");
        assert_eq!(
            audited(&early, "2027-03-14T06:45:00Z", "2027-03-14T07:00:00Z"),
            [date("2027-03-14")],
            "2:30 is never shown: 3:00"
        );
        assert_eq!(audited(&early, "2027-03-14T07:00:00Z", "2027-03-14T08:00:00Z"), []);
        let twice = property("01:30:00");
        assert_eq!(audited(&twice, "2027-11-07T05:15:00Z", "2027-11-07T05:30:00Z"), [date("2027-11-07")]);
        assert_eq!(audited(&twice, "2027-11-07T06:15:00Z", "2027-11-07T06:30:00Z"), []);
    }

    #[test]
    fn whoever_is_expected_again_today_is_not_missed() {
        let montreal = property("04:00:00");
        let id = BookingId::derive(None, "k", "f");
        let expected = |arrival: &str, confirmed_at: &str| Expected {
            id,
            arrival: date(arrival),
            confirmed_at: confirmed_at.parse::<chrono::DateTime<chrono::Utc>>().unwrap().into(),
        };
        let missed = |arrival, confirmed_at| is_missed(&expected(arrival, confirmed_at), &montreal, date("2027-01-11"));
        assert!(missed("2027-01-10", "2027-01-01T12:00:00Z"));
        assert!(!missed("2027-01-11", "2027-01-01T12:00:00Z"), "the day has only begun");
        assert!(missed("2027-01-10", "2027-01-11T08:59:00Z"), "still yesterday's business");
        assert!(!missed("2027-01-10", "2027-01-11T09:01:00Z"), "reinstated after the cut-off");
    }
}
