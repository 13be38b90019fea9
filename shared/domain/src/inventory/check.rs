//! Validation of an inventory as a whole. Every violation is reported, each with its place.

mod taxes;

pub use taxes::{EXEMPT_UNDER, MAX_TAXED_NIGHTS};

use super::{DormGender, HOLD_MINUTES, Inventory, RoomKind};
use crate::ids::PolicyId;
use crate::intake::{is_name, name_advice};
use crate::people::language;
use crate::values::field_error::FieldError;
use crate::values::names::Names;
use crate::values::policy::{Fee, Tier};
use crate::values::rate_plan::Deposit;
use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use taxes::check_taxes;

/// Longest id in a property, in bytes: the keys of claims are made of them.
pub const MAX_ID_BYTES: usize = 64;
/// Most beds of a property: one document and one grid hold them.
pub const MAX_BEDS: usize = 2_000;
/// Highest price of one night, in minor units, so that no sum of a booking can overflow.
pub const MAX_NIGHTLY: i64 = 1_000_000_000;
/// Longest fee deadline before arrival, in hours: a year.
pub const MAX_HOURS_BEFORE: u32 = 366 * 24;

/// The whole of an amount, in parts per million.
pub const PPM: u32 = 1_000_000;

/// Every violation of this inventory, as JSON pointers into it.
pub fn check_inventory(inventory: &Inventory) -> Vec<FieldError> {
    let mut violations = Vec::new();
    check_property(inventory, &mut violations);
    check_room_types(inventory, &mut violations);
    check_rooms(inventory, &mut violations);
    check_plans(inventory, &mut violations);
    check_policies(inventory, &mut violations);
    violations
}

fn check_property(inventory: &Inventory, violations: &mut Vec<FieldError>) {
    let property = &inventory.property;
    check_id("/property/_id", property.id.as_str(), violations);
    check_name("/property/name", &property.name, violations);
    if property.locales.is_empty() {
        violations.push(FieldError::new("/property/locales", "missing", "name at least one language, for example fr"));
    }
    if !HOLD_MINUTES.contains(&property.hold_minutes) {
        let message = format!("{} to {} minutes", HOLD_MINUTES.start(), HOLD_MINUTES.end());
        violations.push(FieldError::new("/property/hold_minutes", "out_of_range", message));
    }
    check_taxes(&property.taxes, violations);
}

fn check_room_types(inventory: &Inventory, violations: &mut Vec<FieldError>) {
    check_unique("/room_types", inventory.room_types.iter().map(|room_type| &room_type.id), violations);
    for (index, room_type) in inventory.room_types.iter().enumerate() {
        let at = |field: &str| format!("/room_types/{index}/{field}");
        check_id(&at("id"), room_type.id.as_str(), violations);
        check_name(&at("name"), &room_type.name, violations);
        check_names(&at("names"), &room_type.names, violations);
        if room_type.kind == RoomKind::Private && room_type.gender != DormGender::Mixed {
            violations.push(FieldError::new(at("gender"), "not_a_dorm", "private rooms are mixed"));
        }
        if room_type.max_group == Some(0) {
            violations.push(FieldError::new(at("max_group"), "out_of_range", "at least 1"));
        }
    }
}

fn check_rooms(inventory: &Inventory, violations: &mut Vec<FieldError>) {
    check_unique("/rooms", inventory.rooms.iter().map(|room| &room.id), violations);
    let mut beds = HashSet::new();
    for (index, room) in inventory.rooms.iter().enumerate() {
        let at = |field: &str| format!("/rooms/{index}/{field}");
        check_id(&at("id"), room.id.as_str(), violations);
        if inventory.room_type(&room.room_type_id).is_none() {
            violations.push(FieldError::new(
                at("room_type_id"),
                "unknown_room_type",
                "this property has no such room type",
            ));
        }
        if room.beds.is_empty() {
            violations.push(FieldError::new(at("beds"), "missing", "a room has at least one bed"));
        }
        for (number, bed) in room.beds.iter().enumerate() {
            let place = at(&format!("beds/{number}"));
            check_id(&place, bed.as_str(), violations);
            if !beds.insert(bed) {
                violations.push(FieldError::new(place, "duplicate", format!("bed `{bed}` is in another room, too")));
            }
        }
        for bed in room.bed_states.keys().filter(|bed| !room.beds.contains(bed)) {
            violations.push(FieldError::new(
                at(&format!("bed_states/{}", escaped(bed.as_str()))),
                "unknown_bed",
                "the room has no such bed",
            ));
        }
    }
    if beds.len() > MAX_BEDS {
        violations.push(FieldError::new("/rooms", "too_many_beds", format!("at most {MAX_BEDS} beds")));
    }
}

