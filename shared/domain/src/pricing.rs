//! Pricing: nights by the rate plan and its calendar, then the property's taxes.
//!
//! Every tax is computed once on the sum of its nights, not night by night, so that rounding neither adds nor loses a
//! cent.

mod taxes;

pub use crate::values::price::{NightPrice, Price, TaxBasis, TaxLine};

use crate::inventory::{Inventory, RatePlan, RoomKind};
use crate::money::shares;
use crate::nights::Nights;
use crate::rates::Rates;
use crate::values::stay::StayRequest;
use chrono::NaiveDate;

/// Prices the stays on the plan and its calendar; `None` when the plan does not sell one of the room types, or the sum
/// overflows.
pub fn price(inventory: &Inventory, rates: &Rates, plan: &RatePlan, stays: &[StayRequest]) -> Option<Price> {
    let nights = stays.iter().map(|stay| stay_amounts(inventory, rates, plan, stay)).collect::<Option<_>>()?;
    total_of(inventory, stays, nights, 0)
}

/// The price of these amounts per stay and night, with taxes; `None` when the sum overflows.
pub fn total_of(
    inventory: &Inventory,
    stays: &[StayRequest],
    nights: Vec<Vec<i64>>,
    unused_nights: i64,
) -> Option<Price> {
    let taxes = taxes::lines(&inventory.property.taxes, stays, &nights, unused_nights)?;
    let added = taxes.iter().filter(|tax| !tax.included).map(|tax| tax.amount);
    let parts = nights.iter().flatten().copied().chain([unused_nights]).chain(added);
    let total = parts.into_iter().try_fold(0_i64, i64::checked_add)?;
    Some(Price { currency: inventory.property.currency, nights, unused_nights, taxes, total })
}

/// The amount of each night of one stay, for all its guests, before the taxes that are added; `None` when the plan
/// does not sell its type.
pub fn stay_amounts(inventory: &Inventory, rates: &Rates, plan: &RatePlan, stay: &StayRequest) -> Option<Vec<i64>> {
    let usual = *plan.nightly.get(&stay.room_type_id)?;
    let times = match inventory.room_type(&stay.room_type_id)?.kind {
        RoomKind::Private => 1,
        RoomKind::Dorm => i64::from(stay.guests),
    };
    let calendar = rates.calendar(&plan.id, &stay.room_type_id);
    let on = |night: NaiveDate| calendar.and_then(|calendar| calendar.prices.get(&night)).copied().unwrap_or(usual);
    stay.nights().iter().map(|night| on(night).checked_mul(times)).collect()
}

/// Spreads the same total and taxes over other nights: the price of a modified stay without repricing.
///
/// The room amount is shared equally, so that the parts add up to the agreed amount, to the last minor unit.
pub fn spread(agreed: &Price, stays: &[Nights]) -> Price {
    let counts: Vec<usize> = stays.iter().map(|nights| usize::try_from(nights.count()).unwrap_or(0)).collect();
    let room: i64 = agreed.nights.iter().flatten().sum();
    let mut amounts = shares(room, counts.iter().sum());
    let nights = counts.iter().map(|count| amounts.by_ref().take(*count).collect()).collect();
    Price { nights, ..agreed.clone() }
}

#[cfg(test)]
mod tests;
