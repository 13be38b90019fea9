//! Decisions: a batch of commands against the known state, as one pure function.
//!
//! The caller stores a [`BatchOutcome`] in one transaction or not at all; nothing here has an effect. A grid may
//! wrongly say that beds are free, because the unique claims in the store will reject the commit. Nothing would reject
//! a wrong refusal, so a refusal stands only on a grid that was read after the batch began; otherwise [`MissingState`]
//! requests that, and whatever else a decision lacks.

mod alternatives;
mod assign;
mod block;
mod cancel;
mod checked_in;
mod hops;
mod journal;
mod modify;
mod name_guests;
mod outcome;
mod payment;
mod pending_change;
mod place;
mod plan_moves;
mod preview;
mod preview_assignments;
mod reinstate;
mod repricing;
mod request;
mod reseat;
mod revoke_links;
mod stay_progress;

use outcome::ClaimChanges;
pub use outcome::{BatchOutcome, BedNightClaim, BlockChange, Change, Decision, InventoryMarks, MissingState, Owner};
pub use plan_moves::{MovePlan, MoveStep, PlannedMove, plan_moves};
pub use preview::preview_modification;
pub use preview_assignments::{KnownBeds, PreviewedAssignment};
pub use reinstate::undone_by_reinstatement;

use crate::actor::Actor;
use crate::block::Block;
use crate::booking::{Action, BedMove, Booking, FormerAddress, HistoryEntry, RefusalCause, Rejection, Status};
use crate::business_day::business_date;
use crate::events::{BookingEvent, kind_of};
use crate::grid::OccupancyGrid;
use crate::ids::{BlockId, BookingId, PropertyId};
use crate::messages::{BookingCommand, CommandHeader, RefusalCode, RefusalDetail, ReplyOutcome};
use crate::nights::Nights;
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use journal::Journal;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// Most revisions of one booking, so that its document and its events stay within their limits.
pub const MAX_REVISIONS: u32 = 400;
/// Most changes of one booking by its guest, so that the guest cannot use up what the staff need.
pub const MAX_GUEST_CHANGES: usize = 100;
/// Revisions that are left to staff: neither a guest nor a reassignment makes one of these.
const STAFF_REVISIONS: u32 = 100;
/// Revisions that a booking may have and still be changed by its guest or reassigned.
pub(crate) const MAX_SHARED_REVISIONS: u32 = MAX_REVISIONS - STAFF_REVISIONS;

/// State that a batch is decided upon.
#[derive(Debug, Clone, Copy)]
pub struct KnownState<'a> {
    /// Occupancy of every property of the batch that exists.
    pub grids: &'a HashMap<PropertyId, OccupancyGrid>,
    /// Properties whose grid was read after the batch began.
    pub fresh: &'a HashSet<PropertyId>,
    /// Every stored booking of the batch, and those that were read for `occupied`.
    pub bookings: &'a HashMap<BookingId, Booking>,
    /// Every stored block of the batch.
    pub blocks: &'a HashMap<BlockId, Block>,
    /// Nights of a property for which `bookings` is complete. Empty until a decision requests it.
    pub occupied: &'a HashMap<PropertyId, Nights>,
}

/// [`MissingState`]: what has to be read before this batch can be decided.
pub fn decide(
    known: KnownState<'_>,
    commands: &[(Uuid, &BookingCommand)],
    now: Timestamp,
) -> Result<BatchOutcome, Box<MissingState>> {
    let mut decider = Decider {
        known,
        now,
        bookings: HashMap::new(),
        changed: Vec::new(),
        blocks: HashMap::new(),
        block_order: Vec::new(),
        journal: Journal::default(),
        missing: MissingState::default(),
        consequences: Vec::new(),
        former_addresses: Vec::new(),
        current: 0,
    };
    let mut decisions = Vec::with_capacity(commands.len());
    for (index, (command_id, command)) in commands.iter().enumerate() {
        decider.current = index;
        let decision = decider.one(*command_id, command);
        // Decided changes stay; abandoned ones have been reverted.
        decider.journal.commit();
        decisions.push(decision.unwrap_or_else(NoRevision::into_decision));
    }
    decider.finish(decisions)
}

