//! One operation of the document, beyond its rule.
//!
//! Each builder stands for something that the handlers do with one shared function, so calling it documents every
//! outcome of that function: a body that is read as a form can be refused with 400, 408, 413, 415 and 422.

use super::schema::{self, about, text, whole_of};
use super::schemas::{BodySchema, Parameter, Schemas};
use crate::http::headers::MAX_WAIT;
use crate::http::problem::{self, ProblemKind};
use axum::http::StatusCode;
use pvt_domain::ids::MAX_IDEMPOTENCY_KEY_CHARS;
use schemars::JsonSchema;
use serde_json::{Value, json};

/// The JSON of answers and forms.
const JSON: &str = "application/json";
/// Lists for spreadsheets.
const CSV: &str = "text/csv";
/// Pages for people.
const PAGE: &str = "text/html; charset=utf-8";

fn key_schema() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARS, "pattern": "^[ -~]+$" })
}

/// One method at one path.
pub(crate) struct Operation {
    pub(super) path: &'static str,
    /// Names it in clients that are generated.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: Option<&'static str>,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    pub(super) answers: Vec<Success>,
    pub(super) problems: Vec<&'static ProblemKind>,
}

/// An answer that is not a problem.
pub(super) struct Success {
    pub(super) status: StatusCode,
    pub(super) about: String,
    pub(super) media: Option<(&'static str, Value)>,
    /// The same as CSV.
    pub(super) as_csv: Option<(&'static str, Value)>,
    pub(super) example: Option<Value>,
    pub(super) headers: Vec<&'static str>,
}

impl Operation {
    pub(crate) fn new(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            path,
            id,
            summary,
            about: None,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// More words.
    pub(crate) fn about(mut self, words: &'static str) -> Self {
        self.about = Some(words);
        self
    }

    fn parameter(mut self, place: &str, name: &str, schema: Value, required: bool, words: impl Into<String>) -> Self {
        let words: String = words.into();
        self.parameters
            .push(json!({ "name": name, "in": place, "required": required, "schema": schema, "description": words }));
        self
    }

    /// A part of the path; without this it is a text.
    pub(crate) fn part(self, name: &str, schema: Value, words: &str) -> Self {
        self.parameter("path", name, schema, true, words)
    }

    /// A parameter of the query that may be missing.
    pub(crate) fn query(self, name: &str, schema: Value, words: &str) -> Self {
        self.parameter("query", name, schema, false, words).problems([problem::INVALID_QUERY])
    }

    /// Takes the parameters of a query of this type.
    pub(crate) fn query_of<T: JsonSchema>(mut self, schemas: &mut Schemas) -> Self {
        for Parameter { name, schema, description, required } in schemas.parameters::<T>() {
            self = self.parameter("query", &name, schema, required, description);
        }
        self.problems([problem::INVALID_QUERY])
    }

    /// The names of the parameters of the query.
    pub(crate) fn query_names(&self) -> impl Iterator<Item = &str> {
        let of_query = self.parameters.iter().filter(|parameter| parameter["in"] == "query");
        of_query.filter_map(|parameter| parameter["name"].as_str())
    }

    /// Answers with this view and these headers. An answer of one status that may hold one view or another is described
    /// once for each.
    pub(crate) fn answers_view(mut self, status: StatusCode, view: BodySchema, headers: &[&'static str]) -> Self {
        if let Some(answer) = self.answers.iter_mut().find(|answer| answer.status == status) {
            let first = answer.media.take();
            answer.media = first.map(|(media, first)| (media, json!({ "anyOf": [first, view.schema] })));
            answer.headers.extend(headers);
            return self;
        }
        let about = view.description.or_else(|| status.canonical_reason().map(str::to_owned)).unwrap_or_default();
        let headers = headers.to_vec();
        let media = Some((JSON, view.schema));
        self.answers.push(Success { status, about, media, as_csv: None, example: view.example, headers });
        self
    }

    /// Words about the answer of this status.
    pub(crate) fn says(mut self, status: StatusCode, words: &str) -> Self {
        if let Some(answer) = self.answers.iter_mut().find(|answer| answer.status == status) {
            words.clone_into(&mut answer.about);
        }
        self
    }

    /// An example of the answer of this status.
    pub(crate) fn shows(mut self, status: StatusCode, example: &Value) -> Self {
        if let Some(answer) = self.answers.iter_mut().find(|answer| answer.status == status) {
            answer.example = Some(example.clone());
        }
        self
    }

    /// Takes which page is asked for.
    pub(crate) fn page_parameters(self) -> Self {
        self.query("limit", whole_of(1, 200), "Most items of the page; 50 unless said.").query(
            "cursor",
            text(),
            "Where the page begins: `next_cursor` of the page before.",
        )
    }

    /// Takes this JSON, read by `read_json` and the reader.
    pub(crate) fn body(self, schema: Value, example: Value) -> Self {
        self.takes(JSON, schema, example, true).read_as_form()
    }

    /// As [`Self::body`], and may be missing.
    pub(crate) fn optional_body(self, schema: Value, example: Value) -> Self {
        self.takes(JSON, schema, example, false).read_as_form()
    }

    /// As the body before, or the same as CSV.
    pub(crate) fn or_csv(mut self, example: &str) -> Self {
        if let Some(body) = &mut self.body {
            body["content"][CSV] = json!({ "schema": text(), "example": example });
        }
        self
    }

    /// The answer of status 200 is CSV for those who prefer it.
    pub(crate) fn answers_csv_too(mut self) -> Self {
        if let Some(answer) = self.answers.iter_mut().find(|answer| answer.status == StatusCode::OK) {
            answer.as_csv = Some((CSV, text()));
        }
        self
    }

    fn read_as_form(self) -> Self {
        self.problems([
            problem::PAYLOAD_TOO_LARGE,
            problem::UNSUPPORTED_MEDIA_TYPE,
            problem::UNSUPPORTED_CHARSET,
            problem::VALIDATION_FAILED,
            problem::CARD_NUMBER_REFUSED,
        ])
    }

    /// Takes JSON whose fields another system defines, and refuses what is too large as it refuses any other error.
    pub(crate) fn raw_body(self, schema: Value, example: Value) -> Self {
        self.takes(JSON, schema, example, true)
    }

    fn takes(mut self, media: &str, schema: Value, example: Value, required: bool) -> Self {
        self.body =
            Some(json!({ "required": required, "content": { media: { "schema": schema, "example": example } } }));
        self.problems([problem::INVALID_JSON, problem::REQUEST_TIMEOUT, problem::UNSUPPORTED_CONTENT_CODING])
    }

    /// Needs `Idempotency-Key`. Goes after the answers.
    pub(crate) fn idempotent(mut self) -> Self {
        for answer in &mut self.answers {
            answer.headers.push("Idempotency-Replayed");
        }
        self.parameter(
            "header",
            "Idempotency-Key",
            key_schema(),
            true,
            "A value of your choice, for example a random UUID. Send the same value when you retry.",
        )
        .problems([
            problem::IDEMPOTENCY_KEY_MISSING,
            problem::IDEMPOTENCY_KEY_INVALID,
            problem::IDEMPOTENCY_KEY_REUSED,
        ])
    }

    /// Needs `If-Match`.
    pub(crate) fn if_match(self) -> Self {
        let words = "The ETag of what was read: the change is meant for this revision. Several are possible, with \
                     commas; `*` is the newest one. A weak tag (`W/`) matches nothing.";
        self.parameter("header", "If-Match", json!({ "type": "string", "examples": ["\"7\""] }), true, words)
            .problems([problem::PRECONDITION_REQUIRED, problem::PRECONDITION_FAILED, problem::INVALID_IF_MATCH])
    }

    /// May have `If-Match`.
    pub(crate) fn may_match(self) -> Self {
        let words = "The ETag of what was read, if the change is meant for this revision alone; otherwise as with any \
                     change. A weak tag (`W/`) matches nothing.";
        self.parameter("header", "If-Match", json!({ "type": "string", "examples": ["\"7\""] }), false, words)
            .problems([problem::PRECONDITION_FAILED, problem::INVALID_IF_MATCH])
    }

    /// May have `Idempotency-Key`. Goes after the answers.
    pub(crate) fn repeatable(mut self) -> Self {
        for answer in &mut self.answers {
            answer.headers.push("Idempotency-Replayed");
        }
        self.parameter(
            "header",
            "Idempotency-Key",
            key_schema(),
            false,
            "A value of your choice. Send the same value when you retry.",
        )
        .problems([
            problem::IDEMPOTENCY_KEY_MISSING,
            problem::IDEMPOTENCY_KEY_INVALID,
            problem::IDEMPOTENCY_KEY_REUSED,
        ])
    }

    /// `Prefer: wait=N` waits for the decision. Goes after the answers.
    pub(crate) fn waits(mut self) -> Self {
        for answer in &mut self.answers {
            answer.headers.push("Preference-Applied");
        }
        let words = format!("`wait=N` waits for the decision, at most {} seconds (RFC 7240).", MAX_WAIT.as_secs());
        self.parameter("header", "Prefer", json!({ "type": "string", "examples": ["wait=10"] }), false, words)
    }

    /// Another header that may be sent.
    pub(crate) fn takes_header(self, name: &str, schema: Value, words: &str) -> Self {
        self.parameter("header", name, schema, false, words)
    }

    /// Answers JSON like this.
    pub(crate) fn answers(self, status: StatusCode, about: &'static str, schema: Value) -> Self {
        self.success(status, about, Some((JSON, schema)))
    }

    /// Answers without a body.
    pub(crate) fn answers_nothing(self, status: StatusCode, about: &'static str) -> Self {
        self.success(status, about, None)
    }

    /// Answers 200 with a text of this media type.
    pub(crate) fn answers_text(self, about: &'static str, media: &'static str) -> Self {
        self.success(StatusCode::OK, about, Some((media, text())))
    }

    /// Answers with a page for people.
    pub(crate) fn answers_page(self, status: StatusCode, about: &'static str) -> Self {
        self.success(status, about, Some((PAGE, text())))
    }

    /// Answers 200 with server-sent events.
    pub(crate) fn answers_events(self, about: &'static str) -> Self {
        let event =
            schema::object([("id?", text()), ("event?", text()), ("data?", text()), ("retry?", schema::whole(0))]);
        self.success(StatusCode::OK, about, Some(("text/event-stream", event)))
    }

    fn success(mut self, status: StatusCode, about: &str, media: Option<(&'static str, Value)>) -> Self {
        let about = about.to_owned();
        self.answers.push(Success { status, about, media, as_csv: None, example: None, headers: Vec::new() });
        self
    }

    /// The last answer may carry this header, one of the document's.
    pub(crate) fn header(mut self, name: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push(name);
        }
        self
    }

    /// Can end with these problems.
    pub(crate) fn problems<const N: usize>(mut self, kinds: [&'static ProblemKind; N]) -> Self {
        self.problems.extend(kinds);
        self
    }

    /// As [`Self::problems`], of a list.
    pub(crate) fn all_problems(mut self, kinds: &[&'static ProblemKind]) -> Self {
        self.problems.extend(kinds);
        self
    }

    /// A parameter of the path that no extractor describes is a text.
    pub(super) fn with_path_parameters(mut self) -> Self {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let is_listed =
            |parameters: &[Value], name: &str| parameters.iter().any(|one| one["in"] == "path" && one["name"] == name);
        for name in names {
            if !is_listed(&self.parameters, name) {
                self = self.part(name, schema::text_of(1, 255), "Its id.");
            }
            self = self.problems([problem::NOT_FOUND]);
        }
        self
    }

    /// A booking's token in the query, as an alternative to a credential.
    pub(crate) fn with_token(self) -> Self {
        self.query(
            "token",
            about(text(), "As the answer to the request gave it."),
            "The booking's token; opens the booking without a credential.",
        )
    }
}
