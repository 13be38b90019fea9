//! Booking requests: validated, handed to the broker, answered.

use super::form::{self, BookingRequest, NewBookingForm};
use super::refusal;
use super::view::{BookingView, Links, RequestedView};
use crate::auth::policy::Caller;
use crate::commands::booking_watch::Awaited;
use crate::commands::idempotency_cache::KeyState;
use crate::commands::submit::Submission;
use crate::form::fingerprint::{Fingerprint, Fingerprints};
use crate::http::body::{read_node, refuse_card_numbers};
use crate::http::extract::{IdempotencyKey, JsonBody, PreferredWait};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::{Created, Either, JsonResponse, Location, RetryAfter};
use crate::read_models::inventory::Lookup;
use crate::state::{App, SharedApp};
use crate::store_call;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_domain::business_day::first_bookable_night;
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
    fingerprints: Fingerprints,
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
    let (id, fingerprints) = (valid.id, valid.fingerprints);
    let Earlier { known, stored } = earlier(&app, &valid).await;
    if known == KeyState::Reused {
        app.intake.key_reused.increment(1);
        return Err(problem::IDEMPOTENCY_KEY_REUSED.into());
    }
    // The reply slot is taken before the request is sent, so that no reply is missed.
    let queue = wait.named.and_then(|_| app.reply_queue.queue()).filter(|_| !stored);
    let awaited = Awaited { id, rev: 1, reply_expected: queue.is_some() };
    let waiting = wait.named.and_then(|_| app.booking_watch.wait_for(awaited));
    // An accepted request of which nothing is stored may be on its way, or may never arrive: its queue was missing, or
    // an operator discarded it. It is sent once more under the same id.
    if !stored {
        publish_request(&app, valid, &context, queue).await?;
    }
    let replayed = known == KeyState::Replayed;
    let outcome = if replayed { &app.intake.replayed } else { &app.intake.accepted };
    outcome.increment(1);
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
    if !fingerprints.matches(&booking.fingerprint) {
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
    let view = BookingView::new(&booking, links, token.as_deref()).with_cancellation(&app, &booking);
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
    let (draft, fingerprints) = form::read(&node);
    let now = Utc::now();
    let Some(property) = draft.property_id.as_deref() else {
        return Err(match app.inventory_cache.all().values().next() {
            Some(any) => Problem::fields(draft.violations_without_property(any, form::yesterday(now))),
            None => not_ready(),
        });
    };
    match app.inventory_cache.find(property).await {
        Lookup::Found(inventory) => {
            let by_staff = caller.is_staff_of(&inventory.property.id);
            let first_night = first_bookable_night(&inventory.property, Timestamp::new(now), by_staff);
            let request = draft.validate(&inventory, first_night, by_staff).map_err(Problem::fields)?;
            let sold = (&inventory.property.id, &request.rate_plan_id, request.stays.as_slice());
            let quote = request.quote.as_deref().map(|text| app.quote_key.of(text, sold)).transpose()?;
            let (id, fingerprints) = identify(app, caller, key, fingerprints).await?;
            Ok(ValidRequest {
                id,
                client: caller.client().map(str::to_owned),
                actor: caller.actor_at(&inventory.property.id),
                fingerprints,
                inventory,
                request,
                quote,
            })
        }
        Lookup::Unknown(any) => Err(Problem::fields(draft.violations_without_property(&any, form::yesterday(now)))),
        Lookup::Unavailable => Err(not_ready()),
    }
}

/// The id of the request. Earlier versions derived those of anonymous callers from the body as it was sent: a booking
/// that is stored under such an id is the one that is requested. While that cannot be read, the request is refused: it
/// could become a second booking.
async fn identify(
    app: &App,
    caller: &Caller,
    key: &str,
    fingerprints: Fingerprints,
) -> Result<(BookingId, Fingerprints), Problem> {
    let id_of = |fingerprint: Fingerprint| BookingId::derive(caller.client(), key, &fingerprint.to_string());
    let canonical = (id_of(fingerprints.canonical), fingerprints);
    let Some(as_sent) = fingerprints.earlier().filter(|_| caller.client().is_none()) else {
        return Ok(canonical);
    };
    let earlier = id_of(as_sent);
    let mongo = app.mongo.clone();
    let stored = store_call::read(async move { mongo.bookings().find(earlier).await }).await?;
    Ok(if stored.is_some() { (earlier, Fingerprints { canonical: as_sent, as_sent }) } else { canonical })
}

/// The stored booking, if it is found in time.
async fn find_stored(app: &App, id: BookingId) -> Option<Booking> {
    let mongo = app.mongo.clone();
    let found = tokio::spawn(async move { mongo.bookings().find(id).await });
    timeout(STORED_LOOKUP_TIMEOUT, found).await.ok()?.ok()?.ok()?
}

fn not_ready() -> Problem {
    Problem::new(
        problem::NOT_READY,
        "The properties are not loaded yet. Send the same request with the same Idempotency-Key after the time in \
        Retry-After.",
    )
    .retry_after(NOT_READY_RETRY_AFTER_SECS)
}

/// What is known of a request before it is sent.
struct Earlier {
    known: KeyState,
    /// Its booking is stored, so there is nothing to send.
    stored: bool,
}

/// Whether this id was used before. An anonymous id covers the body, so only an authenticated client's can be used
/// twice.
async fn earlier(app: &App, valid: &ValidRequest) -> Earlier {
    let (id, fingerprint) = (valid.id.as_uuid(), valid.fingerprints.canonical);
    let anonymous = valid.client.is_none();
    let known = match anonymous {
        true => app.idempotency.look_up(id, fingerprint),
        false => app.idempotency.reserve(id, fingerprint),
    };
    match known {
        KeyState::Reused => return Earlier { known, stored: false },
        // The other request releases the reservation.
        KeyState::InFlight => return Earlier { known: KeyState::New, stored: false },
        KeyState::New if anonymous => return Earlier { known, stored: false },
        KeyState::New | KeyState::Replayed => {}
    }
    // A client that disconnects here must not leave its key reserved.
    let reserved = (known == KeyState::New).then(|| app.idempotency.hold_reservation(id));
    let stored = find_stored(app, valid.id).await;
    if let Some(reserved) = reserved {
        reserved.keep();
    }
    match stored {
        Some(booking) if valid.fingerprints.matches(&booking.fingerprint) => {
            app.idempotency.confirm(id, fingerprint);
            Earlier { known: KeyState::Replayed, stored: true }
        }
        Some(_) => {
            app.idempotency.forget(id);
            Earlier { known: KeyState::Reused, stored: true }
        }
        // Not stored, or unknown: the worker decides.
        None => Earlier { known, stored: false },
    }
}

/// Hands the request to the broker.
async fn publish_request(
    app: &SharedApp,
    valid: ValidRequest,
    context: &RequestContext,
    reply_to: Option<String>,
) -> Result<(), Problem> {
    let ValidRequest { id, client, actor, fingerprints, inventory, request, quote } = valid;
    let property_id = inventory.property.id.clone();
    let BookingRequest { rate_plan_id, source, stays, guest, override_restrictions, quote: _ } = request;
    let command = RequestBooking {
        booking_id: id,
        client,
        fingerprint: fingerprints.canonical.to_string(),
        fingerprint_as_sent: fingerprints.earlier().map(|as_sent| as_sent.to_string()),
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
        record: Some((id.as_uuid(), fingerprints.canonical)),
    };
    submission.send(app, reply_to).await.inspect_err(|_| app.intake.unavailable.increment(1))
}
