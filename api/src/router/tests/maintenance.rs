//! Requests during maintenance, by what they would change.

use super::{Api, UNREACHABLE, booking_request, good_body};
use crate::router::table;
use axum::body::Body;
use axum::http::{Method, Request, header};
use chrono::{TimeDelta, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::demo;
use pvt_service::Config;
use pvt_stores::mongo::maintenance::Maintenance;
use serde_json::Value;

/// What changes nothing that is stored, is needed in order to read, or comes from a sender who cannot wait.
const GOING_ON: [&str; 5] =
    ["/api/auth/login", "/api/auth/logout", "/api/auth/refresh", "/api/payments/webhook", "/api/quotes"];

/// Behind a proxy, so that limits apply.
async fn api() -> Api {
    let now = Utc::now();
    let maintenance = Maintenance {
        since: now.into(),
        until: Some((now + TimeDelta::minutes(5)).into()),
        actor: Actor::from("operator"),
        reason: "an index is built".to_owned(),
    };
    let settings = UNREACHABLE.into_iter().chain([("PVT_TRUSTED_PROXIES", "127.0.0.1")]);
    let config = Config::from_pairs(settings).unwrap();
    Api::in_maintenance(Some(maintenance), config, [demo::inventory()]).await
}

#[tokio::test]
async fn changes_are_refused_and_everything_else_goes_on() {
    let api = api().await;
    let (mut going_on, mut refused) = (Vec::new(), 0);
    for route in table() {
        for endpoint in &route.methods {
            let request = Request::builder().method(&endpoint.method).uri(route.path.replace(['{', '}'], ""));
            let answer = api.send(request.body(Body::empty()).unwrap()).await;
            if answer.code() == "maintenance" {
                refused += 1;
                assert_ne!(endpoint.method, Method::GET, "{}", route.path);
                let seconds: u32 = answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
                assert!((280..=300).contains(&seconds), "{seconds}");
            } else if endpoint.method != Method::GET {
                going_on.push(route.path);
            }
        }
    }
    going_on.sort_unstable();
    assert_eq!(going_on, GOING_ON);
    assert!(refused > 30, "{refused}");
}

#[tokio::test]
async fn refusals_count_towards_no_limit_and_show_no_reason() {
    let api = api().await;
    for _ in 0..30 {
        let request = booking_request().header("x-forwarded-for", "203.0.113.7");
        let answer = api.send(request.body(Body::from(good_body().to_string())).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "maintenance"));
        assert!(!answer.body.to_string().contains("index"), "{}", answer.body);
    }
    for path in ["/api/health", "/api/status"] {
        let shown = api.get(path).await.body;
        assert!(shown["maintenance"]["since"].is_string() && shown["maintenance"]["until"].is_string(), "{shown}");
        assert_eq!((&shown["maintenance"]["reason"], &shown["maintenance"]["actor"]), (&Value::Null, &Value::Null));
    }
    assert!(Api::new().await.get("/api/health").await.body.get("maintenance").is_none());
}
