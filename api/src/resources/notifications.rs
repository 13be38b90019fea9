//! Staff have a mail sent, for the first time or again.

use crate::auth::credentials::Credentials;
use crate::commands::idempotency_cache::KeyState;
use crate::form;
use crate::form::fingerprint::Fingerprint;
use crate::form::json::Node;
use crate::form::reader::{Pointer, Reader};
use crate::http::body::{read_json, read_node, refuse_card_numbers};
use crate::http::headers::{self, IDEMPOTENCY_REPLAYED};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::state::SharedApp;
use crate::store_call;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse;
use chrono::Utc;
use pvt_domain::ids::BookingId;
use pvt_domain::intake::FieldError;
use pvt_domain::messages::{NOTIFICATION_SEND, NotificationKind, SendNotification};
use pvt_messaging::Outgoing;
use serde_json::json;
use uuid::Uuid;

/// Name space of the ids of wishes: the same client and key always name the same one.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x3b1d_92f4_5e0a_4c86_8f27_61d9_a4e8_0c35);

/// `POST /api/notifications` with `booking_id` and `kind`: 202 once the broker has the wish.
pub(crate) async fn create(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let caller = Credentials::of(&parts).caller;
    let key = headers::idempotency_key(&parts.headers)?;
    let body = read_json(&parts.headers, body).await?;
    let node = read_node(&body)?;
    refuse_card_numbers(&node, &["/booking_id"])?;
    let (booking_id, kind) = read_new(&node)?;
    let mongo = app.mongo.clone();
    let booking = store_call::read(async move { mongo.bookings().find(booking_id).await })
        .await?
        .filter(|booking| caller.is_staff_of(&booking.property_id));
    if booking.is_none() {
        let violation = FieldError::new(
            "/booking_id",
            "unknown_booking",
            "there is no such booking at a property of yours, or it is not decided yet",
        );
        return Err(Problem::fields(vec![violation]));
    }
    let id = Uuid::new_v5(&KEY_NAMESPACE, format!("{}\n{key}", caller.client().unwrap_or_default()).as_bytes());
    let fingerprint = Fingerprint::of(&node);
    let seen = app.idempotency.reserve(id, fingerprint);
    match seen {
        KeyState::Reused => return Err(problem::IDEMPOTENCY_KEY_REUSED.into()),
        KeyState::Replayed => {}
        KeyState::New | KeyState::InFlight => {
            let wish = SendNotification {
                notification_id: id,
                booking_id,
                kind,
                actor: caller.actor(),
                requested_at: Utc::now().into(),
            };
            let routing_key = app.topology.command_key(NOTIFICATION_SEND, "");
            let message = Outgoing::command(routing_key, id, &wish).map(|message| {
                message
                    .with_correlation_id(booking_id.as_uuid())
                    .with_traceparent(RequestContext::traceparent(&parts))
                    .with_actor(caller.actor())
            });
            let remember = app.clone();
            let ended = move |confirmed: bool| {
                if confirmed { remember.idempotency.confirm(id, fingerprint) } else { remember.idempotency.release(id) }
            };
            app.publish(message, ended).await?;
        }
    }
    let mut answer =
        (StatusCode::ACCEPTED, Json(json!({ "id": id, "booking_id": booking_id, "kind": kind, "status": "queued" })))
            .into_response();
    if seen == KeyState::Replayed {
        answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

fn read_new(node: &Node<'_>) -> Result<(BookingId, NotificationKind), Problem> {
    let mut reader = Reader::default();
    let mut wish = (None, None);
    if let Some(fields) = reader.object(node, &Pointer::Root, &["booking_id", "kind"]) {
        wish.0 = form::booking_id(fields, &mut reader);
        wish.1 = reader.required(fields, "kind").and_then(|field| reader.one_of(field, &NotificationKind::ALL));
    }
    match wish {
        (Some(booking_id), Some(kind)) => {
            let violations = reader.into_violations();
            if violations.is_empty() { Ok((booking_id, kind)) } else { Err(Problem::fields(violations)) }
        }
        _ => Err(Problem::fields(reader.into_violations())),
    }
}

#[cfg(test)]
mod tests {
    use super::read_new;
    use crate::form::json::parse;

    #[test]
    fn all_violations_are_reported() {
        let pointers = |body: &str| {
            let node = parse(body.as_bytes()).unwrap();
            read_new(&node)
                .map_err(|problem| problem.errors().iter().map(|error| error.pointer.clone()).collect::<Vec<_>>())
                .map(|_| ())
        };
        assert_eq!(
            pointers(r#"{"booking_id":"11111111-2222-5333-8444-555555555555","kind":"booking_confirmed"}"#),
            Ok(())
        );
        assert_eq!(pointers(r#"{"booking_id":"x","kind":"y","to":"z"}"#).unwrap_err(), ["/to", "/booking_id", "/kind"]);
        assert_eq!(pointers("{}").unwrap_err(), ["/booking_id", "/kind"]);
        assert_eq!(pointers("[]").unwrap_err(), [""]);
    }
}
