//! The route of docs/development.md, compiled, called, and compared with the page.

use super::{Answer, Api};
use crate::auth::guard::assemble;
use crate::http::cors::Cors;
use crate::http::metrics::HttpMetrics;
use crate::http::middleware::{Edge, edge};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::middleware::from_fn_with_state;
use pvt_domain::accounts::Role;
use serde_json::json;
use std::sync::Arc;

// The part that the page quotes begins here.
use crate::auth::guard::{Resource, at, put};
use crate::auth::policy::Caller;
use crate::auth::rules::INVENTORY_STAFF;
use crate::form::form;
use crate::form::presence::required;
use crate::form::types::{inventory_id, list};
use crate::http::extract::{Form, IfMatch, PathId};
use crate::http::problem::{self, Problem};
use crate::http::response::Tagged;
use pvt_domain::ids::{BedId, PropertyId};
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Housekeeping",
        about: "Beds to clean.",
        routes: vec![at(
            "/api/housekeeping/{id}",
            [put(INVENTORY_STAFF, "replace_beds_to_clean", replace).summary("Replace the beds to clean").stored()],
        )],
    }
}

/// Beds of a property to clean.
#[derive(Serialize, JsonSchema)]
struct BedsToClean {
    property_id: PropertyId,
    beds: Vec<BedId>,
}

form! {
    /// The beds to clean, in this order.
    struct BedsToCleanForm {
        beds: Vec<BedId> = required(list(inventory_id(), 100)),
    }
    example serde_json::json!({ "beds": ["d6a-1", "d6a-2"] });
}

/// `PUT /api/housekeeping/{id}`: replaces the list of the revision in `If-Match`.
async fn replace(
    caller: Caller,
    PathId(property): PathId<PropertyId>,
    IfMatch(revisions): IfMatch,
    Form { value: form, .. }: Form<BedsToCleanForm>,
) -> Result<Tagged<BedsToClean>, Problem> {
    caller.staff_of(&property)?;
    // Read the stored revision, and replace it by `store_call::write` unless another request was faster.
    let rev = 4_u32;
    if !revisions.include(rev.into()) {
        return Err(problem::PRECONDITION_FAILED.into());
    }
    Ok(Tagged::at(rev + 1, &BedsToClean { property_id: property, beds: form.beds }))
}
// The part that the page quotes ends here.

impl Api {
    /// The answer to this list, from staff of `pvt-montreal`.
    async fn replace_beds(&self, property: &str, rev: Option<&str>, body: &str) -> Answer {
        let request = Request::put(format!("/api/housekeeping/{property}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.access_token(Role::Staff)));
        let request = rev.into_iter().fold(request, |request, rev| request.header(header::IF_MATCH, rev));
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}

#[test]
fn page_quotes_the_example() {
    let (_, rest) = include_str!("example_route.rs").split_once("begins here.\n").unwrap();
    let (quoted, _) = rest.split_once("// The part that the page quotes ends").unwrap();
    let page = include_str!("../../../../docs/development.md");
    assert!(page.contains(quoted.trim()), "docs/development.md does not quote this file");
}

#[tokio::test]
async fn example_is_served() {
    let mut api = Api::new().await;
    let edge_state = Edge::new(HttpMetrics::new([]), Cors::new(&[]), false, Arc::default());
    api.router = assemble(&api.app, resource().routes).layer(from_fn_with_state(edge_state, edge));
    let beds = r#"{"beds":["d6a-1"]}"#;
    let replaced = api.replace_beds("pvt-montreal", Some("\"4\""), beds).await;
    assert_eq!((replaced.status, &replaced.headers[header::ETAG]), (StatusCode::OK, &"\"5\"".parse().unwrap()));
    assert_eq!(replaced.body, json!({ "property_id": "pvt-montreal", "beds": ["d6a-1"] }));
    let outdated = api.replace_beds("pvt-montreal", Some("\"3\""), beds).await;
    assert_eq!((outdated.status, outdated.code()), (StatusCode::PRECONDITION_FAILED, "precondition_failed"));
    let elsewhere = api.replace_beds("pvt-quebec", Some("\"4\""), beds).await;
    assert_eq!((elsewhere.status, elsewhere.code()), (StatusCode::NOT_FOUND, "not_found"));
    let blind = api.replace_beds("pvt-montreal", None, beds).await;
    assert_eq!((blind.status, blind.code()), (StatusCode::PRECONDITION_REQUIRED, "precondition_required"));
    let wrong = api.replace_beds("pvt-montreal", Some("\"4\""), r#"{"beds":[7],"rooms":[]}"#).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.pointers(), ["/rooms", "/beds/0"]);
}
