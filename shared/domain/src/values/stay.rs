//! Stays: what is requested, what was sold, and which beds are assigned.

use crate::ids::{BedId, RoomTypeId};
use crate::nights::Nights;
use crate::wire_enum;
use chrono::{Days, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

wire_enum! {
    /// Gender of the guests of a stay, as they declared it.
    pub enum PartyGender {
        /// All are women.
        Female = "female",
        /// All are men.
        Male = "male",
        /// Neither.
        Mixed = "mixed",
    }
}

/// A stay as requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StayRequest {
    /// Room type.
    pub room_type_id: RoomTypeId,
    /// First night.
    pub arrival: NaiveDate,
    /// Morning of departure.
    pub departure: NaiveDate,
    /// Guests in this stay.
    #[schemars(range(min = 1))]
    pub guests: u32,
    /// Gender, if declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<PartyGender>,
    /// Age in years of the youngest, if declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub youngest_age: Option<u8>,
}

impl StayRequest {
    /// A stay without declared gender or age.
    pub fn new(room_type_id: impl Into<RoomTypeId>, arrival: NaiveDate, departure: NaiveDate, guests: u32) -> Self {
        Self { room_type_id: room_type_id.into(), arrival, departure, guests, gender: None, youngest_age: None }
    }

    /// Its nights.
    pub fn nights(&self) -> Nights {
        Nights::new(self.arrival, self.departure)
    }
}

/// The beds of a stay before its guests were moved during it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierBeds {
    /// First night not spent in them.
    pub until: NaiveDate,
    /// The beds.
    pub beds: Vec<BedId>,
}

/// A stay of a booking: the room type that was sold, and the assigned beds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stay {
    /// The room type that was sold.
    pub room_type_id: RoomTypeId,
    /// First night.
    pub arrival: NaiveDate,
    /// Morning of departure.
    pub departure: NaiveDate,
    /// Guests in this stay.
    #[schemars(range(min = 1))]
    pub guests: u32,
    /// The assigned beds, except for nights in `earlier_beds`. Empty before assignment; kept as a record once the beds
    /// are released.
    pub assigned_beds: Vec<BedId>,
    /// Beds of the nights before a move during the stay, oldest first; almost always empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_beds: Vec<EarlierBeds>,
    /// Pinned by staff: the stay is never reassigned to make room for others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// Gender of the guests, if declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<PartyGender>,
    /// Age in years of the youngest guest, if declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub youngest_age: Option<u8>,
}

impl Stay {
    /// The requested stay in these beds.
    pub fn of(requested: &StayRequest, assigned_beds: Vec<BedId>) -> Self {
        Self {
            room_type_id: requested.room_type_id.clone(),
            arrival: requested.arrival,
            departure: requested.departure,
            guests: requested.guests,
            assigned_beds,
            earlier_beds: Vec::new(),
            locked: false,
            gender: requested.gender,
            youngest_age: requested.youngest_age,
        }
    }

    /// The request that would yield this stay.
    pub fn as_request(&self) -> StayRequest {
        StayRequest {
            room_type_id: self.room_type_id.clone(),
            arrival: self.arrival,
            departure: self.departure,
            guests: self.guests,
            gender: self.gender,
            youngest_age: self.youngest_age,
        }
    }

    /// Its nights.
    pub fn nights(&self) -> Nights {
        Nights::new(self.arrival, self.departure)
    }

    /// The beds of one of its nights.
    pub fn beds_on(&self, night: NaiveDate) -> &[BedId] {
        self.earlier_beds
            .iter()
            .find(|earlier| night < earlier.until)
            .map_or(self.assigned_beds.as_slice(), |earlier| earlier.beds.as_slice())
    }

    /// Every assigned bed on every night.
    pub fn bed_nights(&self) -> impl Iterator<Item = (&BedId, NaiveDate)> {
        self.nights().iter().flat_map(move |night| self.beds_on(night).iter().map(move |bed| (bed, night)))
    }

    /// Moves the guests to other beds from `night` on; earlier nights keep theirs.
    pub fn move_to(&mut self, beds: Vec<BedId>, night: NaiveDate) {
        if beds == self.assigned_beds {
            return;
        }
        let slept = night.checked_sub_days(Days::new(1)).map(|last| self.beds_on(last).to_vec()).unwrap_or_default();
        self.assigned_beds = beds;
        self.earlier_beds.retain(|earlier| earlier.until < night);
        if night > self.arrival && !slept.is_empty() {
            self.earlier_beds.push(EarlierBeds { until: night, beds: slept });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Stay, StayRequest};
    use crate::fixtures::date;

    #[test]
    fn moved_guest_has_nights_in_both_beds() {
        let mut stay = Stay::of(&StayRequest::new("dorm", date("2027-01-10"), date("2027-01-14"), 1), vec!["a".into()]);
        stay.move_to(vec!["b".into()], date("2027-01-12"));
        stay.move_to(vec!["c".into()], date("2027-01-13"));
        let slept: Vec<&str> = stay.bed_nights().map(|(bed, _)| bed.as_str()).collect();
        assert_eq!(slept, ["a", "a", "b", "c"]);
        stay.move_to(vec!["d".into()], date("2027-01-10"));
        assert_eq!(stay.bed_nights().filter(|(bed, _)| bed.as_str() == "d").count(), 4);
    }

    #[test]
    fn two_moves_on_one_day_count_once() {
        let mut stay = Stay::of(&StayRequest::new("dorm", date("2027-01-10"), date("2027-01-13"), 1), vec!["a".into()]);
        stay.move_to(vec!["b".into()], date("2027-01-11"));
        stay.move_to(vec!["c".into()], date("2027-01-11"));
        let slept: Vec<&str> = stay.bed_nights().map(|(bed, _)| bed.as_str()).collect();
        assert_eq!(slept, ["a", "c", "c"]);
    }
}
