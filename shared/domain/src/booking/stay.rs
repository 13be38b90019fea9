//! Stays: what is asked for, what was sold, and which beds are assigned.

use crate::ids::{BedId, RoomTypeId};
use crate::nights::Nights;
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

/// What the guests of a stay say about themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyGender {
    /// All are women.
    Female,
    /// All are men.
    Male,
    /// Neither.
    Mixed,
}

impl PartyGender {
    /// Every choice with its wire name.
    pub const ALL: [(&'static str, Self); 3] = [("female", Self::Female), ("male", Self::Male), ("mixed", Self::Mixed)];
}

/// A stay as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayRequest {
    /// What is wanted.
    pub room_type_id: RoomTypeId,
    /// First night.
    pub arrival: NaiveDate,
    /// Morning of departure.
    pub departure: NaiveDate,
    /// Guests in this stay.
    pub guests: u32,
    /// Who they are, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<PartyGender>,
    /// Age in years of the youngest, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub youngest_age: Option<u8>,
}

impl StayRequest {
    /// A stay of guests who said nothing of themselves.
    pub fn new(room_type_id: impl Into<RoomTypeId>, arrival: NaiveDate, departure: NaiveDate, guests: u32) -> Self {
        Self { room_type_id: room_type_id.into(), arrival, departure, guests, gender: None, youngest_age: None }
    }

    /// Its nights.
    pub fn nights(&self) -> Nights {
        Nights::new(self.arrival, self.departure)
    }
}

/// The beds of a stay before the guests were moved in the middle of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierBeds {
    /// First night that was not spent in them.
    pub until: NaiveDate,
    /// The beds.
    pub beds: Vec<BedId>,
}

/// A stay of a booking. What was sold and what is assigned are kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// What was asked for and sold.
    pub room_type_id: RoomTypeId,
    /// First night.
    pub arrival: NaiveDate,
    /// Morning of departure.
    pub departure: NaiveDate,
    /// Guests in this stay.
    pub guests: u32,
    /// The beds, the same on every night that [`Self::earlier_beds`] does not tell of; empty before any were assigned.
    /// A booking that no longer holds beds keeps the last ones as a record.
    pub assigned_beds: Vec<BedId>,
    /// Beds of the nights before guests in the house were moved, oldest first; almost always empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_beds: Vec<EarlierBeds>,
    /// Staff promised these beds: they are not moved to make room for others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// Who the guests are, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<PartyGender>,
    /// Age in years of the youngest guest, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub youngest_age: Option<u8>,
}

impl Stay {
    /// The stay that was asked for, in these beds.
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

    /// What would have to be asked for to get this stay.
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

    /// Puts the guests into other beds from `night` on; what was slept before stays as it was.
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
