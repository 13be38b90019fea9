//! Payments of a ledger: checkouts, recorded payments, and payments that Stripe received without a checkout of ours.

use crate::auth::policy::Caller;
use pvt_domain::actor::Actor;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::ledger::facts::{DisputeStage, IntentFact, RefundFact, SessionFact, SessionState};
use pvt_domain::ledger::{
    Attempt, Attention, EntryKind, InstructionState, Ledger, PaymentChannel, Record, RefundInstruction, RefundReason,
};
use pvt_domain::money::{Currency, Money};
use pvt_domain::stripe::{IntentStatus, RefundStatus};
use pvt_domain::timestamp::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// Every channel: Stripe's page, an app, and how staff took money.
pub(crate) const CHANNELS: [&str; 5] = ["checkout", "app", "cash", "terminal", "bank_transfer"];
/// Every status of a payment.
pub(crate) const STATUSES: [&str; 9] =
    ["open", "processing", "failed", "succeeded", "canceled", "expired", "partially_refunded", "refunded", "disputed"];
/// Every status of a refund: instructed, Stripe's own, and refused by Stripe.
pub(crate) const REFUND_STATUSES: [&str; 8] =
    ["ordered", "pending", "requires_action", "succeeded", "canceled", "failed", "unknown", "refused"];

/// Staff as guests see them.
const STAFF: &str = "staff";

/// One payment.
#[derive(Debug, Serialize)]
pub(crate) struct PaymentView {
    pub(crate) id: String,
    pub(crate) booking_id: BookingId,
    pub(crate) property_id: PropertyId,
    pub(crate) channel: &'static str,
    pub(crate) status: &'static str,
    pub(crate) amount: Money,
    /// Refunded, or being refunded.
    refunded: Money,
    /// Stripe's fee, as far as it is known; not for guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    #[serde(skip_serializing_if = "StripeIds::is_empty")]
    stripe: StripeIds,
    /// Where it can be paid, while it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkout_url: Option<String>,
    /// When the page expires, while it can be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    entries: Vec<EntryView>,
    refunds: Vec<RefundView>,
    /// Findings that need staff; not for guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<Vec<Attention>>,
}

#[derive(Debug, Default, Serialize)]
struct StripeIds {
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_intent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkout_session: Option<String>,
}

impl StripeIds {
    fn is_empty(&self) -> bool {
        self.payment_intent.is_none() && self.checkout_session.is_none()
    }
}

#[derive(Debug, Serialize)]
struct EntryView {
    id: String,
    kind: EntryKind,
    amount: Money,
    /// Not for guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    /// Of the whole booking, up to here.
    balance: Money,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
struct RefundView {
    /// `re_…`, or the key of the instruction until Stripe has made it.
    id: String,
    amount: Money,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<RefundReason>,
    /// The note of staff; not for guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// `staff` alone for guests.
    actor: Actor,
    at: Timestamp,
}

/// Stripe's objects of one payment.
#[derive(Clone, Copy)]
struct StripeObjects<'a> {
    session: Option<&'a SessionFact>,
    intent: Option<&'a IntentFact>,
}

/// All payments of a ledger, the newest first. `now` decides whether an open page has expired.
pub(crate) fn payments_of(ledger: &Ledger, now: Timestamp) -> Vec<PaymentView> {
    let mut payments: Vec<PaymentView> =
        ledger.attempts.iter().map(|attempt| of_attempt(ledger, attempt, now)).collect();
    payments.extend(ledger.records.iter().map(|record| of_record(ledger, record)));
    let asked_for: Vec<&str> = ledger
        .attempts
        .iter()
        .filter_map(|attempt| stripe_objects_of(ledger, attempt).intent)
        .map(|intent| intent.id.as_str())
        .collect();
    payments.extend(
        ledger
            .intents
            .iter()
            .filter(|intent| !asked_for.contains(&intent.id.as_str()))
            .map(|intent| of_intent(ledger, intent, now)),
    );
    payments.sort_by(|one, two| (two.created_at, &two.id).cmp(&(one.created_at, &one.id)));
    payments
}

/// One of them: by our own id, or by Stripe's.
pub(crate) fn payment_of(ledger: &Ledger, id: &str, now: Timestamp) -> Option<PaymentView> {
    let own = Uuid::try_parse(id).map_or_else(|_| id.to_owned(), |id| id.to_string());
    payments_of(ledger, now)
        .into_iter()
        .find(|payment| payment.id == own || payment.stripe.payment_intent.as_deref() == Some(id))
}

impl PaymentView {
    /// As lists show it: without the page.
    pub(crate) fn without_checkout_url(mut self) -> Self {
        self.checkout_url = None;
        self
    }

    /// As this caller may see it: notes of staff and fees are only for callers who act for its property.
    pub(crate) fn visible_to(mut self, caller: &Caller) -> Self {
        if caller.is_staff_of(&self.property_id) {
            return self;
        }
        (self.fee, self.attention) = (None, None);
        self.entries.iter_mut().for_each(|entry| entry.fee = None);
        for refund in &mut self.refunds {
            refund.note = None;
            if refund.actor.is_staff() {
                refund.actor = Actor::from(STAFF);
            }
        }
        self
    }

