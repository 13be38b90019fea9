//! Agreement of the document with the routes, and of examples with their schemas.

pub(crate) mod conform;

use super::document::{operations, speaks_of};
use crate::auth::guard::Endpoint;
use crate::auth::policy::{Access, Bucket};
use crate::http::problem::PROBLEMS;
use crate::openapi::document;
use crate::router::table;
use axum::http::{Method, StatusCode};
use conform::faults;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn registered() -> Vec<(&'static str, Endpoint)> {
    table().into_iter().flat_map(|route| route.methods.into_iter().map(move |method| (route.path, method))).collect()
}

#[test]
fn every_route_is_documented_once() {
    let document = document();
    let routes: Vec<(String, String)> =
        registered().iter().map(|(path, one)| ((*path).to_owned(), one.method.as_str().to_lowercase())).collect();
    let documented: BTreeSet<(String, String)> =
        operations(&document).map(|(path, method, _)| (path.to_owned(), method.to_owned())).collect();
    assert_eq!(routes.iter().cloned().collect::<BTreeSet<_>>(), documented);
    assert_eq!(routes.len(), documented.len(), "each once");
    let ids: BTreeSet<&str> =
        operations(&document).map(|(.., operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), routes.len(), "operation ids are unique");
}

#[test]
fn documented_refusals_match_the_rule() {
    let document = document();
    let mut wrong = Vec::new();
    for (path, guarded) in registered() {
        let rule = guarded.rule;
        let forbids = rule.scope.is_some() || matches!(rule.access, Access::Account | Access::Staff | Access::Admin);
        let operation = &document["paths"][path][guarded.method.as_str().to_lowercase()];
        let own_401 = operation["responses"]["401"]["content"]["application/problem+json"]["examples"]
            .as_object()
            .is_some_and(|examples| !examples.contains_key("unauthenticated"));
        for (status, given) in [
            (401, rule.access != Access::Open || own_401),
            (403, forbids),
            (429, rule.bucket != Bucket::Unlimited),
            (500, true),
        ] {
            if speaks_of(&document, path, &guarded.method, StatusCode::from_u16(status).unwrap()) != given {
                wrong.push(format!("{} {path}: {status} should be documented: {given}", guarded.method));
            }
        }
        let secured =
            document["paths"][path][guarded.method.as_str().to_lowercase()]["security"].as_array().unwrap().len();
        if (rule.access == Access::Open) != (secured == 0) {
            wrong.push(format!("{} {path}: security", guarded.method));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn components_of_health_are_deprecated() {
    let health = &document()["components"]["schemas"]["Health"];
    assert_eq!(health["properties"]["components"]["deprecated"], true, "{health}");
    assert!(health["required"].as_array().unwrap().contains(&json!("components")), "{health}");
}

#[test]
fn every_problem_is_documented() {
    let document = document();
    let codes: Vec<&str> = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap())
        .collect();
    assert_eq!(codes, PROBLEMS.iter().map(|kind| kind.code).collect::<Vec<_>>());
    let used: BTreeSet<&str> = operations(&document)
        .flat_map(|(.., operation)| operation["responses"].as_object().unwrap().values())
        .flat_map(|response| {
            response["content"]["application/problem+json"]["examples"].as_object().into_iter().flatten()
        })
        .map(|(code, _)| code.as_str())
        .collect();
    // Any address may be asked with any method; it is of no operation.
    let of_none: Vec<&str> = codes.into_iter().filter(|code| !used.contains(code)).collect();
    assert_eq!(of_none, ["method_not_allowed"], "codes that no operation documents");
}

#[test]
fn examples_match_their_schemas() {
    let document = document();
    let mut wrong = Vec::new();
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().values();
        for content in responses
            .chain([&operation["requestBody"]])
            .filter_map(|part| part["content"].as_object())
            .flat_map(|content| content.values())
        {
            let many = content["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
            for example in content.get("example").into_iter().chain(many) {
                wrong.extend(
                    faults(&document, &content["schema"], example)
                        .into_iter()
                        .map(|fault| format!("{method} {path}: {fault}")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn references_resolve_and_schemas_are_used() {
    let document = document();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    let dangling: Vec<_> = references.iter().filter(|reference| document.pointer(&reference[1..]).is_none()).collect();
    assert!(dangling.is_empty(), "{dangling:?}");
    let unused: Vec<String> = document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .filter(|name| !references.contains(name))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

#[test]
fn schema_mismatch_is_detected() {
    let document = document();
    let booking = json!({ "$ref": "#/components/schemas/Money" });
    assert_eq!(faults(&document, &booking, &json!({ "amount": 1, "currency": "CAD" })), Vec::<String>::new());
    for bad in [
        json!({ "amount": 1 }),
        json!({ "amount": 1.5, "currency": "CAD" }),
        json!({ "amount": 1, "currency": "CAD", "more": 1 }),
        json!([]),
    ] {
        assert!(!faults(&document, &booking, &bad).is_empty(), "{bad}");
    }
    let missing = document["paths"]["/api/bookings"].get("put");
    assert!(missing.is_none() && !speaks_of(&document, "/api/bookings", &Method::PUT, StatusCode::OK));
}
