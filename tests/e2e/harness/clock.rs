//! The local time of a property, so that no journey depends on when it runs.

use anyhow::Result;
use chrono::{NaiveDate, NaiveTime, Timelike as _, Utc};
use pvt_domain::business_day::business_date;
use pvt_domain::inventory::Inventory;

/// Moves the property to a zone in which it is this hour, and returns its business day, which ends at four.
fn at_hour(mut inventory: Inventory, hour: i64) -> Result<(Inventory, NaiveDate)> {
    let ahead = match (24 + hour - i64::from(Utc::now().hour())) % 24 {
        hours @ 13.. => hours - 24,
        hours => hours,
    };
    // POSIX counts west of Greenwich as positive.
    inventory.property.time_zone = format!("Etc/GMT{:+}", -ahead).parse()?;
    inventory.property.business_day_cutoff = NaiveTime::from_hms_opt(4, 0, 0).unwrap_or_default();
    let day = business_date(&inventory.property, Utc::now().into());
    Ok((inventory, day))
}

/// It is between two and three at night: the business day is the date before.
pub(crate) fn at_night(inventory: Inventory) -> Result<(Inventory, NaiveDate)> {
    at_hour(inventory, 2)
}

/// It is between twelve and one: no date changes for hours.
pub(crate) fn at_noon(inventory: Inventory) -> Result<(Inventory, NaiveDate)> {
    at_hour(inventory, 12)
}
