//! Reseating: the beds of a booking's stays after a modification.
//!
//! Checked-in guests and guests whose beds are locked keep their beds, and stays that may be reassigned give way.
//! Where that is impossible, checked-in guests whose beds are not locked move for later nights: from the last night
//! from which it is possible.

mod keeping;

use super::checked_in::ChangedStay;
use super::place::{Moves, Wanted};
use super::{Decider, NoRevision, NotSellable};
use crate::booking::{BedMove, Booking, RefusalCause, Rejection, Status, Stay, StayProgress, StayRequest};
use crate::ids::{BedId, PropertyId};
use crate::inventory::RoomKind;
use crate::messages::{CommandHeader, RefusalCode, RefusalDetail, StayModification};
use crate::nights::Nights;
use crate::values::stay::same_beds;
use chrono::NaiveDate;
use keeping::{Attempt, Keeps, Waiting};
use std::collections::{BTreeSet, HashSet};

/// Most nights from which a move is tried, evenly spread over those on which beds are taken.
const MAX_CUTS: usize = 16;

/// The stays of a booking in their new beds.
pub(super) struct Reseated {
    pub(super) stays: Vec<Stay>,
    /// Stays of other bookings that make room.
    pub(super) moves: Moves,
    /// Moves of the checked-in guests.
    pub(super) bed_moves: Vec<BedMove>,
}