/// Reason for which a command ends without a revision.
#[derive(Debug)]
enum NoRevision {
    /// It is decided.
    Answer(Decision),
    /// State is missing; the batch will be decided again, so this decision is never seen.
    Unread,
}

impl NoRevision {
    fn into_decision(self) -> Decision {
        match self {
            Self::Answer(decision) => decision,
            Self::Unread => Decision::NotYet,
        }
    }

    fn conflict() -> Self {
        Self::Answer(Decision::Refused(ReplyOutcome::Conflict, None))
    }

    fn because(code: impl Into<RefusalCode>) -> Self {
        Self::with(RefusalDetail::of(code))
    }

    fn with(detail: RefusalDetail) -> Self {
        Self::Answer(Decision::Refused(ReplyOutcome::Refused, Some(Box::new(detail))))
    }
}

/// Reason for which a stay cannot be sold, or that this is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NotSellable {
    Rejected(Rejection, RefusalCause),
    Unread,
}

impl From<Rejection> for NotSellable {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection, RefusalCause::default())
    }
}

impl From<NotSellable> for NoRevision {
    fn from(not_sellable: NotSellable) -> Self {
        match not_sellable {
            NotSellable::Rejected(rejection, cause) => Self::with(RefusalDetail::of(rejection).caused_by(cause)),
            NotSellable::Unread => Self::Unread,
        }
    }
}

struct Decider<'a> {
    known: KnownState<'a>,
    now: Timestamp,
    /// Bookings changed by this batch.
    bookings: HashMap<BookingId, Booking>,
    changed: Vec<BookingId>,
    /// Blocks changed by this batch.
    blocks: HashMap<BlockId, Block>,
    block_order: Vec<BlockId>,
    journal: Journal,
    missing: MissingState,
    consequences: Vec<(usize, BookingEvent)>,
    former_addresses: Vec<FormerAddress>,
    /// Index of the command being decided.
    current: usize,
}

/// Cause of a revision.
struct Revision {
    action: Action,
    command_id: Uuid,
    actor: Actor,
    reason: Option<String>,
    moved: Vec<BookingId>,
    bed_moves: Vec<BedMove>,
}

impl Revision {
    fn of(action: Action, command_id: Uuid, header: &CommandHeader) -> Self {
        Self { reason: header.reason.clone(), ..Self::by(action, command_id, header.actor.clone()) }
    }

    fn by(action: Action, command_id: Uuid, actor: Actor) -> Self {
        Self { action, command_id, actor, reason: None, moved: Vec::new(), bed_moves: Vec::new() }
    }
}

