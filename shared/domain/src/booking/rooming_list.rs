//! The rooming list of a booking: its places, who sleeps in them, and how names follow their beds.
//!
//! Names are kept beside the guest, not in the stays: stays are in events, and names never are.

use super::{Booking, Status, Stay, StayProgress};
use crate::ids::BedId;
use crate::values::place_guest::PlaceGuest;
use crate::wire_enum;
use chrono::NaiveDate;
use std::collections::{HashMap, HashSet};

wire_enum! {
    /// How far the guest of a place is.
    #[derive(Hash)]
    pub enum PlaceProgress {
        /// Has not arrived.
        Expected = "expected",
        /// Has checked in.
        CheckedIn = "checked_in",
        /// Has checked out.
        CheckedOut = "checked_out",
        /// Did not arrive.
        NoShow = "no_show",
    }
}

/// A place of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// Id of the stay.
    pub stay_id: u32,
    /// Position in the stay.
    pub position: u32,
    /// The stay.
    pub stay: &'a Stay,
    /// Its bed tonight, or on the nearest night of the stay.
    pub bed: Option<&'a BedId>,
    /// How far its guest is.
    pub progress: PlaceProgress,
    /// Who sleeps there, if known.
    pub guest: Option<&'a PlaceGuest>,
}

/// A place by its stay's id and its position.
type PlaceKey = (u32, u32);

