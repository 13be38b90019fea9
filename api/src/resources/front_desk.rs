//! What staff look at from the desk: who comes, who goes, who sleeps where.
//!
//! Read from the store, not from memory: the desk must see a booking the moment it is there.

pub(crate) mod arrivals;
pub(crate) mod calendar;
pub(crate) mod stats;

use crate::auth::policy::Caller;
use crate::http::problem::{self, Problem};
use crate::state::SharedApp;
use crate::store_call;
use chrono::{NaiveDate, Utc};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;

/// A property that the caller works for, as it is stored. Others do not exist for them.
async fn house(app: &SharedApp, caller: &Caller, id: String) -> Result<Inventory, Problem> {
    let id = PropertyId::new(id);
    if !caller.is_staff_of(&id) {
        return Err(problem::NOT_FOUND.into());
    }
    let mongo = app.mongo.clone();
    store_call::read(async move { mongo.inventories().find(&id).await }).await?.ok_or_else(|| problem::NOT_FOUND.into())
}

/// The business day at a property.
fn today(inventory: &Inventory) -> NaiveDate {
    business_date(&inventory.property, Utc::now().into())
}

#[cfg(test)]
mod tests;
