//! Payments: attempts, Stripe's objects and events, refunds, and what staff recorded.

use super::order::Step;
use super::{queues, sanitized};
use chrono::DateTime;
use pvt_domain::QueueHop;
use pvt_domain::ledger::{InstructionState, Ledger, Record, RecordMethod};
use pvt_domain::messages::stripe_event_message_id;
use pvt_domain::money::{Currency, Money};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Ids of the Stripe events that a ledger was computed from.
pub(in crate::trace) fn source_events(ledger: &Ledger) -> BTreeSet<String> {
    let sessions = ledger.sessions.iter().map(|fact| &fact.observation.by);
    let intents = ledger.intents.iter().map(|fact| &fact.observation.by);
    let refunds = ledger.refunds.iter().map(|fact| &fact.observation.by);
    let disputes = ledger.disputes.iter().map(|fact| &fact.observation.by);
    let observed = sessions.chain(intents).chain(refunds).chain(disputes).filter(|by| by.starts_with("evt_"));
    observed.chain(&ledger.events).cloned().collect()
}

fn unix(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().into()
}

/// The steps of the ledger.
pub(super) fn of_ledger(ledger: &Ledger) -> Vec<Step> {
    let mut steps = attempts(ledger);
    steps.extend(objects(ledger));
    steps.extend(refunds(ledger));
    for record in &ledger.records {
        steps.extend(recorded(ledger, record));
    }
    steps
}

fn shown(ledger: &Ledger, amount: i64) -> String {
    Money::new(amount, ledger.currency).to_string()
}

/// The way of a command about a payment, after the time at which it was requested.
fn command(key: &str, (what, queue): (&str, &str), taken: &QueueHop, cause: Option<String>) -> Vec<Step> {
    let request =
        taken.requested_at.map(|at| Step::new(format!("request {key}"), at, "api", format!("{what} requested")));
    let cause_of_hop = request.as_ref().map(|step| step.key.clone()).or_else(|| cause.clone());
    let request = request.map(|step| Step { cause, ..step });
    request.into_iter().chain(queues::hop(key, (what, queue), taken, cause_of_hop)).collect()
}

fn attempts(ledger: &Ledger) -> Vec<Step> {
    let mut steps = Vec::new();
    for attempt in &ledger.attempts {
        let key = format!("attempt {}", attempt.id);
        let mut cause = attempt.booking_rev.map(super::revisions::key);
        if let Some(taken) = ledger.hop_of(attempt.id) {
            steps.extend(command(&key, ("payment", "stripe"), taken, cause.take()));
            cause = Some(format!("hop {key}"));
        }
        let object = attempt.object.as_deref().unwrap_or("not made yet");
        let what =
            format!("checkout of {} opened (demand {}): {object}", shown(ledger, attempt.amount), attempt.demand);
        steps.push(Step { cause, ..Step::new(key, attempt.opened_at, "ledger", what) });
    }
    steps
}

/// Sessions, payment intents and disputes, each in its present state.
fn objects(ledger: &Ledger) -> Vec<Step> {
    let step = |id: &str, at: i64, what: String| {
        let step = Step::new(id, unix(at), "stripe", what).in_seconds();
        Step { cause: origin(ledger, id), ..step }
    };
    let mut steps = Vec::new();
    for session in ledger.sessions.iter() {
        let what = format!("{} is {}", session.id, session.state.as_str());
        steps.push(step(&session.id, session.observation.at, what));
    }
    for intent in ledger.intents.iter() {
        let currency = Currency::from_code(&intent.currency.to_uppercase()).unwrap_or(ledger.currency);
        let (status, received) = (ledger.status_of(intent).as_str(), Money::new(intent.received, currency));
        let what = format!("{} is {status}, {received} received", intent.id);
        steps.push(step(&intent.id, ledger.status_since(intent), what));
    }
    for dispute in ledger.disputes.iter() {
        let amount = shown(ledger, dispute.amount);
        let what = format!("{} disputes {amount}: {} ({})", dispute.id, dispute.status, dispute.reason);
        steps.push(step(&dispute.id, dispute.created, what));
    }
    steps
}

fn refunds(ledger: &Ledger) -> Vec<Step> {
    let mut steps = Vec::new();
    for instruction in &ledger.refund_instructions {
        let state = match ledger.instruction_state(instruction) {
            InstructionState::Open => "not made yet",
            InstructionState::Made => "made",
            InstructionState::Failed => "failed",
        };
        let (key, amount) = (&instruction.key, shown(ledger, instruction.amount));
        let note = instruction.note.as_deref().map(|note| format!(" ({})", sanitized(note))).unwrap_or_default();
        let what = format!("{key} of {amount} requested by {}{note}: {state}", instruction.actor);
        steps.push(Step::new(format!("refund {key}"), instruction.instructed_at, "ledger", what));
    }
    for refund in ledger.refunds.iter() {
        let failure = refund.failure.as_deref().map(|why| format!(" ({})", sanitized(why))).unwrap_or_default();
        let amount = shown(ledger, refund.amount);
        let what = format!("{} refunds {amount}: {}{failure}", refund.id, refund.status.as_str());
        let step = Step::new(&refund.id, unix(refund.created), "stripe", what).in_seconds();
        steps.push(Step { cause: origin(ledger, &refund.id), ..step });
    }
    steps
}