impl Decider<'_> {
    fn one(&mut self, command_id: Uuid, command: &BookingCommand) -> Result<Decision, NoRevision> {
        match command {
            BookingCommand::Request(request) => self.request(command_id, request),
            BookingCommand::Modify(modify) => self.modify(command_id, modify),
            BookingCommand::Cancel(cancel) => self.cancel(command_id, cancel),
            BookingCommand::Confirm(confirm) => self.confirm(command_id, confirm),
            BookingCommand::CheckIn(check_in) => self.check_in(command_id, check_in),
            BookingCommand::CheckOut(check_out) => self.check_out(command_id, check_out),
            BookingCommand::NoShow(no_show) => self.no_show(command_id, no_show),
            BookingCommand::Reinstate(reinstate) => self.reinstate(command_id, reinstate),
            BookingCommand::Assign(assign) => self.assign(command_id, assign),
            BookingCommand::NameGuests(name) => self.name_guests(command_id, name),
            BookingCommand::RevokeLinks(revoke) => self.revoke_links(command_id, revoke),
            BookingCommand::ExpireHold(expire) => self.expire_hold(command_id, expire),
            BookingCommand::SettlePayment(settle) => self.apply_payment(command_id, settle),
            BookingCommand::Block(block) => self.block(command_id, block),
            BookingCommand::Unblock(unblock) => self.unblock(command_id, unblock),
        }
    }

    fn booking(&self, id: BookingId) -> Option<&Booking> {
        self.bookings.get(&id).or_else(|| self.known.bookings.get(&id))
    }

    fn grid(&self, property: &PropertyId) -> Option<&OccupancyGrid> {
        self.journal.grid(property).or_else(|| self.known.grids.get(property))
    }

    /// The business day that this is at a property.
    fn today(&self, property: &PropertyId) -> NaiveDate {
        self.business_date(property, self.now)
    }

    /// The business day at a property; the calendar date of UTC for an unknown one.
    fn business_date(&self, property: &PropertyId, at: Timestamp) -> NaiveDate {
        self.grid(property)
            .map_or_else(|| at.as_datetime().date_naive(), |grid| business_date(&grid.inventory().property, at))
    }

    /// A refusal stands only on state that was read after the batch began; beds, prices and claims may have changed
    /// since an older reading.
    fn refuse<T>(&mut self, property: &PropertyId, refusal: T, unread: T) -> T {
        if self.known.fresh.contains(property) {
            return refusal;
        }
        self.missing.grids.insert(property.clone());
        unread
    }

    /// As [`Self::refuse`], for commands about a stored booking.
    fn refuse_command(&mut self, header: &CommandHeader, code: impl Into<RefusalCode>) -> NoRevision {
        self.refuse(&header.property_id, NoRevision::because(code), NoRevision::Unread)
    }

    /// The booking of a command, unless the command was applied before or the caller saw an older revision.
    fn target_of(&mut self, command_id: Uuid, header: &CommandHeader) -> Result<Booking, NoRevision> {
        let Some(booking) = self.booking(header.booking_id) else { return Err(NoRevision::Answer(Decision::NotYet)) };
        if let Some(entry) = booking.entry_of(command_id) {
            let (event, moved) = (BookingEvent::of(booking, entry), entry.moved.clone());
            return Err(self.replay(command_id, event, &moved));
        }
        if header.expected_rev.is_some_and(|expected| expected != booking.rev) {
            return Err(NoRevision::Answer(Decision::Refused(ReplyOutcome::Stale, None)));
        }
        Ok(booking.clone().with_numbered_stays())
    }

    /// The outcome of an earlier delivery of the command, with every event that it caused.
    fn replay(&mut self, command_id: Uuid, event: BookingEvent, moved: &[BookingId]) -> NoRevision {
        for id in moved {
            let Some(booking) = self.booking(*id) else {
                self.missing.bookings.insert(*id);
                continue;
            };
            let caused = booking.history.iter().filter(|entry| entry.command_id == command_id);
            let events: Vec<BookingEvent> = caused.map(|entry| BookingEvent::of(booking, entry)).collect();
            self.consequences.extend(events.into_iter().map(|event| (self.current, event)));
        }
        if self.missing.bookings.is_empty() {
            NoRevision::Answer(Decision::Decided(Box::new(event)))
        } else {
            NoRevision::Unread
        }
    }

    /// As [`Self::advance`], unless that would change nothing: then the present revision is the result. A command at
    /// any revision leaves an entry in any case: delivered again after another change, it would undo that one.
    fn advance_if_changed(
        &mut self,
        mut changed: Booking,
        to: Status,
        (revision, header): (Revision, &CommandHeader),
    ) -> BookingEvent {
        changed.settle_stay_ids(self.booking(changed.id));
        let moves_nothing = revision.moved.is_empty() && revision.bed_moves.is_empty();
        if moves_nothing
            && header.expected_rev.is_some()
            && let Some(present) = self.booking(changed.id).filter(|present| present.status == to)
            && is_same(present, &changed)
            && let Some(entry) = present.history.last()
        {
            return BookingEvent::of(present, entry);
        }
        self.advance(changed, to, revision)
    }

    /// Gives the booking its next revision, with status `to` and the changes from the one before.
    fn advance(&mut self, booking: Booking, to: Status, revision: Revision) -> BookingEvent {
        let id = booking.id;
        let changed_before = self.bookings.remove(&id);
        let before = changed_before.as_ref().or_else(|| self.known.bookings.get(&id));
        let (from, rev, mut booking) = (booking.status, booking.rev + 1, booking);
        debug_assert!(from == to || from.may_become(to), "{from:?} → {to:?}");
        booking.status = to;
        booking.settle_stay_ids(before);
        if let Some(before) = before {
            booking.carry_names(before, self.today(&booking.property_id));
        }
        // Links that were sent to another address are the other guest's no longer.
        if before.is_some_and(|before| !before.guest.has_address_of(&booking.guest)) {
            booking.token_epoch = booking.token_epoch.saturating_add(1);
        }
        self.mark_left_beds(&booking, &revision.bed_moves);
        booking.payment.to_refund = booking.total_to_refund();
        let changes = before.and_then(|before| booking.changes_since(before));
        let entry = HistoryEntry {
            rev,
            at: self.now,
            action: revision.action,
            from,
            to,
            command_id: revision.command_id,
            event_id: id.event_id(rev, kind_of(Some(revision.action), to)),
            actor: revision.actor,
            reason: revision.reason,
            changes,
            moved: revision.moved,
            bed_moves: revision.bed_moves,
            hop: None,
        };
        (booking.rev, booking.updated_at) = (rev, self.now);
        self.former_addresses.extend(before.and_then(|before| FormerAddress::left_by(before, &booking)));
        let event = BookingEvent::of(&booking, &entry);
        booking.history.push(entry);
        if changed_before.is_none() {
            self.changed.push(id);
        }
        self.bookings.insert(id, booking);
        event
    }

    fn finish(mut self, decisions: Vec<Decision>) -> Result<BatchOutcome, Box<MissingState>> {
        if !self.missing.is_empty() {
            return Err(Box::new(self.missing));
        }
        let mut outcome = BatchOutcome {
            decisions,
            consequences: self.consequences,
            former_addresses: self.former_addresses,
            grids: self.journal.into_grids(),
            ..BatchOutcome::default()
        };
        for (property, grid) in &outcome.grids {
            let Some(stored) = self.known.grids.get(property) else { continue };
            let (stored_rev, inventory) = (stored.inventory().rev, grid.inventory());
            if inventory.rev != stored_rev {
                outcome.marks.push(InventoryMarks { stored_rev, inventory: Arc::clone(inventory) });
            }
        }
        let mut claims = ClaimChanges::default();
        for booking in self.changed.iter().filter_map(|id| self.bookings.remove(id)) {
            let stored = self.known.bookings.get(&booking.id);
            claims.add(&booking.property_id, Owner::Booking(booking.id), stored.map(Booking::claims), booking.claims());
            outcome.changes.push(Change { stored_rev: stored.map(|stored| stored.rev), booking });
        }
        for block in self.block_order.iter().filter_map(|id| self.blocks.remove(id)) {
            let stored = self.known.blocks.get(&block.id);
            claims.add(&block.property_id, Owner::Block(block.id), stored.map(Block::claims), block.claims());
            outcome.block_changes.push(BlockChange { stored_rev: stored.map(|stored| stored.rev), block });
        }
        claims.store_in(&mut outcome);
        Ok(outcome)
    }
}

/// Whether a change left the booking as it is, apart from ids that are written out.
fn is_same(present: &Booking, changed: &Booking) -> bool {
    let mut numbered = present.clone().with_numbered_stays();
    numbered.settle_stay_ids(None);
    numbered == *changed
}

#[cfg(test)]
mod tests;
