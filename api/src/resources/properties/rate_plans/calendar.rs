//! Prices and restrictions by date, set for many dates at once.

use super::contradictions;
use crate::auth::policy::Caller;
use crate::form::presence::{Presence as _, defaulted, nullable, optional, required};
use crate::form::types::{FieldType, boolean, date, integer, list, money, object, one_of, refusal, text};
use crate::form::{amount_in_currency, form};
use crate::http::entity_tags::Revisions;
use crate::http::extract::{Form, IfMatch, OfProperty, PathId, QueryParams, StaffOfProperty};
use crate::http::problem::{self, Problem};
use crate::http::response::Tagged;
use crate::resources::availability::occupancy;
use crate::resources::properties::change::{PropertyChange, stored_inventory, stored_rates};
use crate::state::SharedApp;
use axum::extract::State;
use chrono::{Days, NaiveDate, Utc, Weekday};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::{RatePlanId, RoomTypeId};
use pvt_domain::intake::{FieldError, MAX_DAYS_AHEAD, MAX_NIGHTS};
use pvt_domain::inventory::Inventory;
use pvt_domain::money::Money;
use pvt_domain::nights::Nights;
use pvt_domain::rates::restrictions::Restriction;
use pvt_domain::rates::{DateSet, RateCalendar, Rates};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;

/// Most changes of one request.
pub(crate) const MAX_CHANGES: usize = 100;
/// Most room types of one change.
pub(crate) const MAX_TYPES: usize = 100;
/// Most days that are shown at once.
const MAX_DAYS_SHOWN: i64 = 400;
/// How long dates that are past are kept: the longest stay may still be repriced.
const DAYS_KEPT: u64 = MAX_NIGHTS.unsigned_abs() + 35;
/// Highest limit of a restriction, in nights or days.
pub(crate) const MAX_LIMIT: i64 = 1_000;

/// Weekdays by their names.
pub(crate) const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// One change of a request: what becomes of these dates of these room types.
pub(super) struct DatesChange<T> {
    /// Its pointer in the body.
    pub(super) place: String,
    pub(super) room_types: Vec<RoomTypeId>,
    pub(super) dates: DateSet,
    pub(super) becomes: T,
}

/// The dates that were set.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RatesSet")]
pub(crate) struct Changed {
    rate_plan_id: RatePlanId,
    /// Number of dates set, by room type.
    dates: BTreeMap<RoomTypeId, usize>,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ShowQuery {
    /// The room type.
    #[schemars(with = "String")]
    room_type_id: Option<String>,
    /// First date.
    #[schemars(with = "NaiveDate")]
    from: Option<NaiveDate>,
    /// The first date that is not shown, at most 400 days later.
    #[schemars(with = "NaiveDate")]
    until: Option<NaiveDate>,
}

/// Prices and restrictions of a room type by date.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RateCalendar")]
pub(crate) struct CalendarView<'a> {
    rate_plan_id: &'a RatePlanId,
    room_type_id: &'a RoomTypeId,
    days: Vec<DayView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct DayView<'a> {
    date: NaiveDate,
    price: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    restriction: Option<&'a Restriction>,
}

