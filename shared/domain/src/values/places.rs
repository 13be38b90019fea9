//! Places: one guest in one bed for the nights of a stay, across the moves of its guests.

use super::stay::Stay;
use crate::ids::BedId;
use chrono::NaiveDate;

impl Stay {
    /// The bed of each place on this night, by position. A place is where a guest sleeps: position `i` lies in the
    /// `i`th assigned bed; on nights before a move, in the bed that the same guest had then.
    pub fn places(&self, night: NaiveDate) -> Vec<Option<&BedId>> {
        let count = usize::try_from(self.guests).unwrap_or(0);
        let mut beds = self.assigned_beds.as_slice();
        let mut at: Vec<Option<usize>> =
            (0..count).map(|place| Some(place).filter(|place| *place < beds.len())).collect();
        for earlier in self.earlier_beds.iter().rev().take_while(|earlier| night < earlier.until) {
            let before = matched(beds, &earlier.beds);
            at.iter_mut().for_each(|place| *place = place.and_then(|place| before[place]));
            beds = &earlier.beds;
        }
        at.into_iter().map(|place| place.and_then(|place| beds.get(place))).collect()
    }

    /// The nearest of its nights.
    pub fn night_nearest(&self, day: NaiveDate) -> NaiveDate {
        let last = self.departure.pred_opt().unwrap_or(self.departure);
        day.clamp(self.arrival, last.max(self.arrival))
    }
}

/// For each bed, where its guest lies in the `other` ones: in the same bed, or else in those that are new, in order.
/// The other way round, it is the same.
pub(super) fn matched(beds: &[BedId], other: &[BedId]) -> Vec<Option<usize>> {
    let mut entered = (0..other.len()).filter(|place| !beds.contains(&other[*place]));
    let stays = |bed: &BedId| other.iter().position(|one| one == bed);
    beds.iter().map(|bed| stays(bed).or_else(|| entered.next())).collect()
}
