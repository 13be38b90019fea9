//! The decision: a batch of commands against what is known, as one pure function.
//!
//! The caller stores [`Decisions`] in one transaction or not at all; nothing here has an effect. A view may say yes from
//! memory, because the unique claims in the store will object to a wrong yes. Nothing objects to a wrong no, so a refusal
//! for lack of beds stands only on a view that was read after the batch began: otherwise [`StaleViews`] asks for that.

use crate::allocation::allocate;
use crate::booking::{Action, Booking, HistoryEntry, PaymentStatus, Rejection, Status, Stay};
use crate::events::{BookingEvent, event_kind};
use crate::ids::{BedId, BookingId, PropertyId};
use crate::messages::{BookingCommand, CancelBooking, ReplyOutcome, RequestBooking};
use crate::pricing::{Price, price};
use crate::timestamp::Timestamp;
use crate::view::PropertyView;
use chrono::NaiveDate;
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// What a batch is decided upon.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Occupancy of every property of the batch that exists.
    pub views: &'a HashMap<PropertyId, PropertyView>,
    /// Properties whose view was read after the batch began.
    pub fresh: &'a HashSet<PropertyId>,
    /// Every booking of the batch that is stored.
    pub bookings: &'a HashMap<BookingId, Booking>,
}

/// One bed for one night, owned by a booking.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The hostel.
    pub property_id: PropertyId,
    /// The bed.
    pub bed_id: BedId,
    /// The night.
    pub night: NaiveDate,
    /// Its owner.
    pub booking_id: BookingId,
}

/// A booking that must be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The revision in the store that this decision was made upon; `None` when the booking is new.
    pub stored_rev: Option<u32>,
    /// The booking as it is to be.
    pub booking: Booking,
}

/// What became of one command.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It was applied, now or by an earlier delivery: this event tells of it.
    Decided(Box<BookingEvent>),
    /// It cannot be applied and changes nothing.
    Refused(ReplyOutcome),
    /// The booking it is about has not been requested yet, as far as the store knows.
    NotYet,
}

/// What a batch comes to.
#[derive(Debug, Clone)]
pub struct Decisions {
    /// One for each command, in their order.
    pub verdicts: Vec<Verdict>,
    /// Each changed booking once, in the order of their first change.
    pub changes: Vec<Change>,
    /// Claims to insert, after those released are gone.
    pub claimed: BTreeSet<Claim>,
    /// Claims to delete.
    pub released: BTreeSet<Claim>,
    /// The views of the properties that changed, as they will be once all this is stored.
    pub views: HashMap<PropertyId, PropertyView>,
}

/// Something would be refused on a view that may be old: read these properties again and decide once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleViews(pub HashSet<PropertyId>);

/// Decides a batch; each command sees the effects of those before it.
///
/// # Errors
/// [`StaleViews`] when a refusal would stand on a view that is not fresh.
pub fn decide(known: Known<'_>, commands: &[(Uuid, &BookingCommand)], now: Timestamp) -> Result<Decisions, StaleViews> {
    let mut decider = Decider {
        known,
        now,
        bookings: HashMap::new(),
        order: Vec::new(),
        stale: HashSet::new(),
        decisions: Decisions {
            verdicts: Vec::with_capacity(commands.len()),
            changes: Vec::new(),
            claimed: BTreeSet::new(),
            released: BTreeSet::new(),
            views: HashMap::new(),
        },
    };
    for (command_id, command) in commands {
        let verdict = match command {
            BookingCommand::Request(request) => decider.request(*command_id, request),
            BookingCommand::Cancel(cancel) => decider.cancel(*command_id, cancel),
        };
        decider.decisions.verdicts.push(verdict);
    }
    decider.finish()
}

struct Decider<'a> {
    known: Known<'a>,
    now: Timestamp,
    /// Bookings changed by this batch.
    bookings: HashMap<BookingId, Booking>,
    order: Vec<BookingId>,
    stale: HashSet<PropertyId>,
    decisions: Decisions,
}