/// `GET /api/rate-plans/{id}/calendar?property_id=…&room_type_id=…&from=…&until=…`: what each night costs, and its
/// restrictions.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    caller: Caller,
    PathId(plan_id): PathId<RatePlanId>,
    OfProperty(property): OfProperty,
    QueryParams(query): QueryParams<ShowQuery>,
) -> Result<Tagged<CalendarView<'static>>, Problem> {
    let (Some(room_type), Some(from), Some(until)) = (query.room_type_id.map(RoomTypeId::new), query.from, query.until)
    else {
        return Err(Problem::new(problem::INVALID_QUERY, "`room_type_id`, `from` and `until` are needed."));
    };
    let nights = Nights::new(from, until);
    if !(1..=MAX_DAYS_SHOWN).contains(&nights.count()) {
        return Err(Problem::new(
            problem::INVALID_QUERY,
            format!("`until` must lie 1 to {MAX_DAYS_SHOWN} days after `from`."),
        ));
    }
    let (inventory, rates) = if caller.is_staff_of(&property) {
        (stored_inventory(&app, &property).await?, stored_rates(&app, &property).await?.into())
    } else {
        let occupancy = occupancy(&app, &property).await?;
        (occupancy.grid().inventory().clone(), occupancy.grid().rates().clone())
    };
    let plan = inventory.rate_plan(&plan_id).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let base = *plan.nightly.get(&room_type).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let calendar = rates.calendar(&plan_id, &room_type);
    let day = |date| DayView {
        date,
        price: Money::new(
            calendar.and_then(|calendar| calendar.prices.get(&date)).copied().unwrap_or(base),
            inventory.property.currency,
        ),
        restriction: calendar.and_then(|calendar| calendar.restrictions.get(&date)),
    };
    let days = nights.iter().map(day).collect();
    Ok(Tagged::at(inventory.rev, &CalendarView { rate_plan_id: &plan_id, room_type_id: &room_type, days }))
}

form! {
    /// Prices of many dates.
    pub(crate) struct PricesForm {
        changes: Vec<PriceChangeForm> = required(list(object(), MAX_CHANGES).at_least(1)),
    }
    example json!({ "changes": [{ "room_type_ids": ["dorm-6"], "from": "2027-06-24", "until": "2027-09-06",
        "weekdays": ["fri", "sat"], "price": { "amount": 5200, "currency": "CAD" } }] });
}

form! {
    /// The price of some dates of some room types.
    pub(crate) struct PriceChangeForm {
        room_type_ids: Vec<RoomTypeId> = required(list(text(), MAX_TYPES)),
        from: NaiveDate = required(date()),
        /// The first date that is not changed.
        until: NaiveDate = required(until(from)),
        /// Only these; without it every day.
        weekdays: Option<Vec<Weekday>> = optional(weekdays()),
        /// `null` returns to the plan's own price.
        price: Option<Money> = nullable(money()),
    }
}

form! {
    /// Restrictions of many dates.
    pub(crate) struct RestrictionsForm {
        changes: Vec<RestrictionChangeForm> = required(list(object(), MAX_CHANGES).at_least(1)),
    }
    example json!({ "changes": [{ "room_type_ids": ["dorm-6"], "from": "2027-06-24", "until": "2027-09-06",
        "weekdays": ["fri", "sat"], "restriction": { "min_stay_arrival": 2 } }] });
}

form! {
    /// All restrictions of some dates of some room types.
    pub(crate) struct RestrictionChangeForm {
        room_type_ids: Vec<RoomTypeId> = required(list(text(), MAX_TYPES)),
        from: NaiveDate = required(date()),
        /// The first date that is not changed.
        until: NaiveDate = required(until(from)),
        /// Only these; without it every day.
        weekdays: Option<Vec<Weekday>> = optional(weekdays()),
        restriction: Restriction = required(object::<RestrictionForm>().map(Restriction::from)),
    }
}

form! {
    /// Restrictions; an empty object lifts all.
    struct RestrictionForm {
        /// The night is not sold.
        stop_sell: bool = defaulted(boolean()).not_null(),
        /// No stay begins.
        closed_to_arrival: bool = defaulted(boolean()).not_null(),
        /// No stay ends.
        closed_to_departure: bool = defaulted(boolean()).not_null(),
        /// Fewest nights of a stay that begins.
        min_stay_arrival: Option<u16> = optional(limit()),
        /// Fewest nights of a stay that contains the night.
        min_stay_through: Option<u16> = optional(limit()),
        /// Most nights of a stay that begins.
        max_stay: Option<u16> = optional(limit()),
        /// Fewest days between booking and arrival.
        min_advance_days: Option<u16> = optional(limit()),
        /// Most days between booking and arrival.
        max_advance_days: Option<u16> = optional(limit()),
    }
}

