//! Progress of the guests of a booking, stay by stay, and the status that follows from it.

use super::{Booking, Status, Stay, StayProgress, stay_id};
use crate::ids::BedId;
use chrono::NaiveDate;

impl Stay {
    /// How far its guests are, in a booking of this status.
    pub fn progress_in(&self, status: Status) -> StayProgress {
        self.progress.unwrap_or(match status {
            Status::CheckedIn => StayProgress::CheckedIn,
            Status::CheckedOut => StayProgress::CheckedOut,
            _ => StayProgress::Expected,
        })
    }
}

impl Booking {
    /// How far the guests of this stay are.
    pub fn progress_of(&self, stay: &Stay) -> StayProgress {
        stay.progress_in(self.status)
    }

    /// Records how far the guests of these stays are. Returns the status that follows for the booking: checked in as
    /// long as one stay is, or as long as some have left and others are expected.
    pub(crate) fn set_progress(&mut self, stays: &[usize], progress: StayProgress) -> Status {
        let all: Vec<StayProgress> = self
            .stays
            .iter()
            .enumerate()
            .map(|(index, stay)| if stays.contains(&index) { progress } else { self.progress_of(stay) })
            .collect();
        let has = |one: StayProgress| all.contains(&one);
        let are_equal = all.iter().all(|one| Some(one) == all.first());
        for (stay, one) in self.stays.iter_mut().zip(&all) {
            stay.progress = (!are_equal).then_some(*one);
        }
        match (has(StayProgress::CheckedIn), has(StayProgress::CheckedOut), has(StayProgress::Expected)) {
            (true, _, _) | (false, true, true) => Status::CheckedIn,
            (false, true, false) => Status::CheckedOut,
            (false, false, _) => Status::Confirmed,
        }
    }

    /// Parts the guests who are in `beds` on `night` off a stay by the bed. They are the last stay from then on; the
    /// price of each night is divided by guests, the remainder stays with the others. Returns the index of their stay.
    pub(crate) fn part_off(&mut self, index: usize, beds: &[BedId], night: NaiveDate) -> Option<usize> {
        let id = stay_id(&self.stays, index);
        let stay = self.stays.get_mut(index)?;
        stay.part_of = stay.part_of.or(Some(id));
        let all = i64::from(stay.guests.max(1));
        let parted = stay.part_off(beds, night);
        if let Some(price) = &mut self.price
            && let Some(amounts) = price.nights.get_mut(index)
        {
            let share = |amount: &i64| i128::from(*amount) * i128::from(parted.guests) / i128::from(all);
            let shares: Vec<i64> = amounts.iter().map(|amount| i64::try_from(share(amount)).unwrap_or(0)).collect();
            amounts.iter_mut().zip(&shares).for_each(|(amount, share)| *amount -= share);
            price.nights.push(shares);
        }
        let id = Some(self.next_stay_id());
        self.stays.push(Stay { id, ..parted });
        Some(self.stays.len() - 1)
    }
}
