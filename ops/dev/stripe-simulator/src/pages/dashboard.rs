//! Dashboard of the simulation: its objects, newest first, with buttons for the actions of banks, guests and staff.

use super::{page, refused};
use crate::control::{Control, ControlError};
use crate::form;
use crate::objects::charge::ChargeStatus;
use crate::objects::dispute::DisputeStatus;
use crate::objects::intent::{Intent, IntentStatus};
use crate::objects::refund::{Refund, RefundStatus};
use crate::objects::session::{Session, SessionStatus};
use crate::objects::shown;
use crate::simulation::Simulation;
use crate::state::State as Stripe;
use crate::state::effects::Counts;
use crate::webhooks::DeliveryAttempt;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;

/// Rows of each list.
const ROWS: usize = 25;

/// A button with its label, its action and the object of the action.
struct Button {
    label: &'static str,
    action: &'static str,
    id: String,
}

struct Row {
    id: String,
    what: String,
    state: &'static str,
    when: String,
    link: Option<String>,
    buttons: Vec<Button>,
}

struct Section {
    title: &'static str,
    empty: &'static str,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard {
    total: Counts,
    outstanding: usize,
    faults: Option<String>,
    sections: Vec<Section>,
    deliveries: Vec<DeliveryAttempt>,
}

/// `GET /`.
pub(super) async fn show(State(simulation): State<Arc<Simulation>>) -> Response {
    let control = Control::new(simulation.clone());
    let set = control.faults();
    let faults = (set != Default::default()).then(|| serde_json::to_string(&set).unwrap_or_default());
    let state = simulation.read();
    let sections = vec![
        Section {
            title: "Checkout Sessions",
            empty: "No session yet.",
            rows: state.sessions.newest().take(ROWS).map(session).collect(),
        },
        Section {
            title: "Payments",
            empty: "No payment yet.",
            rows: state.intents.newest().take(ROWS).map(|intent| payment(&state, intent)).collect(),
        },
        Section {
            title: "Refunds",
            empty: "No refund yet.",
            rows: state.refunds.newest().take(ROWS).map(refund).collect(),
        },
        Section { title: "Disputes", empty: "No dispute yet.", rows: disputes(&state) },
        Section { title: "Events", empty: "No event yet.", rows: events(&state) },
    ];
    let total = state.effects.total();
    drop(state);
    page(&Dashboard {
        total,
        outstanding: control.outstanding(),
        faults,
        sections,
        deliveries: control.deliveries(None, ROWS),
    })
}

