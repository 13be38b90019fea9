//! What a changed booking costs: anew, or what was agreed.

use super::{Decider, Unsold};
use crate::booking::{Booking, Rejection, Stay, StayRequest};
use crate::ids::RatePlanId;
use crate::nights::Nights;
use crate::pricing::{Price, spread, stay_amounts, total_of};
use chrono::NaiveDate;

/// A stay as it is to be, and the one that it continues.
#[derive(Debug, Clone)]
pub(super) struct Continued {
    pub(super) asked: StayRequest,
    pub(super) before: Option<usize>,
}

impl Decider<'_> {
    /// Prices the stays by the plan of today; nights before `today` keep what was agreed for them.
    pub(super) fn reprice(
        &mut self,
        booking: &Booking,
        plan: &RatePlanId,
        stays: &[Continued],
        today: NaiveDate,
    ) -> Result<Price, Unsold> {
        let property = &booking.property_id;
        let priced = self.view(property).and_then(|view| {
            let inventory = view.inventory();
            let plan = inventory.rate_plan(plan)?;
            let mut nights = Vec::with_capacity(stays.len());
            for stay in stays {
                let mut amounts = stay_amounts(inventory, view.rates(), plan, &stay.asked)?;
                if let Some(index) = stay.before {
                    keep_past(&mut amounts, booking, index, &stay.asked, today);
                }
                nights.push(amounts);
            }
            let requests: Vec<StayRequest> = stays.iter().map(|stay| stay.asked.clone()).collect();
            total_of(inventory, &requests, nights)
        });
        priced.ok_or_else(|| self.unsold(property, Rejection::Closed))
    }
}

fn keep_past(amounts: &mut [i64], booking: &Booking, index: usize, asked: &StayRequest, today: NaiveDate) {
    let agreed = booking.price.as_ref().and_then(|price| price.nights.get(index));
    let (Some(agreed), Some(before)) = (agreed, booking.stays.get(index)) else { return };
    let past = asked.nights().iter().zip(amounts).take_while(|(night, _)| *night < today);
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