impl Booking {
    /// Every place, also those of guests who did not arrive, by stay and position. `today` is the business day.
    pub fn places(&self, today: NaiveDate) -> Vec<Place<'_>> {
        let named: HashMap<PlaceKey, &PlaceGuest> =
            self.rooming_list.iter().map(|guest| (guest.place(), guest)).collect();
        let mut places = Vec::new();
        for (stay_id, stay, is_absent) in self.all_stays() {
            let progress = match self.progress_of(stay) {
                _ if is_absent || self.status == Status::NoShow => PlaceProgress::NoShow,
                StayProgress::Expected => PlaceProgress::Expected,
                StayProgress::CheckedIn => PlaceProgress::CheckedIn,
                StayProgress::CheckedOut => PlaceProgress::CheckedOut,
            };
            let beds = stay.places(stay.night_nearest(today));
            places.extend((0..).zip(beds).map(|(position, bed)| {
                let guest = named.get(&(stay_id, position)).copied();
                Place { stay_id, position, stay, bed, progress, guest }
            }));
        }
        places
    }

    /// The name of who sleeps in this bed of a stay on this night, if the list says so.
    pub fn sleeper(&self, stay_id: u32, bed: &BedId, night: NaiveDate) -> Option<String> {
        if self.rooming_list.is_empty() {
            return None;
        }
        let places = self.places(night);
        let place = places.iter().find(|place| place.stay_id == stay_id && place.bed == Some(bed))?;
        place.guest.map(PlaceGuest::full_name)
    }

    /// Lets the names of `before` follow their guests: in a stay that continues, each stays with its bed or follows to
    /// the new one; guests who were parted off are in the stay that has their bed. Names of places that are gone are
    /// dropped. A list that was itself changed stays as it is.
    pub(crate) fn carry_names(&mut self, before: &Self, today: NaiveDate) {
        if before.rooming_list.is_empty() || self.rooming_list != before.rooming_list || self.stays == before.stays {
            return;
        }
        let targets = self.followed_from(before, today);
        let mut names: Vec<PlaceGuest> = before
            .rooming_list
            .iter()
            .filter_map(|guest| {
                let (stay_id, position) = *targets.get(&guest.place())?;
                Some(PlaceGuest { stay_id, position, ..guest.clone() })
            })
            .collect();
        names.sort_by_key(PlaceGuest::place);
        self.rooming_list = names;
    }

    /// Where the guest of each place of `before` is now.
    fn followed_from(&self, before: &Self, today: NaiveDate) -> HashMap<PlaceKey, PlaceKey> {
        let (were, are) = (before.all_stays(), self.all_stays());
        let known: HashSet<u32> = were.iter().map(|(id, ..)| *id).collect();
        let added: Vec<(u32, &Stay)> =
            are.iter().filter(|(id, ..)| !known.contains(id)).map(|(id, stay, _)| (*id, *stay)).collect();
        let mut targets: HashMap<PlaceKey, PlaceKey> = HashMap::new();
        let mut taken: HashSet<PlaceKey> = HashSet::new();
        let mut waiting: Vec<(PlaceKey, bool)> = Vec::new();
        for (id, stay, _) in &were {
            let same = are.iter().find(|(other, ..)| other == id).map(|(_, stay, _)| (*id, *stay));
            let mut left: Vec<PlaceKey> = Vec::new();
            let mut follow = |place: PlaceKey, lies: Option<PlaceKey>| {
                let target = lies.filter(|target| taken.insert(*target));
                target.is_some_and(|target| targets.insert(place, target).is_none())
            };
            for position in 0..stay.guests {
                let lies = same.and_then(|other| same_bed(stay, position, other, today));
                if !follow((*id, position), lies) {
                    left.push((*id, position));
                }
            }
            // As many as the stay lost may be in stays that were added; the others moved within theirs.
            let mut lost = stay.guests.saturating_sub(same.map_or(0, |(_, other)| other.guests));
            left.retain(|place| {
                let mut nearby = added.iter().filter(|(_, other)| lost > 0 && shared_nights(stay, other).is_some());
                let lies = nearby.find_map(|other| same_bed(stay, place.1, *other, today));
                let is_found = follow(*place, lies);
                lost -= u32::from(is_found);
                !is_found
            });
            // Those who moved within their stay take the beds that are new in it, in order.
            let free = same.iter().flat_map(|(id, stay)| (0..stay.guests).map(|position| (*id, position)));
            let free: Vec<PlaceKey> = free.filter(|place| !taken.contains(place)).collect();
            let mut free = free.into_iter();
            let in_house = before.progress_of(stay) == StayProgress::CheckedIn;
            for place in left {
                match free.next() {
                    Some(target) => {
                        taken.insert(target);
                        targets.insert(place, target);
                    }
                    None => waiting.push((place, in_house)),
                }
            }
        }
        // Guests in house who moved to a stay that was added, or were parted off before they slept in a bed.
        let is_entered = |stay: &Stay| stay.part_of.is_some() || self.progress_of(stay) == StayProgress::CheckedIn;
        let entered = added.iter().filter(|(_, stay)| is_entered(stay));
        let entered = entered.flat_map(|(id, stay)| (0..stay.guests).map(|position| (*id, position)));
        let mut entered = entered.filter(|place| !taken.contains(place)).collect::<Vec<_>>().into_iter();
        for (place, _) in waiting.into_iter().filter(|(_, in_house)| *in_house) {
            if let Some(target) = entered.next() {
                targets.insert(place, target);
            }
        }
        targets
    }
}

/// The first and the last night of both stays.
fn shared_nights(one: &Stay, other: &Stay) -> Option<(NaiveDate, NaiveDate)> {
    let first = one.arrival.max(other.arrival);
    let last = one.departure.min(other.departure).pred_opt()?;
    (first <= last).then_some((first, last))
}

/// The place in another stay that has the bed of this one, on the night of both that is nearest.
fn same_bed(stay: &Stay, position: u32, (id, other): (u32, &Stay), today: NaiveDate) -> Option<PlaceKey> {
    let (night, then) = match shared_nights(stay, other) {
        Some((first, last)) => (today.clamp(first, last), today.clamp(first, last)),
        None => (stay.night_nearest(today), other.night_nearest(today)),
    };
    let bed = (*stay.places(night).get(usize::try_from(position).ok()?)?)?;
    let found = other.places(then).iter().position(|one| *one == Some(bed))?;
    Some((id, u32::try_from(found).ok()?))
}
