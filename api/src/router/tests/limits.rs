//! Rate limits as callers meet them.

use super::{Answer, Api, UNREACHABLE, demo};
use axum::body::Body;
use axum::http::{Request, header};
use pvt_domain::accounts::Role;
use pvt_service::Config;

async fn behind_a_proxy(limits: &[(&'static str, &'static str)]) -> Api {
    let pairs = UNREACHABLE.into_iter().chain([("PVT_TRUSTED_PROXIES", "127.0.0.1")]).chain(limits.iter().copied());
    Api::with(Config::from_pairs(pairs).unwrap(), [demo::inventory()]).await
}

async fn send_as(api: &Api, method: &str, path: &str, from: &str, token: Option<&str>) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-forwarded-for", from)
        .header(header::CONTENT_TYPE, "application/json");
    let request = token
        .into_iter()
        .fold(request, |request, token| request.header(header::AUTHORIZATION, format!("Bearer {token}")));
    api.send(request.body(Body::from("{}")).unwrap()).await
}

#[tokio::test]
async fn sixth_login_attempt_is_rate_limited() {
    let api = behind_a_proxy(&[]).await;
    for attempt in 1..=5 {
        let answer = send_as(&api, "POST", "/api/auth/login", "203.0.113.7", None).await;
        assert_eq!(
            (answer.status.as_u16(), answer.headers["ratelimit"].to_str().unwrap()),
            (422, &*format!("\"auth\";r={}", 5 - attempt))
        );
        assert_eq!(answer.headers["ratelimit-policy"], "\"auth\";q=5;w=900");
    }
    let refused = send_as(&api, "POST", "/api/auth/reset-password", "203.0.113.7", None).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (429, "rate_limited"),
        "one count for all that guesses secrets"
    );
    let wait: u32 = refused.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=181).contains(&wait), "{wait}");
    assert!(refused.headers.contains_key("ratelimit"));
    assert_eq!(
        send_as(&api, "POST", "/api/auth/login", "203.0.113.8", None).await.status.as_u16(),
        422,
        "another caller has another count"
    );
    assert_eq!(
        send_as(&api, "GET", "/api/properties", "203.0.113.7", None).await.status.as_u16(),
        200,
        "everything else goes on"
    );
}

#[tokio::test]
async fn anonymous_bookings_are_limited_more_than_clients() {
    let api = behind_a_proxy(&[("PVT_RATE_BOOKING", "1/1h"), ("PVT_RATE_CLIENT", "3/1h")]).await;
    let book = |token| send_as(&api, "POST", "/api/bookings", "203.0.113.7", token);
    assert_eq!(book(None).await.code(), "idempotency_key_missing");
    assert_eq!(book(None).await.code(), "rate_limited");
    let token = api.access_token(Role::Guest);
    for _ in 0..3 {
        assert_eq!(book(Some(&token)).await.code(), "idempotency_key_missing");
    }
    let refused = book(Some(&token)).await;
    assert_eq!(
        (refused.code(), refused.headers["ratelimit-policy"].to_str().unwrap()),
        ("rate_limited", "\"client\";q=3;w=3600")
    );
    assert_eq!(book(Some("nonsense")).await.code(), "rate_limited", "a credential that is none counts as a stranger's");
}

#[tokio::test]
async fn probes_and_webhooks_are_not_rate_limited() {
    let api = behind_a_proxy(&[("PVT_RATE_GENERAL", "1/1h")]).await;
    for _ in 0..3 {
        assert_eq!(
            send_as(&api, "POST", "/api/payments/webhook", "203.0.113.7", None).await.code(),
            "invalid_signature"
        );
        assert_eq!(send_as(&api, "GET", "/livez", "203.0.113.7", None).await.status.as_u16(), 200);
        assert_eq!(send_as(&api, "GET", "/api/health", "203.0.113.7", None).await.status.as_u16(), 503);
    }
    assert_eq!(send_as(&api, "GET", "/api", "203.0.113.7", None).await.status.as_u16(), 200);
    assert_eq!(send_as(&api, "GET", "/api", "203.0.113.7", None).await.status.as_u16(), 429);
}
