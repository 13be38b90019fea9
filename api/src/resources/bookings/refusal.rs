//! Refusals of workers as problems, with alternatives.

use super::advice;
use super::view::AlternativeView;
use crate::http::problem::{self, Problem, ProblemKind};
use crate::state::App;
use pvt_domain::booking::{Booking, RefusalCause, Rejection};
use pvt_domain::ids::PropertyId;
use pvt_domain::messages::{RefusalCode, RefusalDetail};
use pvt_domain::money::Currency;
use pvt_domain::rates::restrictions::RestrictionViolation;

fn kind(code: RefusalCode) -> &'static ProblemKind {
    match code {
        RefusalCode::NoAvailability => problem::NO_AVAILABILITY,
        RefusalCode::InvalidDates => problem::INVALID_DATES,
        RefusalCode::OverCapacity => problem::OVER_CAPACITY,
        RefusalCode::Closed => problem::CLOSED,
        RefusalCode::Restriction => problem::RESTRICTION,
        RefusalCode::PriceChanged => problem::PRICE_CHANGED,
        RefusalCode::Gender => problem::GENDER,
        RefusalCode::Age => problem::AGE,
        RefusalCode::TooEarly => problem::TOO_EARLY,
        RefusalCode::TooLate => problem::TOO_LATE,
        RefusalCode::BalanceOpen => problem::BALANCE_OPEN,
        RefusalCode::PaymentUnderWay => problem::PAYMENT_UNDER_WAY,
        RefusalCode::BedsMissing => problem::BEDS_MISSING,
        RefusalCode::BedNotClean => problem::BED_NOT_CLEAN,
        RefusalCode::BedOccupied => problem::BED_OCCUPIED,
        RefusalCode::BedsUnnamed => problem::BEDS_UNNAMED,
        RefusalCode::BedTaken => problem::BED_TAKEN,
        RefusalCode::BedUnfit => problem::BED_UNFIT,
        RefusalCode::UnknownStay => problem::UNKNOWN_STAY,
        RefusalCode::WrongProgress => problem::WRONG_PROGRESS,
        RefusalCode::UnknownGuests => problem::UNKNOWN_GUESTS,
        RefusalCode::ReasonMissing => problem::VALIDATION_FAILED,
        RefusalCode::TooManyChanges => problem::TOO_MANY_CHANGES,
    }
}

/// Every problem of a refused command about a stored booking.
pub(super) fn problems() -> [&'static ProblemKind; RefusalCode::ALL.len()] {
    RefusalCode::ALL.map(|(_, code)| kind(code))
}

/// The problem of a rejected request.
pub(crate) fn rejection_problem(app: &App, booking: &Booking, rejection: Rejection) -> Problem {
    let (kind, cause) = (kind(rejection.into()), &booking.rejection_cause);
    let mut problem = Problem::new(kind, with_cause(advice::named(cause), kind.advice));
    if !cause.is_empty() {
        problem = problem.with_member("cause", cause);
    }
    match currency_of(app, &booking.property_id) {
        Some(currency) if !booking.alternatives.is_empty() => {
            problem.with_member("alternatives", &AlternativeView::all(&booking.alternatives, currency))
        }
        _ => problem,
    }
}

/// The problem of a request that these restrictions forbid.
pub(crate) fn restricted(violations: Vec<RestrictionViolation>) -> Problem {
    let cause = RefusalCause::restricted(violations);
    let advice = "Choose other dates.";
    Problem::new(problem::RESTRICTION, with_cause(advice::named(&cause), advice)).with_member("cause", &cause)
}

fn with_cause(cause: String, advice: &'static str) -> String {
    if cause.is_empty() { advice.to_owned() } else { format!("{cause} {advice}") }
}

/// The problem of a refused `command`, by its wire name. Only staff see the conflicting bookings.
pub(crate) fn refusal_problem(
    app: &App,
    property: &PropertyId,
    (command, why): (&str, &RefusalDetail),
    to_staff: bool,
) -> Problem {
    problem_in(currency_of(app, property), (command, why), to_staff)
}

/// Alternatives are shown if the currency of their prices is known.
fn problem_in(currency: Option<Currency>, (command, why): (&str, &RefusalDetail), to_staff: bool) -> Problem {
    let kind = kind(why.code);
    let advice = advice::on_refusal(command, why.code, to_staff).unwrap_or(kind.advice);
    let detail = with_cause(advice::named(&why.cause), advice);
    let mut problem = Problem::new(kind, format!("Nothing was changed. {detail}"));
    if !why.cause.is_empty() {
        problem = problem.with_member("cause", &why.cause);
    }
    if let Some(currency) = currency.filter(|_| !why.alternatives.is_empty()) {
        problem = problem.with_member("alternatives", &AlternativeView::all(&why.alternatives, currency));
    }
    if to_staff && why.code == RefusalCode::BedTaken && why.bookings.is_empty() {
        problem = Problem::new(
            kind,
            "Nothing was changed. A block is in the way: GET /api/blocks lists them, DELETE lifts one.",
        );
    }
    if to_staff && !why.bookings.is_empty() {
        problem = problem.with_member("bookings", &why.bookings);
        problem = problem.with_member("booking_count", &why.booking_count.unwrap_or(why.bookings.len()));
    }
    problem
}

/// The currency of a property, if it is cached.
pub(crate) fn currency_of(app: &App, property: &PropertyId) -> Option<Currency> {
    app.inventory_cache.all().get(property).map(|inventory| inventory.property.currency)
}

#[cfg(test)]
mod tests {
    use super::{Problem, problem_in};
    use crate::form::read_form;
    use crate::resources::bookings::command_forms::{CancelForm, CheckOutForm, ReinstateForm};
    use axum::body::Body;
    use axum::http::{HeaderMap, HeaderValue, header};
    use pvt_domain::messages::{RefusalCode, RefusalDetail};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn missing_reasons_are_refused_with_one_code() {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let refusals = [
            read_form::<CancelForm>(&headers, Body::from(r#"{"waive_fee":true}"#)).await.unwrap_err(),
            read_form::<CheckOutForm>(&headers, Body::from(r#"{"allow_open_balance":true}"#)).await.unwrap_err(),
            read_form::<ReinstateForm>(&headers, Body::from("{}")).await.unwrap_err(),
        ];
        // Past the forms come only commands of earlier versions.
        let why: RefusalDetail = serde_json::from_value(json!({ "code": RefusalCode::ReasonMissing })).unwrap();
        let read = |problem: Problem| serde_json::from_slice::<Value>(&problem.document("r")).unwrap();
        let by_a_worker = read(problem_in(None, ("booking.cancel.v1", &why), true));
        assert_eq!(by_a_worker["detail"], "Nothing was changed. Send the command with a reason.");
        for refused in refusals {
            let refused = read(refused);
            assert_eq!((&refused["status"], &refused["code"]), (&by_a_worker["status"], &by_a_worker["code"]));
            assert_eq!(
                (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
                (&json!("/reason"), &json!("required"))
            );
        }
    }
}
