//! Beds that a changing stay keeps, and the ways to keep them.

use super::{before, is_kept};
use crate::booking::{Booking, Status, Stay, StayRequest};
use crate::decide::Decider;
use crate::grid::OccupancyGrid;
use crate::ids::BedId;
use crate::inventory::RoomKind;
use crate::messages::StayModification;
use crate::nights::Nights;
use chrono::NaiveDate;
use std::cmp::Reverse;

/// A stay that needs beds.
pub(super) struct Waiting {
    /// Its index in the modification.
    pub(super) index: usize,
    /// Nights that need beds.
    pub(super) ahead: Nights,
    pub(super) keeps: Keeps,
}

/// The beds that a stay keeps, by number.
pub(super) enum Keeps {
    /// These, where possible.
    Preferred(Vec<usize>),
    /// Those of each run of nights, and no others.
    Locked(Vec<(Nights, Vec<usize>)>),
    /// Those in which the guests lie, tonight at least.
    CheckedIn {
        lying: Vec<usize>,
        /// Those of each run of nights, when moves were planned before.
        planned: Vec<(Nights, Vec<usize>)>,
        /// Guests of a stay that ends today: their new stay begins in the same beds where possible.
        leaving: bool,
    },
}

/// A way to seat the stays.
#[derive(Clone, Copy)]
pub(super) enum Attempt {
    /// Checked-in guests keep their beds, with the moves that were planned before.
    AsPlanned,
    /// Checked-in guests keep their beds on all nights.
    Stay,
    /// Checked-in guests keep their beds until this night.
    Until(NaiveDate),
}

/// Beds wanted for some guests of a stay on some of its nights.
pub(super) struct Piece {
    pub(super) nights: Nights,
    pub(super) guests: usize,
    pub(super) present: Vec<usize>,
    pub(super) exact: bool,
}

impl Waiting {
    pub(super) fn pieces(&self, guests: usize, kind: RoomKind, attempt: Attempt) -> Vec<Piece> {
        let ahead = self.ahead;
        let exactly = |nights: Nights, beds: &Vec<usize>| Piece {
            nights,
            guests: beds.len(),
            present: beds.clone(),
            exact: true,
        };
        let (lying, planned, leaving) = match &self.keeps {
            Keeps::Preferred(present) => {
                return vec![Piece { nights: ahead, guests, present: present.clone(), exact: false }];
            }
            Keeps::Locked(parts) => return parts.iter().map(|(nights, beds)| exactly(*nights, beds)).collect(),
            Keeps::CheckedIn { lying, planned, leaving } => (lying, planned, *leaving),
        };
        // A private room is taken whole; in a dorm further guests join those who lie there.
        let joining = if kind == RoomKind::Private { 0 } else { guests.saturating_sub(lying.len()) };
        let mut pieces: Vec<Piece> = match attempt {
            Attempt::AsPlanned if !planned.is_empty() => {
                planned.iter().map(|(nights, beds)| exactly(*nights, beds)).collect()
            }
            Attempt::AsPlanned | Attempt::Stay => vec![exactly(ahead, lying)],
            Attempt::Until(night) => {
                let earliest =
                    if leaving { ahead.arrival } else { ahead.arrival.succ_opt().unwrap_or(ahead.departure) };
                let until = night.clamp(earliest.min(ahead.departure), ahead.departure);
                let (stayed, moved) = (Nights::new(ahead.arrival, until), Nights::new(until, ahead.departure));
                let present = lying.clone();
                let away = Piece { nights: moved, guests: guests - joining, present, exact: false };
                [exactly(stayed, lying), away].into_iter().filter(|piece| piece.nights.count() > 0).collect()
            }
        };
        if joining > 0 {
            pieces.push(Piece { nights: ahead, guests: joining, present: Vec::new(), exact: false });
        }
        pieces
    }

    /// The beds that others must leave for this stay.
    pub(super) fn kept(&self) -> Vec<usize> {
        match &self.keeps {
            Keeps::Preferred(_) => Vec::new(),
            Keeps::Locked(parts) => parts.iter().flat_map(|(_, beds)| beds.clone()).collect(),
            Keeps::CheckedIn { lying, .. } => lying.clone(),
        }
    }
}

/// Beds in which guests lie and that no stay of the change keeps yet; each with whether these guests leave today.
struct GivenUp(Vec<(usize, bool)>);

impl GivenUp {
    fn of(grid: &OccupancyGrid, booking: &Booking, today: NaiveDate) -> Self {
        if booking.status != Status::CheckedIn {
            return Self(Vec::new());
        }
        let lying = booking.stays.iter().flat_map(|stay| {
            let leaves = stay.departure == today;
            numbers(grid, stay.occupied_beds(today)).into_iter().map(move |bed| (bed, leaves))
        });
        Self(lying.collect())
    }

    fn keep(&mut self, beds: &[usize]) {
        self.0.retain(|(bed, _)| !beds.contains(bed));
    }

    fn has(&self, bed: usize, also_of_leaving: bool) -> bool {
        self.0.iter().any(|(other, leaves)| *other == bed && (also_of_leaving || !leaves))
    }
}

fn numbers(grid: &OccupancyGrid, beds: &[BedId]) -> Vec<usize> {
    beds.iter().filter_map(|bed| grid.bed_number(bed)).collect()
}

fn count(guests: u32) -> usize {
    usize::try_from(guests).unwrap_or(usize::MAX)
}

