//! Checkout: on Stripe's page, or in an app with Stripe's card fields.

use super::submit::{self, CommandKey, Pending, Submitted};
use crate::auth::booking_access::{BookingAccess, BookingCredentials};
use crate::form::fingerprint::Fingerprint;
use crate::form::json::Node;
use crate::form::presence::{Presence as _, credential, optional, required};
use crate::form::reader::{Pointer, Reader};
use crate::form::types::{booking_id, text};
use crate::form::{RequestForm as _, form};
use crate::http::body::{read_json, read_node, refuse_card_numbers};
use crate::http::extract::{Form, IdempotencyKey, PreferredWait};
use crate::http::headers;
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::{Either, JsonResponse, Location};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeInput, Operation};
use crate::resources::payments::return_urls::{MAX_URL_BYTES, ReturnUrls};
use crate::resources::payments::view::{EXAMPLE_BOOKING, EXAMPLE_ID, PaymentState, example_money, payment_of};
use crate::state::{App, SharedApp};
use axum::extract::{FromRequest, Request, State};
use chrono::Utc;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use pvt_domain::intake::FieldError;
use pvt_domain::ledger::PaymentChannel;
use pvt_domain::messages::{OpenPayment, PAYMENT_CREATE_INTENT, PAYMENT_OPEN_CHECKOUT};
use pvt_domain::money::Money;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

form! {
    /// A request to pay what a booking owes.
    #[derive(Default)]
    pub(crate) struct CheckoutForm {
        booking_id: Option<BookingId> = required(booking_id()).lenient(),
        /// The booking's, if it is neither in the query nor in Authorization.
        token: Option<String> = credential(text()),
        /// Where to send guests who have paid: one of our own origins, without the booking's token; by default a page
        /// that says how the payment stands.
        success_url: Option<String> = optional(text().length(1, MAX_URL_BYTES)),
        /// Where to send guests who have not paid; by default the same page.
        cancel_url: Option<String> = optional(text().length(1, MAX_URL_BYTES)),
    }
    exempt &["/booking_id", "/token"];
    example json!({ "booking_id": "11111111-2222-5333-8444-555555555555", "token": "…" });
}

/// An opened payment.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OpenedPayment", example = example("url", "https://checkout.stripe.com/c/pay/cs_test_1"))]
pub(super) struct CheckoutView<'a> {
    /// The payment's id; that of the open page for the same amount, if there is one.
    id: &'a str,
    booking_id: BookingId,
    status: PaymentState,
    amount: Money,
    /// Stripe's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    /// For Stripe's card fields in an app. Keep it secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    /// When the page expires, or the beds are released.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    links: CheckoutLinks<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct CheckoutLinks<'a> {
    #[serde(rename = "self")]
    this: &'a str,
    booking: &'a str,
}

/// The example of an opened payment with this field.
pub(super) fn example(name: &str, value: &str) -> Value {
    json!({
        "id": EXAMPLE_ID, "booking_id": EXAMPLE_BOOKING, "status": "open", "amount": example_money(28_560),
        name: value, "expires_at": "2026-12-01T12:30:00.000Z",
        "links": { "self": format!("/api/payments/{EXAMPLE_ID}?booking_id={EXAMPLE_BOOKING}&token=…"),
            "booking": format!("/api/bookings/{EXAMPLE_BOOKING}?token=…") },
    })
}

type Opened = Either<JsonResponse<201, CheckoutView<'static>, Location>, Pending>;

/// A request to pay for a booking that the caller may see.
pub(super) struct PaymentRequest {
    access: BookingAccess,
    form: CheckoutForm,
    key: String,
    fingerprint: Fingerprint,
}

