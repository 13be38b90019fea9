//! Notifications: mails about a booking that staff send, for the first time or again.

use crate::auth::credentials::Credentials;
use crate::commands::idempotency_cache::KeyState;
use crate::form::presence::required;
use crate::form::types::{booking_id, one_of};
use crate::form::{form, read_form};
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

/// Namespace of notification ids: a client and its key always give the same id.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x3b1d_92f4_5e0a_4c86_8f27_61d9_a4e8_0c35);

form! {
    /// A mail about a booking.
    pub(crate) struct NotificationForm {
        booking_id: BookingId = required(booking_id()),
        kind: NotificationKind = required(one_of(&NotificationKind::ALL)),
    }
    exempt &["/booking_id"];
    example json!({ "booking_id": "11111111-2222-5333-8444-555555555555", "kind": "booking_confirmed" });
}

/// `POST /api/notifications` with `booking_id` and `kind`: 202 once the broker has the command.
pub(crate) async fn create(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let caller = Credentials::of(&parts).caller;
    let key = headers::idempotency_key(&parts.headers)?;
    let (NotificationForm { booking_id, kind }, fingerprint) = read_form(&parts.headers, body).await?;
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
    let seen = app.idempotency.reserve(id, fingerprint);
    match seen {
        KeyState::Reused => return Err(problem::IDEMPOTENCY_KEY_REUSED.into()),
        KeyState::Replayed => {}
        KeyState::New | KeyState::InFlight => {
            let command = SendNotification {
                notification_id: id,
                booking_id,
                kind,
                actor: caller.actor(),
                requested_at: Utc::now().into(),
            };
            let routing_key = app.topology.command_key(NOTIFICATION_SEND, "");
            let message = Outgoing::command(routing_key, id, &command).map(|message| {
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

#[cfg(test)]
mod tests {
    use super::NotificationForm;
    use crate::form::parse_form;

    #[test]
    fn all_violations_are_reported() {
        let pointers = |body: &str| {
            parse_form::<NotificationForm>(body.as_bytes())
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
