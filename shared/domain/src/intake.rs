//! Intake checks: the rules of a booking request that need no knowledge of occupancy.
//!
//! Every violation is reported, not only the first, so that an app can show them all at once.

mod tax_declarations;

pub use crate::people::email::MAX_EMAIL_BYTES;
pub use crate::values::field_error::FieldError;

use crate::booking::{Guest, StayRequest};
use crate::ids::RatePlanId;
use crate::inventory::{Inventory, RoomKind};
use crate::people::text::normal;
use chrono::{Days, NaiveDate};
use tax_declarations::check_declared;

/// Longest stay, in nights.
pub const MAX_NIGHTS: i64 = 365;
/// Furthest arrival, in days from the first night that can be booked.
pub const MAX_DAYS_AHEAD: u64 = 540;
/// Most guests of one booking made by a guest.
pub const MAX_GUESTS: u32 = 8;
/// Most stays of one booking made by a guest.
pub const MAX_STAYS: usize = 8;
/// Most guests of one booking made by staff; larger groups are several bookings.
pub const MAX_GROUP_GUESTS: u32 = 40;
/// Most stays of one booking made by staff.
pub const MAX_GROUP_STAYS: usize = 40;
/// Most exemptions from taxes that one stay declares.
pub const MAX_EXEMPTIONS: usize = 8;
/// Most nights of all stays of one booking together: its event must fit a message.
pub const MAX_STAY_NIGHTS: i64 = 2_920;
/// Highest age of a guest, in years.
pub const MAX_AGE_YEARS: u8 = 120;
/// Longest name, in characters.
pub const MAX_NAME_CHARS: usize = 100;

/// Size limits of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartyLimits {
    /// Most guests.
    pub guests: u32,
    /// Most stays.
    pub stays: usize,
}

impl PartyLimits {
    /// Limits for guests.
    pub const GUEST: Self = Self { guests: MAX_GUESTS, stays: MAX_STAYS };
    /// Limits for staff.
    pub const STAFF: Self = Self { guests: MAX_GROUP_GUESTS, stays: MAX_GROUP_STAYS };
}

/// Checks a request against the inventory and limits; `first_night` is the first that can be booked.
pub fn check_request(
    inventory: &Inventory,
    plan: &RatePlanId,
    stays: &[StayRequest],
    guest: &Guest,
    first_night: NaiveDate,
    limits: PartyLimits,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let known_plan = inventory.rate_plan(plan);
    if known_plan.is_none() {
        let known: Vec<&str> = inventory.rate_plans.iter().map(|plan| plan.id.as_str()).collect();
        errors.push(FieldError::new(
            "/rate_plan_id",
            "unknown_rate_plan",
            format!("this property sells: {}", known.join(", ")),
        ));
    }
    if stays.is_empty() || stays.len() > limits.stays {
        errors.push(FieldError::new("/stays", "stay_count", format!("send 1 to {} stays", limits.stays)));
    }
    let nights: i64 = stays.iter().map(|stay| stay.nights().count().max(0)).fold(0, i64::saturating_add);
    if nights > MAX_STAY_NIGHTS {
        errors.push(FieldError::new(
            "/stays",
            "too_many_nights",
            format!("{nights} nights in all stays together; at most {MAX_STAY_NIGHTS}"),
        ));
    }
    for (index, stay) in stays.iter().enumerate() {
        let at = |field: &str| format!("/stays/{index}/{field}");
        errors.extend(check_dates(stay, first_night, &at));
        errors.extend(check_room_type(inventory, stay, &at));
        errors.extend(check_declared(&inventory.property.taxes, stay, limits == PartyLimits::GUEST, &at));
        if let Some(plan) = known_plan
            && inventory.room_type(&stay.room_type_id).is_some()
            && !plan.nightly.contains_key(&stay.room_type_id)
        {
            errors.push(FieldError::new(
                at("room_type_id"),
                "not_sold",
                format!("`{}` is not sold on rate plan `{}`", stay.room_type_id, plan.id),
            ));
        }
    }
    let guests: u64 = stays.iter().map(|stay| u64::from(stay.guests)).sum();
    if guests > u64::from(limits.guests) {
        let advice = if limits == PartyLimits::STAFF {
            "make several bookings for"
        } else {
            "ask the staff of the property to book for"
        };
        errors.push(FieldError::new(
            "/stays",
            "too_many_guests",
            format!("{guests} guests; {advice} more than {}", limits.guests),
        ));
    }
    errors.extend(check_guest(guest, limits == PartyLimits::GUEST));
    errors
}

fn check_dates(stay: &StayRequest, first_night: NaiveDate, at: &dyn Fn(&str) -> String) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let last_arrival = first_night.checked_add_days(Days::new(MAX_DAYS_AHEAD)).unwrap_or(NaiveDate::MAX);
    if stay.arrival < first_night {
        errors.push(FieldError::new(
            at("arrival"),
            "arrival_in_past",
            format!("the first night that can be booked is {first_night}"),
        ));
    } else if stay.arrival > last_arrival {
        errors.push(FieldError::new(
            at("arrival"),
            "arrival_too_far",
            format!("the last arrival that can be booked is {last_arrival}"),
        ));
    }
    let nights = stay.nights().count();
    if nights < 1 {
        errors.push(FieldError::new(
            at("departure"),
            "departure_not_after_arrival",
            "departure must be at least one day after arrival",
        ));
    } else if nights > MAX_NIGHTS {
        errors.push(FieldError::new(
            at("departure"),
            "stay_too_long",
            format!("{nights} nights; at most {MAX_NIGHTS} can be booked"),
        ));
    }
    errors
}