fn check_plans(inventory: &Inventory, violations: &mut Vec<FieldError>) {
    check_unique("/rate_plans", inventory.rate_plans.iter().map(|plan| &plan.id), violations);
    for (index, plan) in inventory.rate_plans.iter().enumerate() {
        let at = |field: &str| format!("/rate_plans/{index}/{field}");
        check_id(&at("id"), plan.id.as_str(), violations);
        check_name(&at("name"), &plan.name, violations);
        check_names(&at("names"), &plan.names, violations);
        for (room_type, amount) in &plan.nightly {
            let place = at(&format!("nightly/{}", escaped(room_type.as_str())));
            if inventory.room_type(room_type).is_none() {
                violations.push(FieldError::new(&place, "unknown_room_type", "this property has no such room type"));
            }
            if !(0..=MAX_NIGHTLY).contains(amount) {
                violations.push(FieldError::new(place, "out_of_range", format!("0 to {MAX_NIGHTLY} minor units")));
            }
        }
        if let Some(Deposit::Percent { ppm }) = plan.deposit
            && !(1..=PPM).contains(&ppm)
        {
            violations.push(FieldError::new(at("deposit/ppm"), "out_of_range", "1 to 1000000, which is 100 %"));
        }
        let known = |id: &PolicyId| inventory.cancellation_policies.iter().any(|policy| policy.id == *id);
        if plan.cancellation_policy_id.as_ref().is_some_and(|id| !known(id)) {
            violations.push(FieldError::new(
                at("cancellation_policy_id"),
                "unknown_policy",
                "this property has no such cancellation policy",
            ));
        }
    }
}

fn check_policies(inventory: &Inventory, violations: &mut Vec<FieldError>) {
    check_unique("/cancellation_policies", inventory.cancellation_policies.iter().map(|policy| &policy.id), violations);
    for (index, policy) in inventory.cancellation_policies.iter().enumerate() {
        let at = |field: &str| format!("/cancellation_policies/{index}/{field}");
        check_id(&at("id"), policy.id.as_str(), violations);
        check_name(&at("name"), &policy.name, violations);
        check_names(&at("names"), &policy.names, violations);
        violations.extend(check_tiers(&policy.tiers, &at("tiers")));
        if policy.free_changes_hours_before.is_some_and(|hours| hours > MAX_HOURS_BEFORE) {
            violations.push(hours_out_of_range(at("free_changes_hours_before")));
        }
    }
}

fn hours_out_of_range(at: String) -> FieldError {
    FieldError::new(at, "out_of_range", format!("at most {MAX_HOURS_BEFORE} hours"))
}

/// Every violation of the tiers of a policy, below the pointer `at`.
pub fn check_tiers(tiers: &[Tier], at: &str) -> Vec<FieldError> {
    let mut violations = Vec::new();
    for (index, tier) in tiers.iter().enumerate() {
        let place = |field: &str| format!("{at}/{index}/{field}");
        if tier.hours_before > MAX_HOURS_BEFORE {
            violations.push(hours_out_of_range(place("hours_before")));
        }
        if index > 0 && tiers[index - 1].hours_before <= tier.hours_before {
            violations.push(FieldError::new(
                place("hours_before"),
                "not_in_order",
                "from the longest time before arrival to the shortest",
            ));
        }
        let sound = match tier.fee {
            Fee::Fixed { amount } => (0..=MAX_NIGHTLY).contains(&amount),
            Fee::Percent { ppm } => ppm <= PPM,
            Fee::Nights { count } => count >= 1,
        };
        if !sound {
            violations.push(FieldError::new(
                place("fee"),
                "out_of_range",
                "an amount of at least 0, at most 1000000 ppm, or at least 1 night",
            ));
        }
    }
    violations
}

