//! A city tax and an included VAT in French, from the property to the mail, the receipt and the mart; and restrictions
//! that contradict each other.

use crate::happy_path::mails_to;
use crate::harness::clock::at_noon;
use crate::harness::{ApiResponse, Expectations, FrontDesk, StackBuilder, booked};
use anyhow::{Context, Result, ensure};
use chrono::{Days, Utc};
use pvt_domain::demo;
use pvt_testkit::{DORM, booking_body, dormitory};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// VAT of 10 % that prices include, and 1.65 per person for at most two nights, from which children and business
/// travellers are exempt.
fn taxes() -> Value {
    json!([
        { "code": "vat", "name": "VAT", "names": { "fr": "TVA" }, "rate_ppm": 100_000, "included": true },
        { "code": "city", "name": "City tax", "names": { "fr": "Taxe de séjour" }, "per": "person_night", "amount": 165,
            "max_nights": 2, "exempt_under": 18,
            "exemptions": [{ "code": "business", "name": "Business travel", "names": { "fr": "Voyage d’affaires" } }] },
    ])
}

/// Amounts of the taxes of a price by their code, with the total.
fn amounts(price: &Value) -> Vec<(&str, i64)> {
    let taxes = price["taxes"].as_array().map_or(&[][..], Vec::as_slice);
    let line = |tax| -> (&str, i64) {
        let tax: &Value = tax;
        (tax["code"].as_str().unwrap_or_default(), tax["price"]["amount"].as_i64().unwrap_or(-1))
    };
    taxes.iter().map(line).chain([("total", price["total"]["amount"].as_i64().unwrap_or(-1))]).collect()
}

/// A change of the property, at the revision that it has.
async fn edit(admin: &FrontDesk, method: Method, path: &str, body: &Value) -> Result<ApiResponse> {
    let property = format!("/api/properties/{}", demo::PROPERTY_ID);
    let seen = admin.send(Method::GET, &property, None, &json!({})).await?;
    admin.send(method, path, Some(seen.header("etag").trim_matches('"').parse()?), body).await
}

