//! Checked-in guests: they change beds tonight only when staff name others, and only into beds that are ready.

use super::{Decider, NoRevision};
use crate::booking::{BedMove, Booking, DirtyBed, RefusalCause, Status, Stay};
use crate::grid::{OccupancyGrid, Span};
use crate::ids::{BedId, BookingId, PropertyId};
use crate::inventory::Cleanliness;
use crate::messages::{RefusalCode, RefusalDetail};
use crate::nights::Nights;
use chrono::{Days, NaiveDate};
use std::collections::{BTreeMap, HashSet};

/// How far a bed in which guests lie is from ready: further than one that is only to be cleaned.
const OCCUPIED: usize = 4;

/// A stay after a change.
pub(super) struct ChangedStay<'a> {
    /// The stay.
    pub(super) after: &'a Stay,
    /// The one that it continues.
    pub(super) before: Option<&'a Stay>,
    /// Whether staff named its beds.
    pub(super) named: bool,
}

impl ChangedStay<'_> {
    /// The beds in which its guests lay before the change.
    fn lay_in(&self, today: NaiveDate) -> &[BedId] {
        self.before.map_or(&[], |before| before.occupied_beds(today))
    }

    /// Whether its guests were to depart today before the change.
    fn was_to_depart(&self, today: NaiveDate) -> bool {
        self.before.is_some_and(|before| before.departure == today)
    }

    /// Whether guests leave a bed in which they lay.
    fn leaves_a_bed(&self, today: NaiveDate) -> bool {
        self.lay_in(today).iter().any(|bed| !self.after.occupied_beds(today).contains(bed))
    }

    /// The beds that guests enter. Those who join a stay, or are a new one, in beds in which others of their booking
    /// lie are these others, and enter none.
    fn entered_beds(&self, lying: &HashSet<&BedId>, today: NaiveDate) -> impl Iterator<Item = &BedId> {
        let moves = self.leaves_a_bed(today);
        let is_own = move |bed: &BedId| self.lay_in(today).contains(bed) || !moves && lying.contains(bed);
        self.after.occupied_beds(today).iter().filter(move |bed| !is_own(bed))
    }
}

