//! Pending changes: what a guest's change adds is held until its deposit is paid; the booking itself stays unchanged.

use super::place::Moves;
use super::{Decider, NoRevision, Revision};
use crate::booking::{Action, Booking, PendingChange, Stay};
use crate::events::BookingEvent;
use crate::grid::{OccupancyGrid, Span};
use crate::ids::{BedId, PropertyId};
use crate::messages::RefusalCode;
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::HashSet;

impl Decider<'_> {
    /// The deposit of a guest's dearer change, if the payments do not cover it. Otherwise `changed` requires what its
    /// plan requires now; a change by staff raises nothing.
    ///
    /// # Errors
    /// Refused where a deposit is missing and the guest has paid in another currency: staff decide about that money.
    pub(super) fn missing_deposit(
        &self,
        booking: &Booking,
        changed: &mut Booking,
        by_guest: bool,
    ) -> Result<Option<i64>, NoRevision> {
        let Some(required) = self.deposit(changed) else { return Ok(None) };
        let is_dearer = by_guest && changed.total() > booking.total() && required > booking.payment.required;
        if is_dearer && changed.missing(required) > 0 {
            let paid_otherwise = !changed.payment.ledger().other_currencies.is_empty();
            return if paid_otherwise {
                Err(NoRevision::because(RefusalCode::PaymentUnderWay))
            } else {
                Ok(Some(required))
            };
        }
        if is_dearer || required < booking.payment.required {
            changed.payment.required = required;
        }
        Ok(None)
    }

    /// The deposit of a booking's rate plan, if the plan is known and the booking has a price.
    fn deposit(&self, booking: &Booking) -> Option<i64> {
        let plan = self.grid(&booking.property_id)?.inventory().rate_plan(&booking.rate_plan_id)?;
        let price = booking.price.as_ref()?;
        Some(plan.deposit.map_or(0, |deposit| deposit.amount(price)))
    }

    /// Keeps the booking's beds beside those of the change, which `changed` has claimed, and gives the booking the
    /// change as a pending one.
    pub(super) fn hold_change(
        &mut self,
        booking: Booking,
        changed: Booking,
        required: i64,
        mut revision: Revision,
        moves: Moves,
    ) -> Result<BookingEvent, NoRevision> {
        let property = booking.property_id.clone();
        let claimed: HashSet<_> = changed.stays.iter().flat_map(Stay::bed_nights).collect();
        let kept: Vec<_> = bed_nights(&booking.stays, |claim| !claimed.contains(claim));
        if !self.take_nights(&property, &kept) {
            // The beds that the change would give up went to a booking that made room for it.
            return Err(self.refuse(&property, NoRevision::because(RefusalCode::NoAvailability), NoRevision::Unread));
        }
        let Some(grid) = self.grid(&property) else { return Err(NoRevision::because(RefusalCode::Closed)) };
        let expires_at = self.hold_end(&grid.inventory().property);
        let pending = PendingChange {
            stays: changed.stays,
            price: changed.price,
            rate_plan_id: changed.rate_plan_id,
            cancellation_policy: changed.cancellation_policy,
            change_fees: changed.payment.change_fees,
            required,
            to_refund: booking.payment.to_refund,
            expires_at,
        };
        revision.moved = self.reassign_others(&property, moves, revision.command_id);
        revision.action = Action::HoldChange;
        let status = booking.status;
        let held = Booking { guest: changed.guest, pending_change: Some(Box::new(pending)), ..booking };
        Ok(self.advance(held, status, revision))
    }

    /// Makes the pending change effective and releases the beds that it gives up.
    pub(super) fn apply_pending_change(&mut self, booking: &mut Booking) {
        let Some(pending) = &booking.pending_change else { return };
        let claimed: HashSet<_> = pending.stays.iter().flat_map(Stay::bed_nights).collect();
        let given_up = bed_nights(&booking.stays, |claim| !claimed.contains(claim));
        self.free_nights(&booking.property_id, &given_up);
        booking.apply_pending();
    }

    /// Drops the pending change and releases the beds that it alone holds.
    pub(super) fn release_pending_change(&mut self, booking: &mut Booking) {
        booking.keep_stay_ids();
        let Some(pending) = booking.pending_change.take() else { return };
        let own: HashSet<_> = booking.stays.iter().flat_map(Stay::bed_nights).collect();
        let added = bed_nights(&pending.stays, |claim| !own.contains(claim));
        self.free_nights(&booking.property_id, &added);
    }

    /// Releases every bed of the booking, its pending change included, and drops the change.
    pub(super) fn release_all_beds(&mut self, booking: &mut Booking) {
        self.release_pending_change(booking);
        self.release_beds(&booking.property_id, &booking.stays, NaiveDate::MIN);
    }

    /// Claims these bed-nights if all are free.
    fn take_nights(&mut self, property: &PropertyId, nights: &[(BedId, NaiveDate)]) -> bool {
        self.journal.adopt(property, self.known.grids.get(property));
        let Some(grid) = self.grid(property) else { return false };
        let spans: Vec<_> = nights.iter().filter_map(|(bed, night)| span_of(grid, bed, *night)).collect();
        if !spans.iter().all(|(bed, span)| grid.is_free(*bed, span)) {
            return false;
        }
        spans.iter().for_each(|(bed, span)| self.journal.take(property, *bed, span));
        true
    }

    fn free_nights(&mut self, property: &PropertyId, nights: &[(BedId, NaiveDate)]) {
        self.journal.adopt(property, self.known.grids.get(property));
        let Some(grid) = self.grid(property) else { return };
        let spans: Vec<_> = nights.iter().filter_map(|(bed, night)| span_of(grid, bed, *night)).collect();
        spans.iter().for_each(|(bed, span)| self.journal.free(property, *bed, span));
    }
}

fn bed_nights(stays: &[Stay], selects: impl Fn(&(&BedId, NaiveDate)) -> bool) -> Vec<(BedId, NaiveDate)> {
    stays.iter().flat_map(Stay::bed_nights).filter(selects).map(|(bed, night)| (bed.clone(), night)).collect()
}

/// One night of one bed, as far as the grid extends.
fn span_of(grid: &OccupancyGrid, bed: &BedId, night: NaiveDate) -> Option<(usize, Span)> {
    let departure = night.succ_opt()?;
    Some((grid.bed_number(bed)?, grid.clipped_span(Nights::new(night, departure))?))
}