impl Decider<'_> {
    /// The stays that need beds, with those that they keep.
    pub(super) fn waiting(
        &self,
        booking: &Booking,
        modifications: &[StayModification],
        open: Vec<(usize, Nights)>,
        today: NaiveDate,
    ) -> Vec<Waiting> {
        let Some(grid) = self.grid(&booking.property_id) else { return Vec::new() };
        let is_checked_in = booking.status == Status::CheckedIn;
        let mut given_up = GivenUp::of(grid, booking, today);
        for modification in modifications {
            if is_kept(booking, modification, today)
                && let Some(stay) = before(booking, modification).filter(|stay| today < stay.departure)
            {
                given_up.keep(&numbers(grid, stay.occupied_beds(today)));
            }
            given_up.keep(&numbers(grid, modification.beds.as_deref().unwrap_or_default()));
        }
        let mut waiting: Vec<Waiting> = Vec::with_capacity(open.len());
        for (index, ahead) in open {
            let present = before(booking, &modifications[index]);
            let today = Some(today).filter(|today| is_checked_in && ahead.arrival <= *today);
            let keeps = keeps(grid, present, &modifications[index].stay, ahead, today);
            let one = Waiting { index, ahead, keeps };
            given_up.keep(&one.kept());
            waiting.push(one);
        }
        for one in waiting.iter_mut().filter(|one| is_checked_in && one.ahead.arrival <= today) {
            one.go_on_in(&mut given_up, grid, &modifications[one.index]);
        }
        waiting
    }
}

/// The beds that a stay keeps; `today` when its guests have checked in and it is not a later one.
fn keeps(
    grid: &OccupancyGrid,
    present: Option<&Stay>,
    requested: &StayRequest,
    ahead: Nights,
    today: Option<NaiveDate>,
) -> Keeps {
    let same_type = present.filter(|present| present.room_type_id == requested.room_type_id);
    let same_shape = same_type.filter(|present| present.guests == requested.guests);
    let planned = same_shape.map_or_else(Vec::new, |present| {
        extended(present.parts().map(|(nights, beds)| (nights, numbers(grid, beds))).collect(), ahead)
    });
    if same_shape.is_some_and(|present| present.locked) {
        return Keeps::Locked(planned);
    }
    let lying = same_type.zip(today).map_or(&[][..], |(present, today)| present.occupied_beds(today));
    let mut lying = numbers(grid, lying);
    if lying.is_empty() {
        return Keeps::Preferred(present.map_or_else(Vec::new, |present| numbers(grid, &present.assigned_beds)));
    }
    let guests = count(requested.guests);
    let is_private = grid.beds_of(&requested.room_type_id).is_some_and(|layout| layout.kind == RoomKind::Private);
    if is_private && lying.len() < guests {
        return Keeps::Preferred(lying);
    }
    if !is_private && guests < lying.len() {
        // Those stay whose beds are free for longest.
        let first = grid.span(ahead).map_or(0, |span| span.first());
        lying.sort_by_key(|bed| Reverse(grid.row(*bed).free_run(first)));
        lying.truncate(guests);
    }
    let planned = if planned.len() > 1 { planned } else { Vec::new() };
    Keeps::CheckedIn { lying, planned, leaving: false }
}

impl Waiting {
    /// Goes on in beds that another stay of the booking gives up: the stay was split, or two became one.
    fn go_on_in(&mut self, given_up: &mut GivenUp, grid: &OccupancyGrid, modification: &StayModification) {
        let Some(layout) = grid.beds_of(&modification.stay.room_type_id) else { return };
        let guests = count(modification.stay.guests);
        let is_new = modification.continues.is_none();
        let open = |bed: &usize| given_up.has(*bed, is_new);
        // Guests who were to leave today leave: those whose stay the change ends go on.
        let is_left = |bed: &usize| !given_up.has(*bed, false);
        let more: Vec<usize> = match (layout.kind, &self.keeps) {
            (_, Keeps::Locked(_)) | (RoomKind::Private, Keeps::CheckedIn { .. }) => Vec::new(),
            (RoomKind::Private, Keeps::Preferred(_)) => {
                let rooms = layout.rooms.iter().filter(|room| room.len() >= guests && room.iter().all(open));
                rooms.min_by_key(|room| room.iter().any(is_left)).cloned().unwrap_or_default()
            }
            (RoomKind::Dorm, keeps) => {
                let lying = if let Keeps::CheckedIn { lying, .. } = keeps { lying.len() } else { 0 };
                let mut beds: Vec<usize> = layout.rooms.iter().flatten().copied().filter(open).collect();
                beds.sort_by_key(is_left);
                beds.truncate(guests.saturating_sub(lying));
                beds
            }
        };
        if more.is_empty() {
            return;
        }
        let leaving = more.iter().all(|bed| !given_up.has(*bed, false));
        given_up.keep(&more);
        match &mut self.keeps {
            Keeps::CheckedIn { lying, planned, .. } => {
                lying.extend(more);
                planned.clear();
            }
            keeps => *keeps = Keeps::CheckedIn { lying: more, planned: Vec::new(), leaving },
        }
    }
}

/// The parts from `ahead` on, the last of them to its end.
fn extended(parts: Vec<(Nights, Vec<usize>)>, ahead: Nights) -> Vec<(Nights, Vec<usize>)> {
    let count = parts.len();
    let clipped = parts.into_iter().enumerate().map(|(index, (nights, beds))| {
        let departure = if index + 1 == count { ahead.departure } else { nights.departure.min(ahead.departure) };
        let arrival = if index == 0 { ahead.arrival } else { nights.arrival.max(ahead.arrival) };
        (Nights::new(arrival, departure), beds)
    });
    clipped.filter(|(nights, _)| nights.count() > 0).collect()
}
