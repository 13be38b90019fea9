//! Assembly of the document: what the signatures say, what the rules add, and what every answer has.

use super::Operation;
use super::schema::{about, list, named, object, text, uuid, whole_of};
use super::schemas::Schemas;
use crate::auth::policy::{Access, Bucket, Rule};
use crate::http::problem::{self, CONTENT_TYPE, PROBLEMS, ProblemKind};
use crate::router::resources;
use crate::state::ABOUT;
#[cfg(test)]
use axum::http::{Method, StatusCode};
use pvt_service::tokens::Purpose;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const INFO: &str = "Bookings of beds in hostels. Errors are problem details (RFC 9457) with a stable `code`. Amounts \
    are in minor units. A `POST` that creates needs an `Idempotency-Key`, which makes retries safe. Resources that the \
    caller may not see answer 404.";

/// The OpenAPI document of this API.
pub(crate) fn document() -> Value {
    let (mut paths, mut components, mut tags) = (Map::new(), shared_schemas(), Vec::new());
    let mut schemas = Schemas::new();
    for resource in resources() {
        let tag = json!({ "name": resource.name, "description": resource.about });
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        for (route, endpoint) in
            resource.routes.iter().flat_map(|route| route.methods.iter().map(move |method| (route, method)))
        {
            let operation = endpoint.operation(route.path, &mut schemas).with_path_parameters();
            let at_path = paths.entry(route.path).or_insert_with(|| json!({}));
            at_path[endpoint.method.as_str().to_lowercase()] =
                operation_object(operation, endpoint.rule, resource.name);
        }
    }
    components.extend(schemas.into_components());
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": { "title": "PVT Booking", "version": ABOUT.version, "description": INFO,
        "license": { "name": "Proprietary", "identifier": "LicenseRef-PVT" } },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": { "schemas": components, "headers": headers(), "securitySchemes": security_schemes() },
    })
}

fn operation_object(operation: Operation, rule: Rule, tag: &str) -> Value {
    let mut words = operation.about.map(|about| format!("{about}\n\n")).unwrap_or_default();
    words.push_str(&audience(rule));
    let mut value = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": words,
        "tags": [tag],
        "responses": responses(&operation, rule),
        "security": security(rule),
    });
    if !operation.parameters.is_empty() {
        value["parameters"] = operation.parameters.into();
    }
    if let Some(body) = operation.body {
        value["requestBody"] = body;
    }
    value
}

/// Who may use it, in words.
fn audience(rule: Rule) -> String {
    let who = match rule.access {
        Access::Open | Access::Public => "Open to everyone.",
        Access::Guest(Purpose::View) => "For the booking's guest and client, and staff of the property.",
        Access::Guest(Purpose::Manage) => {
            "For the booking's guest, with a token that may change it, its client, and staff of the property."
        }
        Access::Known => "For users who have logged in and API keys; each sees their own.",
        Access::Account => "For users who have logged in.",
        Access::Staff => "For staff.",
        Access::Admin => "For administrators.",
    };
    rule.scope.map_or_else(|| who.to_owned(), |scope| format!("{who} An API key needs the scope `{scope}`."))
}

fn security(rule: Rule) -> Value {
    match rule.access {
        Access::Open => json!([]),
        Access::Public => json!([{}, { "bearer": [] }]),
        // Without either it is 404, as for any booking that the caller may not see.
        Access::Guest(_) => json!([{}, { "booking_token": [] }, { "bearer": [] }]),
        Access::Known | Access::Account | Access::Staff | Access::Admin => json!([{ "bearer": [] }]),
    }
}

/// The problems that the guard and the edge answer with.
fn of_rule(rule: Rule) -> Vec<&'static ProblemKind> {
    let mut kinds = vec![problem::INTERNAL, problem::REQUEST_TOOK_TOO_LONG];
    if rule.access != Access::Open {
        kinds.extend([problem::UNAUTHENTICATED, problem::STORE_UNAVAILABLE]);
    }
    if rule.scope.is_some() || matches!(rule.access, Access::Account | Access::Staff | Access::Admin) {
        kinds.push(problem::FORBIDDEN);
    }
    if rule.bucket != Bucket::Unlimited {
        kinds.push(problem::RATE_LIMITED);
    }
    kinds
}