impl Decider<'_> {
    /// Allocates beds for all nights from `today` on, or for all nights of guests who have not arrived; earlier nights
    /// keep theirs.
    pub(super) fn reseat(
        &mut self,
        booking: &Booking,
        header: &CommandHeader,
        modifications: &[StayModification],
        today: NaiveDate,
    ) -> Result<Reseated, NoRevision> {
        let property = &header.property_id;
        let from = if booking.status == Status::CheckedIn { today } else { NaiveDate::MIN };
        let kept: HashSet<usize> = modifications
            .iter()
            .filter(|modification| is_kept(booking, modification, from))
            .filter_map(|modification| modification.continues)
            .collect();
        for (index, stay) in booking.stays.iter().enumerate().filter(|(index, _)| !kept.contains(index)) {
            let after = modifications.iter().find(|modification| modification.continues == Some(index));
            let keeps_arrival = after.is_some_and(|after| after.stay.arrival == stay.arrival);
            // Past nights of guests who have not arrived are theirs only as long as their stay begins there.
            let is_absent = booking.progress_of(stay) == StayProgress::Expected && !keeps_arrival;
            let begin = if is_absent { NaiveDate::MIN } else { from };
            self.release_beds(property, std::slice::from_ref(stay), begin);
        }
        let mut stays: Vec<Stay> = Vec::with_capacity(modifications.len());
        let mut open = Vec::new();
        for (index, modification) in modifications.iter().enumerate() {
            let present = before(booking, modification);
            let mut stay = present.map_or_else(
                || Stay::of(&modification.stay, Vec::new()),
                |present| continued(present, &modification.stay),
            );
            let ahead = Nights::new(modification.stay.arrival.max(from), modification.stay.departure);
            if !is_kept(booking, modification, from) && ahead.count() >= 1 {
                if let Some(beds) = &modification.beds {
                    self.assign_beds(header, &modification.stay, ahead, beds)?;
                    stay.move_to(beds.clone(), ahead.arrival);
                } else {
                    open.push((index, ahead));
                }
            }
            stays.push(stay);
        }
        let waiting = self.waiting(booking, modifications, open, today);
        let moves = self.seat(booking, header, modifications, &waiting, &mut stays)?;
        let changed: Vec<ChangedStay<'_>> = stays
            .iter()
            .zip(modifications)
            .map(|(after, modification)| ChangedStay {
                after,
                before: before(booking, modification),
                named: modification.beds.is_some(),
            })
            .collect();
        let bed_moves = self.bed_moves(booking, &changed)?;
        if booking.status == Status::CheckedIn {
            mark_arrivals(booking, modifications, &mut stays, today);
        }
        Ok(Reseated { stays, moves, bed_moves })
    }

    /// Places the waiting stays; returns the stays of other bookings that are reassigned.
    fn seat(
        &mut self,
        booking: &Booking,
        header: &CommandHeader,
        modifications: &[StayModification],
        waiting: &[Waiting],
        stays: &mut [Stay],
    ) -> Result<Moves, NoRevision> {
        let property = &header.property_id;
        for attempt in self.attempts(booking, waiting) {
            let (mut owners, mut pieces, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
            for one in waiting {
                let requested = &modifications[one.index].stay;
                let kind = self.grid(property).and_then(|grid| grid.beds_of(&requested.room_type_id));
                let kind = kind.map_or(RoomKind::Dorm, |layout| layout.kind);
                let guests = usize::try_from(requested.guests).unwrap_or(usize::MAX);
                for piece in one.pieces(guests, kind, attempt) {
                    wanted.push(Wanted {
                        requested: StayRequest {
                            arrival: piece.nights.arrival,
                            departure: piece.nights.departure,
                            guests: u32::try_from(piece.guests).unwrap_or(u32::MAX),
                            ..requested.clone()
                        },
                        present: piece.present,
                        exact: piece.exact,
                    });
                    owners.push(one.index);
                    pieces.push(piece.nights);
                }
            }
            let placement = match self.place(property, booking.id, &wanted) {
                Ok(placement) => placement,
                Err(NotSellable::Rejected(Rejection::NoAvailability, _)) => continue,
                Err(other) => return Err(other.into()),
            };
            for one in waiting {
                let own =
                    owners.iter().zip(&pieces).zip(&placement.beds).filter(|((owner, _), _)| **owner == one.index);
                let parts: Vec<(Nights, Vec<BedId>)> =
                    own.map(|((_, nights), beds)| (*nights, self.bed_ids(property, beds))).collect();
                settle(&mut stays[one.index], &parts);
            }
            return Ok(placement.moves);
        }
        Err(self.no_room(booking, modifications, waiting))
    }

    /// The ways to try, best first.
    fn attempts(&self, booking: &Booking, waiting: &[Waiting]) -> Vec<Attempt> {
        let mut attempts = vec![Attempt::AsPlanned];
        let Some(grid) = self.grid(&booking.property_id) else { return attempts };
        let mut cuts: BTreeSet<NaiveDate> = BTreeSet::new();
        for one in waiting {
            let Keeps::CheckedIn { lying, planned, leaving } = &one.keeps else { continue };
            if !planned.is_empty() && attempts.len() == 1 {
                attempts.push(Attempt::Stay);
            }
            let Some(span) = grid.span(one.ahead) else { continue };
            let earliest = span.first() + usize::from(!leaving);
            let is_taken = |night: &usize| lying.iter().any(|bed| grid.row(*bed).taken(*night));
            let mut nights: Vec<usize> = (earliest..span.end()).filter(is_taken).collect();
            if !nights.is_empty() {
                // Those who give way may need these beds before the first night on which they are taken.
                nights.push(earliest);
            }
            cuts.extend(nights.into_iter().map(|night| grid.date_at(night)));
        }
        let stride = cuts.len().div_ceil(MAX_CUTS).max(1);
        let first = cuts.first().copied();
        let latest: Vec<NaiveDate> = cuts.into_iter().rev().step_by(stride).collect();
        let beyond = first.filter(|first| !latest.contains(first));
        attempts.extend(latest.into_iter().chain(beyond).map(Attempt::Until));
        attempts
    }

    /// The nights on which the stays that wait for beds find too few.
    fn shortage(&self, property: &PropertyId, modifications: &[StayModification], waiting: &[Waiting]) -> RefusalCause {
        let wanted = waiting.iter().map(|one| Wanted {
            requested: StayRequest {
                arrival: one.ahead.arrival,
                departure: one.ahead.departure,
                ..modifications[one.index].stay.clone()
            },
            present: Vec::new(),
            exact: false,
        });
        self.shortages(property, &wanted.collect::<Vec<_>>())
    }

    /// The refusal of a modification for which there are no beds. It names who is in the way of guests who keep theirs.
    fn no_room(&mut self, booking: &Booking, modifications: &[StayModification], waiting: &[Waiting]) -> NoRevision {
        let property = &booking.property_id;
        let none =
            RefusalDetail::of(Rejection::NoAvailability).caused_by(self.shortage(property, modifications, waiting));
        let keeping: Vec<(Nights, Vec<usize>)> =
            waiting.iter().map(|one| (one.ahead, one.kept())).filter(|(_, beds)| !beds.is_empty()).collect();
        let Some(all) = keeping.iter().map(|(nights, _)| *nights).reduce(spanning) else {
            return NoRevision::with(none);
        };
        let keeping: Vec<(Nights, Vec<BedId>)> =
            keeping.iter().map(|(nights, beds)| (*nights, self.bed_ids(property, beds))).collect();
        let in_the_way = |other: &Booking| {
            let meets = |(bed, night): (&BedId, NaiveDate)| {
                keeping
                    .iter()
                    .any(|(nights, beds)| nights.arrival <= night && night < nights.departure && beds.contains(bed))
            };
            other.id != booking.id && other.claims().any(meets)
        };
        let bookings = match self.bookings_on(property, all, in_the_way) {
            Ok(bookings) => bookings,
            Err(unread) => return unread,
        };
        let is_locked = waiting.iter().all(|one| matches!(one.keeps, Keeps::Locked(_)));
        let code = if is_locked { RefusalCode::BedTaken } else { none.code };
        let mut detail = RefusalDetail { code, ..none }.naming(bookings);
        for one in waiting {
            let beds = one.kept();
            if booking.status == Status::CheckedIn && !beds.is_empty() {
                detail.alternatives.extend(self.shorter_or_split(
                    booking,
                    modifications,
                    (one.index, one.ahead),
                    &beds,
                ));
            }
        }
        detail.alternatives.truncate(super::alternatives::MAX_ALTERNATIVES);
        NoRevision::with(detail)
    }
}

