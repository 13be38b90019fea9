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
use crate::http::problem::{self, Problem};
use crate::http::response::JsonResponse;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::{NaiveDate, Utc};
use pvt_domain::booking::Booking;
use pvt_domain::booking::mails::sendable;
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
                .about("Only what is right for the booking as it is now; a refusal lists that in `sendable`.")
                .problems([problem::NOT_SENDABLE])
                .stored()
                .queued()],
        )],
    }
}

/// `POST /api/notifications` with `booking_id` and `kind`: 202 once the broker has the command, 409 when the mail would
/// contradict the booking.
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
    let booking = booking.ok_or_else(|| {
        refused("unknown_booking", "there is no such booking at a property of yours, or it is not decided yet")
    })?;
    let id = idempotency::notification_id(&caller, &key);
    let (seen, reserved) = app.idempotency.take(id, fingerprint)?;
    let queued =
        |replayed| JsonResponse::new(&QueuedView { id, booking_id, kind, status: "queued" }).replayed(replayed);
    if seen != KeyState::Replayed
        && let Err(refusal) = check_mail(&booking, kind, local_date(&app, &booking))
    {
        // Another instance may have accepted it while it was right.
        let mongo = app.mongo.clone();
        if !store_call::read(async move { mongo.notifications().has_requested(booking_id, kind, id).await }).await? {
            return Err(refusal);
        }
        reserved.keep();
        app.idempotency.confirm(id, fingerprint);
        return Ok(queued(true));
    }
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
    Ok(queued(seen == KeyState::Replayed))
}

/// The calendar's date at the booking's property; of UTC while the property is not cached.
fn local_date(app: &SharedApp, booking: &Booking) -> NaiveDate {
    let now = Utc::now();
    let all = app.inventory_cache.all();
    all.get(&booking.property_id)
        .map_or(now.date_naive(), |inventory| now.with_timezone(&inventory.property.time_zone).date_naive())
}

fn refused(code: &'static str, message: &'static str) -> Problem {
    Problem::fields(vec![FieldError::new("/booking_id", code, message)])
}

/// # Errors
/// 422 for a guest without a mail address; 409 for a kind that the worker would not send on `today`, with those that it
/// would.
fn check_mail(booking: &Booking, kind: NotificationKind, today: NaiveDate) -> Result<(), Problem> {
    if booking.guest.mail_address().is_none() {
        return Err(refused("no_address", "the guest has no mail address; add one to the booking first"));
    }
    let sendable = sendable(booking, today);
    if sendable.contains(&kind) {
        return Ok(());
    }
    let names: Vec<&str> = sendable.iter().map(|kind| kind.as_str()).collect();
    let advice = match names.is_empty() {
        true => "No mail can be sent about it now.".to_owned(),
        false => format!("It can be sent now: {}.", names.join(", ")),
    };
    let detail =
        format!("The booking is {}, and {kind} would contradict it, or its time is not now. {advice}", booking.status);
    Err(Problem::new(problem::NOT_SENDABLE, detail)
        .with_member("booking_status", &booking.status)
        .with_member("sendable", &sendable))
}

#[cfg(test)]
mod tests {
    use super::{NotificationForm, check_mail};
    use crate::form::parse_form;
    use pvt_domain::booking::Booking;
    use pvt_domain::messages::NotificationKind;
    use serde_json::{Value, json};

    #[test]
    fn mail_that_would_never_be_sent_is_refused_with_those_that_would() {
        let booking: Booking = serde_json::from_value(json!({
            "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "cancelled",
            "rev": 2, "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
            "stays": [{ "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-12", "guests": 1,
            "assigned_beds": [] }],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
            "history": [{ "rev": 2, "at": "2026-12-01T12:00:01.000Z", "action": "cancel", "from": "confirmed",
            "to": "cancelled", "command_id": "11111111-2222-5333-8444-555555555556",
            "event_id": "11111111-2222-5333-8444-555555555557", "actor": "guest" }],
        }))
        .unwrap();
        let today = "2026-12-02".parse().unwrap();
        assert!(check_mail(&booking, NotificationKind::BookingCancelled, today).is_ok());
        let refused = check_mail(&booking, NotificationKind::BookingConfirmed, today).unwrap_err();
        let problem: Value = serde_json::from_slice(&refused.document("1")).unwrap();
        assert_eq!(
            (&problem["code"], &problem["booking_status"], &problem["sendable"]),
            (&json!("not_sendable"), &json!("cancelled"), &json!(["booking_cancelled"])),
            "{problem}"
        );
    }

    #[test]
    fn all_violations_are_reported() {
        let pointers = |body: &str| {
            parse_form::<NotificationForm>(body.as_bytes())
                .map_err(|problem| problem.errors().iter().map(|error| error.pointer.clone()).collect::<Vec<_>>())
                .map(|_| ())
        };
        for (name, kind) in NotificationKind::ALL {
            let body = format!(r#"{{"booking_id":"11111111-2222-5333-8444-555555555555","kind":"{name}"}}"#);
            let violations = if kind.is_requestable() { Ok(()) } else { Err(vec!["/kind".to_owned()]) };
            assert_eq!(pointers(&body), violations, "{name}");
        }
        assert_eq!(pointers(r#"{"booking_id":"x","kind":"y","to":"z"}"#).unwrap_err(), ["/to", "/booking_id", "/kind"]);
        assert_eq!(pointers("{}").unwrap_err(), ["/booking_id", "/kind"]);
        assert_eq!(pointers("[]").unwrap_err(), [""]);
    }
}