fn responses(operation: &Operation, rule: Rule) -> Value {
    let mut found: BTreeMap<u16, Value> = BTreeMap::new();
    let counted = rule.bucket != Bucket::Unlimited;
    let general = ["X-Request-Id", "Traceparent"]
        .into_iter()
        .chain(["RateLimit", "RateLimit-Policy"].into_iter().filter(|_| counted));
    for answer in &operation.answers {
        let mut response = json!({ "description": answer.about,
            "headers": header_refs(answer.headers.iter().copied().chain(general.clone())) });
        if let Some((media, schema)) = &answer.media {
            response["content"] = json!({ *media: { "schema": schema } });
            if let Some(example) = &answer.example {
                response["content"][media]["example"] = example.clone();
            }
        }
        if let Some((media, schema)) = &answer.as_csv {
            response["content"][*media] = json!({ "schema": schema });
        }
        found.insert(answer.status.as_u16(), response);
    }
    let mut by_status: BTreeMap<u16, Vec<&'static ProblemKind>> = BTreeMap::new();
    for kind in operation.problems.iter().copied().chain(of_rule(rule)) {
        let kinds = by_status.entry(kind.status).or_default();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    for (status, kinds) in by_status {
        // A probe that answers its report with 503, or a page that says so, has said all that there is to say.
        found.entry(status).or_insert_with(|| problem_response(status, &kinds, general.clone()));
    }
    found.into_iter().map(|(status, response)| (status.to_string(), response)).collect::<Map<_, _>>().into()
}

fn problem_response(status: u16, kinds: &[&'static ProblemKind], general: impl Iterator<Item = &'static str>) -> Value {
    let own: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        409 => &["Retry-After", "Location", "ETag"],
        412 => &["ETag"],
        429 | 503 => &["Retry-After"],
        _ => &[],
    };
    let codes: Vec<&str> = kinds.iter().map(|kind| kind.code).collect();
    let words: Vec<String> =
        kinds.iter().map(|kind| format!("`{}`: {}. {}", kind.code, kind.title, kind.advice)).collect();
    let schema = json!({ "allOf": [named("Problem"),
        { "type": "object", "properties": { "status": { "const": status }, "code": { "enum": codes } } }] });
    let examples: Map<String, Value> =
        kinds.iter().map(|kind| (kind.code.to_owned(), json!({ "value": example_of(kind) }))).collect();
    json!({
        "description": words.join("\n\n"),
        "headers": header_refs(own.iter().copied().chain(general)),
        "content": { CONTENT_TYPE: { "schema": schema, "examples": examples } },
    })
}

fn example_of(kind: &ProblemKind) -> Value {
    json!({
        "type": format!("urn:pvt:problem:{}", kind.code), "title": kind.title, "status": kind.status, "code": kind.code,
        "detail": kind.advice,
        "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    })
}

fn header_refs<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    names
        .map(|name| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })))
        .collect::<Map<_, _>>()
        .into()
}

/// What every group may refer to.
fn shared_schemas() -> Map<String, Value> {
    let codes = PROBLEMS.iter().map(|kind| kind.code);
    let field = object([("pointer", text()), ("code", text()), ("message", text())]);
    let problem = object([
        ("type", text()),
        ("title", text()),
        ("status", whole_of(400, 599)),
        ("code", super::schema::one_of(codes)),
        ("detail", text()),
        ("errors?", list(field)),
        ("current?", about(named("Booking"), "The booking as it is now, when another change came first.")),
        ("alternatives?", about(list(named("Alternative")), "What could be had instead.")),
        ("bookings?", about(list(uuid()), "Bookings in the way, for staff.")),
        ("request_id", text()),
    ]);
    let currency = json!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217." });
    let money = object([
        ("amount", json!({ "type": "integer", "description": "Minor units, for example cents." })),
        ("currency", currency),
    ]);
    Map::from_iter([("Problem".to_owned(), problem), ("Money".to_owned(), money)])
}

fn headers() -> Value {
    let header = |words: &str, example: &str| {
        json!({ "description": words, "schema": { "type": "string" },
        "example": example })
    };
    json!({
        "X-Request-Id": header("Identifies the request in logs and problems; a valid one \
            from the caller is kept.", "4bf92f3577b34da6a3ce929d0e0e4736"),
        "Traceparent": header("The request's trace (W3C).", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        "RateLimit": header("Remaining quota; absent where there is no limit.", "\"general\";r=99"),
        "RateLimit-Policy": header("The quota.", "\"general\";q=100;w=900"),
        "Retry-After": header("Seconds after which to try again.", "2"),
        "ETag": header("The revision, for If-Match and If-None-Match.", "\"1\""),
        "Location": header("Address of the result.", "/api/bookings/11111111-2222-5333-8444-555555555555?token=…"),
        "Link": header("The next page (RFC 8288); missing on the last.", "</api/properties?limit=50&cursor=cHZ0>; \
            rel=\"next\""),
        "Idempotency-Replayed": header("`true` if the answer repeats an earlier one.", "true"),
        "Preference-Applied": header("The preference that was honoured.", "wait=10"),
        "WWW-Authenticate": header("How to send credentials.", "Bearer"),
    })
}

fn security_schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An access token from `POST /api/auth/login`, \
            an API key `pvt_…`, or a booking's token." },
        "booking_token": { "type": "apiKey", "in": "query", "name": "token", "description": "A booking's token, as \
            the answer to its request gave it." },
    })
}

/// Every operation of a document, with where it stands: (path, method, operation).
pub(crate) fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, methods)| {
        methods
            .as_object()
            .into_iter()
            .flatten()
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// Whether a document speaks of this status there.
#[cfg(test)]
pub(crate) fn speaks_of(document: &Value, path: &str, method: &Method, status: StatusCode) -> bool {
    document["paths"][path][method.as_str().to_lowercase()]["responses"].get(status.as_str()).is_some()
}
