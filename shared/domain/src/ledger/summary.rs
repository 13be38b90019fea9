//! Totals of a ledger, and of a total to refund the parts that Stripe returns, that a dispute delays, and that staff
//! must return themselves.
//!
//! Mails, the API, attention and refund instructions all go by [`Summary::refunds_due`], so that no refund is promised
//! that no one makes.

use super::Ledger;
use super::facts::{IntentFact, SessionFact, SessionState};
use crate::money::{Currency, Money, is_zero};
use crate::stripe::IntentStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the rules of [`Ledger::summary`]. Raised when the same ledger gets other totals by them, so that bookings
/// whose ledgers were stored before learn these.
pub const TOTALS_VERSION: i32 = 3;

/// Totals of a ledger, as its booking knows them. Amounts are minor units of its currency and never negative.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Revision of the ledger at which the totals last changed: later totals replace earlier ones.
    pub ledger_rev: u64,
    /// Total captured.
    pub captured: i64,
    /// Total refunded, pending refunds included.
    pub refunded: i64,
    /// Total charged back and not reversed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub charged_back: i64,
    /// The part of `captured` that pays a demand exactly, each demand once.
    pub cleared: i64,
    /// The total to refund of payments for demands that had been paid already: all of them but what was charged back
    /// before it was returned.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub surplus: i64,
    /// Whether a payment is processing, which may take days.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub processing: bool,
    /// The part of the net amount that Stripe cannot return: taken in cash and the like, or a refund of it failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub manual: i64,
    /// The part of the net amount that is disputed and cannot be returned before the dispute ends.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disputed: i64,
    /// The part of `manual` of which an automatic refund failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refund_failed: i64,
    /// Net amounts paid in other currencies. They pay nothing until staff decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_currencies: Vec<Money>,
}

/// What is still to refund of a total, by the way in which it is returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefundsDue {
    /// Through Stripe, without anyone's help; instructed refunds included.
    pub automatic: i64,
    /// Through Stripe, unless the dispute is lost.
    pub disputed: i64,
    /// By staff, who then record it; failed refunds included.
    pub manual: i64,
    /// The part of `manual` that Stripe failed to refund.
    pub failed: i64,
}

impl RefundsDue {
    /// All of it.
    pub fn total(&self) -> i64 {
        self.automatic + self.disputed + self.manual
    }
}

impl Summary {
    /// Whether both have the same totals, whatever their revisions.
    pub fn same_totals_as(&self, other: &Self) -> bool {
        Self { ledger_rev: other.ledger_rev, ..self.clone() } == *other
    }

    /// The most that can be refunded in total: captured, less chargebacks.
    pub(crate) fn most_refundable(&self) -> i64 {
        self.captured - self.charged_back
    }

    /// Net amount: captured, less refunds and chargebacks.
    pub fn kept(&self) -> i64 {
        self.most_refundable() - self.refunded
    }

    /// Whether the property has or will have money for the booking, in whatever currency.
    pub fn has_money(&self) -> bool {
        self.kept() > 0 || self.processing || !self.other_currencies.is_empty()
    }

    /// What is still to refund of a total of `to_refund`: never more than is kept.
    pub fn refunds_due(&self, to_refund: i64) -> RefundsDue {
        let kept = self.kept().max(0);
        let total = (to_refund - self.refunded).clamp(0, kept);
        // A failed refund would fail again, so it comes first and is left to staff.
        let failed = total.min(self.refund_failed);
        let automatic = (total - failed).min((kept - self.manual - self.disputed).max(0));
        let disputed = (total - failed - automatic).min(self.disputed);
        RefundsDue { automatic, disputed, manual: total - automatic - disputed, failed }
    }
}

