//! Payments of a ledger: checkouts, recorded payments, and payments that Stripe received without a checkout of ours.

use super::{Channel, EntryView, PaymentState, PaymentView, RefundState, RefundView, StripeIds};
use pvt_domain::actor::Actor;
use pvt_domain::ledger::facts::{IntentFact, RefundFact, SessionFact, SessionState};
use pvt_domain::ledger::{
    Attempt, Attention, AttentionItem, InstructionState, Ledger, PaymentChannel, Record, RefundInstruction,
};
use pvt_domain::money::{Currency, Money};
use pvt_domain::stripe::{IntentStatus, RefundStatus};
use pvt_domain::timestamp::Timestamp;
use std::collections::BTreeSet;
use uuid::Uuid;

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
    let requested: Vec<&str> = ledger
        .attempts
        .iter()
        .filter_map(|attempt| stripe_objects_of(ledger, attempt).intent)
        .map(|intent| intent.id.as_str())
        .collect();
    payments.extend(
        ledger
            .intents
            .iter()
            .filter(|intent| !requested.contains(&intent.id.as_str()))
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

fn stripe_objects_of<'a>(ledger: &'a Ledger, attempt: &Attempt) -> StripeObjects<'a> {
    let Some(object) = attempt.object.as_deref() else { return StripeObjects { session: None, intent: None } };
    let session = ledger.sessions.get(object);
    let intent = session.map_or(Some(object), |session| session.intent.as_deref());
    StripeObjects { session, intent: intent.and_then(|id| ledger.intents.get(id)) }
}

fn of_attempt(ledger: &Ledger, attempt: &Attempt, now: Timestamp) -> PaymentView {
    of_stripe(
        ledger,
        attempt.id.to_string(),
        attempt.channel,
        (stripe_objects_of(ledger, attempt), attempt.amount, attempt.opened_at),
        now,
    )
}

