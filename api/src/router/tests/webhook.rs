//! Stripe's webhook with the real router: what is not a whole, fresh, signed event of ours is 400, and nothing is
//! handed on.

use super::{Answer, Api, UNREACHABLE};
use axum::body::Body;
use axum::http::Request;
use chrono::Utc;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pvt_domain::demo;
use pvt_service::Config;
use sha2::Sha256;

const SECRET: &str = "whsec_of_the_tests";
const EVENT: &str = concat!(
    r#"{"id":"evt_1","type":"checkout.session.completed","created":1800000000,"livemode":false,"#,
    r#""data":{"object":{"id":"cs_1"}}}"#,
);

/// What Stripe would send with this secret, at this time.
fn signed(secret: &str, time: i64, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(format!("{time}.{body}"));
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

async fn send(api: &Api, signature: &str, body: impl Into<Body>) -> Answer {
    api.send(Request::post("/api/payments/webhook").header("stripe-signature", signature).body(body.into()).unwrap())
        .await
}

#[tokio::test]
async fn only_complete_own_events_are_accepted() {
    let mut pairs = UNREACHABLE.to_vec();
    pairs.push(("STRIPE_WEBHOOK_SECRETS", SECRET));
    let api = Api::with(Config::from_pairs(pairs).unwrap(), [demo::inventory()]).await;
    let now = Utc::now().timestamp();
    // Whatever would be queued is 503 here: there is no broker.
    let good = send(&api, &signed(SECRET, now, EVENT), EVENT).await;
    assert_eq!((good.status.as_u16(), good.code()), (503, "broker_unavailable"));
    let others = EVENT.replacen('{', r#"{"account":"acct_2","#, 1);
    let live = EVENT.replace(r#""livemode":false"#, r#""livemode":true"#);
    let large = format!("{EVENT}{}", " ".repeat(1024 * 1024));
    // Numbers that grow when they are written out.
    let grows = EVENT.replacen('{', &format!(r#"{{"n":[{}1],"#, "1e9,".repeat(12_000)), 1);
    let many = format!("{},{}", signed(SECRET, now, EVENT), vec![format!("v1={}", "0".repeat(64)); 3_000].join(","));
    let refused = [
        ("a bad signature", signed("whsec_other", now, EVENT), EVENT.to_owned(), "invalid_signature"),
        (
            "no scheme that is known",
            signed(SECRET, now, EVENT).replace("v1=", "v0="),
            EVENT.to_owned(),
            "invalid_signature",
        ),
        ("a stale one", signed(SECRET, now - 301, EVENT), EVENT.to_owned(), "invalid_signature"),
        ("one of the far future", signed(SECRET, now + 86_400, EVENT), EVENT.to_owned(), "invalid_signature"),
        ("one of no time", signed(SECRET, now, EVENT).replace("t=", "t=x"), EVENT.to_owned(), "invalid_signature"),
        ("a truncated body", signed(SECRET, now, EVENT), EVENT[..EVENT.len() - 9].to_owned(), "invalid_signature"),
        (
            "a body that is not whole but signed",
            signed(SECRET, now, &EVENT[..20]),
            EVENT[..20].to_owned(),
            "invalid_json",
        ),
        ("another account's event", signed(SECRET, now, &others), others.clone(), "event_refused"),
        ("an event of the other mode", signed(SECRET, now, &live), live.clone(), "event_refused"),
        ("a body of a mebibyte", signed(SECRET, now, &large), large.clone(), "event_refused"),
        (
            "a body that is too large once it is written here",
            signed(SECRET, now, &grows),
            grows.clone(),
            "event_refused",
        ),
        ("thousands of signatures", many, EVENT.to_owned(), "invalid_signature"),
        (
            "a header of hundreds of kibibytes",
            format!("{},v0={}", signed(SECRET, now, EVENT), "0".repeat(300_000)),
            EVENT.to_owned(),
            "invalid_signature",
        ),
    ];
    for (what, signature, body, code) in refused {
        let answer = send(&api, &signature, body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, code), "{what}");
        assert!(!answer.body.to_string().contains(SECRET), "{what}");
    }
}
