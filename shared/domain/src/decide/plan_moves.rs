//! The order in which guests can be moved to other beds so that none is without a bed in between.
//!
//! One command moves the guests of one booking, and takes beds that are free. So the moves of a booking are one step,
//! steps wait for those that free their beds, and where bookings want each other's beds, one of them that has not
//! arrived makes a detour through a free bed.

use super::{KnownBeds, PreviewedAssignment};
use crate::actor::Actor;
use crate::booking::{HistoryEntry, Status, Stay};
use crate::ids::{BedId, BookingId, RoomTypeId};
use crate::inventory::{Room, RoomKind};
use crate::messages::{AssignBeds, Assignment, CommandHeader, RefusalDetail};
use crate::nights::Nights;
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use std::collections::HashMap;

/// A guest of a stay who is to lie in another bed; in a private room, all of its guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMove {
    /// The booking.
    pub booking_id: BookingId,
    /// Id of the stay.
    pub stay: u32,
    /// The bed that is left.
    pub from: BedId,
    /// The other bed.
    pub to: BedId,
    /// The first night in it, for guests in house; tonight by default.
    pub first_night: Option<NaiveDate>,
}

/// One command of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct MoveStep {
    /// The booking.
    pub booking_id: BookingId,
    /// The beds of its stays.
    pub assignments: Vec<Assignment>,
    /// The revision that it would make; the reason for which it cannot be made, where one is known.
    pub outcome: PreviewedAssignment,
    /// Whether it goes through a bed that is not the last.
    pub is_detour: bool,
}

/// A plan: steps in an order in which each can be made, and then those that cannot.
#[derive(Debug, Clone, PartialEq)]
pub struct MovePlan {
    /// All steps.
    pub steps: Vec<MoveStep>,
}

impl MovePlan {
    /// Whether every step can be made.
    pub fn is_possible(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.outcome.is_ok())
    }
}

/// The moves of one booking.
struct Group {
    booking_id: BookingId,
    moves: Vec<PlannedMove>,
    was_detoured: bool,
}

struct Planner<'a> {
    known: &'a KnownBeds,
    actor: &'a Actor,
    now: Timestamp,
    commands: Vec<AssignBeds>,
    steps: Vec<MoveStep>,
    /// Beds of stays that steps have moved.
    beds: HashMap<(BookingId, u32), Vec<BedId>>,
}

/// Plans these moves in the present state.
pub fn plan_moves(known: &KnownBeds, moves: &[PlannedMove], actor: &Actor, now: Timestamp) -> MovePlan {
    let mut groups: Vec<Group> = Vec::new();
    for one in moves {
        match groups.iter_mut().find(|group| group.booking_id == one.booking_id) {
            Some(group) => group.moves.push(one.clone()),
            None => groups.push(Group { booking_id: one.booking_id, moves: vec![one.clone()], was_detoured: false }),
        }
    }
    let mut planner = Planner { known, actor, now, commands: Vec::new(), steps: Vec::new(), beds: HashMap::new() };
    while !groups.is_empty() {
        let before = groups.len();
        groups.retain(|group| !planner.takes(group));
        let waiting: Vec<BookingId> = groups.iter().map(|group| group.booking_id).collect();
        if groups.len() == before && !groups.iter_mut().any(|group| planner.detours(group, &waiting)) {
            break;
        }
    }
    for group in groups {
        let assignments = planner.assignments(&group.moves);
        let outcome = planner.outcome(group.booking_id, &assignments).1;
        let Group { booking_id, .. } = group;
        planner.steps.push(MoveStep { booking_id, assignments, outcome, is_detour: false });
    }
    MovePlan { steps: planner.steps }
}