impl FromRequest<SharedApp> for PaymentRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &SharedApp) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = read_json(&parts.headers, body).await?;
        let node = read_node(&body)?;
        let (form, mut violations, fingerprint) = read(&node, &app.return_urls);
        // Without access to the booking, nothing is revealed, not even violations of the form.
        let access = BookingCredentials::of(&parts)?.access(app, form.booking_id, form.token.as_deref())?;
        let key = headers::idempotency_key(&parts.headers)?.to_owned();
        refuse_card_numbers(&node, CheckoutForm::CARD_CHECK_EXEMPT)?;
        violations.extend(token_violations(app, &form));
        match access {
            Some(access) if violations.is_empty() => Ok(Self { access, form, key, fingerprint }),
            _ => Err(Problem::fields(violations)),
        }
    }
}

impl DescribeInput for PaymentRequest {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        let operation = BookingCredentials::describe(operation, schemas);
        let operation = Form::<CheckoutForm>::describe(operation, schemas);
        IdempotencyKey::describe(operation, schemas)
    }
}

/// `POST /api/payments/checkout`: 201 with the address of Stripe's page.
pub(super) async fn checkout(
    State(app): State<SharedApp>,
    context: RequestContext,
    wait: PreferredWait,
    request: PaymentRequest,
) -> Result<Opened, Problem> {
    open_payment(&app, (&context, wait.named), request, PaymentChannel::Checkout).await
}

/// `POST /api/payments/create-intent`: 201 with the client secret.
pub(super) async fn create_intent(
    State(app): State<SharedApp>,
    context: RequestContext,
    wait: PreferredWait,
    request: PaymentRequest,
) -> Result<Opened, Problem> {
    open_payment(&app, (&context, wait.named), request, PaymentChannel::App).await
}

async fn open_payment(
    app: &SharedApp,
    context: (&RequestContext, Option<Duration>),
    PaymentRequest { access, form, key, fingerprint }: PaymentRequest,
    channel: PaymentChannel,
) -> Result<Opened, Problem> {
    let booking = access.decided_booking(app).await?;
    check_payable(&booking)?;
    let kind = match channel {
        PaymentChannel::Checkout => PAYMENT_OPEN_CHECKOUT,
        PaymentChannel::App => PAYMENT_CREATE_INTENT,
    };
    let command_key = CommandKey::new(kind, booking.id, &access.caller, &key, fingerprint);
    let command = open_command(app, &access, &booking, &command_key, (channel, form.success_url, form.cancel_url));
    let target = (booking.id, &booking.property_id);
    let submitted = submit::submit(app, context, &access.caller, target, &command_key, &command).await?;
    respond(app, &access, &booking, &command_key, &submitted).await
}

/// The command that opens a payment; by default guests return to our own page of it. The addresses go through queues to
/// Stripe and come back in its events, so they hold no token.
pub(crate) fn open_command(
    app: &SharedApp,
    access: &BookingAccess,
    booking: &Booking,
    command_key: &CommandKey,
    (channel, success_url, cancel_url): (PaymentChannel, Option<String>, Option<String>),
) -> OpenPayment {
    let page = app.return_urls.of_payment(command_key.id);
    OpenPayment {
        payment_id: command_key.id,
        booking_id: booking.id,
        property_id: booking.property_id.clone(),
        channel,
        success_url: success_url.unwrap_or_else(|| format!("{page}?wait=10s")),
        cancel_url: cancel_url.unwrap_or(page),
        actor: access.actor(booking),
        requested_at: Utc::now().into(),
    }
}

/// An early refusal; the worker decides.
fn check_payable(booking: &Booking) -> Result<(), Problem> {
    match booking.payable() {
        _ if !booking.status.holds_beds() => Err(problem::NOT_PAYABLE.into()),
        ..=0 => Err(problem::NOTHING_DUE.into()),
        _ => Ok(()),
    }
}