/// `|` would make keys of claims ambiguous; the rest keeps ids fit for URLs and headers.
fn check_id(at: &str, id: &str, violations: &mut Vec<FieldError>) {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.chars().all(letter) {
        violations.push(FieldError::new(
            at,
            "invalid_id",
            format!("1 to {MAX_ID_BYTES} letters, digits, hyphens, underscores or dots"),
        ));
    }
}

fn check_name(at: &str, name: &str, violations: &mut Vec<FieldError>) {
    if !is_name(name) {
        violations.push(FieldError::new(at, "invalid_name", name_advice()));
    }
}

/// Names by language: each under a tag as it is usually written.
fn check_names(at: &str, names: &Names, violations: &mut Vec<FieldError>) {
    for (tag, name) in &names.0 {
        let place = format!("{at}/{}", escaped(tag));
        if language::parse(tag).as_ref() != Some(tag) {
            violations.push(FieldError::new(&place, "invalid_locale", "a language tag such as fr, en-CA or zh-Hant"));
        }
        check_name(&place, name, violations);
    }
}

fn check_unique<'a, T: Eq + Hash + Display + 'a>(
    at: &str,
    ids: impl Iterator<Item = &'a T>,
    violations: &mut Vec<FieldError>,
) {
    let mut seen = HashSet::new();
    for (index, id) in ids.enumerate() {
        if !seen.insert(id) {
            violations.push(FieldError::new(format!("{at}/{index}/id"), "duplicate", format!("`{id}` is used before")));
        }
    }
}

/// A name as a token of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::check_inventory;
    use crate::fixtures::sample_inventory;
    use crate::inventory::{DormGender, Room};
    use crate::values::policy::{CancellationPolicy, Fee, Tier};
    use crate::values::rate_plan::Deposit;

    #[test]
    fn sample_inventories_are_valid() {
        assert_eq!(check_inventory(&sample_inventory()), []);
        assert_eq!(check_inventory(&crate::demo::inventory()), []);
    }

    #[test]
    fn all_violations_are_reported_at_once() {
        let mut inventory = sample_inventory();
        inventory.property.hold_minutes = 0;
        inventory.property.taxes.swap(0, 1);
        inventory.room_types[1].gender = DormGender::Female;
        inventory.room_types[0].name = " ".to_owned();
        inventory.rooms.push(Room::new("a", "castle", vec!["a-1".into(), "x|y".into()]));
        inventory.rooms[0].bed_states.insert("ghost/1".into(), Default::default());
        inventory.rate_plans[0].nightly.insert("castle".into(), -1);
        inventory.rate_plans[0].deposit = Some(Deposit::Percent { ppm: 0 });
        inventory.rate_plans[0].cancellation_policy_id = Some("none".into());
        let tier = |hours_before| Tier { hours_before, fee: Fee::Percent { ppm: 2_000_000 } };
        inventory.cancellation_policies =
            vec![CancellationPolicy { tiers: vec![tier(24), tier(48)], ..CancellationPolicy::standard() }];
        let found: Vec<(String, &str)> =
            check_inventory(&inventory).into_iter().map(|violation| (violation.pointer, violation.code)).collect();
        let expected = [
            ("/property/hold_minutes", "out_of_range"),
            ("/property/taxes/0/compounds_on", "unknown_tax"),
            ("/room_types/0/name", "invalid_name"),
            ("/room_types/1/gender", "not_a_dorm"),
            ("/rooms/4/id", "duplicate"),
            ("/rooms/0/bed_states/ghost~11", "unknown_bed"),
            ("/rooms/4/room_type_id", "unknown_room_type"),
            ("/rooms/4/beds/0", "duplicate"),
            ("/rooms/4/beds/1", "invalid_id"),
            ("/rate_plans/0/nightly/castle", "unknown_room_type"),
            ("/rate_plans/0/nightly/castle", "out_of_range"),
            ("/rate_plans/0/deposit/ppm", "out_of_range"),
            ("/rate_plans/0/cancellation_policy_id", "unknown_policy"),
            ("/cancellation_policies/0/tiers/0/fee", "out_of_range"),
            ("/cancellation_policies/0/tiers/1/hours_before", "not_in_order"),
            ("/cancellation_policies/0/tiers/1/fee", "out_of_range"),
        ];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }
}