/// The violations of an answer.
fn violations(answer: &ApiResponse) -> Vec<(&str, &str)> {
    let errors = answer.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
    errors
        .iter()
        .map(|error| (error["pointer"].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn city_tax_and_included_vat_are_the_same_everywhere() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(demo::PROPERTY_ID, 12))?;
    let stack = StackBuilder::new().selling([inventory]).start().await?;
    let (desk, admin) = (FrontDesk::of(&stack).await?, FrontDesk::with_role(&stack, "admin").await?);
    let property = format!("/api/properties/{}", demo::PROPERTY_ID);
    let mut wrong = taxes();
    wrong[1]["max_nights"] = json!(0);
    wrong[0]["compounds_on"] = json!(["city"]);
    let refused = edit(&admin, Method::PATCH, &property, &json!({ "taxes": wrong })).await?;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
    assert_eq!(violations(&refused), [("/taxes/1/max_nights", "out_of_range")]);
    wrong[1]["max_nights"] = json!(2);
    let refused = edit(&admin, Method::PATCH, &property, &json!({ "taxes": wrong })).await?;
    assert_eq!(violations(&refused), [("/taxes/0/compounds_on", "unknown_tax")]);
    let set = edit(&admin, Method::PATCH, &property, &json!({ "taxes": taxes() })).await?;
    assert_eq!(set.status, StatusCode::OK, "{set:?}");
    assert_eq!(set.body["taxes"][1]["max_nights"], 2, "{set:?}");
    let named = format!("/api/room-types/{DORM}?property_id={}", demo::PROPERTY_ID);
    let named = edit(&admin, Method::PATCH, &named, &json!({ "names": { "fr": "Lit en dortoir mixte" } })).await?;
    assert_eq!(named.body["names"]["fr"], "Lit en dortoir mixte", "{named:?}");

    // Two adults and a child for three nights at 42.00.
    let mut body = booking_body(DORM, today, 3, 3);
    body["guest"]["locale"] = json!("fr");
    body["stays"][0]["guest_ages"] = json!([9]);
    let asked = json!({ "property_id": body["property_id"], "rate_plan_id": body["rate_plan_id"],
        "stays": body["stays"] });
    let quoted = stack.client.post("/api/quotes", &[("accept-language", "fr-CA, en;q=0.5")], &asked).await?;
    assert_eq!(quoted.status, StatusCode::OK, "{quoted:?}");
    let expected = [("vat", 3_436), ("city", 4 * 165), ("total", 37_800 + 4 * 165)];
    assert_eq!(amounts(&quoted.body["price"]), expected);
    let vat = &quoted.body["price"]["taxes"][0];
    assert_eq!((&vat["name"], &vat["included"], &vat["rate_ppm"]), (&json!("TVA"), &json!(true), &json!(100_000)));
    let city = &quoted.body["price"]["taxes"][1];
    assert_eq!((&city["name"], &city["count"]), (&json!("Taxe de séjour"), &json!(4)));
    assert_eq!((&city["per"], &city["unit_amount"]["amount"]), (&json!("person_night"), &json!(165)));

    // Guests do not exempt themselves; the property has not allowed it.
    let business = json!([{ "code": "city", "reason": "business", "guests": 1 }]);
    let mut exempt = body.clone();
    exempt["stays"][0]["tax_exemptions"] = business.clone();
    let refused = stack.client.request_booking("exempt", &exempt).await?;
    assert_eq!(violations(&refused), [("/stays/0/tax_exemptions/0/reason", "staff_only")]);

    body["quote"] = quoted.body["quote"].clone();
    let answer = desk.request_booking("group", &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let ours = booked(&answer)?;
    stack.record_accepted(ours.id);
    assert_eq!(amounts(&answer.body["price"]), expected);
    let mail = mails_to(&stack, "ada@example.com", 1).await?.remove(0);
    for text in [
        "Lit en dortoir mixte",
        "TVA (10\u{a0}%, compris dans le prix)",
        "34,36\u{a0}CAD",
        "Taxe de séjour (4\u{a0}nuitées × 1,65\u{a0}CAD)",
        "6,60\u{a0}CAD",
        "384,60\u{a0}CAD",
    ] {
        assert!(mail.text.contains(text), "no {text} in {}", mail.text);
    }
    let path = format!("/api/bookings/{}", ours.id);
    let receipt = desk.send(Method::GET, &format!("{path}/receipt"), None, &json!({})).await?;
    let page = receipt.body.as_str().context("a page")?.replace('\u{a0}', " ");
    for text in [
        "Lit en dortoir mixte",
        "TVA (10 %, compris dans le prix)",
        "34,36 CAD",
        "Taxe de séjour (4 nuitées × 1,65 CAD)",
        "6,60 CAD",
        "384,60 CAD",
    ] {
        assert!(page.contains(text), "no {text} in {page}");
    }

    // One adult leaves after a night: 42.00 and one person-night instead of 126.00 and two.
    desk.succeed(&ours, "checkin", &json!({})).await?;
    let one = json!({ "stays": [{ "stay": 0, "guests": 1 }], "reprice": true });
    let left = desk.succeed(&ours, "checkout", &one).await?;
    assert_eq!(amounts(&left.body["price"]), [("vat", 2_673), ("city", 3 * 165), ("total", 29_400 + 3 * 165)]);
    // The other one turns out to travel on business.
    let declared = json!({ "stays": [{ "tax_exemptions": business }, {}], "reason": "letter of the employer" });
    let changed = desk.send(Method::PATCH, &path, left.body["rev"].as_u64(), &declared).await?;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(amounts(&changed.body["price"]), [("vat", 2_673), ("city", 165), ("total", 29_565)]);
    assert_eq!(changed.body["stays"][0]["tax_exemptions"], business);
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn restrictions_that_contradict_each_other_are_refused() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let admin = FrontDesk::with_role(&stack, "admin").await?;
    let path = format!("/api/rate-plans/standard/restrictions?property_id={}", demo::PROPERTY_ID);
    let day = |days: u64| Utc::now().date_naive() + Days::new(days);
    let change = |from: u64, until: u64, restriction: Value| {
        let (from, until) = (day(from), day(until));
        json!({ "room_type_ids": [DORM], "from": from, "until": until, "restriction": restriction })
    };
    let set = async |changes: Value| edit(&admin, Method::PUT, &path, &json!({ "changes": changes })).await;
    let above = set(json!([change(30, 40, json!({ "min_stay_arrival": 4, "max_stay": 3 }))])).await?;
    assert_eq!(above.status, StatusCode::UNPROCESSABLE_ENTITY, "{above:?}");
    assert_eq!(
        violations(&above),
        [
            ("/changes/0/restriction/min_stay_arrival", "contradicts"),
            ("/changes/0/restriction/max_stay", "contradicts"),
        ]
    );
    let week = || change(30, 31, json!({ "min_stay_arrival": 7, "max_stay": 7 }));
    let closed = || change(37, 38, json!({ "closed_to_departure": true }));
    let both = set(json!([week(), closed()])).await?;
    assert_eq!(
        violations(&both),
        [
            ("/changes/0/restriction/min_stay_arrival", "contradicts"),
            ("/changes/1/restriction/closed_to_departure", "contradicts"),
        ]
    );
    let stored = set(json!([week()])).await?;
    assert_eq!(stored.status, StatusCode::OK, "{stored:?}");
    let against = set(json!([closed()])).await?;
    assert_eq!(violations(&against), [("/changes/0/restriction/closed_to_departure", "contradicts")]);
    let message = against.body["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains(&format!("min_stay_arrival of {}, which is stored", day(30))), "{message}");
    stack.end(Expectations::clean()).await
}
