//! Documentation of the API: OpenAPI and AsyncAPI documents, and pages of them and of the guides. Made once, without
//! broker or store.
//!
//! Pages work without scripts and load nothing from anywhere.

use crate::auth::guard::{Resource, at, get};
use crate::auth::rules::OPEN;
use crate::http::html_page;
use crate::http::html_page::HtmlPage;
use crate::http::problem::{PROBLEMS, Problem, ProblemKind};
use crate::http::response::JsonDocument;
use crate::openapi;
use crate::openapi::asyncapi;
use crate::openapi::operations;
use crate::state::SharedApp;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse};
use bytes::Bytes;
use serde_json::Value;
use std::sync::{LazyLock, OnceLock};

/// How long a document may be kept: it changes only with a new release.
const FRESH: HeaderValue = HeaderValue::from_static("public, max-age=300");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const STYLE: &str = include_str!("../../../templates/docs.css");

static OPENAPI: LazyLock<Value> = LazyLock::new(openapi::document);
static OPENAPI_TEXT: LazyLock<Bytes> = LazyLock::new(|| text_of(&OPENAPI));
static ASYNCAPI_TEXT: OnceLock<Bytes> = OnceLock::new();

/// Only our own style, known by its hash.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| html_page::policy(STYLE));

fn text_of(document: &Value) -> Bytes {
    // A value always has a JSON form.
    serde_json::to_vec(document).unwrap_or_default().into()
}

fn json(text: Bytes) -> JsonDocument {
    JsonDocument(([(header::CONTENT_TYPE, JSON), (header::CACHE_CONTROL, FRESH)], text).into_response())
}

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Documentation",
        about: "Documents and guides of the API.",
        routes: vec![
            at("/api/openapi.json", [get(OPEN, "openapi", openapi).summary("Get this document (OpenAPI 3.1)")]),
            at(
                "/api/asyncapi.json",
                [get(OPEN, "asyncapi", asyncapi).summary("Get the messages on the queues (AsyncAPI 3)")],
            ),
            at("/api/docs", [get(OPEN, "docs", index).summary("Read the API reference")]),
            at(
                "/api/docs/quickstart",
                [get(OPEN, "docs_quickstart", quickstart).summary("Read how to make a first booking")],
            ),
            at("/api/docs/examples", [get(OPEN, "docs_examples", examples).summary("Read examples of common tasks")]),
            at("/api/docs/hostel", [get(OPEN, "docs_hostel", hostel).summary("Read how to set up a property")]),
            at("/api/docs/faq", [get(OPEN, "docs_faq", faq).summary("Read frequently asked questions")]),
            at("/api/docs/payments", [get(OPEN, "docs_payments", payments).summary("Read how payments work")]),
            at("/api/docs/support", [get(OPEN, "docs_support", support).summary("Read how to get support")]),
        ],
    }
}

/// `GET /api/openapi.json`.
async fn openapi() -> JsonDocument {
    json(OPENAPI_TEXT.clone())
}

/// `GET /api/asyncapi.json`.
async fn asyncapi(State(app): State<SharedApp>) -> JsonDocument {
    json(ASYNCAPI_TEXT.get_or_init(|| text_of(&asyncapi::document(&app.topology))).clone())
}

/// A page about something.
#[derive(Template)]
#[template(path = "docs_guide.html")]
struct GuidePage<'a> {
    style: &'static str,
    title: &'a str,
    /// HTML made of our own Markdown.
    content: &'a str,
}

/// Every operation.
#[derive(Template)]
#[template(path = "docs_index.html")]
struct IndexPage<'a> {
    style: &'static str,
    subjects: Vec<Subject<'a>>,
    problems: &'static [&'static ProblemKind],
}

struct Subject<'a> {
    name: &'a str,
    about: &'a str,
    operations: Vec<Row<'a>>,
}

struct Row<'a> {
    method: String,
    path: &'a str,
    summary: &'a str,
    about: &'a str,
    parameters: Vec<Parameter<'a>>,
    body: Option<String>,
    answers: Vec<(&'a str, &'a str)>,
}

struct Parameter<'a> {
    name: &'a str,
    place: &'a str,
    required: bool,
    about: &'a str,
}

/// `GET /api/docs`: every operation, from the document.
async fn index() -> Result<HtmlPage, Problem> {
    let mut subjects: Vec<Subject<'_>> = OPENAPI["tags"].as_array().into_iter().flatten().map(Subject::new).collect();
    for (path, method, operation) in operations(&OPENAPI) {
        if let Some(subject) = subjects.iter_mut().find(|subject| operation["tags"][0] == subject.name) {
            subject.operations.push(Row::new(path, method, operation));
        }
    }
    page(&IndexPage { style: STYLE, subjects, problems: PROBLEMS })
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl<'a> Subject<'a> {
    fn new(tag: &'a Value) -> Self {
        Self { name: text(tag, "name"), about: text(tag, "description"), operations: Vec::new() }
    }
}

impl<'a> Row<'a> {
    fn new(path: &'a str, method: &str, operation: &'a Value) -> Self {
        let example = operation.pointer("/requestBody/content/application~1json/example");
        let answers = operation["responses"].as_object().into_iter().flatten();
        Self {
            method: method.to_uppercase(),
            path,
            summary: text(operation, "summary"),
            about: text(operation, "description"),
            parameters: operation["parameters"].as_array().into_iter().flatten().map(Parameter::new).collect(),
            body: example.and_then(|example| serde_json::to_string_pretty(example).ok()),
            answers: answers.map(|(status, answer)| (status.as_str(), text(answer, "description"))).collect(),
        }
    }
}

impl<'a> Parameter<'a> {
    fn new(parameter: &'a Value) -> Self {
        Self {
            name: text(parameter, "name"),
            place: text(parameter, "in"),
            required: parameter["required"] == true,
            about: text(parameter, "description"),
        }
    }
}

macro_rules! guides {
    ($($name:ident $title:literal $file:literal;)*) => {
        $(
            #[doc = concat!("`GET /api/docs/", stringify!($name), "`.")]
            async fn $name() -> Result<HtmlPage, Problem> {
                static CONTENT: LazyLock<String> = LazyLock::new(|| rendered(include_str!($file)));
                page(&GuidePage { style: STYLE, title: $title, content: &CONTENT })
            }
        )*
    };
}

guides! {
    quickstart "Quick start" "../../../../docs/guides/quickstart.md";
    examples "Examples" "../../../../docs/guides/examples.md";
    hostel "Set up a hostel" "../../../../docs/guides/hostel.md";
    faq "Questions and answers" "../../../../docs/guides/faq.md";
    payments "Payments" "../../../../docs/payments.md";
    support "Support" "../../../../docs/guides/support.md";
}

/// Links between the guides' files lead to their pages.
fn rendered(markdown: &str) -> String {
    let mut options = comrak::Options::default();
    options.extension.table = true;
    comrak::markdown_to_html(markdown, &options).replace(".md\"", "\"")
}

fn page(template: &impl Template) -> Result<HtmlPage, Problem> {
    let html = template.render().map_err(Problem::internal)?;
    let mut answer = Html(html).into_response();
    answer.headers_mut().insert(header::CACHE_CONTROL, FRESH);
    if let Some(policy) = POLICY.clone() {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(HtmlPage(answer))
}
