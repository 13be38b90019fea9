//! Requests to try.

use chrono::{Days, NaiveDate, Utc};
use serde_json::{Value, json};

/// A date so many days from today, safely inside what can be booked.
pub fn soon(days: u64) -> NaiveDate {
    Utc::now().date_naive() + Days::new(days)
}

/// The body of `POST /api/bookings` for one stay at the demonstration hostel.
pub fn booking_body(room_type: &str, arrival: NaiveDate, nights: u64, guests: u32) -> Value {
    json!({
        "property_id": pvt_domain::demo::PROPERTY_ID,
        "rate_plan_id": "standard",
        "source": "direct",
        "stays": [{ "room_type_id": room_type, "arrival": arrival, "departure": arrival + Days::new(nights), "guests": guests }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+15145550100", "locale": "en" },
    })
}