/// Gives the stay the beds of its placed parts.
fn settle(stay: &mut Stay, parts: &[(Nights, Vec<BedId>)]) {
    let begins: BTreeSet<NaiveDate> = parts.iter().map(|(nights, _)| nights.arrival).collect();
    let at = |night: NaiveDate| -> Vec<BedId> {
        let on = parts.iter().filter(|(nights, _)| nights.arrival <= night && night < nights.departure);
        on.flat_map(|(_, beds)| beds.clone()).collect()
    };
    let had: Vec<(Nights, Vec<BedId>)> = stay.parts().map(|(nights, beds)| (nights, beds.to_vec())).collect();
    for night in begins {
        let beds = at(night);
        // The same beds in another order are not a move.
        let unchanged =
            stay.parts().filter(|(nights, _)| night < nights.departure).all(|(_, had)| same_beds(had, &beds));
        if !unchanged {
            stay.move_to(beds, night);
        }
    }
    let is_same = stay.parts().map(|(_, beds)| beds).eq(had.iter().map(|(_, beds)| beds.as_slice()));
    stay.locked &= is_same;
}

fn spanning(one: Nights, other: Nights) -> Nights {
    Nights::new(one.arrival.min(other.arrival), one.departure.max(other.departure))
}

/// The present stay that a modification continues.
pub(super) fn before<'a>(booking: &'a Booking, modification: &StayModification) -> Option<&'a Stay> {
    modification.continues.and_then(|index| booking.stays.get(index))
}

/// Whether the stay is unchanged, its beds from `from` on included.
fn is_kept(booking: &Booking, modification: &StayModification, from: NaiveDate) -> bool {
    before(booking, modification).is_some_and(|before| {
        let are_those = |beds: &Vec<BedId>| {
            before.parts().filter(|(nights, _)| from < nights.departure).all(|(_, own)| *beds == own)
        };
        before.as_request().is_sold_as(&modification.stay) && modification.beds.as_ref().is_none_or(are_those)
    })
}

/// Marks added stays: of guests who lie in its beds already or leave others for them tonight, or who are expected.
fn mark_arrivals(booking: &Booking, modifications: &[StayModification], stays: &mut [Stay], today: NaiveDate) {
    let lying: HashSet<&BedId> = booking.stays.iter().flat_map(|stay| stay.occupied_beds(today)).collect();
    let tonight = |stay: &Stay| if stay.arrival <= today { stay.beds_on(today).to_vec() } else { Vec::new() };
    let kept: HashSet<BedId> = stays.iter().flat_map(tonight).collect();
    let are_left = lying.iter().any(|bed| !kept.contains(*bed));
    for (stay, _) in stays.iter_mut().zip(modifications).filter(|(_, one)| one.continues.is_none()) {
        let beds = tonight(stay);
        let goes_on = !beds.is_empty() && (are_left || beds.iter().all(|bed| lying.contains(bed)));
        stay.progress = Some(if goes_on { StayProgress::CheckedIn } else { StayProgress::Expected });
    }
}

fn continued(before: &Stay, requested: &StayRequest) -> Stay {
    let mut stay = Stay {
        id: before.id,
        assigned_beds: before.assigned_beds.clone(),
        earlier_beds: before.earlier_beds.clone(),
        locked: before.locked,
        progress: before.progress,
        ..Stay::of(requested, Vec::new())
    };
    // Beds are kept only for nights that are still part of the stay.
    stay.earlier_beds.retain(|earlier| earlier.until > requested.arrival);
    stay.end_on(requested.departure);
    stay
}