fn check_room_type(inventory: &Inventory, stay: &StayRequest, at: &dyn Fn(&str) -> String) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if stay.guests < 1 {
        errors.push(FieldError::new(at("guests"), "no_guests", "a stay needs at least one guest"));
    }
    let Some(room_type) = inventory.room_type(&stay.room_type_id) else {
        let known: Vec<&str> = inventory.room_types.iter().map(|room_type| room_type.id.as_str()).collect();
        errors.push(FieldError::new(
            at("room_type_id"),
            "unknown_room_type",
            format!("this property has: {}", known.join(", ")),
        ));
        return errors;
    };
    let capacity = inventory.capacity(room_type);
    if usize::try_from(stay.guests).unwrap_or(usize::MAX) > capacity {
        let whole = if room_type.kind == RoomKind::Private { "a room" } else { "the type" };
        errors.push(FieldError::new(at("guests"), "over_capacity", format!("{whole} takes at most {capacity} guests")));
    }
    errors
}

/// Checks the guest's data, which forms have brought into the form that is stored. Staff may book for guests who have
/// no mail address.
pub fn check_guest(guest: &Guest, needs_address: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if guest.first_name.is_empty() && guest.last_name.is_empty() {
        errors.push(FieldError::new("/guest/first_name", "required", "send first_name, last_name or both"));
    }
    for (pointer, name) in [("/guest/first_name", &guest.first_name), ("/guest/last_name", &guest.last_name)] {
        if !name.is_empty() && !is_name(name) {
            errors.push(FieldError::new(pointer, "invalid_name", name_advice()));
        }
    }
    if needs_address && guest.mail_address().is_none() {
        let advice = "is missing; only the property's staff may book without an address";
        errors.push(FieldError::new("/guest/email", "required", advice));
    }
    errors
}

/// Whether it can be the name of a person or a thing: something to see, on one line.
pub(crate) fn is_name(text: &str) -> bool {
    let shown = normal(text);
    !shown.is_empty() && shown.chars().count() <= MAX_NAME_CHARS && !shown.chars().any(char::is_control)
}

/// What is accepted as a name.
pub(crate) fn name_advice() -> String {
    format!("1 to {MAX_NAME_CHARS} characters, no control characters")
}

#[cfg(test)]
mod tests {
    use super::{PartyLimits, check_guest, check_request};
    use crate::booking::Guest;
    use crate::fixtures::{date, request, sample_inventory, stay};

    fn codes(stays: Vec<crate::booking::StayRequest>) -> Vec<(String, &'static str)> {
        let requested = request("k", stays);
        let errors = check_request(
            &sample_inventory(),
            &requested.rate_plan_id,
            &requested.stays,
            &requested.guest,
            date("2026-12-01"),
            PartyLimits::GUEST,
        );
        errors.into_iter().map(|error| (error.pointer, error.code)).collect()
    }

    #[test]
    fn valid_request_has_no_violation() {
        assert_eq!(codes(vec![stay("dorm-6-mixed", "2026-12-01", "2027-12-01", 8)]), []);
    }

    #[test]
    fn all_violations_are_reported_at_once() {
        let found = codes(vec![
            stay("dorm-6-mixed", "2026-11-30", "2026-11-30", 0),
            stay("castle", "2027-01-01", "2028-02-05", 1),
            stay("private-double", "2029-01-01", "2029-01-02", 3),
        ]);
        let expected = [
            ("/stays/0/arrival", "arrival_in_past"),
            ("/stays/0/departure", "departure_not_after_arrival"),
            ("/stays/0/guests", "no_guests"),
            ("/stays/1/departure", "stay_too_long"),
            ("/stays/1/room_type_id", "unknown_room_type"),
            ("/stays/2/arrival", "arrival_too_far"),
            ("/stays/2/guests", "over_capacity"),
        ];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn one_name_is_enough() {
        let guest = request("k", Vec::new()).guest;
        let codes = |first: &str, last: &str, email: &str, needs_address: bool| {
            let (first_name, last_name, email) = (first.to_owned(), last.to_owned(), email.to_owned());
            let errors = check_guest(&Guest { first_name, last_name, email, ..guest.clone() }, needs_address);
            errors.into_iter().map(|error| (error.pointer, error.code)).collect::<Vec<_>>()
        };
        assert_eq!(codes("Ada", "", "ada@example.com", true), []);
        assert_eq!(codes("", "Suharto", "ada@example.com", true), []);
        assert_eq!(codes("", "", "ada@example.com", true), [("/guest/first_name".to_owned(), "required")]);
        assert_eq!(codes("Ada", "a\nb", "ada@example.com", true), [("/guest/last_name".to_owned(), "invalid_name")]);
        assert_eq!(codes("Ada", "", "", true), [("/guest/email".to_owned(), "required")]);
        assert_eq!(codes("Ada", "", "", false), [], "staff book without an address");
    }
}
