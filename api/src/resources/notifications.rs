//! Notifications: mails about a booking that staff send, for the first time or again.

use crate::auth::guard::{Resource, at, post};
use crate::auth::policy::Caller;
use crate::auth::rules::NOTIFICATIONS_STAFF;
use crate::commands::idempotency;
use crate::commands::idempotency_cache::KeyState;
use crate::commands::submit::Submission;
use crate::form::form;
use crate::form::presence::required;
use crate::form::types::{booking_id, one_of};
use crate::http::extract::{Form, IdempotencyKey};
use crate::http::middleware::RequestContext;
use crate::http::problem::Problem;
use crate::http::response::JsonResponse;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::ids::BookingId;
use pvt_domain::intake::FieldError;
use pvt_domain::messages::{NotificationKind, SendNotification};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

form! {
    /// A mail about a booking.
    pub(crate) struct NotificationForm {
        booking_id: BookingId = required(booking_id()),
        kind: NotificationKind = required(one_of(NotificationKind::REQUESTABLE)),
    }
    exempt &["/booking_id"];
    example json!({ "booking_id": "11111111-2222-5333-8444-555555555555", "kind": "booking_confirmed" });
}

/// The mail is queued.
#[derive(Serialize, JsonSchema)]
#[schemars(inline, example = json!({
    "id": "0b8d5f0e-3f2c-5c39-9f0e-6a7f2a9d1c11", "booking_id": "11111111-2222-5333-8444-555555555555",
    "kind": "booking_confirmed", "status": "queued"
}))]
struct QueuedView {
    id: Uuid,
    booking_id: BookingId,
    kind: NotificationKind,
    #[schemars(extend("enum" = ["queued"]))]
    status: &'static str,
}

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Notifications",
        about: "Mails to guests.",
        routes: vec![at(
            "/api/notifications",
            [post(NOTIFICATIONS_STAFF, "send_notification", create)
                .summary("Send a mail about a booking, for the first time or again")
                .stored()
                .queued()],
        )],
    }
}

/// `POST /api/notifications` with `booking_id` and `kind`: 202 once the broker has the command.
async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    context: RequestContext,
    IdempotencyKey(key): IdempotencyKey,
    Form { value: form, fingerprint }: Form<NotificationForm>,
) -> Result<JsonResponse<202, QueuedView>, Problem> {
    let NotificationForm { booking_id, kind } = form;
    let mongo = app.mongo.clone();
    let booking = store_call::read(async move { mongo.bookings().find(booking_id).await })
        .await?
        .filter(|booking| caller.is_staff_of(&booking.property_id));
    let refused = match booking.as_ref().map(|booking| booking.guest.mail_address()) {
        None => Some(("unknown_booking", "there is no such booking at a property of yours, or it is not decided yet")),
        Some(None) => Some(("no_address", "the guest has no mail address; add one to the booking first")),
        Some(Some(_)) => None,
    };
    if let Some((code, message)) = refused {
        return Err(Problem::fields(vec![FieldError::new("/booking_id", code, message)]));
    }
    let id = idempotency::notification_id(&caller, &key);
    let (seen, reserved) = app.idempotency.take(id, fingerprint)?;
    // Repeated, it is sent again: the mail has the id of the first one, so the worker recognises it.
    let command = SendNotification {
        notification_id: id,
        booking_id,
        kind,
        actor: caller.actor(),
        requested_at: Utc::now().into(),
    };
    let submission = Submission {
        command: &command,
        id,
        property: "",
        subject: booking_id.as_uuid(),
        actor: caller.actor(),
        context: &context,
        record: Some((id, fingerprint)),
    };
    reserved.keep();
    submission.send(&app, None).await?;
    let replayed = seen == KeyState::Replayed;
    Ok(JsonResponse::new(&QueuedView { id, booking_id, kind, status: "queued" }).replayed(replayed))
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
            pointers(r#"{"booking_id":"11111111-2222-5333-8444-555555555555","kind":"address_changed"}"#),
            Err(vec!["/kind".to_owned()]),
            "it would go to the present address"
        );
        assert_eq!(
            pointers(r#"{"booking_id":"11111111-2222-5333-8444-555555555555","kind":"booking_confirmed"}"#),
            Ok(())
        );
        assert_eq!(pointers(r#"{"booking_id":"x","kind":"y","to":"z"}"#).unwrap_err(), ["/to", "/booking_id", "/kind"]);
        assert_eq!(pointers("{}").unwrap_err(), ["/booking_id", "/kind"]);
        assert_eq!(pointers("[]").unwrap_err(), [""]);
    }
}
