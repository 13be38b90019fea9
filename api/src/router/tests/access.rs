//! Every route, called by every kind of caller: the answer is the one its rule declares. There is no store, so a
//! request that is admitted ends with a violation of its own or a 503.

use super::{Answer, Api};
use crate::auth::policy::Access;
use crate::router::table;
use axum::body::Body;
use axum::http::{Method, Request, header};
use chrono::Utc;
use futures_util::future::join_all;
use pvt_domain::accounts::{Email, Role, User, UserId};
use uuid::Uuid;

const SOME_ID: &str = "11111111-2222-5333-8444-555555555555";

impl Api {
    /// An access token for an account of this role, at `pvt-montreal`.
    pub(super) fn access_token(&self, role: Role) -> String {
        let user = User {
            id: UserId::from_uuid(Uuid::from_u128(7)),
            email: Email::parse("user@example.com").unwrap(),
            name: "Some User".to_owned(),
            role,
            properties: vec!["pvt-montreal".into()],
            locale: None,
            rev: 1,
            created_at: Utc::now().into(),
            disabled_at: None,
        };
        self.app.access_tokens.issue(&user, Utc::now()).unwrap()
    }

    async fn send_as(&self, method: &Method, path: &str, token: Option<&str>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path.replace("{id}", SOME_ID))
            .header(header::CONTENT_TYPE, "application/json");
        let request = token
            .into_iter()
            .fold(request, |request, token| request.header(header::AUTHORIZATION, format!("Bearer {token}")));
        self.send(request.body(Body::from("{}")).unwrap()).await
    }
}

#[tokio::test]
async fn every_route_enforces_its_rule() {
    let api = Api::new().await;
    let tokens = [Role::Guest, Role::Staff, Role::Admin].map(|role| api.access_token(role));
    let callers = [
        ("a stranger", None),
        ("a guest", Some(&tokens[0])),
        ("staff", Some(&tokens[1])),
        ("an admin", Some(&tokens[2])),
    ];
    let mut calls = Vec::new();
    for route in table() {
        for guarded in route.methods {
            // Refusals for the four callers; 0 stands for none.
            let expected = match guarded.rule.access {
                Access::Open | Access::Public | Access::Guest(_) => [0, 0, 0, 0],
                Access::Account | Access::Known => [401, 0, 0, 0],
                Access::Staff => [401, 403, 0, 0],
                Access::Admin => [401, 403, 403, 0],
            };
            for ((who, token), expected) in callers.iter().zip(expected) {
                let (api, method, token, rule) =
                    (&api, guarded.method.clone(), token.map(String::as_str), guarded.rule);
                calls.push(async move {
                    let answer = api.send_as(&method, route.path, token).await;
                    let status = answer.status.as_u16();
                    let refusal = if matches!(status, 401 | 403) { status } else { 0 };
                    // Whether a rule's own refusal or that of a handler which looks at objects: strangers see no
                    // booking.
                    let is_wrong = refusal != expected
                        || (matches!(rule.access, Access::Guest(_)) && token.is_none() && status != 404);
                    is_wrong.then(|| format!("{method} {} by {who}: {status} {}", route.path, answer.body))
                });
            }
        }
    }
    // A request that gets as far as the store waits for it; together they wait once.
    let wrong: Vec<String> = join_all(calls).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn invalid_credential_is_refused_on_every_protected_route() {
    let api = Api::new().await;
    let good = api.access_token(Role::Admin);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let refresh = format!("pvtr_{}_{}", Uuid::nil().simple(), "ab".repeat(32));
    let turned: String = signature.chars().rev().collect();
    for bad in
        [format!("{message}."), format!("{message}.{turned}"), refresh, "a.b.c".to_owned(), "nonsense".to_owned()]
    {
        for route in table() {
            for guarded in route.methods {
                let answer = api.send_as(&guarded.method, route.path, Some(&bad)).await;
                let status = answer.status.as_u16();
                match guarded.rule.access {
                    Access::Open => assert_ne!(status, 403, "{} {}", guarded.method, route.path),
                    // There it may be a booking's token, and opens nothing.
                    Access::Guest(_) => {
                        assert!(matches!(status, 401 | 404), "{} {}: {status}", guarded.method, route.path)
                    }
                    _ => assert_eq!(
                        (status, answer.code()),
                        (401, "unauthenticated"),
                        "{} {} with {bad}",
                        guarded.method,
                        route.path
                    ),
                }
            }
        }
    }
}

#[tokio::test]
async fn cors_allows_listed_origins_only() {
    let mut pairs = super::UNREACHABLE.to_vec();
    pairs.push(("PVT_CORS_ORIGINS", "https://app.example.com"));
    let api = Api::with(pvt_service::Config::from_pairs(pairs).unwrap(), [super::demo::inventory()]).await;
    let preflight = |origin: &'static str| {
        let request = Request::builder().method(Method::OPTIONS).uri("/api/bookings").header(header::ORIGIN, origin);
        api.send(request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST").body(Body::empty()).unwrap())
    };
    let good = preflight("https://app.example.com").await;
    assert_eq!((good.status.as_u16(), good.headers[header::ALLOW].to_str().unwrap()), (204, "POST,GET,HEAD"));
    assert!(good.headers[header::ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap().contains("POST"));
    assert_eq!(good.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.com");
    assert!(!preflight("https://evil.example.com").await.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    let refused =
        Request::post("/api/bookings").header(header::ORIGIN, "https://app.example.com").body(Body::empty()).unwrap();
    let refused = api.send(refused).await;
    assert_eq!(
        (refused.status.as_u16(), refused.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)),
        (400, true),
        "a page may read problems too"
    );
}