fn of_intent(ledger: &Ledger, intent: &IntentFact, now: Timestamp) -> PaymentView {
    let session = ledger.sessions.iter().find(|session| session.intent.as_deref() == Some(&intent.id));
    let channel = if session.is_some() { PaymentChannel::Checkout } else { PaymentChannel::App };
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
    channel: PaymentChannel,
    (known, requested, created_at): (StripeObjects<'_>, i64, Timestamp),
    now: Timestamp,
) -> PaymentView {
    let status = status_of(ledger, known, now);
    let intent = known.intent.map(|intent| intent.id.as_str());
    let currency = known.intent.and_then(|intent| currency_of(&intent.currency)).unwrap_or(ledger.currency);
    let received = known.intent.filter(|intent| intent.status == IntentStatus::Succeeded).map(|intent| intent.received);
    let entries = entries_of(ledger, intent.unwrap_or(&id));
    let page = known.session.filter(|_| status == PaymentState::Open);
    PaymentView {
        booking_id: ledger.booking_id,
        property_id: ledger.property_id.clone(),
        channel: Channel::Stripe(channel),
        status,
        amount: Money::new(received.unwrap_or(requested), currency),
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
        note: None,
        actor: None,
        warnings: Vec::new(),
        entries,
        refunds: intent.map(|intent| refunds_of(ledger, intent, currency)).unwrap_or_default(),
        attention: Some(known.intent.map(|intent| attention_of(ledger, &intent.id)).unwrap_or_default()),
        id,
    }
}

fn of_record(ledger: &Ledger, record: &Record) -> PaymentView {
    let id = record.id.to_string();
    PaymentView {
        booking_id: ledger.booking_id,
        property_id: ledger.property_id.clone(),
        channel: Channel::Recorded(record.method),
        status: if record.amount < 0 { PaymentState::Refunded } else { PaymentState::Succeeded },
        amount: Money::new(record.amount, ledger.currency),
        refunded: Money::new((-record.amount).max(0), ledger.currency),
        fee: Some(Money::new(0, ledger.currency)),
        stripe: StripeIds::default(),
        checkout_url: None,
        expires_at: None,
        created_at: record.at,
        note: record.note.clone(),
        actor: Some(record.actor.clone()),
        warnings: Vec::new(),
        entries: entries_of(ledger, &id),
        refunds: Vec::new(),
        attention: Some(attention_of(ledger, &id)),
        id,
    }
}

fn status_of(ledger: &Ledger, known: StripeObjects<'_>, now: Timestamp) -> PaymentState {
    let intent = known.intent.map(|intent| (intent, ledger.status_of(intent)));
    match (intent, known.session.map(|session| session.state)) {
        (Some((intent, IntentStatus::Succeeded)), _) => paid_status(ledger, intent),
        (None, Some(SessionState::Paid)) => PaymentState::Succeeded,
        (Some((_, IntentStatus::Canceled)), _) => PaymentState::Canceled,
        (_, Some(SessionState::Expired)) => PaymentState::Expired,
        (_, Some(SessionState::Failed)) => PaymentState::Failed,
        (_, Some(SessionState::Processing | SessionState::Paid)) | (Some((_, IntentStatus::Processing)), _) => {
            PaymentState::Processing
        }
        (_, Some(SessionState::Open)) => {
            let ended = known.session.is_some_and(|session| instant(session.expires_at) <= now);
            if ended { PaymentState::Expired } else { PaymentState::Open }
        }
        (Some((intent, _)), None) if intent.failed_at.is_some() => PaymentState::Failed,
        (Some(_), None) => PaymentState::Open,
        (None, None) => {
            if ledger.closed {
                PaymentState::Expired
            } else {
                PaymentState::Open
            }
        }
    }
}

fn paid_status(ledger: &Ledger, intent: &IntentFact) -> PaymentState {
    let refunded = refunded_of(ledger, &intent.id);
    match refunded {
        _ if ledger
            .disputes
            .iter()
            .any(|dispute| dispute.intent == intent.id && (dispute.freezes() || dispute.is_lost())) =>
        {
            PaymentState::Disputed
        }
        0 => PaymentState::Succeeded,
        _ if refunded >= intent.received => PaymentState::Refunded,
        _ => PaymentState::PartiallyRefunded,
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
    let instruction_of = |refund: &RefundFact| {
        ledger.refund_instructions.iter().find(|instruction| refund.key.as_deref() == Some(&instruction.key))
    };
    let made = ledger.refunds.iter().filter(|refund| refund.intent == intent);
    let mut refunds: Vec<RefundView> =
        made.clone().map(|refund| made_refund(refund, instruction_of(refund), currency)).collect();
    let waiting = ledger.refund_instructions.iter().filter(|instruction| {
        instruction.intent == intent && !made.clone().any(|refund| refund.key.as_deref() == Some(&instruction.key))
    });
    refunds.extend(waiting.map(|instruction| RefundView {
        id: instruction.key.clone(),
        amount: Money::new(instruction.amount, currency),
        status: match ledger.instruction_state(instruction) {
            InstructionState::Open => RefundState::Ordered,
            InstructionState::Made | InstructionState::Failed => RefundState::Refused,
        },
        reason: Some(instruction.reason),
        note: instruction.note.clone(),
        actor: instruction.actor.clone(),
        at: instruction.instructed_at,
    }));
    refunds.sort_by(|one, two| (one.at, &one.id).cmp(&(two.at, &two.id)));
    refunds
}

fn made_refund(refund: &RefundFact, instruction: Option<&RefundInstruction>, currency: Currency) -> RefundView {
    let status = match refund.status {
        RefundStatus::Pending => RefundState::Pending,
        RefundStatus::RequiresAction => RefundState::RequiresAction,
        RefundStatus::Succeeded => RefundState::Succeeded,
        RefundStatus::Canceled => RefundState::Canceled,
        RefundStatus::Failed => RefundState::Failed,
        RefundStatus::Unknown => RefundState::Unknown,
    };
    RefundView {
        id: refund.id.clone(),
        amount: Money::new(refund.amount, currency),
        status,
        reason: instruction.map(|instruction| instruction.reason),
        note: instruction.and_then(|instruction| instruction.note.clone()),
        // Made in Stripe's dashboard.
        actor: instruction.map_or(Actor::STRIPE, |instruction| instruction.actor.clone()),
        at: instant(refund.created),
    }
}

/// The ledger's findings about this payment, and those about all payments of the booking.
fn attention_of(ledger: &Ledger, payment: &str) -> Vec<Attention> {
    let items = ledger.attention_items().into_iter();
    let is_mine = |item: &AttentionItem| item.payment.as_deref().is_none_or(|id| id == payment);
    let kinds: BTreeSet<Attention> = items.filter(is_mine).map(|item| item.kind).collect();
    kinds.into_iter().collect()
}

/// Of Stripe's lower-case code.
pub(crate) fn currency_of(code: &str) -> Option<Currency> {
    Currency::from_code(&code.to_ascii_uppercase())
}

/// Of Stripe's Unix seconds.
pub(crate) fn instant(unix_seconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default().into()
}
