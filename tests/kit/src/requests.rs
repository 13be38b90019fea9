//! Sample booking requests, and small properties to send them to.

use chrono::{Days, NaiveDate, Utc};
use pvt_domain::demo;
use pvt_domain::inventory::{Inventory, Room};
use serde_json::{Value, json};

/// The room type of [`dormitory`].
pub const DORM: &str = "dorm-6-mixed";

/// The date this many days from today (UTC).
pub fn days_from_now(days: u64) -> NaiveDate {
    Utc::now().date_naive() + Days::new(days)
}

/// The body of `POST /api/bookings` for one stay at the demonstration property.
pub fn booking_body(room_type: &str, arrival: NaiveDate, nights: u64, guests: u32) -> Value {
    json!({
        "property_id": demo::PROPERTY_ID,
        "rate_plan_id": "standard",
        "source": "direct",
        "stays": [{ "room_type_id": room_type, "arrival": arrival, "departure": arrival + Days::new(nights),
        "guests": guests }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+15145550100",
        "locale": "en" },
    })
}

/// A property with one room of this many beds, of the room type [`DORM`], with the demonstration property's rates and
/// taxes.
pub fn dormitory(property_id: &str, beds: usize) -> Inventory {
    let mut inventory = demo::inventory();
    inventory.property.id = property_id.into();
    inventory.room_types.retain(|room_type| room_type.id.as_str() == DORM);
    inventory.rooms = vec![Room::new("r", DORM, (1..=beds).map(|bed| format!("r-{bed}").as_str().into()).collect())];
    for plan in &mut inventory.rate_plans {
        plan.nightly.retain(|room_type, _| room_type.as_str() == DORM);
    }
    inventory
}
