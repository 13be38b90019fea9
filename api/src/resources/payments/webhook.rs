//! Stripe's webhook: verified over the raw bytes, published, answered 200. Workers interpret the events.

use crate::http::body;
use crate::http::metrics::{WebhookOutcome, count_webhook};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::Shown;
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeInput, Operation};
use crate::resources::payments::webhook_signature::SignatureError;
use crate::state::{App, SharedApp};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use bytes::Bytes;
use chrono::Utc;
use pvt_domain::messages::{STRIPE_EVENT, StripeEvent, stripe_event_message_id};
use pvt_messaging::Outgoing;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tracing::{debug, error};

/// Largest event, in bytes: with its envelope it must fit into a message of 64 KiB. Stripe's are a few KiB.
const MAX_EVENT_BYTES: usize = 60 * 1024;
/// Longest id or type of an event, in bytes. Stripe promises 255 for ids.
const MAX_NAME_BYTES: usize = 255;
const STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
/// Answer to an event of the other mode.
const OTHER_MODE: &str = "The event is of the other mode, test or live, than the API key of this system: let the \
                          endpoint of each mode have a system of its own.";
/// The actor, as histories show it.
const ACTOR: &str = "stripe";

/// A request of Stripe's as it arrived: the signature is of the bytes.
pub(super) struct SignedBody {
    bytes: Bytes,
    signature: Option<HeaderValue>,
}

impl<S: Send + Sync> FromRequest<S> for SignedBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = body::read(&parts.headers, body, MAX_EVENT_BYTES)
            .await
            .map_err(too_large)
            .inspect_err(|_| count_webhook(WebhookOutcome::Refused))?;
        Ok(Self { bytes, signature: parts.headers.get(STRIPE_SIGNATURE).cloned() })
    }
}

