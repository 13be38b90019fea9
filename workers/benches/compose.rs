//! Benchmark of composing mails, without a store or a mail server: `cargo bench -p pvt-workers`.

#![allow(clippy::unwrap_used, missing_docs)]

use chrono::DateTime;
use divan::{Bencher, black_box};
use pvt_domain::booking::Booking;
use pvt_domain::demo;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::NotificationKind;
use pvt_workers::mail::{BookingMailParts, Links, MailContext, Sender, compose};
use serde_json::json;

// As in the programs, whose mails cost mostly small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Two guests for three nights, confirmed.
fn booking(language: &str) -> Booking {
    let id = BookingId::derive(None, "mail", "benchmark");
    let booking = json!({
        "_id": id, "reference": id.reference(), "status": "confirmed", "rev": 1,
        "property_id": demo::PROPERTY_ID, "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2,
        "assigned_beds": ["d6a-1", "d6a-2"] }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "locale": language },
        "price": { "currency": "CAD", "nights": [[8_400, 8_400, 8_400]],
        "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50_000, "amount": 1_260 }], "total": 26_460 },
        "payment_status": "pay_on_arrival", "fingerprint": "benchmark",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:00.000Z", "history": [],
    });
    serde_json::from_value(booking).unwrap()
}

#[divan::bench(args = ["en", "fr"])]
fn confirmation(bencher: Bencher<'_, '_>, language: &str) {
    let (booking, inventory) = (booking(language), demo::inventory());
    let sender = Sender::parse("PVT Booking <bookings@pvt.test>").unwrap();
    let links = Links::new("https://book.pvt.test".parse().unwrap(), &"a secret of this benchmark".into()).unwrap();
    let now = DateTime::parse_from_rfc3339("2026-12-01T12:00:00Z").unwrap().to_utc().into();
    let parts = BookingMailParts {
        kind: NotificationKind::BookingConfirmed,
        rev: 1,
        compared_with: None,
        former: None,
        message_id: "<benchmark@pvt.test>",
    };
    bencher.bench(|| {
        let context = MailContext { sender: &sender, links: &links };
        compose(parts, black_box(&booking), &inventory, context, now).unwrap()
    });
}
