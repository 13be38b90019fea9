//! Spans of requests, of decisions, and of what leaves the process: stores and mail servers.

use crate::names;
use crate::span::{Parent, Span};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};

/// The methods of HTTP (RFC 9110, RFC 5789), which callers may not extend in names of spans.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

/// A database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// MongoDB.
    MongoDb,
    /// PostgreSQL.
    PostgreSql,
}

impl Store {
    fn system(self) -> &'static str {
        match self {
            Self::MongoDb => "mongodb",
            Self::PostgreSql => "postgresql",
        }
    }
}

impl Span {
    /// A request, until the head of its answer: a child of the caller's span. Its path is not recorded, because it may
    /// hold a booking's token.
    pub fn request(method: &str, route: Option<&str>, traceparent: Option<&str>) -> Self {
        Self::begin(Parent::Header(traceparent), || {
            let known = METHODS.into_iter().find(|known| *known == method);
            let mut attributes = vec![KeyValue::new(names::HTTP_REQUEST_METHOD, known.unwrap_or(names::OTHER_METHOD))];
            attributes.extend(route.map(|route| KeyValue::new(names::HTTP_ROUTE, route.to_owned())));
            // "HTTP" stands for the method that has no name of its own.
            let method = known.unwrap_or("HTTP");
            let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
            SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes)
        })
    }

    /// Ends the span of a request with this status. Only failures of the server count as errors.
    pub fn end_answered(&self, status: u16) {
        self.set(names::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
        let is_failure = status >= 500 && is_some(self);
        self.end_with(is_failure.then(|| status.to_string()).as_deref());
    }

    /// The decision on one command, and its commit: a child of the message's processing.
    pub fn decide(traceparent: Option<&str>) -> Self {
        Self::begin(Parent::Header(traceparent), || SpanBuilder::from_name(names::DECIDE))
    }

    /// A call of a database, within the span that is current: of a batch, whose rows and documents it writes together.
    pub fn store(store: Store, operation: &'static str, collection: &'static str) -> Self {
        Self::begin(Parent::Current, || {
            SpanBuilder::from_name(format!("{operation} {collection}")).with_kind(SpanKind::Client).with_attributes([
                KeyValue::new(names::DB_SYSTEM_NAME, store.system()),
                KeyValue::new(names::DB_OPERATION_NAME, operation),
                KeyValue::new(names::DB_COLLECTION_NAME, collection),
            ])
        })
    }

    /// One request to Stripe, within the span that is current. Its path holds ids of Stripe and is not recorded.
    pub fn stripe(operation: &'static str, method: &str) -> Self {
        Self::begin(Parent::Current, || {
            let method = METHODS.into_iter().find(|known| *known == method).unwrap_or(names::OTHER_METHOD);
            SpanBuilder::from_name(format!("stripe {operation}")).with_kind(SpanKind::Client).with_attributes([
                KeyValue::new(names::HTTP_REQUEST_METHOD, method),
                KeyValue::new(names::STRIPE_OPERATION, operation),
            ])
        })
    }

    /// One attempt to hand a mail to the server: a child of the processing of the message that asked for it.
    pub fn mail(traceparent: Option<&str>) -> Self {
        Self::begin(Parent::Header(traceparent), || {
            SpanBuilder::from_name(names::SEND_MAIL).with_kind(SpanKind::Client)
        })
    }
}

/// Whether it is recorded.
fn is_some(span: &Span) -> bool {
    span.span_context().is_some()
}