impl From<RestrictionForm> for Restriction {
    fn from(form: RestrictionForm) -> Self {
        Self {
            stop_sell: form.stop_sell,
            closed_to_arrival: form.closed_to_arrival,
            closed_to_departure: form.closed_to_departure,
            min_stay_arrival: form.min_stay_arrival,
            min_stay_through: form.min_stay_through,
            max_stay: form.max_stay,
            min_advance_days: form.min_advance_days,
            max_advance_days: form.max_advance_days,
        }
    }
}

fn until(from: Option<NaiveDate>) -> impl FieldType<Value = NaiveDate> {
    date().verify(move |until| match from {
        Some(from) if *until <= from => refusal("empty_range", "must lie after from"),
        _ => Ok(()),
    })
}

fn weekdays() -> impl FieldType<Value = Vec<Weekday>> {
    list(one_of(&WEEKDAYS), WEEKDAYS.len())
}

fn limit() -> impl FieldType<Value = u16> {
    integer(0..=MAX_LIMIT)
}

impl DatesChange<Option<Money>> {
    fn of_price(place: usize, form: PriceChangeForm) -> Self {
        let PriceChangeForm { room_type_ids, from, until, weekdays, price } = form;
        Self::new(place, room_type_ids, from..until, weekdays, price)
    }
}

impl DatesChange<Restriction> {
    fn of_restriction(place: usize, form: RestrictionChangeForm) -> Self {
        let RestrictionChangeForm { room_type_ids, from, until, weekdays, restriction } = form;
        Self::new(place, room_type_ids, from..until, weekdays, restriction)
    }
}

impl<T> DatesChange<T> {
    fn new(
        place: usize,
        room_types: Vec<RoomTypeId>,
        dates: Range<NaiveDate>,
        weekdays: Option<Vec<Weekday>>,
        becomes: T,
    ) -> Self {
        let dates = DateSet { range: Nights::new(dates.start, dates.end), weekdays: weekdays.unwrap_or_default() };
        Self { place: format!("/changes/{place}"), room_types, dates, becomes }
    }
}

/// `PUT /api/rate-plans/{id}/calendar?property_id=…`: prices; `null` returns to the plan's own.
pub(crate) async fn set_prices(
    State(app): State<SharedApp>,
    PathId(id): PathId<RatePlanId>,
    IfMatch(expected): IfMatch,
    staff: StaffOfProperty,
    Form { value: form, .. }: Form<PricesForm>,
) -> Result<Tagged<Changed>, Problem> {
    let changes: Vec<_> =
        form.changes.into_iter().enumerate().map(|(at, one)| DatesChange::of_price(at, one)).collect();
    set(&app, (id, expected, staff), "rate_plan.set_prices", &changes, |inventory, calendar, change| {
        let amount = change
            .becomes
            .map(|money| amount_in_currency(money, inventory, || format!("{}/price", change.place)))
            .transpose()?;
        calendar.set_prices(&change.dates, amount);
        Ok(())
    })
    .await
}

/// `PUT /api/rate-plans/{id}/restrictions?property_id=…`: all restrictions of these dates; an empty one lifts them.
pub(crate) async fn set_restrictions(
    State(app): State<SharedApp>,
    PathId(id): PathId<RatePlanId>,
    IfMatch(expected): IfMatch,
    staff: StaffOfProperty,
    Form { value: form, .. }: Form<RestrictionsForm>,
) -> Result<Tagged<Changed>, Problem> {
    let changes: Vec<_> =
        form.changes.into_iter().enumerate().map(|(at, one)| DatesChange::of_restriction(at, one)).collect();
    set(&app, (id, expected, staff), "rate_plan.set_restrictions", &changes, |_, calendar, change| {
        calendar.set_restrictions(&change.dates, &change.becomes);
        Ok(())
    })
    .await
}

