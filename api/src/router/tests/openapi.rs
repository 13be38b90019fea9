//! Agreement of answers with the OpenAPI document: every route, sent invalid requests of many kinds.

use super::{Answer, Api};
use crate::openapi::document;
use crate::openapi::tests::conform::faults;
use crate::resources::bookings::view::{BookingView, Links};
use crate::router::table;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use futures_util::future::join_all;
use pvt_domain::accounts::Role;
use pvt_domain::booking::Booking;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Ways to ask wrongly: content type, query, body.
const WAYS: [(Option<&str>, &str, &str); 6] = [
    (None, "", "{}"),
    (Some("application/json"), "", "{"),
    (Some("application/json"), "", "[]"),
    (Some("application/json"), "", r#"{"unknown":1,"name":"4242 4242 4242 4242"}"#),
    (Some("application/json"), "", r#"{"price":1,"status":"x","role":"admin","rev":1}"#),
    (Some("application/json"), "?limit=0&cursor=%25&wait=long&token=x&token=y", "{}"),
];

struct Exchange {
    method: Method,
    path: &'static str,
    query: &'static str,
    answer: Answer,
}

async fn send_as(
    api: &Api,
    method: Method,
    path: &'static str,
    way: (Option<&str>, &'static str, &'static str),
    token: Option<&str>,
    keyed: bool,
) -> Exchange {
    let (kind, query, body) = way;
    let uri = format!("{}{query}", path.replace("{id}", "11111111-2222-5333-8444-555555555555"));
    let mut request = Request::builder().method(&method).uri(uri);
    let bearer = token.map(|token| format!("Bearer {token}"));
    for (name, value) in [("content-type", kind), ("authorization", bearer.as_deref())] {
        request = value.into_iter().fold(request, |request, value| request.header(name, value));
    }
    if keyed {
        request = request.header("idempotency-key", "k").header("if-match", "\"1\"");
    }
    let answer = api.send(request.body(Body::from(body)).unwrap()).await;
    Exchange { method, path, query, answer }
}

#[tokio::test]
async fn every_response_is_documented() {
    let api = Api::new().await;
    let document = document();
    let admin = api.access_token(Role::Admin);
    let mut requests = Vec::new();
    for (path, method) in
        table().into_iter().flat_map(|route| route.methods.into_iter().map(move |one| (route.path, one.method)))
    {
        for (way, token) in
            WAYS.iter().flat_map(|way| [(*way, None), (*way, Some(admin.as_str())), (*way, Some("a.b.c"))])
        {
            requests.extend([true, false].map(|keyed| send_as(&api, method.clone(), path, way, token, keyed)));
        }
    }
    let mut wrong = Vec::new();
    for Exchange { method, path, query, answer } in join_all(requests).await {
        let response = &document["paths"][path][method.as_str().to_lowercase()]["responses"][answer.status.as_str()];
        let code = answer.code();
        let documented = response["content"]["application/problem+json"]["examples"].get(code).is_some()
            || (code.is_empty() && response.is_object());
        if !documented {
            wrong.push(format!("{method} {path}{query}: {} {code}", answer.status));
        }
    }
    wrong.sort_unstable();
    wrong.dedup();
    assert!(wrong.is_empty(), "answers that the document does not speak of:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn required_headers_are_enforced() {
    let api = Api::new().await;
    let document = document();
    let admin = api.access_token(Role::Admin);
    for (path, method) in
        table().into_iter().flat_map(|route| route.methods.into_iter().map(move |one| (route.path, one.method)))
    {
        let parameters = document["paths"][path][method.as_str().to_lowercase()]["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let answer =
            send_as(&api, method.clone(), path, (Some("application/json"), "", "{}"), Some(&admin), false).await.answer;
        for (name, code) in [("Idempotency-Key", "idempotency_key_missing"), ("If-Match", "precondition_required")] {
            // A handler that reads the store first finds none here.
            if parameters.iter().any(|parameter| parameter["name"] == name && parameter["required"] == true)
                && answer.status != 503
            {
                assert_eq!(answer.code(), code, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn mistyped_query_parameters_are_refused() {
    let api = Api::new().await;
    let admin = api.access_token(Role::Admin);
    let document = document();
    let mut refused = 0;
    for (path, method) in
        table().into_iter().flat_map(|route| route.methods.into_iter().map(move |one| (route.path, one.method)))
    {
        let operation = &document["paths"][path][method.as_str().to_lowercase()];
        let is_list = operation["parameters"].as_array().into_iter().flatten().any(|one| one["name"] == "limit");
        // Links may get parameters on their way, and the address of the webhook is configured at Stripe.
        if (method == Method::GET && !is_list) || path == "/api/payments/webhook" {
            continue;
        }
        let body = (Some("application/json"), "?dryrun=true", "{}");
        let answer = send_as(&api, method.clone(), path, body, Some(&admin), true).await.answer;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        let expected = "`dryrun` is no parameter of this operation, which takes ";
        assert!(answer.code() == "invalid_query" && detail.starts_with(expected), "{method} {path}: {}", answer.body);
        refused += 1;
    }
    assert!(refused >= 40, "{refused}");
}

#[tokio::test]
async fn decided_fields_are_refused() {
    const DECIDED: [&str; 4] = ["price", "status", "role", "rev"];
    let api = Api::new().await;
    let document = document();
    let admin = api.access_token(Role::Admin);
    let body = r#"{"price":1,"status":"confirmed","role":"admin","rev":7}"#;
    let mut looked_at = 0;
    for (path, method) in
        table().into_iter().flat_map(|route| route.methods.into_iter().map(move |one| (route.path, one.method)))
    {
        let operation = &document["paths"][path][method.as_str().to_lowercase()];
        let content = &operation["requestBody"]["content"]["application/json"];
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        let of_property = parameters.any(|parameter| parameter["name"] == "property_id");
        // Bodies defined elsewhere, such as Stripe's, are not read here.
        let Some(schema) = content.get("schema").filter(|_| path != "/api/payments/webhook") else { continue };
        let answer = send_as(
            &api,
            method.clone(),
            path,
            (Some("application/json"), if of_property { "?property_id=pvt-montreal" } else { "" }, body),
            Some(&admin),
            true,
        )
        .await
        .answer;
        assert!(answer.status.is_client_error() || answer.status == 503, "{method} {path}: {}", answer.status);
        let own = |field: &&str| schema["properties"].get(*field).is_none();
        // A handler that looks the thing up first finds no store here.
        if answer.status == 422 {
            looked_at += 1;
            let refused = |field: &str| {
                answer.body["errors"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|fault| fault["pointer"] == format!("/{field}") && fault["code"] == "unknown_field")
            };
            let taken: Vec<&str> = DECIDED.into_iter().filter(own).filter(|field| !refused(field)).collect();
            assert_eq!(taken, Vec::<&str>::new(), "{method} {path}: {}", answer.body);
        }
    }
    assert!(looked_at >= 25, "{looked_at}");
}

#[tokio::test]
async fn views_match_their_schemas() {
    let api = Api::new().await;
    let document = document();
    for (path, operation) in [
        ("/api", "/api"),
        ("/api/health", "/api/health"),
        ("/api/status", "/api/status"),
        ("/api/properties", "/api/properties"),
        ("/api/properties/pvt-montreal", "/api/properties/{id}"),
    ] {
        let answer = api.get(path).await;
        let response = &document["paths"][operation]["get"]["responses"][answer.status.as_str()];
        let schema = &response["content"]["application/json"]["schema"];
        assert_eq!(faults(&document, schema, &answer.body), Vec::<String>::new(), "{path}");
    }
    let booking: Booking = serde_json::from_value(json!({
        "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "rejected", "rev": 1,
        "rejection": "no_availability",
        "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1,
        "assigned_beds": ["d6a-1"], "locked": true,
                    "earlier_beds": [{ "until": "2027-01-11", "beds": ["d6a-2"] }], "gender": "female",
                    "youngest_age": 18 }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+15145550100",
        "locale": "fr" },
        "price": { "currency": "CAD", "nights": [[4200]],
        "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50000, "amount": 210 }], "total": 4410 },
        "payment_status": "pay_on_arrival", "fingerprint": "f", "client": "k1",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z", "history": [],
    }))
    .unwrap();
    let shown = serde_json::to_value(BookingView::new(&booking, Links::new(booking.id, None), Some("token"))).unwrap();
    assert_eq!(faults(&document, &json!({ "$ref": "#/components/schemas/Booking" }), &shown), Vec::<String>::new());
}

#[tokio::test]
async fn documents_and_pages_are_served() {
    let api = Api::new().await;
    let openapi = api.get("/api/openapi.json").await;
    assert_eq!((openapi.status.as_u16(), &openapi.body["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(openapi.body, document());
    let asyncapi = api.get("/api/asyncapi.json").await;
    assert_eq!((asyncapi.status.as_u16(), &asyncapi.body["asyncapi"]), (200, &json!("3.0.0")));
    for page in ["", "/quickstart", "/examples", "/hostel", "/faq", "/payments", "/support"] {
        let response = api.router.clone().oneshot(with_peer(&format!("/api/docs{page}"))).await.unwrap();
        assert_eq!(response.status(), 200, "{page}");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let html = String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap();
        assert!(html.contains("<h1>") && html.contains("lang=\"en\""), "{page}");
        for foreign in ["<script", "src=", "<link", "@import", "url("] {
            assert!(!html.contains(foreign), "{page} holds {foreign}");
        }
        assert!(!html.contains(".md\""), "{page}: links lead to pages");
        let pages = openapi.body["paths"].as_object().unwrap();
        // What begins neither at the root nor with a scheme is beside the page.
        for link in
            html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).filter(|link| !link.contains("://"))
        {
            let path = if link.starts_with('/') { link.to_owned() } else { format!("/api/docs/{link}") };
            assert!(pages.contains_key(&path), "{page} leads to {path}, which is nowhere");
        }
        if page.is_empty() {
            for path in openapi.body["paths"].as_object().unwrap().keys() {
                assert!(html.contains(&format!("<code>{path}</code>")), "{path} is not listed");
            }
        }
    }
}

fn with_peer(path: &str) -> Request<Body> {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request
        .extensions_mut()
        .insert(pvt_service::client_address::Peer(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)));
    request
}

#[test]
fn document_names_no_secret_or_host() {
    fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => found.push(text),
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            Value::Object(members) => members.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    texts(&document, &mut found);
    assert!(
        found
            .iter()
            .all(|text| !text.contains("of-the-demo") && !text.contains("127.0.0.1") && !text.contains("localhost"))
    );
}
