//! Ids of the stays of a booking. Indexes shift when a stay is dropped or its guests do not arrive; ids do not.
//!
//! Stored, a stay whose id is its index has none, so that most documents say nothing about ids. While a command is
//! decided every stay has one.

use super::{Absence, Booking, Stay};

impl Booking {
    /// Gives every stay the id that its index stands for, before stays change places.
    pub fn number_stays(&mut self) {
        number(&mut self.stays);
        if let Some(pending) = &mut self.pending_change {
            number(&mut pending.stays);
        }
        // Of bookings from before there were ids.
        for index in 0..self.no_shows.len() {
            if self.no_shows[index].stay.id.is_none() {
                let id = self.next_stay_id();
                self.no_shows[index].stay.id = Some(id);
            }
        }
    }

    /// This booking with an id in every stay.
    #[must_use]
    pub fn with_numbered_stays(mut self) -> Self {
        self.number_stays();
        self
    }

    /// Its stays, each with its id.
    pub fn numbered_stays(&self) -> Vec<Stay> {
        numbered(&self.stays)
    }

    /// The stays of guests who did not arrive, each with its id.
    pub fn absent_stays(&self) -> Vec<Stay> {
        let absent = self.all_stays().into_iter().filter(|(.., is_absent)| *is_absent);
        absent.map(|(id, stay, _)| Stay { id: Some(id), ..stay.clone() }).collect()
    }

    /// Every stay with its id, and whether its guests did not arrive while others did.
    pub(super) fn all_stays(&self) -> Vec<(u32, &Stay, bool)> {
        let mut next = self.given_stay_ids();
        let mut all: Vec<(u32, &Stay, bool)> =
            self.stays.iter().enumerate().map(|(index, stay)| (stay_id(&self.stays, index), stay, false)).collect();
        for Absence { stay, .. } in &self.no_shows {
            all.push((stay.id.unwrap_or(next), stay, true));
            next += u32::from(stay.id.is_none());
        }
        all
    }

    /// The index of the stay with this id.
    pub fn index_of_stay(&self, id: u32) -> Option<usize> {
        (0..self.stays.len()).find(|index| stay_id(&self.stays, *index) == id)
    }

    /// The index of the stay that a command names by index, by id, or by both alike.
    pub fn named_stay(&self, index: Option<usize>, id: Option<u32>) -> Option<usize> {
        let by_id = id.map(|id| self.index_of_stay(id));
        let by_index = index.map(|index| Some(index).filter(|index| *index < self.stays.len()));
        match (by_id, by_index) {
            (Some(one), Some(other)) => one.filter(|_| one == other),
            (one, other) => one.or(other)?,
        }
    }

    /// Keeps count of the ids of all stays, also of those that are about to go.
    pub(crate) fn keep_stay_ids(&mut self) {
        self.stay_ids = self.given_stay_ids();
    }

    /// Gives ids to the stays that were added to those of `before`.
    pub(crate) fn number_added_stays(&mut self, before: &Self) {
        self.stay_ids = before.given_stay_ids();
        for index in 0..self.stays.len() {
            if self.stays[index].id.is_none() {
                self.stays[index].id = Some(self.stay_ids);
                self.stay_ids = self.stay_ids.saturating_add(1);
            }
        }
    }

    /// An id that no stay of this booking has or had.
    pub(crate) fn next_stay_id(&mut self) -> u32 {
        let id = self.given_stay_ids();
        self.stay_ids = id.saturating_add(1);
        id
    }

    /// Leaves out what indexes say, and keeps count of ids whose stays are gone since `before`.
    pub(crate) fn settle_stay_ids(&mut self, before: Option<&Self>) {
        let given = self.given_stay_ids().max(before.map_or(0, Self::given_stay_ids));
        self.stay_ids = 0;
        if self.given_stay_ids() < given {
            self.stay_ids = given;
        }
        leave_out(&mut self.stays);
        self.pending_change.iter_mut().for_each(|pending| leave_out(&mut pending.stays));
    }

    /// How many ids were given to stays: all of them are smaller.
    fn given_stay_ids(&self) -> u32 {
        let pending = self.pending_change.as_ref().map_or(&[][..], |pending| &pending.stays);
        let ids = |stays: &[Stay]| (0..stays.len()).map(|index| stay_id(stays, index)).max();
        let absent = self.no_shows.iter().filter_map(|absence| absence.stay.id).max();
        let last = [ids(&self.stays), ids(pending), absent].into_iter().flatten().max();
        self.stay_ids.max(last.map_or(0, |last| last.saturating_add(1)))
    }
}

/// The id of the stay at `index` of all stays of a booking, or of a revision of it.
pub fn stay_id(stays: &[Stay], index: usize) -> u32 {
    let by_index = || u32::try_from(index).unwrap_or(u32::MAX);
    stays.get(index).and_then(|stay| stay.id).unwrap_or_else(by_index)
}

/// Leaves out every id that is the stay's index.
pub(crate) fn leave_out(stays: &mut [Stay]) {
    for (index, stay) in stays.iter_mut().enumerate() {
        stay.id = stay.id.filter(|id| usize::try_from(*id) != Ok(index));
    }
}

fn numbered(stays: &[Stay]) -> Vec<Stay> {
    let mut stays = stays.to_vec();
    number(&mut stays);
    stays
}

fn number(stays: &mut [Stay]) {
    for (index, stay) in stays.iter_mut().enumerate() {
        stay.id = stay.id.or_else(|| u32::try_from(index).ok());
    }
}
