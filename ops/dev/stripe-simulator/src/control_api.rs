//! HTTP form of [`Control`] under `/sim`, for the command line and for tests in other processes. It takes JSON only,
//! which another site cannot send without a preflight request.

use crate::control::{Control, ControlError};
use crate::fault_injection::FaultInjection;
use crate::objects::refund::RefundOutcome;
use crate::state::checkout::PayOutcome;
use crate::state::effects::EffectsReport;
use crate::webhooks::{DeliveryAttempt, Endpoint};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

/// Attempts in one answer by default, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 5_000;
/// Most outcomes that one request sets.
const MAX_COUNT: usize = 1_000;
/// Most endpoints.
const MAX_ENDPOINTS: usize = 16;

type Done = Result<Json<Value>, ControlError>;

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(json!({ "error": self.message }))).into_response()
    }
}

/// The routes of the control API.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/sim/faults", get(show_faults).post(set_faults))
        .route("/sim/effects.json", get(effects))
        .route("/sim/deliveries", get(deliveries))
        .route("/sim/endpoints", get(show_endpoints).post(set_endpoints))
        .route("/sim/sessions/{id}/pay", post(pay))
        .route("/sim/payments/{id}/settle", post(settle_payment))
        .route("/sim/refunds", post(refund))
        .route("/sim/refunds/next", post(next_refunds))
        .route("/sim/refunds/{id}/settle", post(settle_refund))
        .route("/sim/disputes", post(dispute))
        .route("/sim/disputes/{id}/close", post(close_dispute))
        .route("/sim/events/{id}/resend", post(resend))
        .with_state(control)
}

async fn show_faults(State(control): State<Control>) -> Json<FaultInjection> {
    Json(control.faults())
}

async fn set_faults(State(control): State<Control>, Json(faults): Json<FaultInjection>) -> Json<FaultInjection> {
    control.set_faults(faults);
    Json(control.faults())
}

async fn effects(State(control): State<Control>) -> Json<EffectsReport> {
    Json(control.effects())
}

#[derive(Debug, Deserialize)]
struct Filter {
    event: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, serde::Serialize)]
struct Deliveries {
    outstanding: usize,
    attempts: Vec<DeliveryAttempt>,
}

async fn deliveries(State(control): State<Control>, Query(filter): Query<Filter>) -> Json<Deliveries> {
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    Json(Deliveries {
        outstanding: control.outstanding(),
        attempts: control.deliveries(filter.event.as_deref(), limit),
    })
}

/// Secrets are counted, not shown.
async fn show_endpoints(State(control): State<Control>) -> Json<Value> {
    let shown = |endpoint: Endpoint| json!({ "url": endpoint.url, "secrets": endpoint.secrets.len() });
    Json(control.endpoints().into_iter().map(shown).collect())
}

async fn set_endpoints(
    State(control): State<Control>,
    Json(endpoints): Json<Vec<Endpoint>>,
) -> Result<Json<Value>, ControlError> {
    if endpoints.len() > MAX_ENDPOINTS {
        return Err(ControlError { status: 400, message: format!("at most {MAX_ENDPOINTS} endpoints") });
    }
    control.set_endpoints(endpoints);
    Ok(show_endpoints(State(control)).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    outcome: PayOutcome,
}

async fn pay(State(control): State<Control>, Path(id): Path<String>, Json(pay): Json<Pay>) -> Done {
    control.pay(&id, pay.outcome)?;
    shown(&control, &id)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settle {
    succeeds: bool,
}

async fn settle_payment(State(control): State<Control>, Path(id): Path<String>, Json(settle): Json<Settle>) -> Done {
    control.complete_async(&id, settle.succeeds)?;
    shown(&control, &id)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundForm {
    payment: String,
    amount: Option<i64>,
}

async fn refund(State(control): State<Control>, Json(form): Json<RefundForm>) -> Done {
    if form.amount.is_some_and(|amount| amount < 1) {
        return Err(ControlError { status: 400, message: "the amount is at least 1".to_owned() });
    }
    shown(&control, &control.refund(&form.payment, form.amount)?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextRefunds {
    outcome: RefundOutcome,
    #[serde(default = "one")]
    count: usize,
}

fn one() -> usize {
    1
}

async fn next_refunds(State(control): State<Control>, Json(next): Json<NextRefunds>) -> StatusCode {
    control.next_refunds(std::iter::repeat_n(next.outcome, next.count.min(MAX_COUNT)));
    StatusCode::NO_CONTENT
}

async fn settle_refund(State(control): State<Control>, Path(id): Path<String>, Json(settle): Json<Settle>) -> Done {
    control.settle_refund(&id, settle.succeeds)?;
    shown(&control, &id)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeForm {
    payment: String,
    #[serde(default = "fraudulent")]
    reason: String,
}

fn fraudulent() -> String {
    "fraudulent".to_owned()
}

async fn dispute(State(control): State<Control>, Json(form): Json<DisputeForm>) -> Done {
    shown(&control, &control.dispute(&form.payment, &form.reason)?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    won: bool,
}

async fn close_dispute(State(control): State<Control>, Path(id): Path<String>, Json(close): Json<Close>) -> Done {
    control.close_dispute(&id, close.won)?;
    shown(&control, &id)
}

async fn resend(State(control): State<Control>, Path(id): Path<String>) -> Done {
    control.resend(&id)?;
    shown(&control, &id)
}

fn shown(control: &Control, id: &str) -> Done {
    Ok(Json(control.object(id).unwrap_or_default()))
}