    /// Whether it was made through Stripe, which can refund it.
    pub(crate) fn is_stripe_payment(&self) -> bool {
        matches!(self.channel, "checkout" | "app")
    }
}

fn stripe_objects_of<'a>(ledger: &'a Ledger, attempt: &Attempt) -> StripeObjects<'a> {
    let Some(object) = attempt.object.as_deref() else { return StripeObjects { session: None, intent: None } };
    let session = ledger.sessions.get(object);
    let intent = session.map_or(Some(object), |session| session.intent.as_deref());
    StripeObjects { session, intent: intent.and_then(|id| ledger.intents.get(id)) }
}

fn of_attempt(ledger: &Ledger, attempt: &Attempt, now: Timestamp) -> PaymentView {
    let channel = match attempt.channel {
        PaymentChannel::Checkout => "checkout",
        PaymentChannel::App => "app",
    };
    of_stripe(
        ledger,
        attempt.id.to_string(),
        channel,
        (stripe_objects_of(ledger, attempt), attempt.amount, attempt.opened_at),
        now,
    )
}

fn of_intent(ledger: &Ledger, intent: &IntentFact, now: Timestamp) -> PaymentView {
    let session = ledger.sessions.iter().find(|session| session.intent.as_deref() == Some(&intent.id));
    let channel = if session.is_some() { "checkout" } else { "app" };
    of_stripe(
        ledger,
        intent.id.clone(),
        channel,
        (StripeObjects { session, intent: Some(intent) }, intent.amount, instant(intent.created)),
        now,
    )
}

