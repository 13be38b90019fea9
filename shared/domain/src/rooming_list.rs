//! Checks of a rooming list that need the booking and what its property sells.

use crate::booking::{Booking, PlaceProgress};
use crate::intake::{is_name, name_advice};
use crate::inventory::Inventory;
use crate::values::field_error::FieldError;
use crate::values::place_guest::PlaceGuest;
use chrono::{Datelike as _, NaiveDate};
use std::collections::{HashMap, HashSet};

/// Most guests of one list: more places than a booking can have.
pub const MAX_LISTED_GUESTS: usize = 100;
/// Stay and position of a guest for whom the booking has no place left.
pub const NO_PLACE: (u32, u32) = (u32::MAX, u32::MAX);
/// First year of a date of birth.
pub const FIRST_BIRTH_YEAR: i32 = 1900;

/// Checks a whole list for `booking`, each guest with their index in it; `today` is the business day. Guests of the
/// booking change those places only whose guests are expected. Pointers are those of the list's form.
pub fn check_rooming_list(
    booking: &Booking,
    inventory: &Inventory,
    list: &[(usize, PlaceGuest)],
    today: NaiveDate,
    by_staff: bool,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let places: HashMap<_, _> =
        booking.places(today).into_iter().map(|place| ((place.stay_id, place.position), place)).collect();
    let mut named = HashSet::new();
    for (index, guest) in list {
        let at = |field: &str| format!("/guests/{index}/{field}");
        if guest.first_name.is_empty() && guest.last_name.is_empty() {
            errors.push(FieldError::new(at("first_name"), "required", "send first_name, last_name or both"));
        }
        for (field, name) in [("first_name", &guest.first_name), ("last_name", &guest.last_name)] {
            if !name.is_empty() && !is_name(name) {
                errors.push(FieldError::new(at(field), "invalid_name", name_advice()));
            }
        }
        if guest.birth_date.is_some_and(|born| born > today || born.year() < FIRST_BIRTH_YEAR) {
            let advice = format!("must be from {FIRST_BIRTH_YEAR}-01-01 to today");
            errors.push(FieldError::new(at("birth_date"), "invalid_birth_date", advice));
        }
        let Some(place) = places.get(&guest.place()) else {
            let (pointer, advice) = if guest.place() == NO_PLACE {
                (format!("/guests/{index}"), "has no place: the list names every place that is expected")
            } else {
                (at("position"), "is no place of the booking; GET …/guests lists them")
            };
            errors.push(FieldError::new(pointer, "unknown_place", advice));
            continue;
        };
        if !named.insert(guest.place()) {
            errors.push(FieldError::new(at("position"), "named_twice", "name each place once"));
        }
        let minimum = inventory.room_type(&place.stay.room_type_id).and_then(|room_type| room_type.minimum_age);
        let age = guest.birth_date.map(|born| place.stay.arrival.years_since(born).unwrap_or(0));
        if let (Some(minimum), Some(age)) = (minimum, age)
            && age < u32::from(minimum)
        {
            let advice = format!("the room type is for guests of {minimum} years or more on arrival");
            errors.push(FieldError::new(at("birth_date"), "too_young", advice));
        }
        if !by_staff && place.progress != PlaceProgress::Expected && place.guest != Some(guest) {
            errors.push(FieldError::new(at("position"), "staff_only", ARRIVED));
        }
    }
    let is_kept = |guest: &PlaceGuest| {
        let progress = places.get(&guest.place()).map(|place| place.progress);
        named.contains(&guest.place()) || progress == Some(PlaceProgress::Expected)
    };
    if !by_staff && !booking.rooming_list.iter().all(is_kept) {
        errors.push(FieldError::new("/guests", "staff_only", ARRIVED));
    }
    errors
}

/// What is left to staff.
const ARRIVED: &str = "guests who have arrived, left or did not come are changed by the property's staff";
