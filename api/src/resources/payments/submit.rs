//! Payment commands: sent to a worker, which is awaited.
//!
//! A command's id is a function of the booking, the caller and their `Idempotency-Key`, so that the worker recognises a
//! replay. A replay is sent again: the worker answers it as it did the first time.

use crate::auth::policy::Caller;
use crate::commands::booking_watch::Awaited;
use crate::commands::idempotency;
use crate::commands::idempotency_cache::KeyState;
use crate::commands::submit::{Submission, reply_until};
use crate::form::fingerprint::Fingerprint;
use crate::http::headers::preference_applied;
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::{JsonResponse, Location, RetryAfter};
use crate::state::SharedApp;
use crate::store_call;
use axum::http::{HeaderValue, header};
use pvt_domain::booking::Booking;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::ledger::Ledger;
use pvt_domain::messages::{MessageType, PaymentRefusal, PaymentReply};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a worker is awaited by default: Stripe takes a second, or several.
const WAIT: Duration = Duration::from_secs(10);
/// When to try again after a timeout, or while Stripe is unavailable, in seconds.
pub(crate) const RETRY_AFTER_SECS: u32 = 2;
/// When to try again after too many payment attempts, in seconds.
const TOO_MANY_ATTEMPTS_RETRY_SECS: u32 = 600;

/// The identity of a payment command.
pub(crate) struct CommandKey {
    /// The id of the command, and of the payment it opens or records.
    pub(crate) id: Uuid,
    /// The id of the idempotency record of its key.
    slot: Uuid,
    fingerprint: Fingerprint,
}

impl CommandKey {
    /// From a caller and its key; `kind` also tells commands of different kinds apart.
    pub(crate) fn new(kind: &str, booking: BookingId, caller: &Caller, key: &str, fingerprint: Fingerprint) -> Self {
        let slot = idempotency::payment_record_id(caller, booking, key);
        let what = format!("{kind}\n{booking}");
        Self { id: Uuid::new_v5(&slot, what.as_bytes()), slot, fingerprint: fingerprint.for_target(&what) }
    }

    /// Without a key: the name identifies the command.
    pub(crate) fn named(booking: BookingId, name: &str, fingerprint: Fingerprint) -> Self {
        let id = Uuid::new_v5(&booking.as_uuid(), name.as_bytes());
        Self { id, slot: id, fingerprint }
    }
}

/// The outcome of a payment command.
pub(crate) struct Submitted {
    /// The worker's reply; `None` after a timeout.
    pub(crate) reply: Option<PaymentReply>,
    /// Whether this instance had accepted the same command before.
    replayed: bool,
    /// The preference that was applied.
    wait: Option<Duration>,
    /// Until when the caller waits.
    deadline: Instant,
}

/// Sends the command and waits for the reply: as preferred, otherwise 10 s.
///
/// # Errors
/// 422 for a key that was used for something else, 503 when the broker did not take it, and the worker's refusal.
pub(crate) async fn submit<M: MessageType>(
    app: &SharedApp,
    (context, wait): (&RequestContext, Option<Duration>),
    caller: &Caller,
    (booking, property): (BookingId, &PropertyId),
    command_key: &CommandKey,
    command: &M,
) -> Result<Submitted, Problem> {
    let deadline = Instant::now() + wait.unwrap_or(WAIT);
    let (record, fingerprint) = (command_key.slot, command_key.fingerprint);
    let (known, reserved) = app.idempotency.take(record, fingerprint)?;
    let submission = Submission {
        command,
        id: command_key.id,
        property: property.as_str(),
        subject: booking.as_uuid(),
        actor: caller.actor_at(property),
        context,
        record: Some((record, fingerprint)),
    };
    reserved.keep();
    let slot = submission.send_for_reply(app, &app.payment_replies).await?;
    let reply = reply_until(slot, deadline).await;
    if let Some(refusal) = reply.as_ref().and_then(|reply| reply.refusal) {
        return Err(refusal_problem(refusal));
    }
    Ok(Submitted { reply, replayed: known == KeyState::Replayed, wait, deadline })
}

