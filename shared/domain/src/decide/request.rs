//! Booking requests: whether they can be sold, at which price, and in which beds.

use super::place::{Placement, Wanted};
use super::{Decider, Decision, NoRevision, NotSellable, Revision};
use crate::actor::Actor;
use crate::allocation::eligibility::check_party;
use crate::booking::{Action, Booking, Payment, RefusalCause, Rejection, Status, Stay, StayRequest};
use crate::events::BookingEvent;
use crate::ids::{PropertyId, RatePlanId};
use crate::inventory::Property;
use crate::messages::{ReplyOutcome, RequestBooking};
use crate::pricing::{Price, price};
use crate::rates::cancellation::CancellationPolicy;
use crate::rates::quote::Quote;
use crate::rates::restrictions::{self, RestrictionViolation};
use crate::timestamp::Timestamp;
use chrono::{NaiveDate, TimeDelta};
use uuid::Uuid;

impl Decider<'_> {
    pub(super) fn request(&mut self, command_id: Uuid, request: &RequestBooking) -> Result<Decision, NoRevision> {
        if let Some(booking) = self.booking(request.booking_id) {
            let is_same = [Some(&request.fingerprint), request.fingerprint_as_sent.as_ref()]
                .contains(&Some(&booking.fingerprint));
            let Some(first) = booking.history.first().filter(|_| is_same) else {
                return Err(NoRevision::Answer(Decision::Refused(ReplyOutcome::KeyReused, None)));
            };
            let (event, moved) = (BookingEvent::of(booking, first), first.moved.clone());
            return Err(self.replay(first.command_id, event, &moved));
        }
        let mut booking = requested(request);
        let actor = request.client.as_ref().map_or(Actor::GUEST, Actor::client);
        let mut revision = Revision::by(Action::Request, command_id, actor);
        let status = match self.sell(request) {
            Ok((placement, price)) => {
                let beds: Vec<_> = placement.beds.iter().map(|beds| self.bed_ids(&request.property_id, beds)).collect();
                booking.stays =
                    request.stays.iter().zip(beds).map(|(requested, beds)| Stay::of(requested, beds)).collect();
                booking.price = Some(price);
                booking.cancellation_policy = self.policy(&request.property_id, &request.rate_plan_id);
                booking.payment = self.hold(&request.property_id, &request.rate_plan_id, booking.price.as_ref());
                revision.moved = self.reassign_others(&request.property_id, placement.moves, command_id);
                if booking.payment.required > 0 { Status::Held } else { Status::Confirmed }
            }
            Err(NotSellable::Unread) => return Err(NoRevision::Unread),
            Err(NotSellable::Rejected(rejection, cause)) => {
                (booking.rejection, booking.rejection_cause) = (Some(rejection), cause);
                booking.alternatives = self.alternatives(request, rejection);
                Status::Rejected
            }
        };
        Ok(Decision::Decided(Box::new(self.advance(booking, status, revision))))
    }

    /// Prices and checks first: what cannot be sold must not claim beds.
    fn sell(&mut self, request: &RequestBooking) -> Result<(Placement, Price), NotSellable> {
        let property = &request.property_id;
        let price =
            self.quoted(property, &request.rate_plan_id, &request.stays, request.quote.as_ref(), request.requested_at)?;
        self.check_stays(property, &request.stays)?;
        if !request.override_restrictions {
            let booked_on = self.business_date(property, request.requested_at);
            self.check_restrictions(property, &request.rate_plan_id, &request.stays, booked_on)?;
        }
        let wanted: Vec<Wanted> = request
            .stays
            .iter()
            .map(|requested| Wanted { requested: requested.clone(), present: Vec::new(), exact: false })
            .collect();
        let placement = self.place_or_name(property, request.booking_id, &wanted)?;
        Ok((placement, price))
    }

    /// The price of the stays: the quoted one while the quote is valid; otherwise today's, which must equal the quoted
    /// one.
    pub(super) fn quoted(
        &mut self,
        property: &PropertyId,
        plan: &RatePlanId,
        stays: &[StayRequest],
        quote: Option<&Quote>,
        asked_at: Timestamp,
    ) -> Result<Price, NotSellable> {
        if let Some(quote) = quote.filter(|quote| quote.covers(property, plan, stays, asked_at)) {
            return Ok(quote.price.clone());
        }
        let priced = self.grid(property).and_then(|grid| {
            let inventory = grid.inventory();
            price(inventory, grid.rates(), inventory.rate_plan(plan)?, stays)
        });
        let Some(price) = priced else { return Err(self.not_sellable(property, Rejection::Closed)) };
        if quote.is_some_and(|quote| quote.price != price) {
            return Err(self.not_sellable(property, Rejection::PriceChanged));
        }
        Ok(price)
    }

    /// Checks gender, age and group size.
    pub(super) fn check_stays(&mut self, property: &PropertyId, stays: &[StayRequest]) -> Result<(), NotSellable> {
        let checked = self.grid(property).map_or(Ok(()), |grid| check_party(grid.inventory(), stays));
        checked.map_err(|rejection| self.not_sellable(property, rejection))
    }

    fn check_restrictions(
        &mut self,
        property: &PropertyId,
        plan: &RatePlanId,
        stays: &[StayRequest],
        booked_on: NaiveDate,
    ) -> Result<(), NotSellable> {
        let violations =
            self.grid(property).map_or_else(Vec::new, |grid| restrictions::check(grid.rates(), plan, stays, booked_on));
        if violations.is_empty() { Ok(()) } else { Err(self.restricted(property, violations)) }
    }

    /// The refusal that names these restrictions.
    pub(super) fn restricted(&mut self, property: &PropertyId, violations: Vec<RestrictionViolation>) -> NotSellable {
        let restricted = NotSellable::Rejected(Rejection::Restriction, RefusalCause::restricted(violations));
        self.refuse(property, restricted, NotSellable::Unread)
    }

    pub(super) fn not_sellable(&mut self, property: &PropertyId, rejection: Rejection) -> NotSellable {
        self.refuse(property, rejection.into(), NotSellable::Unread)
    }

    /// The calendar date at a property; that of UTC for an unknown one.
    pub(super) fn local_date(&self, property: &PropertyId, at: Timestamp) -> NaiveDate {
        self.grid(property)
            .map_or_else(|| at.as_datetime().date_naive(), |grid| at.local_date(grid.inventory().property.time_zone))
    }

    /// The deposit of this plan and the deadline of the hold. The hold begins with the decision: an outage must not
    /// shorten it.
    fn hold(&self, property: &PropertyId, plan: &RatePlanId, price: Option<&Price>) -> Payment {
        let terms = self.grid(property).and_then(|grid| {
            let inventory = grid.inventory();
            let required = inventory.rate_plan(plan)?.deposit?.amount(price?);
            let expires_at = Some(self.hold_end(&inventory.property));
            (required > 0).then(|| Payment { required, expires_at, ..Payment::default() })
        });
        terms.unwrap_or_default()
    }

    /// End of a hold that begins now.
    pub(super) fn hold_end(&self, property: &Property) -> Timestamp {
        (self.now.as_datetime() + TimeDelta::minutes(i64::from(property.hold_minutes))).into()
    }

    pub(super) fn policy(&self, property: &PropertyId, plan: &RatePlanId) -> Option<CancellationPolicy> {
        let inventory = self.grid(property)?.inventory();
        inventory.rate_plan(plan).map(|plan| inventory.cancellation_policy(plan))
    }
}

fn requested(request: &RequestBooking) -> Booking {
    Booking {
        id: request.booking_id,
        reference: request.booking_id.reference(),
        status: Status::Requested,
        rev: 0,
        property_id: request.property_id.clone(),
        rate_plan_id: request.rate_plan_id.clone(),
        source: request.source,
        stays: request.stays.iter().map(|requested| Stay::of(requested, Vec::new())).collect(),
        no_shows: Vec::new(),
        stay_ids: 0,
        guest: request.guest.clone(),
        rooming_list: Vec::new(),
        price: None,
        payment: Payment::default(),
        pending_change: None,
        rejection: None,
        rejection_cause: RefusalCause::default(),
        alternatives: Vec::new(),
        cancellation_policy: None,
        cancellation_fee: None,
        client: request.client.clone(),
        token_epoch: 0,
        fingerprint: request.fingerprint.clone(),
        created_at: request.requested_at,
        updated_at: request.requested_at,
        history: Vec::new(),
    }
}
