//! Intake checks: the rules of a booking request that need no knowledge of occupancy.
//!
//! Every violation is reported, not only the first, so that an app can show them all at once.

pub use crate::values::field_error::FieldError;

use crate::booking::{Guest, StayRequest};
use crate::ids::RatePlanId;
use crate::inventory::{Inventory, RoomKind};
use chrono::{Days, NaiveDate};

/// Longest stay, in nights.
pub const MAX_NIGHTS: i64 = 365;
/// Furthest arrival, in days from today at the property.
pub const MAX_DAYS_AHEAD: u64 = 540;
/// Most guests of one booking made by a guest.
pub const MAX_GUESTS: u32 = 8;
/// Most stays of one booking made by a guest.
pub const MAX_STAYS: usize = 8;
/// Most guests of one booking made by staff; larger groups are several bookings.
pub const MAX_GROUP_GUESTS: u32 = 40;
/// Most stays of one booking made by staff.
pub const MAX_GROUP_STAYS: usize = 40;
/// Most nights of all stays of one booking together: its event must fit a message.
pub const MAX_STAY_NIGHTS: i64 = 2_920;
/// Longest name, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// Longest mail address, in bytes (RFC 5321 §4.5.3.1.3 leaves 254 for the address itself).
pub const MAX_EMAIL_BYTES: usize = 254;

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

/// Checks a request against the inventory and limits; `today` is the local date at the property.
pub fn check_request(
    inventory: &Inventory,
    plan: &RatePlanId,
    stays: &[StayRequest],
    guest: &Guest,
    today: NaiveDate,
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
        errors.extend(check_dates(stay, today, &at));
        errors.extend(check_room_type(inventory, stay, &at));
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
    errors.extend(check_guest(guest));
    errors
}

fn check_dates(stay: &StayRequest, today: NaiveDate, at: &dyn Fn(&str) -> String) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let last_arrival = today.checked_add_days(Days::new(MAX_DAYS_AHEAD)).unwrap_or(NaiveDate::MAX);
    if stay.arrival < today {
        errors.push(FieldError::new(at("arrival"), "arrival_in_past", format!("today is {today} at the property")));
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

/// Checks the guest's data.
pub fn check_guest(guest: &Guest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (pointer, name) in [("/guest/first_name", &guest.first_name), ("/guest/last_name", &guest.last_name)] {
        let length = name.chars().count();
        if name.trim().is_empty() || length > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            errors.push(FieldError::new(
                pointer,
                "invalid_name",
                format!("1 to {MAX_NAME_CHARS} characters, no control characters"),
            ));
        }
    }
    if !is_email(&guest.email) {
        errors.push(FieldError::new("/guest/email", "invalid_email", "an address such as ada@example.com"));
    }
    if guest.phone.as_deref().is_some_and(|phone| !is_phone(phone)) {
        errors.push(FieldError::new("/guest/phone", "invalid_phone", "international form such as +15145550100"));
    }
    if guest.locale.as_deref().is_some_and(|locale| !is_locale(locale)) {
        errors.push(FieldError::new("/guest/locale", "invalid_locale", "a language tag such as fr, en or en-CA"));
    }
    errors
}

/// Whether it is a dot-atom local part and a dotted host name (RFC 5321's `Mailbox` without quoting and literals), as
/// mail servers accept.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let atom = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= MAX_EMAIL_BYTES
        && local.len() <= 64
        && local.split('.').all(atom)
        && host.contains('.')
        && host.split('.').all(label)
}

fn is_phone(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit()))
}

/// Whether it is a language with an optional region: `fr`, `en-CA`.
pub(crate) fn is_locale(text: &str) -> bool {
    let (language, region) = text.split_once('-').map_or((text, None), |(language, region)| (language, Some(region)));
    language.len() == 2
        && language.chars().all(|c| c.is_ascii_lowercase())
        && region.is_none_or(|region| region.len() == 2 && region.chars().all(|c| c.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::{PartyLimits, check_request, is_email};
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
    fn addresses_unsafe_in_a_header_are_rejected() {
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@example",
            "a da@example.com",
            "ada@example.com\r\nBcc: x@y.z",
            "ada@-x.com",
            ".ada@example.com",
            "ada@example..com",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
        assert!(is_email("ada.lovelace+pvt@mail.example.co.uk"));
    }
}