impl Decider<'_> {
    fn booking(&self, id: BookingId) -> Option<&Booking> {
        self.bookings.get(&id).or_else(|| self.known.bookings.get(&id))
    }

    fn request(&mut self, command_id: Uuid, request: &RequestBooking) -> Verdict {
        if let Some(booking) = self.booking(request.booking_id) {
            return match booking.history.first() {
                Some(first) if booking.fingerprint == request.fingerprint => Verdict::Decided(Box::new(BookingEvent::of(booking, first))),
                _ => Verdict::Refused(ReplyOutcome::KeyReused),
            };
        }
        let mut booking = requested(request);
        // Priced first: a request without a price must not leave claims behind.
        let decided = self.price(request).and_then(|price| Ok((self.place(request)?, price)));
        let status = match decided {
            Ok((stays, price)) => {
                (booking.stays, booking.price) = (stays, Some(price));
                Status::Confirmed
            }
            Err(rejection) => {
                booking.rejection = Some(rejection);
                booking.payment_status = PaymentStatus::NotDue;
                Status::Rejected
            }
        };
        let actor = request.client.as_ref().map_or_else(|| "guest".to_owned(), |client| format!("client:{client}"));
        self.advance(booking, status, Revision { action: Action::Request, command_id, actor, reason: None })
    }

    fn cancel(&mut self, command_id: Uuid, cancel: &CancelBooking) -> Verdict {
        let Some(booking) = self.booking(cancel.booking_id) else { return Verdict::NotYet };
        if booking.status == Status::Cancelled
            && let Some(entry) = booking.history.iter().rfind(|entry| entry.to == Status::Cancelled)
        {
            return Verdict::Decided(Box::new(BookingEvent::of(booking, entry)));
        }
        if !booking.status.may_become(Status::Cancelled) {
            return Verdict::Refused(ReplyOutcome::Conflict);
        }
        let mut booking = booking.clone();
        booking.payment_status = PaymentStatus::NotDue;
        self.release(&booking);
        self.advance(booking, Status::Cancelled, Revision { action: Action::Cancel, command_id, actor: cancel.actor.clone(), reason: cancel.reason.clone() })
    }

    fn view(&self, property: &PropertyId) -> Option<&PropertyView> {
        self.decisions.views.get(property).or_else(|| self.known.views.get(property))
    }

    fn price(&mut self, request: &RequestBooking) -> Result<Price, Rejection> {
        let priced = self.view(&request.property_id).and_then(|view| {
            let inventory = view.inventory();
            price(inventory, inventory.rate_plan(&request.rate_plan_id)?, &request.stays)
        });
        priced.ok_or_else(|| self.refuse(&request.property_id, Rejection::Closed))
    }

    /// Finds and takes the beds of all stays, or takes none.
    fn place(&mut self, request: &RequestBooking) -> Result<Vec<Stay>, Rejection> {
        let property = &request.property_id;
        let mut view = self.view(property).ok_or(Rejection::Closed)?.clone();
        let mut stays = Vec::with_capacity(request.stays.len());
        for asked in &request.stays {
            let numbers = allocate(&view, asked).map_err(|none| self.refuse(property, none.into()))?;
            let span = view.span(asked.nights()).ok_or(Rejection::InvalidDates)?;
            numbers.iter().for_each(|bed| view.take(*bed, &span));
            let assigned_beds = numbers.iter().map(|bed| view.bed_id(*bed).clone()).collect();
            stays.push(Stay {
                room_type_id: asked.room_type_id.clone(),
                arrival: asked.arrival,
                departure: asked.departure,
                guests: asked.guests,
                assigned_beds,
            });
        }
        self.decisions.views.insert(property.clone(), view);
        for (bed, night) in stays.iter().flat_map(Stay::bed_nights) {
            self.decisions.claimed.insert(Claim { property_id: property.clone(), bed_id: bed.clone(), night, booking_id: request.booking_id });
        }
        Ok(stays)
    }

    /// A refusal stands only on what was read after the batch began; beds and prices may have been added since an older reading.
    fn refuse(&mut self, property: &PropertyId, reason: Rejection) -> Rejection {
        if !self.known.fresh.contains(property) {
            self.stale.insert(property.clone());
        }
        reason
    }

    fn release(&mut self, booking: &Booking) {
        let property = &booking.property_id;
        let mut view = self.view(property).cloned();
        for stay in &booking.stays {
            let Some(view) = view.as_mut() else { break };
            let Some(span) = view.span(stay.nights()) else { continue };
            for bed in stay.assigned_beds.iter().filter_map(|bed| view.bed_number(bed)).collect::<Vec<_>>() {
                view.free(bed, &span);
            }
        }
        self.decisions.views.extend(view.map(|view| (property.clone(), view)));
        for (bed, night) in booking.claims() {
            let claim = Claim { property_id: property.clone(), bed_id: bed.clone(), night, booking_id: booking.id };
            if !self.decisions.claimed.remove(&claim) {
                self.decisions.released.insert(claim);
            }
        }
    }

    /// Gives the booking its next revision.
    fn advance(&mut self, mut booking: Booking, to: Status, revision: Revision) -> Verdict {
        debug_assert!(booking.status.may_become(to), "{:?} → {to:?}", booking.status);
        let rev = booking.rev + 1;
        let kind = event_kind(to).unwrap_or_default();
        let entry = HistoryEntry {
            rev,
            at: self.now,
            action: revision.action,
            from: booking.status,
            to,
            command_id: revision.command_id,
            event_id: booking.id.event_id(rev, kind),
            actor: revision.actor,
            reason: revision.reason,
        };
        (booking.rev, booking.status, booking.updated_at) = (rev, to, self.now);
        let event = BookingEvent { status: to, ..BookingEvent::of(&booking, &entry) };
        booking.history.push(entry);
        if !self.bookings.contains_key(&booking.id) {
            self.order.push(booking.id);
        }
        self.bookings.insert(booking.id, booking);
        Verdict::Decided(Box::new(event))
    }

    fn finish(mut self) -> Result<Decisions, StaleViews> {
        if !self.stale.is_empty() {
            return Err(StaleViews(self.stale));
        }
        for id in self.order {
            if let Some(booking) = self.bookings.remove(&id) {
                let stored_rev = self.known.bookings.get(&id).map(|stored| stored.rev);
                self.decisions.changes.push(Change { stored_rev, booking });
            }
        }
        Ok(self.decisions)
    }
}

struct Revision {
    action: Action,
    command_id: Uuid,
    actor: String,
    reason: Option<String>,
}

fn requested(request: &RequestBooking) -> Booking {
    let unplaced = |asked: &crate::booking::StayRequest| Stay {
        room_type_id: asked.room_type_id.clone(),
        arrival: asked.arrival,
        departure: asked.departure,
        guests: asked.guests,
        assigned_beds: Vec::new(),
    };
    Booking {
        id: request.booking_id,
        reference: request.booking_id.reference(),
        status: Status::Requested,
        rev: 0,
        property_id: request.property_id.clone(),
        rate_plan_id: request.rate_plan_id.clone(),
        source: request.source,
        stays: request.stays.iter().map(unplaced).collect(),
        guest: request.guest.clone(),
        price: None,
        payment_status: PaymentStatus::PayOnArrival,
        rejection: None,
        client: request.client.clone(),
        fingerprint: request.fingerprint.clone(),
        created_at: request.requested_at,
        updated_at: request.requested_at,
        history: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
