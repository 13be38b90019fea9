//! The outcome of a modification if it were decided now, for a price shown before the guest agrees.

use super::{Decision, KnownState, decide};
use crate::booking::Booking;
use crate::grid::OccupancyGrid;
use crate::inventory::Inventory;
use crate::messages::{BookingCommand, ModifyBooking, RefusalDetail, ReplyOutcome};
use crate::nights::Nights;
use crate::rates::Rates;
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// The booking as the modification would leave it in a property without other bookings: prices, fees, restrictions and
/// dates are checked, free beds are not. `None` when the booking has changed since the caller saw it.
///
/// # Errors
/// The reason of a refusal.
pub fn preview_modification(
    booking: &Booking,
    inventory: Arc<Inventory>,
    rates: Arc<Rates>,
    modify: ModifyBooking,
    now: Timestamp,
) -> Result<Option<Booking>, Box<RefusalDetail>> {
    let property = booking.property_id.clone();
    let first = booking.claims().map(|(_, night)| night).min();
    let today = now.local_date(inventory.property.time_zone);
    // A day before today: the business day may still be yesterday.
    let origin = first.map_or(today, |first| first.min(today)).pred_opt().unwrap_or(today);
    let mut grid = OccupancyGrid::new(inventory, origin).with_rates(rates);
    booking.claims().for_each(|(bed, night)| grid.take_night(bed, night));
    let known = KnownState {
        grids: &HashMap::from([(property.clone(), grid)]),
        fresh: &HashSet::from([property.clone()]),
        bookings: &HashMap::from([(booking.id, booking.clone())]),
        blocks: &HashMap::new(),
        occupied: &HashMap::from([(property, Nights::new(NaiveDate::MIN, NaiveDate::MAX))]),
    };
    let command = BookingCommand::Modify(Box::new(modify));
    // Nothing is missing: everything that there is was passed.
    let Ok(mut outcome) = decide(known, &[(Uuid::nil(), &command)], now) else { return Ok(None) };
    match outcome.decisions.pop() {
        Some(Decision::Refused(ReplyOutcome::Refused, Some(why))) => Err(why),
        // Without a change it stays as it is.
        Some(Decision::Decided(_)) => {
            Ok(Some(outcome.changes.pop().map_or_else(|| booking.clone(), |one| one.booking)))
        }
        _ => Ok(None),
    }
}
