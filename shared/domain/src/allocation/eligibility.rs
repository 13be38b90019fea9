//! Eligibility of guests for room types: gender, age and group size.

use crate::booking::{PartyGender, Rejection, StayRequest};
use crate::inventory::{DormGender, Inventory};

/// Checks whether these guests may book these room types, whatever is free.
///
/// Undeclared gender and age are accepted: staff check them at the front desk.
///
/// # Errors
/// [`Rejection::Gender`], [`Rejection::Age`], or [`Rejection::OverCapacity`] for a group that is too large for its
/// type.
pub fn check_party(inventory: &Inventory, stays: &[StayRequest]) -> Result<(), Rejection> {
    for stay in stays {
        // Unknown room types are reported by the allocation.
        let Some(room_type) = inventory.room_type(&stay.room_type_id) else { continue };
        let welcome = match (room_type.gender, stay.gender) {
            (DormGender::Mixed, _) | (_, None) => true,
            (DormGender::Female, Some(gender)) => gender == PartyGender::Female,
            (DormGender::Male, Some(gender)) => gender == PartyGender::Male,
        };
        if !welcome {
            return Err(Rejection::Gender);
        }
        if room_type.minimum_age.zip(stay.youngest()).is_some_and(|(minimum, youngest)| youngest < minimum) {
            return Err(Rejection::Age);
        }
        let group: u64 =
            stays.iter().filter(|other| other.room_type_id == room_type.id).map(|other| u64::from(other.guests)).sum();
        if room_type.max_group.is_some_and(|most| group > u64::from(most)) {
            return Err(Rejection::OverCapacity);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_party;
    use crate::booking::{PartyGender, Rejection, StayRequest};
    use crate::fixtures::{sample_inventory, stay};
    use crate::inventory::{DormGender, Inventory};

    fn inventory() -> Inventory {
        let mut inventory = sample_inventory();
        (inventory.room_types[0].gender, inventory.room_types[0].minimum_age, inventory.room_types[0].max_group) =
            (DormGender::Female, Some(18), Some(4));
        inventory
    }

    fn requested(gender: Option<PartyGender>, youngest_age: Option<u8>, guests: u32) -> StayRequest {
        StayRequest { gender, youngest_age, ..stay("dorm-6-mixed", "2027-01-10", "2027-01-12", guests) }
    }

    #[test]
    fn only_declared_gender_and_age_count() {
        let inventory = inventory();
        assert_eq!(check_party(&inventory, &[requested(None, None, 2)]), Ok(()));
        assert_eq!(check_party(&inventory, &[requested(Some(PartyGender::Female), Some(18), 2)]), Ok(()));
        assert_eq!(check_party(&inventory, &[requested(Some(PartyGender::Mixed), None, 2)]), Err(Rejection::Gender));
        assert_eq!(check_party(&inventory, &[requested(Some(PartyGender::Male), None, 2)]), Err(Rejection::Gender));
        assert_eq!(check_party(&inventory, &[requested(None, Some(17), 2)]), Err(Rejection::Age));
    }

    #[test]
    fn group_size_counts_all_stays_of_a_room_type() {
        assert_eq!(check_party(&inventory(), &[requested(None, None, 2), requested(None, None, 2)]), Ok(()));
        assert_eq!(
            check_party(&inventory(), &[requested(None, None, 3), requested(None, None, 2)]),
            Err(Rejection::OverCapacity)
        );
    }
}
