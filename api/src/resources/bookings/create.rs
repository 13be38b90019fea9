//! Booking requests: validated, handed to the broker, answered.

use super::form::{self, BookingRequest, NewBookingForm};
use super::refusal;
use super::view::{BookingView, Links, RequestedView};
use crate::auth::policy::Caller;
use crate::commands::booking_watch::Awaited;
use crate::commands::idempotency_cache::KeyState;
use crate::commands::submit::Submission;
use crate::form::fingerprint::Fingerprint;
use crate::http::body::{read_node, refuse_card_numbers};
use crate::http::extract::{IdempotencyKey, JsonBody, PreferredWait};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::{Created, Either, JsonResponse, Location, RetryAfter};
use crate::read_models::inventory::Lookup;
use crate::state::{App, SharedApp};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use chrono::{DateTime, Days, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::RequestBooking;
use pvt_domain::rates::quote::Quote;
use pvt_domain::timestamp::Timestamp;
use pvt_service::tokens::Purpose;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// When to look for the result of an accepted request, in seconds.
const RETRY_AFTER_SECS: u16 = 1;
/// When to try again while the properties are not cached yet, in seconds.
const NOT_READY_RETRY_AFTER_SECS: u32 = 2;
/// The epoch of the tokens of a booking whose links were never revoked.
const FIRST_EPOCH: u32 = 0;
/// How long intake waits for the lookup of a stored booking; without it, the worker notices a reused key.
const STORED_LOOKUP_TIMEOUT: Duration = Duration::from_millis(500);

/// 202 with where the result will be.
type Accepted = JsonResponse<202, RequestedView<'static>, (Location, RetryAfter)>;

/// A request that can be published.
struct ValidRequest {
    id: BookingId,
    client: Option<String>,
    actor: Actor,
    fingerprint: Fingerprint,
    inventory: Arc<Inventory>,
    request: BookingRequest,
    quote: Option<Quote>,
}

/// `POST /api/bookings`: 202 once the broker has the request; with `Prefer: wait=N` the result itself, if it is
/// decided in time.
pub(super) async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    context: RequestContext,
    IdempotencyKey(key): IdempotencyKey,
    wait: PreferredWait,
    body: JsonBody<NewBookingForm>,
) -> Result<Either<Accepted, Created<BookingView<'static>>>, Problem> {
    let valid = validate(&app, &caller, &key, &body.bytes).await.inspect_err(|problem| {
        let outcome = if problem.is_client_error() { &app.intake.invalid } else { &app.intake.unavailable };
        outcome.increment(1);
    })?;
    let (id, fingerprint) = (valid.id, valid.fingerprint);
    let known = known(&app, &valid).await;
    if known == KeyState::Reused {
        app.intake.key_reused.increment(1);
        return Err(problem::IDEMPOTENCY_KEY_REUSED.into());
    }
    // The reply slot is taken before the request is sent, so that no reply is missed.
    let queue = wait.named.and_then(|_| app.reply_queue.queue()).filter(|_| known == KeyState::New);
    let awaited = Awaited { id, rev: 1, reply_expected: queue.is_some() };
    let waiting = wait.named.and_then(|_| app.booking_watch.wait_for(awaited));
    if known == KeyState::New {
        publish_request(&app, valid, &context, queue).await?;
        app.intake.accepted.increment(1);
    } else {
        app.intake.replayed.increment(1);
    }
    let replayed = known == KeyState::Replayed;
    let token = token_for(&app, &caller, id);
    // A known caller's credential opens these; only guests without one need the token in them.
    let links = Links::new(id, token.as_deref().filter(|_| matches!(caller, Caller::Anonymous)));
    let location = HeaderValue::try_from(links.this()).map_err(Problem::internal)?;
    let decided = match waiting {
        Some(waiting) => waiting.until(wait.since + wait.named.unwrap_or_default()).await,
        None => None,
    };
    let Some(booking) = decided else {
        let accepted = JsonResponse::new(&RequestedView::new(id, token.as_deref(), links))
            .with(header::LOCATION, location)
            .with(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
        return Ok(Either::This(accepted.replayed(replayed)));
    };
    if booking.fingerprint != fingerprint.to_string() {
        app.idempotency.forget(id.as_uuid());
        return Err(problem::IDEMPOTENCY_KEY_REUSED.into());
    }
    // The request itself is the credential of the first token's holder, and opens no more than that token does.
    if matches!(caller, Caller::Anonymous) && !booking.accepts_token(FIRST_EPOCH, Utc::now().into()) {
        return Err(problem::NOT_FOUND.into());
    }
    if let Some(rejection) = booking.rejection {
        return Err(refusal::rejection_problem(&app, &booking, rejection).with_header(header::LOCATION, location));
    }
    let address = links.this().to_owned();
    let view = BookingView::new(&booking, links, token.as_deref());
    let created = Created::at(booking.rev, !replayed, &address, &view)?;
    Ok(Either::That(created.applied(wait.applied())))
}

