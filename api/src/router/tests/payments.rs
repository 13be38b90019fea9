//! Money at the API's edge: who may ask for what, and what is wrong with how they ask. No broker and no store is there.

use super::{Answer, Api};
use crate::openapi::document;
use axum::body::Body;
use axum::http::{Request, header};
use pvt_domain::accounts::Role;
use pvt_domain::ids::BookingId;
use pvt_service::tokens::Purpose;
use serde_json::{Value, json};

const OPENING: [&str; 2] = ["/api/payments/checkout", "/api/payments/create-intent"];

fn id() -> BookingId {
    BookingId::derive(None, "k", "f")
}

async fn post(api: &Api, path: &str, body: &Value, bearer: Option<&str>) -> Answer {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json").header("idempotency-key", "k-1");
    let request = bearer
        .into_iter()
        .fold(request, |request, bearer| request.header(header::AUTHORIZATION, format!("Bearer {bearer}")));
    api.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn booking_token_is_accepted_in_body_query_and_header() {
    let api = Api::new().await;
    let (token, other) = (
        api.app.booking_tokens.token(id(), Purpose::Manage, 0),
        api.app.booking_tokens.token(BookingId::derive(None, "other", "f"), Purpose::Manage, 0),
    );
    for path in OPENING {
        let named = json!({ "booking_id": id() });
        let with = |token: &str| json!({ "booking_id": id(), "token": token });
        for (answer, expected) in [
            (post(&api, path, &named, None).await, 404),
            (post(&api, path, &with(&other), None).await, 404),
            (post(&api, path, &json!({ "token": token }), None).await, 404),
            // The right one gets as far as the store.
            (post(&api, path, &with(&token), None).await, 503),
            (post(&api, &format!("{path}?token={token}"), &named, None).await, 503),
            (post(&api, path, &named, Some(&token)).await, 503),
        ] {
            assert_eq!(answer.status.as_u16(), expected, "{path}: {}", answer.body);
        }
    }
    for (query, expected) in [
        ("", 404),
        ("?token=x", 404),
        (&*format!("?booking_id={}&token={other}", id()), 404),
        (&*format!("?booking_id={}&token={token}", id()), 503),
    ] {
        assert_eq!(
            api.get(&format!("/api/payments/11111111-2222-5333-8444-555555555555{query}")).await.status.as_u16(),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn return_urls_must_be_ours() {
    let api = Api::new().await;
    let token = api.app.booking_tokens.token(id(), Purpose::Manage, 0);
    let body = json!({ "booking_id": id(), "token": token, "success_url": "https://evil.example.com/thanks",
        "cancel_url": 1, "amount": 1 });
    let answer = post(&api, OPENING[0], &body, None).await;
    assert_eq!(
        (answer.status.as_u16(), answer.pointers()),
        (422, vec!["/amount", "/success_url", "/cancel_url"]),
        "{}",
        answer.body
    );
    let card = json!({ "booking_id": id(), "token": token,
        "success_url": format!("https://app.example.com/{}?pan=4242424242424242", id()) });
    let answer = post(&api, OPENING[0], &card, None).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (422, "card_number_refused"));
}

#[tokio::test]
async fn return_urls_hold_no_token() {
    let api = Api::new().await;
    for purpose in [Purpose::View, Purpose::Manage] {
        let token = api.app.booking_tokens.token(id(), purpose, 0);
        let url = format!("https://app.example.com/thanks?t={token}");
        let body = json!({ "booking_id": id(), "token": token, "success_url": url, "cancel_url": url });
        let answer = post(&api, OPENING[0], &body, None).await;
        let codes: Vec<&str> =
            answer.body["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect();
        assert!(codes.contains(&"token_in_url"), "{}", answer.body);
    }
}

#[tokio::test]
async fn staff_violations_are_reported() {
    let api = Api::new().await;
    let staff = api.access_token(Role::Staff);
    let record =
        json!({ "booking_id": "x", "method": "card", "amount": { "amount": 0, "currency": "CAD" }, "price": 1 });
    let answer = post(&api, "/api/payments/record", &record, Some(&staff)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.pointers()),
        (422, vec!["/price", "/booking_id", "/method", "/amount/amount"])
    );
    let refund = post(&api, "/api/payments/pi_1/refund", &json!({}), Some(&staff)).await;
    assert_eq!((refund.status.as_u16(), refund.pointers()), (422, vec!["/reason"]));
    let nonsense = post(&api, "/api/payments/pi-1/refund", &json!({ "reason": "r" }), Some(&staff)).await;
    assert_eq!(nonsense.status.as_u16(), 404);
    let get = async |path: &str| {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {staff}"));
        api.send(request.body(Body::empty()).unwrap()).await
    };
    for (path, expected) in [
        ("/api/payments/analytics?property_id=pvt-montreal", 400),
        ("/api/payments/analytics?property_id=pvt-montreal&from=2027-01-01&until=2028-01-03", 400),
        ("/api/payments/analytics?property_id=pvt-montreal&from=2027-01-01&until=2027-01-01", 400),
        ("/api/payments/analytics?property_id=castle&from=2027-01-01&until=2027-02-01", 404),
        ("/api/payments/analytics?property_id=pvt-montreal&from=2027-01-01&until=2027-02-01", 503),
        ("/api/payments?property_id=castle", 404),
        ("/api/payments?booking_id=x", 400),
        ("/api/payments/pi_1?booking_id=x", 400),
        ("/api/payments?attention=true", 503),
        ("/api/disputes", 403),
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status.as_u16(), expected, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn unavailable_payment_renders_page() {
    let api = Api::new().await;
    let path = format!("/api/bookings/{}/pay?token={}", id(), api.app.booking_tokens.token(id(), Purpose::Manage, 0));
    for (languages, spoken) in [("fr-CA,fr;q=0.9,en;q=0.8", "fr"), ("de, en;q=0.5", "en"), ("de", "en")] {
        let answer =
            api.send(Request::get(&path).header(header::ACCEPT_LANGUAGE, languages).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), 503, "{}", answer.body);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "text/html; charset=utf-8", "{}", answer.body);
        assert_eq!(answer.headers[header::CONTENT_LANGUAGE], spoken, "{languages}");
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
    }
    let document = document();
    let answers = &document["paths"]["/api/bookings/{id}/pay"]["get"]["responses"];
    let media: Vec<&str> = answers["503"]["content"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((media, answers.get("422")), (vec!["text/html; charset=utf-8"], None));
}

#[test]
fn documented_statuses_are_reachable() {
    let document = document();
    let answers = |path: &str| document["paths"][path]["post"]["responses"].clone();
    let codes = |answer: &Value| {
        answer["content"]["application/problem+json"]["examples"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(answers("/api/payments/webhook").get("413").is_none(), "what is too large is 400");
    let record = answers("/api/payments/record");
    assert_eq!((record.get("404"), record.get("502")), (None, None), "neither an address nor Stripe is involved");
    assert_eq!(codes(&record["503"]), ["broker_unavailable", "maintenance", "not_ready", "store_unavailable"]);
    assert!(codes(&answers(OPENING[1])["503"]).contains(&"provider_unavailable".to_owned()));
    for (path, shown) in [(OPENING[0], true), (OPENING[1], false), ("/api/payments/record", true)] {
        let words = answers(path)["202"]["description"].to_string();
        assert_eq!(
            (words.contains("`Location` shows it"), words.contains("with the same key")),
            (shown, !shown),
            "{path}"
        );
    }
}