async fn set<T: Serialize>(
    app: &SharedApp,
    (plan, expected, StaffOfProperty { property, caller }): (RatePlanId, Revisions, StaffOfProperty),
    action: &'static str,
    changes: &[DatesChange<T>],
    put: impl Fn(&Inventory, &mut RateCalendar, &DatesChange<T>) -> Result<(), Problem>,
) -> Result<Tagged<Changed>, Problem> {
    if changes.is_empty() {
        return Err(Problem::fields(vec![FieldError::new("/changes", "missing", "send at least one change")]));
    }
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action,
        subject: format!("rate_plan:{plan}"),
        expected,
        audit_id: None,
    };
    let inventory = change
        .apply_rates(app, &describe_changes(changes), |inventory, rates| {
            put_all(inventory, rates, &plan, changes, &put)
        })
        .await?;
    let mut dates = BTreeMap::new();
    for change in changes {
        for room_type in &change.room_types {
            *dates.entry(room_type.clone()).or_default() += change.dates.iter().count();
        }
    }
    Ok(Tagged::at(inventory.rev, &Changed { rate_plan_id: plan, dates }))
}

/// What is set, for the audit: dates in words, and what becomes of them as JSON.
fn describe_changes<T: Serialize>(changes: &[DatesChange<T>]) -> String {
    let one = |change: &DatesChange<T>| {
        let types: Vec<&str> = change.room_types.iter().map(RoomTypeId::as_str).collect();
        let Nights { arrival, departure } = change.dates.range;
        let weekdays: String = change.dates.weekdays.iter().map(|day| format!(" {day}")).collect();
        format!("{} from {arrival} until {departure}{weekdays}: {}", types.join(", "), json!(change.becomes))
    };
    changes.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn put_all<T>(
    inventory: &Inventory,
    rates: &Rates,
    plan_id: &RatePlanId,
    changes: &[DatesChange<T>],
    put: impl Fn(&Inventory, &mut RateCalendar, &DatesChange<T>) -> Result<(), Problem>,
) -> Result<Vec<RateCalendar>, Problem> {
    let plan = inventory.rate_plan(plan_id).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let today = business_date(&inventory.property, Utc::now().into());
    check_reach(today, changes)?;
    let mut calendars: BTreeMap<&RoomTypeId, RateCalendar> = BTreeMap::new();
    for change in changes {
        for (number, room_type) in change.room_types.iter().enumerate() {
            if !plan.nightly.contains_key(room_type) {
                let place = format!("{}/room_type_ids/{number}", change.place);
                return Err(Problem::fields(vec![FieldError::new(
                    place,
                    "not_on_plan",
                    "this plan does not sell such a room type",
                )]));
            }
            let stored = || rates.calendar(plan_id, room_type).cloned();
            let empty = || RateCalendar::new(inventory.property.id.clone(), plan_id.clone(), room_type.clone());
            let calendar = calendars.entry(room_type).or_insert_with(|| stored().unwrap_or_else(empty));
            put(inventory, calendar, change)?;
        }
    }
    for (room_type, calendar) in &calendars {
        contradictions::check(rates.calendar(plan_id, room_type), calendar, changes)?;
    }
    let oldest = today.checked_sub_days(Days::new(DAYS_KEPT)).unwrap_or(today);
    Ok(calendars
        .into_values()
        .map(|mut calendar| {
            calendar.forget_before(oldest);
            calendar.rev += 1;
            calendar
        })
        .collect())
}

/// Dates that cannot be booked any more, or not for years, would only make calendars grow.
fn check_reach<T>(today: NaiveDate, changes: &[DatesChange<T>]) -> Result<(), Problem> {
    let last = today.checked_add_days(Days::new(MAX_DAYS_AHEAD + MAX_NIGHTS.unsigned_abs() + 1)).unwrap_or(today);
    let first = today.checked_sub_days(Days::new(DAYS_KEPT)).unwrap_or(today);
    let violations: Vec<FieldError> = changes
        .iter()
        .filter(|change| change.dates.range.arrival < first || change.dates.range.departure > last)
        .map(|change| FieldError::new(&change.place, "out_of_range", format!("dates from {first} to {last}")))
        .collect();
    if violations.is_empty() { Ok(()) } else { Err(Problem::fields(violations)) }
}

#[cfg(test)]
mod tests {
    use super::{DatesChange, describe_changes, put_all};
    use chrono::{Days, Utc, Weekday};
    use pvt_domain::demo;
    use pvt_domain::money::{Currency, Money};
    use pvt_domain::nights::Nights;
    use pvt_domain::rates::restrictions::Restriction;
    use pvt_domain::rates::{DateSet, RateCalendar, Rates};

    fn change(days: (u64, u64), weekdays: Vec<Weekday>, price: i64) -> DatesChange<i64> {
        let day = |number| Utc::now().date_naive().checked_add_days(Days::new(number)).unwrap();
        DatesChange {
            place: "/changes/0".to_owned(),
            room_types: vec!["dorm-6-mixed".into()],
            dates: DateSet { range: Nights::new(day(days.0), day(days.1)), weekdays },
            becomes: price,
        }
    }

    fn put(rates: &Rates, changes: &[DatesChange<i64>]) -> Result<Vec<RateCalendar>, Option<&'static str>> {
        let put = |_: &_, calendar: &mut RateCalendar, change: &DatesChange<i64>| {
            calendar.set_prices(&change.dates, Some(change.becomes));
            Ok(())
        };
        put_all(&demo::inventory(), rates, &"standard".into(), changes, put).map_err(|problem| Some(problem.code()))
    }

    #[test]
    fn later_changes_win_and_one_calendar_per_type_is_stored() {
        let first = put(&Rates::default(), &[change((10, 20), vec![], 5), change((12, 13), vec![], 7)]).unwrap();
        assert_eq!((first.len(), first[0].rev, first[0].prices.len()), (1, 1, 10));
        assert_eq!(first[0].prices.values().filter(|price| **price == 7).count(), 1);
        let second = put(&Rates::new(first), &[change((10, 12), vec![], 9)]).unwrap();
        assert_eq!((second[0].rev, second[0].prices.len()), (2, 10), "what was there stays");
    }

    #[test]
    fn dates_beyond_the_horizon_are_refused() {
        assert!(put(&Rates::default(), &[change((900, 905), vec![], 5)]).is_ok());
        assert_eq!(put(&Rates::default(), &[change((900, 1_000), vec![], 5)]).unwrap_err(), Some("validation_failed"));
    }

    #[test]
    fn audit_says_what_was_set_in_words_and_json() {
        let dates = || "2027-06-24".parse().unwrap().."2027-09-06".parse().unwrap();
        let price = |becomes| DatesChange::new(0, vec!["dorm-6".into()], dates(), Some(vec![Weekday::Fri]), becomes);
        assert_eq!(
            describe_changes(&[price(Some(Money::new(5_200, Currency::CAD))), price(None)]),
            [
                r#"dorm-6 from 2027-06-24 until 2027-09-06 Fri: {"amount":5200,"currency":"CAD"}"#,
                "dorm-6 from 2027-06-24 until 2027-09-06 Fri: null"
            ]
            .join("; ")
        );
        let minimum = Restriction { min_stay_arrival: Some(2), ..Restriction::default() };
        let change = DatesChange::new(0, vec!["dorm-6".into(), "dorm-8".into()], dates(), None, minimum);
        let shown = describe_changes(&[change]);
        assert!(shown.starts_with("dorm-6, dorm-8 from 2027-06-24 until 2027-09-06: {"), "{shown}");
        assert!(shown.contains(r#""min_stay_arrival":2"#) && !shown.contains("Restriction"), "{shown}");
    }
}