/// The token for the guest whose request this is. Staff book for others: the mails bring those their links.
fn token_for(app: &App, caller: &Caller, id: BookingId) -> Option<String> {
    (!caller.is_staff()).then(|| app.booking_tokens.token(id, Purpose::Manage, FIRST_EPOCH))
}

/// Validates the body; nothing is sent unless all of it is valid.
async fn validate(app: &App, caller: &Caller, key: &str, body: &[u8]) -> Result<ValidRequest, Problem> {
    let node = read_node(body)?;
    refuse_card_numbers(&node, form::CARD_CHECK_EXEMPT)?;
    let fingerprint = Fingerprint::of(&node);
    let draft = form::read(&node);
    let now = Utc::now();
    let Some(property) = draft.property_id.as_deref() else {
        return Err(match app.inventory_cache.all().values().next() {
            Some(any) => Problem::fields(draft.violations_without_property(any, yesterday(now))),
            None => not_ready(),
        });
    };
    match app.inventory_cache.find(property).await {
        Lookup::Found(inventory) => {
            let today = Timestamp::new(now).local_date(inventory.property.time_zone);
            let request = draft
                .validate(&inventory, today, caller.is_staff_of(&inventory.property.id))
                .map_err(Problem::fields)?;
            let sold = (&inventory.property.id, &request.rate_plan_id, request.stays.as_slice());
            let quote = request.quote.as_deref().map(|text| app.quote_key.of(text, sold)).transpose()?;
            let id = BookingId::derive(caller.client(), key, &fingerprint.to_string());
            Ok(ValidRequest {
                id,
                client: caller.client().map(str::to_owned),
                actor: caller.actor_at(&inventory.property.id),
                fingerprint,
                inventory,
                request,
                quote,
            })
        }
        Lookup::Unknown(any) => Err(Problem::fields(draft.violations_without_property(&any, yesterday(now)))),
        Lookup::Unavailable => Err(not_ready()),
    }
}

/// A date that is in the past at every property.
fn yesterday(now: DateTime<Utc>) -> chrono::NaiveDate {
    let today = now.date_naive();
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
}

fn not_ready() -> Problem {
    Problem::new(
        problem::NOT_READY,
        "The properties are not loaded yet. Send the same request with the same Idempotency-Key after the time in \
        Retry-After.",
    )
    .retry_after(NOT_READY_RETRY_AFTER_SECS)
}

/// Whether this id was used before. An anonymous id covers the body, so only an authenticated client's can be used
/// twice.
async fn known(app: &App, valid: &ValidRequest) -> KeyState {
    let (id, fingerprint) = (valid.id.as_uuid(), valid.fingerprint);
    if valid.client.is_none() {
        return match app.idempotency.look_up(id, fingerprint) {
            KeyState::InFlight => KeyState::New,
            known => known,
        };
    }
    match app.idempotency.reserve(id, fingerprint) {
        KeyState::New => {}
        // The other request releases the reservation.
        KeyState::InFlight => return KeyState::New,
        known => return known,
    }
    // A client that disconnects here must not leave its key reserved.
    let reserved = app.idempotency.hold_reservation(id);
    let (mongo, booking) = (app.mongo.clone(), valid.id);
    let stored =
        timeout(STORED_LOOKUP_TIMEOUT, tokio::spawn(async move { mongo.bookings().find(booking).await })).await;
    reserved.keep();
    match stored {
        Ok(Ok(Ok(Some(booking)))) if booking.fingerprint == fingerprint.to_string() => {
            app.idempotency.confirm(id, fingerprint);
            KeyState::Replayed
        }
        Ok(Ok(Ok(Some(_)))) => {
            app.idempotency.release(id);
            KeyState::Reused
        }
        // Not stored, or unknown: the worker decides.
        _ => KeyState::New,
    }
}

/// Hands the request to the broker.
async fn publish_request(
    app: &SharedApp,
    valid: ValidRequest,
    context: &RequestContext,
    reply_to: Option<String>,
) -> Result<(), Problem> {
    let ValidRequest { id, client, actor, fingerprint, inventory, request, quote } = valid;
    let property_id = inventory.property.id.clone();
    let BookingRequest { rate_plan_id, source, stays, guest, override_restrictions, quote: _ } = request;
    let command = RequestBooking {
        booking_id: id,
        client,
        fingerprint: fingerprint.to_string(),
        property_id,
        rate_plan_id,
        source,
        stays,
        guest,
        requested_at: Utc::now().into(),
        quote,
        override_restrictions,
    };
    let submission = Submission {
        id: id.request_command_id(),
        property: command.property_id.as_str(),
        command: &command,
        subject: id.as_uuid(),
        actor,
        context,
        record: Some((id.as_uuid(), fingerprint)),
    };
    submission.send(app, reply_to).await.inspect_err(|_| app.intake.unavailable.increment(1))
}
