//! Commands about bookings: violations of a request are reported before any store or queue is used.

use super::{Answer, Api, Request};
use axum::body::Body;
use axum::http::{Method, header};
use pvt_domain::accounts::Role;
use pvt_domain::ids::BookingId;
use pvt_service::tokens::Purpose;
use serde_json::{Value, json};

/// Every route that takes a body about a stored booking: method, what follows the id, and whether only staff may use
/// it.
const COMMANDS: [(Method, &str, bool); 10] = [
    (Method::PATCH, "", false),
    (Method::PUT, "", false),
    (Method::DELETE, "", false),
    (Method::POST, "/cancel", false),
    (Method::POST, "/checkin", true),
    (Method::POST, "/checkout", true),
    (Method::POST, "/no-show", true),
    (Method::POST, "/reinstate", true),
    (Method::POST, "/assign", true),
    (Method::POST, "/confirm", true),
];

impl Api {
    async fn command(&self, method: &Method, path: &str, bearer: Option<&str>, body: &Value) -> Answer {
        let id = BookingId::derive(None, "k", "f");
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/bookings/{id}{path}"))
            .header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::IF_MATCH, "\"1\"");
        let request = bearer
            .into_iter()
            .fold(request, |request, token| request.header(header::AUTHORIZATION, format!("Bearer {token}")));
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

#[tokio::test]
async fn decided_fields_are_refused() {
    let api = Api::new().await;
    let staff = api.access_token(Role::Staff);
    let token = api.app.booking_tokens.token(BookingId::derive(None, "k", "f"), Purpose::Manage, 0);
    for (method, path, of_staff) in COMMANDS {
        for bearer in [Some(&staff), (!of_staff).then_some(&token)].into_iter().flatten() {
            for name in ["price", "status", "role", "rev"] {
                let answer = api.command(&method, path, Some(bearer), &json!({ name: 1 })).await;
                assert_eq!((answer.status.as_u16(), answer.code()), (422, "validation_failed"), "{method} {path}");
                assert_eq!(
                    (answer.pointers()[0], &answer.body["errors"][0]["code"]),
                    (&*format!("/{name}"), &json!("unknown_field")),
                    "{method} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn beds_of_a_request_are_refused_with_where_to_name_them() {
    let api = Api::new().await;
    let body = json!({ "property_id": "pvt-montreal", "rate_plan_id": "standard", "stays": [{ "room_type_id": "dorm",
        "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1, "beds": ["d6a-1"] }] });
    let request = Request::post("/api/bookings").header(header::CONTENT_TYPE, "application/json");
    let request = request.header("idempotency-key", "beds").body(Body::from(body.to_string())).unwrap();
    let answer = api.send(request).await;
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let found = errors.iter().find(|error| error["pointer"] == "/stays/0/beds");
    let message = found.and_then(|error| error["message"].as_str()).unwrap_or_default();
    assert!(message.contains("POST /api/bookings/{id}/assign"), "{}", answer.body);
}

#[tokio::test]
async fn booking_token_grants_guest_access_only() {
    let api = Api::new().await;
    let token = api.app.booking_tokens.token(BookingId::derive(None, "k", "f"), Purpose::Manage, 0);
    let guest = api.access_token(Role::Guest);
    for (method, path, of_staff) in COMMANDS {
        let answer = api.command(&method, path, Some(&token), &json!({})).await;
        assert_eq!(answer.status.as_u16() == 401, of_staff, "{method} {path}: {}", answer.body);
        let answer = api.command(&method, path, Some(&guest), &json!({})).await;
        assert_eq!(answer.status.as_u16() == 403, of_staff, "{method} {path}: {}", answer.body);
        let answer = api.command(&method, path, None, &json!({})).await;
        assert_eq!(answer.status.as_u16(), if of_staff { 401 } else { 404 }, "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn link_that_shows_a_booking_changes_nothing() {
    let api = Api::new().await;
    let token = api.app.booking_tokens.token(BookingId::derive(None, "k", "f"), Purpose::View, 0);
    for (method, path, of_staff) in COMMANDS {
        let answer = api.command(&method, path, Some(&token), &json!({})).await;
        let expected = if of_staff { (401, "unauthenticated") } else { (403, "forbidden") };
        assert_eq!((answer.status.as_u16(), answer.code()), expected, "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn modification_requires_if_match() {
    let api = Api::new().await;
    let id = BookingId::derive(None, "k", "f");
    for (method, if_match, expected) in
        [(Method::PATCH, None, "precondition_required"), (Method::PUT, Some("W/\"7\""), "invalid_if_match")]
    {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/bookings/{id}?token={}", api.app.booking_tokens.token(id, Purpose::Manage, 0)));
        let request =
            if_match.into_iter().fold(request.header(header::CONTENT_TYPE, "application/json"), |request, tag| {
                request.header(header::IF_MATCH, tag)
            });
        assert_eq!(api.send(request.body(Body::from("{}")).unwrap()).await.code(), expected);
    }
}