async fn respond(
    app: &SharedApp,
    access: &BookingAccess,
    booking: &Booking,
    command_key: &CommandKey,
    submitted: &Submitted,
) -> Result<Opened, Problem> {
    let reply = submitted.reply.as_ref();
    let id = reply.and_then(|reply| reply.payment_id.clone()).unwrap_or_else(|| command_key.id.to_string());
    let location = access.payment_path(&id);
    let ledger = submit::ledger(app, booking.id).await?;
    let payment = ledger.as_ref().and_then(|ledger| payment_of(ledger, &id, Utc::now().into()));
    // The reply may be lost: an open page serves as well.
    let url = reply
        .and_then(|reply| reply.url.as_deref())
        .or(payment.as_ref().and_then(|payment| payment.checkout_url.as_deref()));
    let client_secret = reply.and_then(|reply| reply.client_secret.as_deref());
    if url.is_none() && client_secret.is_none() {
        return Ok(Either::That(submitted.pending(&id, booking.id, &location)?));
    }
    let currency =
        booking.price.as_ref().map(|price| price.currency).ok_or_else(|| Problem::from(problem::NOT_PAYABLE))?;
    let links = access.links();
    let view = CheckoutView {
        id: &id,
        booking_id: booking.id,
        status: payment.as_ref().map_or(PaymentState::Open, |payment| payment.status),
        amount: payment.as_ref().map_or(Money::new(booking.payable(), currency), |payment| payment.amount),
        url,
        client_secret,
        expires_at: expires_at(booking.hold_ends(), payment.as_ref().and_then(|it| it.expires_at), Utc::now().into()),
        links: CheckoutLinks { this: &location, booking: links.this() },
    };
    Ok(Either::This(submitted.created(&location, &view)?))
}

/// A hold whose stored end has passed was prolonged by a maintenance, or the payment would not be open.
fn expires_at(hold: Option<Timestamp>, page: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    hold.filter(|end| *end > now).into_iter().chain(page).min()
}

/// Reads the form, its violations and its fingerprint.
fn read(node: &Node<'_>, urls: &ReturnUrls) -> (CheckoutForm, Vec<FieldError>, Fingerprint) {
    let mut reader = Reader::default();
    let form = CheckoutForm::read(node, &Pointer::Root, &mut reader).unwrap_or_default();
    let fingerprint = reader.fingerprints(node).canonical;
    let mut violations = reader.into_violations();
    violations.extend(urls.violation("/success_url", form.success_url.as_deref()));
    violations.extend(urls.violation("/cancel_url", form.cancel_url.as_deref()));
    // In the order of the fields.
    violations.sort_by_key(|violation| violation.pointer == "/cancel_url");
    (form, violations, fingerprint)
}

/// The violations of addresses that hold a token of the booking: Stripe keeps them, shows them in its dashboard, and
/// repeats them in events.
fn token_violations(app: &App, form: &CheckoutForm) -> Vec<FieldError> {
    let addresses = [("/success_url", &form.success_url), ("/cancel_url", &form.cancel_url)];
    let holding = addresses.into_iter().filter(|(_, url)| {
        form.booking_id.zip(url.as_deref()).is_some_and(|(id, url)| app.booking_tokens.occurs_in(id, url))
    });
    let message = "must not hold a token of the booking: Stripe stores the address";
    holding.map(|(pointer, _)| FieldError::new(pointer, "token_in_url", message)).collect()
}

#[cfg(test)]
mod tests {
    use super::expires_at;
    use crate::resources::payments::fixtures::at;

    #[test]
    fn end_of_a_hold_that_has_passed_is_not_shown_with_a_payment_that_is_open() {
        let (now, page) = (at("2027-01-15T08:30:00Z"), at("2027-01-15T09:10:00Z"));
        let (before, after) = (at("2027-01-15T08:20:00Z"), at("2027-01-15T08:40:00Z"));
        assert_eq!(expires_at(Some(after), Some(page), now), Some(after));
        assert_eq!(expires_at(Some(before), Some(page), now), Some(page), "a maintenance prolonged it");
        assert_eq!(expires_at(Some(before), None, now), None);
    }
}
