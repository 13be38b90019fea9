//! Stays: what is requested, what was sold, and which beds are assigned.

use super::places::matched;
use super::tax::TaxExemption;
use crate::ids::{BedId, RoomTypeId};
use crate::nights::Nights;
use crate::wire_enum;
use chrono::{Days, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

wire_enum! {
    /// How far the guests of a stay are.
    #[derive(Hash)]
    pub enum StayProgress {
        /// They have not arrived.
        Expected = "expected",
        /// They have checked in.
        CheckedIn = "checked_in",
        /// They have checked out; the nights that they slept stay claimed.
        CheckedOut = "checked_out",
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
    /// Ages in years of guests whose age matters, such as children; the others are adults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guest_ages: Vec<u8>,
    /// Guests who are exempt from a tax for another reason than their age.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tax_exemptions: Vec<TaxExemption>,
    /// See [`Stay::part_of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u32>,
}

impl StayRequest {
    /// A stay without declared gender or age.
    pub fn new(room_type_id: impl Into<RoomTypeId>, arrival: NaiveDate, departure: NaiveDate, guests: u32) -> Self {
        Self {
            room_type_id: room_type_id.into(),
            arrival,
            departure,
            guests,
            gender: None,
            youngest_age: None,
            guest_ages: Vec::new(),
            tax_exemptions: Vec::new(),
            part_of: None,
        }
    }

    /// Whether the same is sold: to guests of whom other ages or exemptions may be declared.
    pub fn is_sold_as(&self, other: &Self) -> bool {
        let mut alike = self.clone();
        alike.youngest_age = other.youngest_age;
        alike.guest_ages.clone_from(&other.guest_ages);
        alike.tax_exemptions.clone_from(&other.tax_exemptions);
        alike == *other
    }

    /// Whether the same ages and exemptions are declared.
    pub fn declares_as(&self, other: &Self) -> bool {
        self.youngest_age == other.youngest_age
            && self.guest_ages == other.guest_ages
            && self.tax_exemptions == other.tax_exemptions
    }

    /// Age in years of the youngest guest, if any is known.
    pub fn youngest(&self) -> Option<u8> {
        self.guest_ages.iter().copied().chain(self.youngest_age).min()
    }

    /// How many guests are known to be below this age. The youngest age alone is that of one guest.
    pub fn guests_under(&self, age: u8) -> u32 {
        let youngest = self.youngest_age.filter(|_| self.guest_ages.is_empty());
        let known = self.guest_ages.iter().copied().chain(youngest).filter(|known| *known < age);
        u32::try_from(known.count()).unwrap_or(u32::MAX).min(self.guests)
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
    /// Id within its booking, never given to another stay; absent: its index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
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
    /// Ages in years of guests whose age matters, such as children; the others are adults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guest_ages: Vec<u8>,
    /// Guests who are exempt from a tax for another reason than their age.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tax_exemptions: Vec<TaxExemption>,
    /// Id of the stay that was divided by guests, in each of its parts, itself one of them: what is charged per stay is
    /// charged once for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u32>,
    /// How far its guests are; absent: as the booking's status says, because all its stays are equally far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<StayProgress>,
}

impl Stay {
    /// The requested stay in these beds.
    pub fn of(requested: &StayRequest, assigned_beds: Vec<BedId>) -> Self {
        Self {
            id: None,
            room_type_id: requested.room_type_id.clone(),
            arrival: requested.arrival,
            departure: requested.departure,
            guests: requested.guests,
            assigned_beds,
            earlier_beds: Vec::new(),
            locked: false,
            gender: requested.gender,
            youngest_age: requested.youngest_age,
            guest_ages: requested.guest_ages.clone(),
            tax_exemptions: requested.tax_exemptions.clone(),
            part_of: requested.part_of,
            progress: None,
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
            guest_ages: self.guest_ages.clone(),
            tax_exemptions: self.tax_exemptions.clone(),
            part_of: self.part_of,
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

    /// Moves the guests to other beds from `night` on; earlier nights keep theirs, later moves are cancelled.
    /// Nights of which no bed is known, such as those of guests who joined later, stay so.
    pub fn move_to(&mut self, beds: Vec<BedId>, night: NaiveDate) {
        let before = night.checked_sub_days(Days::new(1)).filter(|before| *before >= self.arrival);
        let slept = before.map(|before| self.beds_on(before).to_vec()).unwrap_or_default();
        let is_apart = before.is_some_and(|before| self.earlier_beds.iter().any(|earlier| before < earlier.until));
        self.earlier_beds.retain(|earlier| earlier.until < night);
        // The same beds in another order are not a move.
        if !slept.is_empty() && same_beds(&slept, &beds) {
            self.assigned_beds = slept;
            return;
        }
        self.assigned_beds = beds;
        if !slept.is_empty() || is_apart {
            self.earlier_beds.push(EarlierBeds { until: night, beds: slept });
        }
    }

    /// Gives up the beds of all nights before `night`, and later moves with them.
    pub(crate) fn leave_beds_until(&mut self, night: NaiveDate) {
        self.earlier_beds.clear();
        if self.departure <= night {
            self.assigned_beds.clear();
        } else if self.arrival < night {
            self.earlier_beds.push(EarlierBeds { until: night, beds: Vec::new() });
        }
    }

    /// The beds of each run of nights without a move, in their order.
    pub fn parts(&self) -> impl Iterator<Item = (Nights, &[BedId])> {
        let ends = self.earlier_beds.iter().map(|earlier| (earlier.until, earlier.beds.as_slice()));
        ends.chain([(self.departure, self.assigned_beds.as_slice())])
            .scan(self.arrival, |begin, (until, beds)| {
                let nights = Nights::new(*begin, until.min(self.departure));
                *begin = (*begin).max(until);
                Some((nights, beds))
            })
            .filter(|(nights, _)| nights.count() > 0)
    }

    /// Ends the stay on this morning. Moves that were to follow are cancelled.
    pub fn end_on(&mut self, departure: NaiveDate) {
        self.departure = departure;
        while let Some(last) = self.earlier_beds.pop_if(|last| last.until >= departure) {
            self.assigned_beds = last.beds;
        }
    }

    /// Parts off the guests who are in `beds` on `night`, with their beds of all nights: a stay of their own. The
    /// others stay here. Both keep their dates; the parted stay has no id yet.
    pub fn part_off(&mut self, beds: &[BedId], night: NaiveDate) -> Self {
        let present = self.earlier_beds.iter().take_while(|earlier| earlier.until <= night).count();
        let mut parted = Self { id: None, ..self.clone() };
        let lists = |stay: &Self| -> Vec<Vec<BedId>> {
            let earlier = stay.earlier_beds.iter().map(|earlier| earlier.beds.clone());
            earlier.chain([stay.assigned_beds.clone()]).collect()
        };
        let all = lists(self);
        let (mut own, mut theirs) = (all.clone(), all.clone());
        (theirs[present], own[present]) = divide(&all[present], beds);
        for index in present + 1..all.len() {
            let followed = followed(&all[index - 1], &all[index], &theirs[index - 1]);
            (theirs[index], own[index]) = divide(&all[index], &followed);
        }
        for index in (0..present).rev() {
            let followed = followed(&all[index + 1], &all[index], &theirs[index + 1]);
            (theirs[index], own[index]) = divide(&all[index], &followed);
        }
        parted.set_beds(theirs);
        self.set_beds(own);
        let guests = u32::try_from(beds.len()).unwrap_or(self.guests).min(self.guests);
        (parted.guests, self.guests) = (guests, self.guests - guests);
        self.divide_declared(&mut parted);
        parted
    }

    /// Divides what is declared of guests for taxes with those who are parted off: nobody knows of whom it is. The
    /// youngest stay, guests who are exempt for another reason go: so as many are exempt as before, whatever the age.
    fn divide_declared(&mut self, parted: &mut Self) {
        self.guest_ages.sort_unstable();
        let staying = usize::try_from(self.guests).unwrap_or(usize::MAX).min(self.guest_ages.len());
        parted.guest_ages = self.guest_ages.split_off(staying);
        parted.youngest_age = self.youngest_age.and(parted.guest_ages.iter().min().copied());
        // Several reasons of one tax share the guests.
        let mut room: BTreeMap<String, u32> = BTreeMap::new();
        for exemption in &mut self.tax_exemptions {
            let left = room.entry(exemption.code.clone()).or_insert(parted.guests);
            let going = exemption.guests.min(*left);
            *left -= going;
            exemption.guests -= going;
        }
        for (going, staying) in parted.tax_exemptions.iter_mut().zip(&self.tax_exemptions) {
            going.guests -= staying.guests;
        }
        self.tax_exemptions.retain(|exemption| exemption.guests > 0);
        parted.tax_exemptions.retain(|exemption| exemption.guests > 0);
    }

    /// Replaces the beds of each run of nights. Runs whose beds have become the same are one.
    fn set_beds(&mut self, mut lists: Vec<Vec<BedId>>) {
        self.assigned_beds = lists.pop().unwrap_or_default();
        for (earlier, beds) in self.earlier_beds.iter_mut().zip(lists) {
            earlier.beds = beds;
        }
        let mut next = self.assigned_beds.clone();
        let mut kept = Vec::with_capacity(self.earlier_beds.len());
        while let Some(earlier) = self.earlier_beds.pop() {
            if !same_beds(&earlier.beds, &next) {
                next.clone_from(&earlier.beds);
                kept.push(earlier);
            }
        }
        kept.reverse();
        self.earlier_beds = kept;
    }

    /// The beds in which guests who have checked in lie on the business day `today`: tonight's and, on the day of
    /// departure, last night's. None for guests who are expected or have left; whether the others have checked in is
    /// for the booking's status to say.
    pub fn occupied_beds(&self, today: NaiveDate) -> &[BedId] {
        let is_in_house = self.progress.is_none_or(|progress| progress == StayProgress::CheckedIn);
        if !is_in_house || today < self.arrival || self.departure < today {
            return &[];
        }
        self.beds_on(self.night_nearest(today))
    }
}

/// Those of the beds that are `taken`, and the others.
fn divide(beds: &[BedId], taken: &[BedId]) -> (Vec<BedId>, Vec<BedId>) {
    beds.iter().cloned().partition(|bed| taken.contains(bed))
}

/// The beds in `next` of the guests who lie in `taken`, some of the beds on the nights beside.
fn followed(beds: &[BedId], next: &[BedId], taken: &[BedId]) -> Vec<BedId> {
    let places = beds.iter().zip(matched(beds, next)).filter(|(bed, _)| taken.contains(bed));
    places.filter_map(|(_, place)| next.get(place?).cloned()).collect()
}

/// Whether these are the same beds, in any order.
pub(crate) fn same_beds(one: &[BedId], other: &[BedId]) -> bool {
    one.len() == other.len() && one.iter().all(|bed| other.contains(bed))
}

/// A move of checked-in guests to other beds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BedMove {
    /// Index of their stay right after the revision that orders it.
    pub stay: usize,
    /// Id of their stay; absent: its index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// First night in the new beds.
    pub from: NaiveDate,
    /// The beds that are left.
    pub left: Vec<BedId>,
    /// The new beds.
    pub beds: Vec<BedId>,
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
    fn youngest_age_stays_with_the_youngest() {
        let mut requested = StayRequest::new("dorm", date("2027-01-10"), date("2027-01-14"), 2);
        let mut part = |ages: &[u8]| {
            (requested.youngest_age, requested.guest_ages) = (Some(4), ages.to_vec());
            let mut stay = Stay::of(&requested, vec!["a".into(), "b".into()]);
            let parted = stay.part_off(&["b".into()], date("2027-01-10")).as_request();
            (stay.as_request().youngest(), parted.youngest())
        };
        assert_eq!(part(&[4]), (Some(4), None), "the parent is no child");
        assert_eq!(part(&[9, 4]), (Some(4), Some(9)));
        assert_eq!(part(&[]), (Some(4), None), "the youngest stay");
    }

    #[test]
    fn two_moves_on_one_day_count_once() {
        let mut stay = Stay::of(&StayRequest::new("dorm", date("2027-01-10"), date("2027-01-13"), 1), vec!["a".into()]);
        stay.move_to(vec!["b".into()], date("2027-01-11"));
        stay.move_to(vec!["c".into()], date("2027-01-11"));
        let slept: Vec<&str> = stay.bed_nights().map(|(bed, _)| bed.as_str()).collect();
        assert_eq!(slept, ["a", "c", "c"]);
    }

    #[test]
    fn guest_that_joined_later_and_moves_has_no_bed_before() {
        let (first, second) = (date("2027-01-10"), date("2027-01-12"));
        let mut stay = Stay::of(&StayRequest::new("dorm", first, date("2027-01-14"), 1), vec!["a".into()]);
        stay.guests = 2;
        stay.move_to(vec!["a".into(), "b".into()], second);
        let mut joined = stay.part_off(&["b".into()], second);
        joined.move_to(vec!["c".into()], second);
        let slept: Vec<_> = joined.bed_nights().map(|(bed, night)| (bed.as_str(), night)).collect();
        assert_eq!(slept, [("c", second), ("c", date("2027-01-13"))]);
        let mut moved_again = joined.clone();
        moved_again.move_to(vec!["b".into()], date("2027-01-13"));
        assert_eq!(moved_again.bed_nights().count(), 2);
    }

    #[test]
    fn planned_move_is_cancelled_by_another_one_and_by_departure() {
        let stay = || {
            let mut stay =
                Stay::of(&StayRequest::new("dorm", date("2027-01-10"), date("2027-01-14"), 1), vec!["a".into()]);
            stay.move_to(vec!["b".into()], date("2027-01-13"));
            stay
        };
        let slept = |stay: &Stay| stay.bed_nights().map(|(bed, _)| bed.to_string()).collect::<String>();
        assert_eq!(slept(&stay()), "aaab");
        let mut sooner = stay();
        sooner.move_to(vec!["b".into()], date("2027-01-12"));
        assert_eq!(slept(&sooner), "aabb");
        let mut cancelled = stay();
        cancelled.move_to(vec!["a".into()], date("2027-01-12"));
        assert_eq!((slept(&cancelled), cancelled.earlier_beds.len()), ("aaaa".to_owned(), 0));
        let mut left = stay();
        left.end_on(date("2027-01-13"));
        assert_eq!(
            (slept(&left), left.assigned_beds, left.earlier_beds.len()),
            ("aaa".to_owned(), vec!["a".into()], 0)
        );
    }

    #[test]
    fn guests_lie_in_last_nights_beds_until_they_leave() {
        let mut stay = Stay::of(&StayRequest::new("dorm", date("2027-01-10"), date("2027-01-12"), 1), vec!["a".into()]);
        stay.move_to(vec!["b".into()], date("2027-01-11"));
        let lies = |day: &str| stay.occupied_beds(date(day)).iter().map(ToString::to_string).collect::<String>();
        assert_eq!(["09", "10", "11", "12", "13"].map(|day| lies(&format!("2027-01-{day}"))), ["", "a", "b", "b", ""]);
    }
}