/// A payment that staff recorded. It is recorded when it was requested; its queue is taken from afterwards.
fn recorded(ledger: &Ledger, record: &Record) -> Vec<Step> {
    let (key, amount) = (format!("record {}", record.id), shown(ledger, record.amount));
    let note = record.note.as_deref().map(|note| format!(" ({})", sanitized(note))).unwrap_or_default();
    let what = format!("{amount} {} recorded by {}{note}", method(record), record.actor);
    let mut steps = vec![Step::new(&key, record.at, "api", what)];
    if let Some(taken) = ledger.hop_of(record.id) {
        let taken = QueueHop { requested_at: Some(record.at), ..taken.clone() };
        steps.extend(queues::hop(&key, ("record", "records"), &taken, Some(key.clone())));
    }
    steps
}

fn method(record: &Record) -> &'static str {
    match record.method {
        RecordMethod::Cash => "in cash",
        RecordMethod::Terminal => "by terminal",
        RecordMethod::BankTransfer => "by bank transfer",
    }
}

/// The parts of an event that say when it was made, about what, and why a payment failed.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    created: Option<i64>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    last_payment_error: Option<PaymentError>,
}

#[derive(Deserialize)]
struct PaymentError {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    decline_code: Option<String>,
}

fn payload(event: &StoredStripeEvent) -> Option<Payload> {
    serde_json::to_value(&event.payload).and_then(serde_json::from_value).ok()
}

/// What an object of Stripe came from: the attempt of a session or payment, the instruction or payment of a refund.
fn origin(ledger: &Ledger, object: &str) -> Option<String> {
    let attempt_of = |object: &str| {
        let own = ledger.attempts.iter().find(|attempt| attempt.object.as_deref() == Some(object));
        own.map(|attempt| format!("attempt {}", attempt.id))
    };
    let of_intent = || {
        let intent = ledger.intents.get(object)?;
        let session = ledger.sessions.iter().find(|session| session.intent.as_deref() == Some(object));
        let demand = || ledger.attempts.iter().find(|attempt| Some(attempt.demand) == intent.demand);
        session
            .and_then(|session| attempt_of(&session.id))
            .or_else(|| demand().map(|attempt| format!("attempt {}", attempt.id)))
    };
    let of_refund = || {
        let refund = ledger.refunds.get(object)?;
        Some(refund.key.as_ref().map_or_else(|| refund.intent.clone(), |key| format!("refund {key}")))
    };
    let of_dispute = || Some(ledger.disputes.get(object)?.intent.clone());
    attempt_of(object).or_else(of_intent).or_else(of_refund).or_else(of_dispute)
}

/// Whether the ledger has the present state of an object from this event.
fn is_present_state(ledger: &Ledger, event: &str) -> bool {
    let sessions = ledger.sessions.iter().map(|fact| &fact.observation);
    let intents = ledger.intents.iter().map(|fact| &fact.observation);
    let refunds = ledger.refunds.iter().map(|fact| &fact.observation);
    sessions.chain(intents).chain(refunds).any(|observation| observation.by == event)
}

/// An event of Stripe: made, received and applied. When it was made is left out where its object says the same.
pub(super) fn stripe_event(event: &StoredStripeEvent, ledger: Option<&Ledger>) -> Vec<Step> {
    let (key, kind) = (event.id.as_str(), sanitized(&event.event_type));
    let read = payload(event);
    let object = read.as_ref().map(|read| &read.data.object);
    let error = object.and_then(|object| object.last_payment_error.as_ref());
    let why = error.and_then(|error| error.decline_code.as_deref().or(error.code.as_deref()));
    let why = why.filter(|_| kind.contains("failed")).map(|why| format!(": {}", sanitized(why)));
    let id = object.and_then(|object| object.id.as_deref());
    let is_shown = why.is_none() && ledger.is_some_and(|ledger| is_present_state(ledger, key));
    let mut cause = if is_shown { id.map(str::to_owned) } else { id.and_then(|id| origin(ledger?, id)) };
    let mut steps = Vec::new();
    if let Some(at) = read.as_ref().and_then(|read| read.created).filter(|_| !is_shown) {
        let what = format!("{kind}{} ({key})", why.unwrap_or_default());
        let step = Step::new(format!("made {key}"), unix(at), "stripe", what).in_seconds();
        steps.push(Step { cause: cause.replace(step.key.clone()), ..step });
    }
    let message = stripe_event_message_id(key);
    let received = Step::new(key, event.received_at, "api", format!("{kind} received ({key})"));
    steps.push(Step { cause, ..received.of_message(message) });
    if let Some(taken) = &event.hop {
        let taken = QueueHop { requested_at: Some(event.received_at), ..taken.clone() };
        let hops = queues::hop(key, (&kind, "payments"), &taken, Some(key.to_owned()));
        steps.extend(hops.into_iter().map(|step| step.of_message(message)));
    }
    steps
}
