//! HTML pages with one style of our own, which work without scripts and load nothing from other places.

use crate::http::problem::Problem;
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeOutput, Operation};
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Allows this style, known by its hash, and nothing else.
pub(crate) fn policy(style: &str) -> Option<HeaderValue> {
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ))
    .ok()
}

/// A page with status 200.
pub(crate) struct HtmlPage(pub(crate) Response);

impl IntoResponse for HtmlPage {
    fn into_response(self) -> Response {
        self.0
    }
}

impl DescribeOutput for HtmlPage {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.answers_page(StatusCode::OK, "A page.")
    }
}

/// A page in this language.
///
/// # Errors
/// 500 when the template cannot be filled in.
pub(crate) fn answer(
    status: StatusCode,
    template: &impl Template,
    (style, language): (&str, &'static str),
) -> Result<Response, Problem> {
    let html = template.render().map_err(Problem::internal)?;
    let mut answer =
        (status, [(header::CONTENT_LANGUAGE, HeaderValue::from_static(language))], Html(html)).into_response();
    if let Some(policy) = policy(style) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(answer)
}