fn of_stripe(
    ledger: &Ledger,
    id: String,
    channel: &'static str,
    (known, asked, created_at): (StripeObjects<'_>, i64, Timestamp),
    now: Timestamp,
) -> PaymentView {
    let status = status_of(ledger, known, now);
    let intent = known.intent.map(|intent| intent.id.as_str());
    let currency = known.intent.and_then(|intent| currency_of(&intent.currency)).unwrap_or(ledger.currency);
    let received = known.intent.filter(|intent| intent.status == IntentStatus::Succeeded).map(|intent| intent.received);
    let entries = entries_of(ledger, intent.unwrap_or(&id));
    let page = known.session.filter(|_| status == "open");
    PaymentView {
        booking_id: ledger.booking_id,
        property_id: ledger.property_id.clone(),
        channel,
        status,
        amount: Money::new(received.unwrap_or(asked), currency),
        refunded: Money::new(intent.map_or(0, |intent| refunded_of(ledger, intent)), currency),
        fee: Some(Money::new(
            entries.iter().filter_map(|entry| entry.fee).map(|fee| fee.amount).sum(),
            ledger.currency,
        )),
        stripe: StripeIds {
            payment_intent: intent.map(str::to_owned),
            checkout_session: known.session.map(|session| session.id.clone()),
        },
        checkout_url: page.and_then(|session| session.url.clone()),
        expires_at: page.map(|session| instant(session.expires_at)),
        created_at,
        entries,
        refunds: intent.map(|intent| refunds_of(ledger, intent, currency)).unwrap_or_default(),
        attention: Some(known.intent.map(|intent| attention_of(ledger, intent)).unwrap_or_default()),
        id,
    }
}

fn of_record(ledger: &Ledger, record: &Record) -> PaymentView {
    let id = record.id.to_string();
    PaymentView {
        booking_id: ledger.booking_id,
        property_id: ledger.property_id.clone(),
        channel: record.method.as_str(),
        status: if record.amount < 0 { "refunded" } else { "succeeded" },
        amount: Money::new(record.amount, ledger.currency),
        refunded: Money::new((-record.amount).max(0), ledger.currency),
        fee: Some(Money::new(0, ledger.currency)),
        stripe: StripeIds::default(),
        checkout_url: None,
        expires_at: None,
        created_at: record.at,
        entries: entries_of(ledger, &id),
        refunds: Vec::new(),
        attention: Some(Vec::new()),
        id,
    }
}

fn status_of(ledger: &Ledger, known: StripeObjects<'_>, now: Timestamp) -> &'static str {
    let intent = known.intent.map(|intent| (intent, intent.status));
    match (intent, known.session.map(|session| session.state)) {
        (Some((intent, IntentStatus::Succeeded)), _) => paid_status(ledger, intent),
        (None, Some(SessionState::Paid)) => "succeeded",
        (Some((_, IntentStatus::Canceled)), _) => "canceled",
        (_, Some(SessionState::Expired)) => "expired",
        (_, Some(SessionState::Failed)) => "failed",
        (_, Some(SessionState::Processing | SessionState::Paid)) | (Some((_, IntentStatus::Processing)), _) => {
            "processing"
        }
        (_, Some(SessionState::Open)) => {
            let ended = known.session.is_some_and(|session| instant(session.expires_at) <= now);
            if ended { "expired" } else { "open" }
        }
        (Some((intent, _)), None) if intent.failed_at.is_some() => "failed",
        (Some(_), None) => "open",
        (None, None) => {
            if ledger.closed {
                "expired"
            } else {
                "open"
            }
        }
    }
}

fn paid_status(ledger: &Ledger, intent: &IntentFact) -> &'static str {
    let refunded = refunded_of(ledger, &intent.id);
    match refunded {
        _ if ledger
            .disputes
            .iter()
            .any(|dispute| dispute.intent == intent.id && (dispute.freezes() || dispute.is_lost())) =>
        {
            "disputed"
        }
        0 => "succeeded",
        _ if refunded >= intent.received => "refunded",
        _ => "partially_refunded",
    }
}

fn refunded_of(ledger: &Ledger, intent: &str) -> i64 {
    ledger
        .refunds
        .iter()
        .filter(|refund| refund.intent == intent && refund.status.is_effective())
        .map(|refund| refund.amount)
        .sum()
}

fn entries_of(ledger: &Ledger, payment: &str) -> Vec<EntryView> {
    let money = |amount| Money::new(amount, ledger.currency);
    let own = ledger.entries().into_iter().filter(|entry| entry.payment == payment);
    own.map(|entry| EntryView {
        id: entry.id,
        kind: entry.kind,
        amount: money(entry.amount),
        fee: Some(money(entry.fee)),
        balance: money(entry.balance),
        at: entry.at,
    })
    .collect()
}

fn refunds_of(ledger: &Ledger, intent: &str, currency: Currency) -> Vec<RefundView> {
    let order_of =
        |refund: &RefundFact| ledger.refund_instructions.iter().find(|order| refund.key.as_deref() == Some(&order.key));
    let made = ledger.refunds.iter().filter(|refund| refund.intent == intent);
    let mut refunds: Vec<RefundView> =
        made.clone().map(|refund| made_refund(refund, order_of(refund), currency)).collect();
    let waiting = ledger.refund_instructions.iter().filter(|order| {
        order.intent == intent && !made.clone().any(|refund| refund.key.as_deref() == Some(&order.key))
    });
    refunds.extend(waiting.map(|order| RefundView {
        id: order.key.clone(),
        amount: Money::new(order.amount, currency),
        status: if ledger.instruction_state(order) == InstructionState::Open { "ordered" } else { "refused" },
        reason: Some(order.reason),
        note: order.note.clone(),
        actor: order.actor.clone(),
        at: order.instructed_at,
    }));
    refunds.sort_by(|one, two| (one.at, &one.id).cmp(&(two.at, &two.id)));
    refunds
}

fn made_refund(refund: &RefundFact, order: Option<&RefundInstruction>, currency: Currency) -> RefundView {
    let status = match refund.status {
        RefundStatus::Pending => "pending",
        RefundStatus::RequiresAction => "requires_action",
        RefundStatus::Succeeded => "succeeded",
        RefundStatus::Canceled => "canceled",
        RefundStatus::Failed => "failed",
        RefundStatus::Unknown => "unknown",
    };
    RefundView {
        id: refund.id.clone(),
        amount: Money::new(refund.amount, currency),
        status,
        reason: order.map(|order| order.reason),
        note: order.and_then(|order| order.note.clone()),
        // Made in Stripe's dashboard.
        actor: order.map_or(Actor::STRIPE, |order| order.actor.clone()),
        at: instant(refund.created),
    }
}

/// The ledger's findings about this payment.
fn attention_of(ledger: &Ledger, intent: &IntentFact) -> Vec<Attention> {
    let paid = intent.status == IntentStatus::Succeeded;
    let ours = currency_of(&intent.currency) == Some(ledger.currency);
    let asked =
        ledger.attempts.iter().find(|attempt| intent.demand == Some(attempt.demand)).map(|attempt| attempt.amount);
    let disputes = || ledger.disputes.iter().filter(|dispute| dispute.intent == intent.id);
    let is_mine = |kind: &Attention| match kind {
        Attention::CurrencyMismatch => paid && !ours,
        Attention::AmountMismatch => paid && ours && asked != Some(intent.received),
        Attention::RefundFailed => {
            let failed = ledger
                .refund_instructions
                .iter()
                .any(|order| order.intent == intent.id && ledger.instruction_state(order) == InstructionState::Failed);
            failed || ledger.refunds.iter().any(|refund| refund.intent == intent.id && !refund.status.is_effective())
        }
        Attention::DisputeOpen => disputes().any(|dispute| dispute.stage != DisputeStage::Closed),
        Attention::DisputeLost => {
            disputes().any(|dispute| dispute.stage == DisputeStage::Closed && dispute.status == "lost")
        }
    };
    ledger.attention().into_iter().filter(is_mine).collect()
}

/// Of Stripe's lower-case code.
pub(crate) fn currency_of(code: &str) -> Option<Currency> {
    Currency::from_code(&code.to_ascii_uppercase())
}

/// Of Stripe's Unix seconds.
pub(crate) fn instant(unix_seconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default().into()
}

#[cfg(test)]
mod tests;