/// The problem of a refusal.
fn refusal_problem(refusal: PaymentRefusal) -> Problem {
    match refusal {
        PaymentRefusal::NothingDue => problem::NOTHING_DUE.into(),
        PaymentRefusal::NotPayable => problem::NOT_PAYABLE.into(),
        PaymentRefusal::UnknownPayment => problem::NOT_FOUND.into(),
        PaymentRefusal::TooMuch => problem::TOO_MUCH.into(),
        PaymentRefusal::Disputed => problem::DISPUTED.into(),
        PaymentRefusal::KeyReused => problem::IDEMPOTENCY_KEY_REUSED.into(),
        PaymentRefusal::TooManyAttempts => {
            Problem::from(problem::RATE_LIMITED).retry_after(TOO_MANY_ATTEMPTS_RETRY_SECS)
        }
        PaymentRefusal::ProviderRefused => problem::PROVIDER_REFUSED.into(),
        PaymentRefusal::ProviderUnavailable => {
            Problem::from(problem::PROVIDER_UNAVAILABLE).retry_after(RETRY_AFTER_SECS)
        }
    }
}

/// The stored ledger of a booking.
pub(crate) async fn ledger(app: &SharedApp, booking: BookingId) -> Result<Option<Ledger>, Problem> {
    let mongo = app.mongo.clone();
    store_call::read(async move { mongo.ledgers().find(booking).await }).await
}

/// Accepted, but not done yet.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PendingPayment")]
pub(super) struct PendingView<'a> {
    id: &'a str,
    booking_id: BookingId,
    #[schemars(extend("enum" = ["queued"]))]
    status: &'static str,
    links: PendingLinks<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct PendingLinks<'a> {
    #[serde(rename = "self")]
    this: &'a str,
}

/// Answer to a command that takes longer than the caller waits.
pub(super) type Pending = JsonResponse<202, PendingView<'static>, (Location, RetryAfter)>;

impl Submitted {
    /// Waits, as long as the caller does, until the booking knows the totals of this ledger: its balance, and with it
    /// check-out and refunds, follow from what the booking knows. `None` when that takes longer.
    ///
    /// # Errors
    /// 503 when the booking cannot be read.
    pub(super) async fn reaches_booking(
        &self,
        app: &SharedApp,
        ledger: &Ledger,
    ) -> Result<Option<Arc<Booking>>, Problem> {
        let (mongo, id) = (app.mongo.clone(), ledger.booking_id);
        let mut known = store_call::read(async move { mongo.bookings().find(id).await }).await?.map(Arc::new);
        while let Some(booking) = known {
            if booking.payment.ledger().ledger_rev >= ledger.totals_rev {
                return Ok(Some(booking));
            }
            let next = Awaited { id, rev: booking.rev + 1, reply_expected: false };
            let Some(waiting) = app.booking_watch.wait_for(next) else { break };
            known = waiting.until(self.deadline).await;
        }
        Ok(None)
    }

    /// The answer with what is stored.
    pub(super) fn done<const STATUS: u16, View: Serialize, Headers>(
        &self,
        view: &View,
    ) -> JsonResponse<STATUS, View, Headers> {
        JsonResponse::new(view).replayed(self.replayed).applied(self.wait.and_then(preference_applied))
    }

    /// As [`Submitted::done`], of something that stands at this location.
    ///
    /// # Errors
    /// 500 for an address that cannot be a header.
    pub(super) fn created<View: Serialize>(
        &self,
        location: &str,
        view: &View,
    ) -> Result<JsonResponse<201, View, Location>, Problem> {
        let location = HeaderValue::try_from(location).map_err(Problem::internal)?;
        Ok(self.done(view).with(header::LOCATION, location))
    }

    /// It will be done; `location` shows when it is.
    ///
    /// # Errors
    /// 500 for an address that cannot be a header.
    pub(super) fn pending(&self, id: &str, booking_id: BookingId, location: &str) -> Result<Pending, Problem> {
        let view = PendingView { id, booking_id, status: "queued", links: PendingLinks { this: location } };
        let location = HeaderValue::try_from(location).map_err(Problem::internal)?;
        Ok(JsonResponse::new(&view)
            .replayed(self.replayed)
            .with(header::LOCATION, location)
            .with(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS)))
    }
}