fn clock(at: i64) -> String {
    chrono::DateTime::from_timestamp(at, 0)
        .map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn button(label: &'static str, action: &'static str, id: &str) -> Button {
    Button { label, action, id: id.to_owned() }
}

fn session(session: &Session) -> Row {
    let open = session.status == SessionStatus::Open;
    let names: Vec<&str> = session.lines.iter().map(|line| line.name.as_str()).collect();
    Row {
        id: session.id.clone(),
        what: format!("{} – {}", shown(session.amount_total, &session.currency), names.join(", ")),
        state: match (session.status, session.paid) {
            (SessionStatus::Complete, false) => "complete, not paid",
            (status, _) => status.as_str(),
        },
        when: clock(session.created),
        link: open.then(|| format!("/pay/{}", session.id)),
        buttons: if open { vec![button("Expire", "expire", &session.id)] } else { Vec::new() },
    }
}

fn payment(state: &Stripe, intent: &Intent) -> Row {
    let id = &intent.id;
    let charge = intent
        .charges
        .last()
        .and_then(|charge| state.charges.get(charge))
        .filter(|charge| charge.status == ChargeStatus::Succeeded);
    let buttons = match (intent.status, charge) {
        (IntentStatus::Processing, _) => {
            vec![button("Debit succeeded", "async_ok", id), button("Debit failed", "async_failed", id)]
        }
        (IntentStatus::Succeeded, Some(charge)) if charge.refundable() > 0 && charge.dispute.is_none() => {
            vec![
                button("Refund all", "refund", id),
                button("Refund half", "refund_half", id),
                button("Dispute", "dispute", id),
            ]
        }
        _ => Vec::new(),
    };
    let back = charge.map_or(0, |charge| charge.amount_refunded);
    let refunded = if back > 0 { format!(", {} refunded", shown(back, &intent.currency)) } else { String::new() };
    Row {
        id: id.clone(),
        what: format!("{}{refunded}", shown(intent.amount, &intent.currency)),
        state: intent.status.as_str(),
        when: clock(intent.created),
        link: None,
        buttons,
    }
}

fn refund(refund: &Refund) -> Row {
    let (state, buttons) = match refund.status {
        RefundStatus::Pending => {
            ("pending", vec![button("Succeeds", "refund_ok", &refund.id), button("Fails", "refund_failed", &refund.id)])
        }
        RefundStatus::Succeeded => ("succeeded", vec![button("Fail the refund", "refund_failed", &refund.id)]),
        RefundStatus::Failed => ("failed", Vec::new()),
    };
    let what = format!("{} of {}", shown(refund.amount, &refund.currency), refund.intent);
    Row { id: refund.id.clone(), what, state, when: clock(refund.created), link: None, buttons }
}

fn disputes(state: &Stripe) -> Vec<Row> {
    let row = |dispute: &crate::objects::dispute::Dispute| {
        let open = vec![button("Won", "dispute_won", &dispute.id), button("Lost", "dispute_lost", &dispute.id)];
        let (state, buttons) = match dispute.status {
            DisputeStatus::NeedsResponse => ("needs response", open),
            DisputeStatus::UnderReview => ("under review", open),
            DisputeStatus::Won => ("won", Vec::new()),
            DisputeStatus::Lost => ("lost", Vec::new()),
        };
        let what = format!("{} of {}", shown(dispute.amount, &dispute.currency), dispute.intent);
        Row { id: dispute.id.clone(), what, state, when: clock(dispute.created), link: None, buttons }
    };
    state.disputes.newest().take(ROWS).map(row).collect()
}

fn events(state: &Stripe) -> Vec<Row> {
    let row = |event: &crate::objects::event::Event| Row {
        id: event.id.clone(),
        what: event.kind.clone(),
        state: match (event.lost, event.pending) {
            (true, _) => "never sent",
            (false, 0) => "delivered",
            (false, _) => "pending",
        },
        when: clock(event.created),
        link: None,
        buttons: vec![button("Send again", "resend", &event.id)],
    };
    state.events.newest().take(ROWS).map(row).collect()
}

/// `POST /`: one of the buttons.
pub(super) async fn act(State(simulation): State<Arc<Simulation>>, body: String) -> Response {
    let form = form::parse(&body).unwrap_or_default();
    let text = |name: &str| form.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    match perform(&simulation, text("action"), text("id")) {
        Ok(()) => Redirect::to("/").into_response(),
        Err(error) => refused(&error),
    }
}

/// Half of the remainder of a payment.
fn half(state: &Stripe, intent: &str) -> Option<i64> {
    let charge = state.charges.get(&state.charge_of_intent(intent).ok()?)?;
    Some((charge.refundable() / 2).max(1))
}

fn perform(simulation: &Arc<Simulation>, action: &str, id: &str) -> Result<(), ControlError> {
    let control = Control::new(simulation.clone());
    match action {
        "expire" => Ok(simulation.act(|state, cause| state.expire_session(cause, id))?),
        "async_ok" => control.complete_async(id, true),
        "async_failed" => control.complete_async(id, false),
        "refund" => control.refund(id, None).map(drop),
        "refund_half" => {
            // The lock is released before the refund takes it.
            let half = half(&simulation.read(), id);
            control.refund(id, half).map(drop)
        }
        "dispute" => control.dispute(id, "fraudulent").map(drop),
        "refund_ok" => control.settle_refund(id, true),
        "refund_failed" => control.settle_refund(id, false),
        "dispute_won" => control.close_dispute(id, true),
        "dispute_lost" => control.close_dispute(id, false),
        "resend" => control.resend(id),
        _ => Err(ControlError { status: 400, message: "There is no such button.".to_owned() }),
    }
}
