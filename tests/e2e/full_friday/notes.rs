//! Beds and nights of every guest, kept by hand from what the steps say.

use chrono::{Days, NaiveDate};
use std::collections::BTreeMap;

/// How far a guest is, as the API names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Expected,
    InHouse,
    Left,
}

impl Progress {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::InHouse => "checked_in",
            Self::Left => "checked_out",
        }
    }
}

/// One guest, with a bed for every night. In a private room there is one for every bed.
#[derive(Debug, Clone)]
struct Place {
    booking: &'static str,
    stay: usize,
    nights: BTreeMap<NaiveDate, String>,
    progress: Progress,
}

/// The sheet of paper on which the receptionist notes beds and nights.
#[derive(Debug, Default)]
pub(super) struct Notes {
    places: Vec<Place>,
}

impl Notes {
    /// A booking that is new, or whose beds were changed for another one, as it was answered: stay by stay, beds by
    /// night.
    pub(super) fn note(&mut self, booking: &'static str, stays: &[Vec<BTreeMap<NaiveDate, String>>]) {
        self.forget(booking);
        for (stay, places) in stays.iter().enumerate() {
            let place =
                |nights: &BTreeMap<_, _>| Place { booking, stay, nights: nights.clone(), progress: Progress::Expected };
            self.places.extend(places.iter().map(place));
        }
    }

    pub(super) fn forget(&mut self, booking: &str) {
        self.places.retain(|place| place.booking != booking);
    }

    fn of<'n>(&'n mut self, booking: &'n str, stay: usize) -> impl Iterator<Item = &'n mut Place> {
        self.places.iter_mut().filter(move |place| (place.booking, place.stay) == (booking, stay))
    }

    /// From this night on, the guests of a stay sleep in these beds.
    pub(super) fn assign(&mut self, booking: &str, stay: usize, from: NaiveDate, beds: &[&str]) {
        for (place, bed) in self.of(booking, stay).zip(beds) {
            place.nights.range_mut(from..).for_each(|(_, present)| (*bed).clone_into(present));
        }
    }

    /// These guests of a stay, or all, are now so far. A part becomes a stay of its own.
    pub(super) fn advance(&mut self, booking: &str, (stay, beds): (usize, &[&str]), tonight: NaiveDate, to: Progress) {
        let is_named = |place: &Place| {
            let bed = place.nights.get(&tonight).or_else(|| place.nights.values().next_back());
            beds.is_empty() || bed.is_some_and(|bed| beds.contains(&bed.as_str()))
        };
        let own = self.stays(booking).len();
        let is_whole = self.of(booking, stay).all(|place| is_named(place));
        for place in self.of(booking, stay).filter(|place| is_named(place)) {
            (place.progress, place.stay) = (to, if is_whole { stay } else { own });
            if to == Progress::Left
                && let Some((&arrival, _)) = place.nights.first_key_value()
            {
                let departure = tonight.max(arrival + Days::new(1));
                place.nights.retain(|night, _| *night < departure);
            }
        }
    }

    /// All stays of a booking that are so far, by their indexes.
    pub(super) fn all(&self, booking: &str, progress: Progress) -> Vec<usize> {
        let stays = self.stays(booking);
        (0..stays.len()).filter(|index| stays[*index].0 == progress).collect()
    }

    /// The guests who are still expected do not come.
    pub(super) fn miss(&mut self, booking: &str) {
        self.places.retain(|place| place.booking != booking || place.progress != Progress::Expected);
        let mut kept: Vec<usize> =
            self.places.iter().filter(|place| place.booking == booking).map(|place| place.stay).collect();
        kept.sort_unstable();
        kept.dedup();
        for place in self.places.iter_mut().filter(|place| place.booking == booking) {
            place.stay = kept.iter().position(|stay| *stay == place.stay).unwrap_or(place.stay);
        }
    }

    /// Longer, in the bed of the last night.
    pub(super) fn extend(&mut self, booking: &str, stay: usize, departure: NaiveDate) {
        for place in self.of(booking, stay) {
            while let Some((&last, bed)) = place.nights.last_key_value()
                && last + Days::new(1) < departure
            {
                let bed = bed.clone();
                place.nights.insert(last + Days::new(1), bed);
            }
        }
    }

    /// Progress and places of every stay of a booking.
    pub(super) fn stays(&self, booking: &str) -> Vec<(Progress, usize)> {
        let mut stays = BTreeMap::new();
        for place in self.places.iter().filter(|place| place.booking == booking) {
            stays.entry(place.stay).or_insert((place.progress, 0)).1 += 1;
        }
        stays.into_values().collect()
    }

    /// Every bed and night that is taken. Two guests in one bed are both listed.
    pub(super) fn taken(&self, from: NaiveDate) -> BTreeMap<(String, NaiveDate), Vec<&'static str>> {
        let mut taken: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for place in &self.places {
            for (night, bed) in place.nights.range(from..) {
                taken.entry((bed.clone(), *night)).or_default().push(place.booking);
            }
        }
        taken
    }

    /// Guests in house who should sleep here tonight and have no bed.
    pub(super) fn without_bed(&self, tonight: NaiveDate) -> Vec<&'static str> {
        let is_staying = |place: &&Place| place.nights.last_key_value().is_some_and(|(last, _)| *last >= tonight);
        let in_house = self.places.iter().filter(|place| place.progress == Progress::InHouse).filter(is_staying);
        in_house.filter(|place| !place.nights.contains_key(&tonight)).map(|place| place.booking).collect()
    }
}