/// Whether guests move into a bed that others of their booking, who depart today, have not left. Guests of a stay that
/// the change ends today go on in their own bed, and a new stay is theirs as long as one of their beds is left unused.
fn shares_a_bed(stays: &[ChangedStay<'_>], today: NaiveDate) -> bool {
    let tonight = stays.iter().map(|stay| stay.after).filter(|after| today < after.departure);
    let used: HashSet<&BedId> = tonight.flat_map(|after| after.occupied_beds(today)).collect();
    let ended = stays.iter().filter(|stay| stay.after.departure <= today && !stay.was_to_depart(today));
    let is_left = ended.flat_map(|stay| stay.lay_in(today)).any(|bed| !used.contains(bed));
    stays.iter().enumerate().filter(|(_, stay)| stay.before.is_some() || is_left).any(|(index, stay)| {
        let moves = stay.leaves_a_bed(today);
        let own = stay.lay_in(today);
        let others = stays.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
        let staying = others.filter(|other| moves || other.was_to_depart(today));
        let occupied: HashSet<&BedId> = staying.flat_map(|other| other.after.occupied_beds(today)).collect();
        stay.after.occupied_beds(today).iter().any(|bed| !own.contains(bed) && occupied.contains(bed))
    })
}

impl Decider<'_> {
    /// The moves that a change of a booking orders; none unless its guests have checked in.
    ///
    /// # Errors
    /// Refused when guests would change beds tonight without staff naming them, when others of the booking have not
    /// left such a bed, or when it is not ready.
    pub(super) fn bed_moves(
        &mut self,
        booking: &Booking,
        stays: &[ChangedStay<'_>],
    ) -> Result<Vec<BedMove>, NoRevision> {
        if booking.status != Status::CheckedIn {
            return Ok(Vec::new());
        }
        let property = &booking.property_id;
        let today = self.today(property);
        let lying: HashSet<&BedId> = booking.stays.iter().flat_map(|stay| stay.occupied_beds(today)).collect();
        let kept: HashSet<&BedId> = stays.iter().flat_map(|stay| stay.after.occupied_beds(today)).collect();
        let is_unnamed = |stay: &ChangedStay<'_>| {
            !stay.named && stay.after.occupied_beds(today).iter().any(|bed| !lying.contains(bed))
        };
        if stays.iter().any(is_unnamed) && lying.iter().any(|bed| !kept.contains(bed)) {
            return Err(self.refuse(property, NoRevision::because(RefusalCode::BedsUnnamed), NoRevision::Unread));
        }
        if shares_a_bed(stays, today) {
            let refusal = RefusalDetail::of(RefusalCode::BedOccupied).naming(vec![booking.id]);
            return Err(self.refuse(property, NoRevision::with(refusal), NoRevision::Unread));
        }
        let entered: Vec<(BedId, Nights)> = stays
            .iter()
            .flat_map(|stay| {
                let rest = Nights::new(today, stay.after.departure);
                stay.entered_beds(&lying, today).map(move |bed| (bed.clone(), rest))
            })
            .collect();
        self.check_ready(property, booking.id, &entered)?;
        Ok(stays.iter().enumerate().flat_map(|(index, stay)| new_moves(index, stay, today)).collect())
    }

    /// Marks the beds that guests leave as dirty, also those that they will leave, and those that others of the booking
    /// take over: housekeeping marks them clean after the move.
    pub(super) fn mark_left_beds(&mut self, booking: &Booking, moves: &[BedMove]) {
        if moves.is_empty() {
            return;
        }
        let today = self.today(&booking.property_id);
        // If no one moves into a bed today, the guests in it also lay there before, so it stays theirs.
        let is_kept = |bed: &BedId| {
            let is_entered = moves.iter().any(|one| one.from <= today && one.beds.contains(bed));
            !is_entered && booking.stays.iter().any(|stay| stay.occupied_beds(today).contains(bed))
        };
        let left = moves.iter().flat_map(|one| one.left.iter().filter(|bed| today < one.from || !is_kept(bed)));
        let left: Vec<BedId> = left.cloned().collect();
        self.journal.mark_dirty(&booking.property_id, &left);
    }

    /// Checks that guests can move into these beds now; each with the nights from tonight on for which they are theirs.
    ///
    /// # Errors
    /// Refused when one is dirty, with clean ones that are free, or the guest of the night before has not checked out.
    pub(super) fn check_ready(
        &mut self,
        property: &PropertyId,
        own: BookingId,
        beds: &[(BedId, Nights)],
    ) -> Result<(), NoRevision> {
        let (today, date) = (self.today(property), self.local_date(property, self.now));
        let Some(grid) = self.grid(property) else { return Ok(()) };
        // Between midnight and the cut-off of the business day, guests of the calendar's day whom earlier versions
        // checked in lie in their beds, too.
        let until = if date > today { date.checked_add_days(Days::new(1)).unwrap_or(date) } else { today };
        let nights = Nights::new(today.checked_sub_days(Days::new(1)).unwrap_or(today), until);
        let dirty: Vec<(BedId, Nights)> = beds.iter().filter(|(bed, _)| is_dirty(grid, bed)).cloned().collect();
        let is_taken = |bed: &BedId, span: &Span| grid.bed_number(bed).is_some_and(|bed| !grid.is_free(bed, span));
        let slept_in = grid.clipped_span(nights).is_some_and(|span| beds.iter().any(|(bed, _)| is_taken(bed, &span)));
        if dirty.is_empty() && !slept_in {
            return Ok(());
        }
        let lies_in = |stay: &Stay, bed: &BedId| {
            let since = if today < stay.arrival { date } else { today };
            stay.occupied_beds(since).contains(bed)
        };
        let in_house = self.bookings_on(property, nights, |booking| booking.status == Status::CheckedIn)?;
        let in_house: Vec<&Booking> = in_house.iter().filter_map(|id| self.booking(*id)).collect();
        let lie_in = |booking: &Booking, bed: &BedId| booking.stays.iter().any(|stay| lies_in(stay, bed));
        let is_empty = |bed: &BedId| !in_house.iter().any(|booking| lie_in(booking, bed));
        if !dirty.is_empty() {
            let Some(grid) = self.grid(property) else { return Ok(()) };
            let name = |(bed, nights): (BedId, Nights)| {
                let clean = clean_instead_of(grid, &bed, nights, is_empty);
                DirtyBed::new(bed, clean)
            };
            let dirty = RefusalCause::not_clean(dirty.into_iter().map(name).collect());
            let refusal = RefusalDetail::of(RefusalCode::BedNotClean).caused_by(dirty);
            return Err(self.refuse(property, NoRevision::with(refusal), NoRevision::Unread));
        }
        let is_occupant = |booking: &&&Booking| booking.id != own && beds.iter().any(|(bed, _)| lie_in(booking, bed));
        let occupants: Vec<BookingId> = in_house.iter().filter(is_occupant).map(|booking| booking.id).collect();
        if occupants.is_empty() {
            return Ok(());
        }
        Err(NoRevision::with(RefusalDetail::of(RefusalCode::BedOccupied).naming(occupants)))
    }

    /// The beds that may not be ready for guests who enter them today, by number, with how far from ready they are:
    /// furthest those in which guests of the same booking lie, perhaps with companions of these guests.
    pub(super) fn unready_beds(&self, property: &PropertyId, own: BookingId) -> BTreeMap<usize, usize> {
        let today = self.today(property);
        let Some(grid) = self.grid(property) else { return BTreeMap::new() };
        let mut unready = grid.unready_beds(today);
        let stays = self.booking(own).filter(|booking| booking.status == Status::CheckedIn).map(|own| &own.stays);
        for bed in stays.into_iter().flatten().flat_map(|stay| stay.occupied_beds(today)) {
            if let Some(bed) = grid.bed_number(bed) {
                *unready.entry(bed).or_default() += OCCUPIED;
            }
        }
        unready
    }

    /// The bookings of a property on these nights for which `is_meant` holds. It waits until every booking on these
    /// nights is known, and was read after the batch began.
    pub(super) fn bookings_on(
        &mut self,
        property: &PropertyId,
        nights: Nights,
        is_meant: impl Fn(&Booking) -> bool,
    ) -> Result<Vec<BookingId>, NoRevision> {
        if !self.known.fresh.contains(property) {
            self.missing.grids.insert(property.clone());
            return Err(NoRevision::Unread);
        }
        let known = self.known.occupied.get(property);
        if !known.is_some_and(|known| known.arrival <= nights.arrival && nights.departure <= known.departure) {
            self.missing.occupants.insert(property.clone(), super::place::widened(known, nights));
            return Err(NoRevision::Unread);
        }
        let stored = self.known.bookings.values().filter(|booking| !self.bookings.contains_key(&booking.id));
        let all = self.bookings.values().chain(stored);
        let meant = all.filter(|booking| booking.property_id == *property && is_meant(booking));
        Ok(meant.map(|booking| booking.id).collect())
    }
}