impl DescribeInput for SignedBody {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        let name = json!({ "type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES });
        let event = json!({ "type": "object", "properties": { "id": name, "type": name }, "required": ["id", "type"] });
        let header = "`t=…,v1=…`, as Stripe signs it; without a valid one the answer is 400.";
        operation
            .raw_body(event, json!({ "id": "evt_1", "type": "checkout.session.completed" }))
            .takes_header("Stripe-Signature", json!({ "type": "string" }), header)
            .problems([problem::INVALID_SIGNATURE, problem::EVENT_REFUSED])
    }
}

/// The event is accepted.
#[derive(Serialize, JsonSchema)]
#[schemars(inline, example = json!({ "received": true }))]
pub(super) struct ReceivedView {
    received: bool,
}

/// `POST /api/payments/webhook`: 200 once the broker has the event, 400 for what Stripe did not sign.
pub(super) async fn webhook(
    State(app): State<SharedApp>,
    context: RequestContext,
    body: SignedBody,
) -> Result<Shown<ReceivedView>, Problem> {
    let now = Utc::now();
    verify(&app, &body, now.timestamp())?;
    let (event_id, event_type, payload) =
        read_event(&body.bytes).inspect_err(|_| count_webhook(WebhookOutcome::Refused))?;
    if app.stripe_livemode.zip(payload["livemode"].as_bool()).is_some_and(|(ours, theirs)| ours != theirs) {
        count_webhook(WebhookOutcome::OtherMode);
        let livemode = &payload["livemode"];
        error!(event = event_id, kind = event_type, %livemode, "event of Stripe's other mode refused");
        return Err(Problem::new(problem::EVENT_REFUSED, OTHER_MODE));
    }
    let message_id = stripe_event_message_id(&event_id);
    let event = StripeEvent { event_id, event_type, payload, received_at: now.into() };
    let key = app.topology.command_key(STRIPE_EVENT, "");
    let message = Outgoing::command(key, message_id, &event)
        .map(|message| message.with_traceparent(context.traceparent()).with_actor(ACTOR));
    let outcome = |confirmed| if confirmed { WebhookOutcome::Accepted } else { WebhookOutcome::Unavailable };
    app.publish(message, move |confirmed| count_webhook(outcome(confirmed))).await.map_err(too_large)?;
    Ok(Shown::new(&ReceivedView { received: true }))
}

/// Stripe sends nothing so large: it is refused as any other foreign event, without asking the client to send less.
fn too_large(problem: Problem) -> Problem {
    // The rest of the body is not read, so the connection ends here.
    let refused =
        || Problem::from(problem::EVENT_REFUSED).with_header(header::CONNECTION, HeaderValue::from_static("close"));
    if problem.code() == problem::PAYLOAD_TOO_LARGE.code { refused() } else { problem }
}

fn verify(app: &App, body: &SignedBody, now: i64) -> Result<(), Problem> {
    let header = body.signature.as_ref().and_then(|value| value.to_str().ok()).ok_or(SignatureError::Malformed);
    header.and_then(|header| app.webhook_secrets.verify(header, &body.bytes, now)).map_err(|error| {
        debug!(reason = error.as_str(), "webhook call refused");
        // Anybody may call without a signature; one that is wrong is more likely Stripe's.
        let is_unsigned = error == SignatureError::Malformed;
        count_webhook(if is_unsigned { WebhookOutcome::Unsigned } else { WebhookOutcome::BadSignature });
        Problem::new(problem::INVALID_SIGNATURE, error.as_str())
    })
}

/// Id, type and the whole of an event of our own account: those of connected accounts are refused.
fn read_event(raw: &[u8]) -> Result<(String, String, Value), Problem> {
    let payload: Value = serde_json::from_slice(raw)
        .map_err(|_| Problem::new(problem::INVALID_JSON, "The signature is valid, but the body is not JSON."))?;
    if payload.get("account").is_some_and(|account| !account.is_null()) {
        return Err(Problem::new(
            problem::EVENT_REFUSED,
            "The event is another account's: let the endpoint listen to events of this account only.",
        ));
    }
    let is_complete = payload["created"].is_i64() && payload["data"]["object"].is_object();
    let name = |field: &str| {
        payload
            .get(field)
            .and_then(Value::as_str)
            .filter(|text| (1..=MAX_NAME_BYTES).contains(&text.len()))
            .map(str::to_owned)
    };
    match (name("id"), name("type")) {
        (Some(id), Some(kind)) if is_complete => Ok((id, kind, payload)),
        _ => Err(Problem::new(
            problem::EVENT_REFUSED,
            "The signature is valid, but the body is not a complete Stripe event: it lacks id, type, created or \
            data.object.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::read_event;

    #[test]
    fn incomplete_events_are_refused() {
        let (id, kind, payload) =
            read_event(br#"{"id":"evt_1","type":"charge.succeeded","created":1,"data":{"object":{}}}"#).unwrap();
        assert_eq!((id.as_str(), kind.as_str()), ("evt_1", "charge.succeeded"));
        assert!(payload.get("data").is_some());
        assert_eq!(read_event(b"").unwrap_err().code(), "invalid_json");
        for bad in [
            "[]",
            r#"{"id":"evt_1"}"#,
            r#"{"id":"evt_1","type":"x"}"#,
            r#"{"id":"evt_1","type":"x","created":1,"data":{}}"#,
        ] {
            assert_eq!(read_event(bad.as_bytes()).unwrap_err().code(), "event_refused", "{bad}");
        }
        let rest = r#""created":1,"data":{"object":{}}"#;
        for bad in [r#""id":1,"type":"x""#, r#""id":"","type":"x""#] {
            assert_eq!(
                read_event(format!("{{{bad},{rest}}}").as_bytes()).unwrap_err().code(),
                "event_refused",
                "{bad}"
            );
        }
        assert_eq!(read_event(br#"{"id":"evt_1","type":"x","account":"acct_2"}"#).unwrap_err().code(), "event_refused");
        assert!(read_event(br#"{"id":"evt_1","type":"x","account":null,"created":1,"data":{"object":{}}}"#).is_ok());
    }
}
