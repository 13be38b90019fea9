//! Checkout pages: payment by the guest, and the receipt.

use super::{Note, note, page, refused};
use crate::api::{self, Call};
use crate::control::{Control, ControlError};
use crate::error::ApiError;
use crate::form;
use crate::objects::charge::ChargeStatus;
use crate::objects::intent::{Intent, IntentStatus};
use crate::objects::session::{Session, SessionStatus};
use crate::objects::shown;
use crate::params::Params;
use crate::simulation::Simulation;
use crate::state::checkout::PayOutcome;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use url::Url;

struct Row {
    name: String,
    description: Option<String>,
    quantity: i64,
    amount: String,
}

#[derive(Template)]
#[template(path = "pay.html")]
struct PayPage {
    lang: &'static str,
    amount: String,
    rows: Vec<Row>,
    email: Option<String>,
    /// URL that the form is sent to.
    action: String,
    client_secret: Option<String>,
    error: Option<String>,
    /// Expiry, formatted.
    until: Option<String>,
    cancellable: bool,
}

/// `GET /pay/{session}`.
pub(super) async fn show(State(simulation): State<Arc<Simulation>>, Path(id): Path<String>) -> Response {
    let state = simulation.read();
    let session = match state.session(&id) {
        Ok(session) => session,
        Err(error) => return refused(&error.into()),
    };
    match (session.status, session.paid) {
        (SessionStatus::Open, _) => {}
        (SessionStatus::Complete, true) => {
            return ended(session, "Paid", "Thank you: this is paid. You can close this page.");
        }
        (SessionStatus::Complete, false) => {
            return ended(
                session,
                "Processing",
                "The debit is being processed. You will be notified when it is settled.",
            );
        }
        (SessionStatus::Expired, _) => {
            return ended(session, "Expired", "This payment page has expired and can no longer be paid.");
        }
    }
    let intent = session.payment_intent.as_deref().and_then(|intent| state.intents.get(intent));
    let row = |line: &crate::objects::session::LineItem| Row {
        name: line.name.clone(),
        description: line.description.clone(),
        quantity: line.quantity,
        amount: shown(line.unit_amount.saturating_mul(line.quantity), &session.currency),
    };
    let mut response = page(&PayPage {
        lang: if session.locale.as_deref().is_some_and(|locale| locale.starts_with("fr")) { "fr" } else { "en" },
        amount: shown(session.amount_total, &session.currency),
        rows: session.lines.iter().map(row).collect(),
        email: session.customer_email.clone(),
        action: format!("/pay/{}", session.id),
        client_secret: None,
        error: intent.and_then(last_error),
        until: chrono::DateTime::from_timestamp(session.expires_at, 0)
            .map(|at| at.format("%Y-%m-%d %H:%M UTC").to_string()),
        cancellable: session.cancel_url.is_some(),
    });
    // Browsers follow the redirect of a form only to origins of the policy.
    let targets =
        [Some(session.success_url.as_str()), session.cancel_url.as_deref()].into_iter().flatten().filter_map(origin);
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        targets.collect::<Vec<_>>().join(" ")
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn origin(url: &str) -> Option<String> {
    Url::parse(url).ok().map(|url| url.origin().ascii_serialization())
}

fn last_error(intent: &Intent) -> Option<String> {
    intent.last_error.as_ref().and_then(|error| error["message"].as_str()).map(str::to_owned)
}

fn ended(session: &Session, title: &str, text: &str) -> Response {
    let back =
        if session.status == SessionStatus::Complete { Some(target(session)) } else { session.cancel_url.clone() };
    page(&Note { title: title.to_owned(), text: text.to_owned(), link: back.map(|url| (url, "Back".to_owned())) })
}

/// The URL of a guest who has paid.
fn target(session: &Session) -> String {
    session.success_url.replace("{CHECKOUT_SESSION_ID}", &session.id).replace("%7BCHECKOUT_SESSION_ID%7D", &session.id)
}

fn field(body: &str, name: &str) -> Option<String> {
    form::parse(body).ok()?.get(name)?.as_str().map(str::to_owned)
}

/// `POST /pay/{session}`: one of the page's buttons.
pub(super) async fn pay(State(simulation): State<Arc<Simulation>>, Path(id): Path<String>, body: String) -> Response {
    let session = match simulation.read().session(&id) {
        Ok(session) => session.clone(),
        Err(error) => return refused(&error.into()),
    };
    let outcome = match field(&body, "action").as_deref() {
        Some("pay") => PayOutcome::Success,
        Some("decline") => PayOutcome::Declined,
        Some("bank") => PayOutcome::AsyncPending,
        Some("cancel") => return Redirect::to(session.cancel_url.as_deref().unwrap_or("/")).into_response(),
        _ => return refused(&ControlError { status: 400, message: "There is no such button.".to_owned() }),
    };
    match Control::new(simulation).pay(&id, outcome) {
        // The page shows the result.
        Err(_) | Ok(()) if outcome == PayOutcome::Declined => Redirect::to(&format!("/pay/{id}")).into_response(),
        Err(error) => refused(&error),
        Ok(()) => Redirect::to(&target(&session)).into_response(),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Secret {
    client_secret: Option<String>,
}

/// `GET /pay/intent/{intent}?client_secret=…`: for apps that take cards themselves.
pub(super) async fn show_intent(
    State(simulation): State<Arc<Simulation>>,
    Path(id): Path<String>,
    Query(secret): Query<Secret>,
) -> Response {
    let state = simulation.read();
    let intent = match with_secret(&state, &id, secret.client_secret.as_deref()) {
        Ok(intent) => intent,
        Err(error) => return refused(&error.into()),
    };
    match intent.status {
        IntentStatus::RequiresPaymentMethod | IntentStatus::RequiresConfirmation => page(&PayPage {
            lang: "en",
            amount: shown(intent.amount, &intent.currency),
            rows: Vec::new(),
            email: intent.receipt_email.clone(),
            action: format!("/pay/intent/{id}/confirm"),
            client_secret: Some(intent.client_secret.clone()),
            error: last_error(intent),
            until: None,
            cancellable: false,
        }),
        IntentStatus::Processing => {
            note("Processing", "The debit is being processed. You will be notified when it is settled.")
        }
        IntentStatus::RequiresCapture | IntentStatus::Succeeded => {
            note("Paid", "Thank you: this is paid. You can close this page.")
        }
        IntentStatus::Canceled => note("Cancelled", "This payment was cancelled and can no longer be paid."),
    }
}

fn with_secret<'a>(state: &'a crate::state::State, id: &str, secret: Option<&str>) -> Result<&'a Intent, ApiError> {
    let missing = || ApiError::missing("payment_intent", id, "intent");
    state.intents.get(id).filter(|intent| Some(intent.client_secret.as_str()) == secret).ok_or_else(missing)
}

/// `POST /pay/intent/{intent}/confirm`.
pub(super) async fn pay_intent(
    State(simulation): State<Arc<Simulation>>,
    Path(id): Path<String>,
    body: String,
) -> Response {
    let secret = field(&body, "client_secret");
    if let Err(error) = with_secret(&simulation.read(), &id, secret.as_deref()) {
        return refused(&error.into());
    }
    let method = match field(&body, "action").as_deref() {
        Some("pay") => "pm_card_visa",
        Some("decline") => "pm_card_chargeDeclined",
        Some("bank") => "pm_bankDebit",
        _ => return refused(&ControlError { status: 400, message: "There is no such button.".to_owned() }),
    };
    let params = Params::new(Map::from_iter([("payment_method".to_owned(), json!(method))]));
    let path = format!("/payment_intents/{id}/confirm");
    let confirmed: Result<Value, ApiError> = simulation
        .act(|state, cause| api::answer(state, cause, &Call { method: "POST", path: &path, params: &params }));
    match confirmed {
        Err(error) if error.status != 402 => refused(&error.into()),
        // The page shows the result.
        _ => Redirect::to(&format!("/pay/intent/{id}?client_secret={}", secret.unwrap_or_default())).into_response(),
    }
}

/// `GET /receipts/{charge}`, the `receipt_url` of a charge.
pub(super) async fn receipt(State(simulation): State<Arc<Simulation>>, Path(id): Path<String>) -> Response {
    let state = simulation.read();
    match state.charge(&id) {
        Ok(charge) if charge.status == ChargeStatus::Succeeded => {
            let back = if charge.amount_refunded > 0 {
                format!(", of which {} were refunded", shown(charge.amount_refunded, &charge.currency))
            } else {
                String::new()
            };
            note("Receipt", &format!("{} paid{back}. Reference {id}.", shown(charge.amount, &charge.currency)))
        }
        Ok(_) => note("No receipt", "This charge was not paid."),
        Err(error) => refused(&error.into()),
    }
}