fn is_dirty(grid: &OccupancyGrid, bed: &BedId) -> bool {
    grid.inventory().cleanliness_of(bed) == Some(Cleanliness::Dirty)
}

/// Clean beds of the same room type that are free on these nights and in which no guest lies, in a private room all of
/// its beds.
fn clean_instead_of(
    grid: &OccupancyGrid,
    bed: &BedId,
    nights: Nights,
    is_empty: impl Fn(&BedId) -> bool,
) -> Vec<Vec<BedId>> {
    let room = grid.inventory().room_of(bed);
    let (Some(layout), Some(span)) = (room.and_then(|room| grid.beds_of(&room.room_type_id)), grid.span(nights)) else {
        return Vec::new();
    };
    let is_ready = |bed: &usize| {
        let id = grid.bed_id(*bed);
        grid.is_free(*bed, &span) && !is_dirty(grid, id) && is_empty(id)
    };
    let units = layout.units().into_iter().filter(|unit| unit.iter().all(is_ready));
    units.map(|unit| unit.into_iter().map(|bed| grid.bed_id(bed).clone()).collect()).collect()
}

/// The moves that a change adds to those that were ordered before.
fn new_moves(index: usize, stay: &ChangedStay<'_>, today: NaiveDate) -> Vec<BedMove> {
    let Some(before) = stay.before else { return Vec::new() };
    let known = moves_between(index, before, before, today);
    let mut moves = moves_between(index, before, stay.after, today);
    moves.retain(|one| !known.contains(one));
    moves
}

/// The moves of guests who lie in the beds of `before` and will lie in those of `after`.
fn moves_between(index: usize, before: &Stay, after: &Stay, today: NaiveDate) -> Vec<BedMove> {
    let mut lying = before.occupied_beds(today);
    let mut moves = Vec::new();
    for (nights, beds) in after.parts().filter(|(nights, _)| today < nights.departure) {
        let without = |some: &[BedId], others: &[BedId]| -> Vec<BedId> {
            some.iter().filter(|bed| !others.contains(bed)).cloned().collect()
        };
        let (left, entered) = (without(lying, beds), without(beds, lying));
        if !left.is_empty() && !entered.is_empty() {
            let id = after.id.filter(|id| usize::try_from(*id) != Ok(index));
            moves.push(BedMove { stay: index, id, from: nights.arrival.max(today), left, beds: entered });
        }
        lying = beds;
    }
    moves
}