impl Ledger {
    /// Its totals.
    pub fn summary(&self) -> Summary {
        let recorded = |sign: i64| self.records.iter().map(move |record| (record.amount * sign).max(0)).sum::<i64>();
        let refunds: i64 = self
            .refunds
            .iter()
            .filter(|refund| refund.status.is_effective() && self.is_ours(&refund.currency))
            .map(|refund| refund.amount)
            .sum();
        let disputes = self.disputes.iter().filter(|dispute| self.is_ours(self.currency_of(dispute)));
        let demands: BTreeSet<u32> = self.attempts.iter().map(|attempt| attempt.demand).collect();
        let cleared: i64 =
            demands.iter().filter_map(|demand| self.paying(*demand).next()).map(|intent| intent.received).sum();
        let mut summary = Summary {
            ledger_rev: self.totals_rev,
            captured: self.succeeded().map(|intent| intent.received).sum::<i64>() + recorded(1),
            refunded: refunds + recorded(-1),
            charged_back: disputes.map(|dispute| self.charged_back(dispute)).sum(),
            // A negative record corrects a positive one.
            cleared: cleared + (recorded(1) - recorded(-1)).max(0),
            surplus: self.surplus(&demands, recorded(-1)),
            processing: self.is_processing(),
            other_currencies: self.other_currencies(),
            ..Summary::default()
        };
        self.add_ways_back(&mut summary);
        summary
    }

    /// The total to refund of what was paid for demands beyond their amounts. What was charged back is not: whichever
    /// payment it was, the others pay the demand first. What was refunded before a chargeback remains refunded, also
    /// when staff returned it otherwise than through Stripe.
    fn surplus(&self, demands: &BTreeSet<u32>, returned_otherwise: i64) -> i64 {
        let (mut all, mut refunded, mut due) = (0, 0, 0);
        for demand in demands {
            let beyond: i64 = self.paying(*demand).skip(1).map(|payment| payment.received).sum();
            let charged_back: i64 = self.paying(*demand).map(|payment| self.charged_back_of(payment)).sum();
            let refunded_of_it = self.paying(*demand).map(|payment| self.refunded_of(payment)).sum::<i64>().min(beyond);
            all += beyond;
            refunded += refunded_of_it;
            due += (beyond - charged_back - refunded_of_it).max(0);
        }
        (refunded + due.max(returned_otherwise)).min(all)
    }

    /// Splits the net amount by the way in which it can be returned.
    fn add_ways_back(&self, summary: &mut Summary) {
        let (mut automatic, mut disputed, mut failed) = (0, 0, 0);
        for payment in self.succeeded() {
            let failed_of_it = self.failed_amount(payment);
            let rest = self.unreturned(payment) - failed_of_it;
            failed += failed_of_it;
            if self.is_frozen(&payment.id) {
                disputed += rest;
            } else {
                automatic += rest;
            }
        }
        // Staff may have returned in cash what was paid through Stripe.
        let kept = summary.kept().max(0);
        summary.refund_failed = failed.min(kept);
        let automatic = automatic.min(kept - summary.refund_failed);
        summary.disputed = disputed.min(kept - summary.refund_failed - automatic);
        summary.manual = kept - automatic - summary.disputed;
    }

    /// Net amounts of payments in other currencies.
    fn other_currencies(&self) -> Vec<Money> {
        let mut kept: BTreeMap<String, i64> = BTreeMap::new();
        let foreign = self.intents.iter().filter(|intent| !self.is_ours(&intent.currency));
        for intent in foreign.filter(|intent| intent.status == IntentStatus::Succeeded) {
            *kept.entry(intent.currency.to_ascii_uppercase()).or_default() += self.unreturned(intent);
        }
        let money =
            |(code, amount): (String, i64)| Money::new(amount, Currency::from_code(&code).unwrap_or(Currency::XXX));
        kept.into_iter().filter(|(_, amount)| *amount > 0).map(money).collect()
    }

    /// Succeeded intents in the ledger's currency.
    pub(super) fn succeeded(&self) -> impl Iterator<Item = &IntentFact> {
        self.intents.iter().filter(|intent| intent.status == IntentStatus::Succeeded && self.is_ours(&intent.currency))
    }

    fn is_processing(&self) -> bool {
        let session = |intent: &str| self.sessions.iter().find(|session| session.intent.as_deref() == Some(intent));
        let failed =
            |intent: &IntentFact| session(&intent.id).is_some_and(|session| session.state == SessionState::Failed);
        // A failure before the session was completed was of an earlier attempt.
        let ended = |session: &SessionFact| {
            let intent = session.intent.as_deref().and_then(|id| self.intents.get(id));
            intent.is_some_and(|intent| intent.status.is_over() || intent.failed_at > Some(session.observation.at))
        };
        self.intents.iter().any(|intent| self.status_of(intent) == IntentStatus::Processing && !failed(intent))
            || self.sessions.iter().any(|session| session.state == SessionState::Processing && !ended(session))
    }
}