impl Planner<'_> {
    /// Whether the moves of a booking can be made now; then they are the next step.
    fn takes(&mut self, group: &Group) -> bool {
        let assignments = self.assignments(&group.moves);
        self.append(group.booking_id, assignments, false)
    }

    /// Whether the one guest of a booking that has not arrived, and whose bed others of the plan have, can go to a free
    /// bed first; then that is the next step.
    fn detours(&mut self, group: &mut Group, waiting: &[BookingId]) -> bool {
        let has_arrived = |id| self.known.bookings.get(id).is_none_or(|booking| booking.status != Status::Confirmed);
        let [one] = group.moves.as_slice() else { return false };
        let outcome = self.outcome(group.booking_id, &self.assignments(&group.moves)).1;
        let Err(Some(why)) = outcome else { return false };
        let is_circle = !why.bookings.is_empty() && why.bookings.iter().all(|id| waiting.contains(id));
        if !is_circle || group.was_detoured || has_arrived(&group.booking_id) {
            return false;
        }
        for spare in self.spare_beds(one) {
            let detour = PlannedMove { to: spare.clone(), ..one.clone() };
            let assignments = self.assignments(std::slice::from_ref(&detour));
            if self.append(group.booking_id, assignments, true) {
                group.moves = vec![PlannedMove { from: spare, ..one.clone() }];
                group.was_detoured = true;
                return true;
            }
        }
        false
    }

    fn append(&mut self, booking_id: BookingId, assignments: Vec<Assignment>, is_detour: bool) -> bool {
        let (command, outcome) = self.outcome(booking_id, &assignments);
        if outcome.is_err() {
            return false;
        }
        for one in &assignments {
            if let (Some(id), Some(beds)) = (one.id, &one.beds) {
                self.beds.insert((booking_id, id), beds.clone());
            }
        }
        self.commands.push(command);
        self.steps.push(MoveStep { booking_id, assignments, outcome, is_detour });
        true
    }

    /// The outcome of one more command.
    fn outcome(&self, booking_id: BookingId, assignments: &[Assignment]) -> (AssignBeds, PreviewedAssignment) {
        let header = CommandHeader {
            booking_id,
            property_id: self.known.inventory().property.id.clone(),
            expected_rev: None,
            actor: self.actor.clone(),
            as_admin: false,
            reason: None,
            requested_at: self.now,
        };
        let command = AssignBeds { header, assignments: assignments.to_vec() };
        if assignments.is_empty() {
            return (command, Err(None));
        }
        let mut commands = self.commands.clone();
        commands.push(command.clone());
        let outcome = self.known.preview(&commands, self.now).pop();
        (command, outcome.unwrap_or(Err(None)))
    }

    /// The beds of the stays after these moves; none where a guest does not lie in the bed that is to be left, or where
    /// the moves of a stay contradict each other.
    fn assignments(&self, moves: &[PlannedMove]) -> Vec<Assignment> {
        let mut assignments: Vec<Assignment> = Vec::new();
        for (index, one) in moves.iter().enumerate() {
            if moves[index + 1..].iter().any(|other| self.contradict(one, other)) {
                return Vec::new();
            }
            let Some(present) = self.beds_of(one) else { return Vec::new() };
            if !present.contains(&one.from) {
                return Vec::new();
            }
            let whole = self.private_room_of(&one.to);
            let moved = |bed: &BedId| {
                let of_stay = moves.iter().filter(|other| other.stay == one.stay);
                of_stay.clone().find(|other| other.from == *bed).map_or_else(|| bed.clone(), |other| other.to.clone())
            };
            let beds = whole.map_or_else(|| present.iter().map(moved).collect(), |room| room.beds.clone());
            if !assignments.iter().any(|known| known.id == Some(one.stay)) {
                let (id, from) = (Some(one.stay), one.first_night);
                assignments.push(Assignment { stay: None, id, beds: Some(beds), from, locked: None });
            }
        }
        assignments
    }

    /// Whether two moves cannot both be meant: one assignment has one first night, and a guest one bed.
    fn contradict(&self, one: &PlannedMove, other: &PlannedMove) -> bool {
        let rooms = [one, other].map(|one| self.private_room_of(&one.to).map(|room| &room.id));
        let differs = one.from == other.from || one.first_night != other.first_night || rooms[0] != rooms[1];
        one.stay == other.stay && differs
    }

    /// The room of a bed, where it is let as a whole.
    fn private_room_of(&self, bed: &BedId) -> Option<&Room> {
        let inventory = self.known.inventory();
        let room = inventory.room_of(bed)?;
        let kind = inventory.room_type(&room.room_type_id)?.kind;
        (kind == RoomKind::Private).then_some(room)
    }

    fn stay(&self, one: &PlannedMove) -> Option<&Stay> {
        let booking = self.known.bookings.get(&one.booking_id)?;
        booking.stays.get(booking.index_of_stay(one.stay)?)
    }

    fn beds_of(&self, one: &PlannedMove) -> Option<Vec<BedId>> {
        let moved = self.beds.get(&(one.booking_id, one.stay)).cloned();
        moved.or_else(|| self.stay(one).map(|stay| stay.assigned_beds.clone()))
    }

    /// Beds of the same room type that are free on the nights of the stay.
    fn spare_beds(&self, one: &PlannedMove) -> Vec<BedId> {
        let Some(stay) = self.stay(one) else { return Vec::new() };
        self.known.free_beds(&stay.room_type_id, stay.nights()).filter(|bed| *bed != one.from).collect()
    }
}

impl MoveStep {
    /// The revision that it would make.
    pub fn entry(&self) -> Option<&HistoryEntry> {
        self.outcome.as_deref().ok()
    }

    /// Why it cannot be made.
    pub fn refusal(&self) -> Option<&RefusalDetail> {
        self.outcome.as_ref().err()?.as_deref()
    }
}

impl KnownBeds {
    /// Beds of a room type that nothing has on these nights, by number.
    pub fn free_beds(&self, room_type: &RoomTypeId, nights: Nights) -> impl Iterator<Item = BedId> + use<'_> {
        let span = self.grid.clipped_span(nights);
        let layout = self.grid.beds_of(room_type);
        let beds = layout.into_iter().flat_map(|layout| layout.rooms.iter().flatten().copied());
        beds.filter(move |bed| span.is_some_and(|span| self.grid.is_free(*bed, &span)))
            .map(|bed| self.grid.bed_id(bed).clone())
    }
}
