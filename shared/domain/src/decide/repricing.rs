//! Price of a changed booking: repriced, or as agreed.

use super::{Decider, NotSellable};
use crate::booking::{Booking, Rejection, Stay, StayRequest};
use crate::ids::RatePlanId;
use crate::inventory::{TaxAmount, TaxRule};
use crate::nights::Nights;
use crate::pricing::{Price, spread, stay_amounts, total_of};
use chrono::NaiveDate;

/// A stay after the change, and the one that it continues.
#[derive(Debug, Clone)]
pub(super) struct Continued {
    pub(super) requested: StayRequest,
    pub(super) before: Option<usize>,
}

impl Decider<'_> {
    /// Prices the stays by today's rates; nights before `today` keep their agreed amounts.
    pub(super) fn reprice(
        &mut self,
        booking: &Booking,
        plan: &RatePlanId,
        stays: &[Continued],
        today: NaiveDate,
    ) -> Result<Price, NotSellable> {
        let property = &booking.property_id;
        let priced = self.grid(property).and_then(|grid| {
            let inventory = grid.inventory();
            let plan = inventory.rate_plan(plan)?;
            let mut nights = Vec::with_capacity(stays.len());
            for stay in stays {
                let mut amounts = stay_amounts(inventory, grid.rates(), plan, &stay.requested)?;
                if let Some(index) = stay.before {
                    keep_past(&mut amounts, booking, index, &stay.requested, today);
                }
                nights.push(amounts);
            }
            let requests: Vec<StayRequest> = stays.iter().map(|stay| stay.requested.clone()).collect();
            total_of(inventory, &requests, nights, booking.price.as_ref().map_or(0, |price| price.unused_nights))
        });
        priced.ok_or_else(|| self.not_sellable(property, Rejection::Closed))
    }
}

impl Decider<'_> {
    /// Taxes the same nights at the same amounts by what the stays declare now. Only taxes per person depend on it.
    pub(super) fn apply_taxes(&mut self, booking: &mut Booking) -> Result<(), NotSellable> {
        let property = booking.property_id.clone();
        let Some(price) = &booking.price else { return Ok(()) };
        let Some(grid) = self.grid(&property) else { return Ok(()) };
        let inventory = grid.inventory();
        let is_per_person = |rule: &TaxRule| matches!(rule.amount, TaxAmount::PersonNight { .. });
        if !inventory.property.taxes.iter().any(is_per_person) {
            return Ok(());
        }
        let requests: Vec<StayRequest> = booking.stays.iter().map(Stay::as_request).collect();
        let Some(taxed) = total_of(inventory, &requests, price.nights.clone(), price.unused_nights) else {
            return Err(self.not_sellable(&property, Rejection::Closed));
        };
        booking.price = Some(taxed);
        Ok(())
    }
}

fn keep_past(amounts: &mut [i64], booking: &Booking, index: usize, requested: &StayRequest, today: NaiveDate) {
    let agreed = booking.price.as_ref().and_then(|price| price.nights.get(index));
    let (Some(agreed), Some(before)) = (agreed, booking.stays.get(index)) else { return };
    let past = requested.nights().iter().zip(amounts).take_while(|(night, _)| *night < today);
    for (night, amount) in past {
        let place = usize::try_from((night - before.arrival).num_days()).ok();
        if let Some(known) = place.and_then(|place| agreed.get(place)) {
            *amount = *known;
        }
    }
}

/// The agreed total on the nights of these stays; the price itself when the nights are the same.
pub(super) fn agreed(booking: &Booking, stays: &[Stay]) -> Option<Price> {
    let same = booking.stays.len() == stays.len()
        && booking.stays.iter().zip(stays).all(|(before, after)| before.nights() == after.nights());
    let price = booking.price.as_ref()?;
    if same {
        return Some(price.clone());
    }
    let nights: Vec<Nights> = stays.iter().map(Stay::nights).collect();
    Some(spread(price, &nights))
}
