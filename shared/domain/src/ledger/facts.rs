//! Observed states of Stripe's objects, merged as a join-semilattice (CRDT): of two states of an object the more
//! advanced one counts, whichever was observed first.
//!
//! A join is associative, commutative and idempotent, so observations may arrive in any order and repeatedly. A final
//! state is more advanced than any other. States that can go back (a payment whose bank debit failed, an inquiry that
//! becomes a dispute) are ordered by Stripe's time, within a second by rank, and then by the id of the observation.

use crate::stripe::{BalanceTransaction, IntentStatus, RefundStatus};
use crate::wire_enum;
use serde::{Deserialize, Serialize};

/// An observation: its time in Unix seconds, and its id (`evt_…`, or the id of the request that read the object).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Observation {
    /// Time.
    pub at: i64,
    /// Event or request.
    pub by: String,
}

/// The observed state of an object.
pub trait Fact {
    /// Stripe's id.
    fn id(&self) -> &str;
    /// Merges another observation of the same object.
    fn join(&mut self, other: Self);
}

/// Objects of one kind, by id, each in the most advanced state observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts<T>(Vec<T>);

impl<T> Default for Facts<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Facts<T> {
    /// Whether no object was observed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every object, by id.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T: Fact> Facts<T> {
    /// The observed state of one object.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.place(id).ok().and_then(|place| self.0.get(place))
    }

    /// Removes an object, as if it had never been observed.
    pub fn forget(&mut self, id: &str) {
        if let Ok(place) = self.place(id) {
            self.0.remove(place);
        }
    }

    /// Merges an observation.
    pub fn observe(&mut self, fact: T) {
        match self.place(fact.id()) {
            Ok(place) => self.0[place].join(fact),
            Err(place) => self.0.insert(place, fact),
        }
    }

    fn place(&self, id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|known| known.id().cmp(id))
    }
}

wire_enum! {
    /// State of a checkout session, in the order in which it may advance.
    #[derive(PartialOrd, Ord)]
    pub enum SessionState {
        /// The guest may pay.
        Open = "open",
        /// Expired.
        Expired = "expired",
        /// Completed; the payment is processing.
        Processing = "processing",
        /// The payment failed.
        Failed = "failed",
        /// Paid.
        Paid = "paid",
    }
}

/// A checkout session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFact {
    /// `cs_…`.
    pub id: String,
    /// State.
    pub state: SessionState,
    /// Observation of this state.
    #[serde(rename = "told")]
    pub observation: Observation,
    /// Its payment intent, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Its URL. A bearer secret: anyone who has it may pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Expiry, in Unix seconds.
    pub expires_at: i64,
}

/// A payment intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentFact {
    /// `pi_…`.
    pub id: String,
    /// State.
    pub status: IntentStatus,
    /// Observation of this state.
    #[serde(rename = "told")]
    pub observation: Observation,
    /// Amount, in minor units.
    pub amount: i64,
    /// Amount received.
    pub received: i64,
    /// Stripe's lower-case code.
    pub currency: String,
    /// Number of the demand that it pays, from its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand: Option<u32>,
    /// Creation, in Unix seconds.
    pub created: i64,
    /// Last failure of an attempt, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<i64>,
    /// The charge of the latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
    /// Time of payment in Unix seconds, from the event that reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<i64>,
}

/// A charge: one attempt of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeFact {
    /// `ch_…` or `py_…`.
    pub id: String,
    /// Its payment intent.
    pub intent: String,
    /// The highest refunded amount observed.
    pub refunded: i64,
    /// Whether it failed, which is final.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Creation in Unix seconds, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFact {
    /// `re_…`.
    pub id: String,
    /// State.
    pub status: RefundStatus,
    /// Observation of this state.
    #[serde(rename = "told")]
    pub observation: Observation,
    /// Its payment intent.
    pub intent: String,
    /// Minor units.
    pub amount: i64,
    /// Stripe's lower-case code.
    pub currency: String,
    /// Key of the instruction that it executes; absent for one made in Stripe's dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Creation, in Unix seconds.
    pub created: i64,
    /// Stripe's failure reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

wire_enum! {
    /// Stage of a dispute, in the usual order. An inquiry that becomes a dispute goes back to the first.
    #[derive(PartialOrd, Ord)]
    pub enum DisputeStage {
        /// Evidence may be submitted.
        Open = "open",
        /// The bank reviews the evidence.
        UnderReview = "under_review",
        /// Closed.
        Closed = "closed",
    }
}

/// A dispute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DisputeFact {
    /// `dp_…`.
    pub id: String,
    /// Stage.
    pub stage: DisputeStage,
    /// Stripe's status.
    pub status: String,
    /// Observation of this state.
    #[serde(rename = "told")]
    pub observation: Observation,
    /// Its payment intent.
    pub intent: String,
    /// Minor units.
    pub amount: i64,
    /// Stripe's lower-case code.
    pub currency: String,
    /// Stripe's reason.
    pub reason: String,
    /// Creation, in Unix seconds.
    pub created: i64,
    /// Its balance transactions, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub movements: Vec<BalanceTransaction>,
}

impl DisputeFact {
    /// Order of observations of one dispute.
    fn order(&self) -> (i64, DisputeStage, &str, &str) {
        (self.observation.at, self.stage, &self.status, &self.observation.by)
    }

    /// Whether it is open, so that its payment must not be refunded.
    pub fn freezes(&self) -> bool {
        self.stage != DisputeStage::Closed
    }

    /// Whether it was lost.
    pub fn is_lost(&self) -> bool {
        self.stage == DisputeStage::Closed && self.status == "lost"
    }

    /// Amount charged back, in minor units of its currency; once it is lost, all of it, whether or not a balance
    /// transaction was observed. Balance transactions in the currency of the account's balance, when that is another
    /// one, say only that it was withdrawn.
    pub fn taken(&self) -> i64 {
        let own = || self.movements.iter().filter(|movement| movement.currency.eq_ignore_ascii_case(&self.currency));
        let moved = if own().next().is_some() {
            -own().map(|movement| movement.amount).sum::<i64>()
        } else {
            let count = |negative: bool| self.movements.iter().filter(|moved| (moved.amount < 0) == negative).count();
            if count(true) > count(false) { self.amount } else { 0 }
        };
        moved.max(if self.is_lost() { self.amount } else { 0 })
    }
}

impl IntentFact {
    /// Order of observations of one intent.
    fn order(&self) -> (Option<IntentStatus>, i64, IntentStatus, &str) {
        let last = Some(self.status).filter(|status| status.is_over());
        // A final status stays, so its first observation is the nearest to when it came about; what only a session
        // implied is nearer than nothing.
        let at = match (last, self.observation.at) {
            (Some(_), 0) => i64::MIN,
            (Some(_), at) => -at,
            (None, at) => at,
        };
        (last, at, self.status, &self.observation.by)
    }
}

impl SessionFact {
    /// Order of observations of one session: of its end the first counts, which is when it ended.
    fn order(&self) -> (SessionState, i64, &str) {
        let at = if self.state == SessionState::Open { self.observation.at } else { -self.observation.at };
        (self.state, at, &self.observation.by)
    }
}

impl Fact for SessionFact {
    fn id(&self) -> &str {
        &self.id
    }

    fn join(&mut self, other: Self) {
        // Only an open session has a URL, so an older observation of it is still right.
        let (mine, theirs) = (self.intent.take(), other.intent.clone());
        if self.order() < other.order() {
            *self = other;
        }
        self.intent = mine.max(theirs);
    }
}

impl Fact for IntentFact {
    fn id(&self) -> &str {
        &self.id
    }

    fn join(&mut self, other: Self) {
        let failed_at = self.failed_at.max(other.failed_at);
        let paid_at = earlier(self.paid_at, other.paid_at);
        if self.order() < other.order() {
            *self = other;
        }
        (self.failed_at, self.paid_at) = (failed_at, paid_at);
    }
}

/// The earlier of two times, as far as they are known.
fn earlier(one: Option<i64>, two: Option<i64>) -> Option<i64> {
    one.into_iter().chain(two).min()
}

impl Fact for ChargeFact {
    fn id(&self) -> &str {
        &self.id
    }

    fn join(&mut self, other: Self) {
        self.refunded = self.refunded.max(other.refunded);
        self.failed |= other.failed;
        self.created = earlier(self.created, other.created);
    }
}

impl Fact for RefundFact {
    fn id(&self) -> &str {
        &self.id
    }

    fn join(&mut self, other: Self) {
        if (self.status, &self.observation) < (other.status, &other.observation) {
            *self = other;
        }
    }
}

impl Fact for DisputeFact {
    fn id(&self) -> &str {
        &self.id
    }

    fn join(&mut self, mut other: Self) {
        let mut movements = std::mem::take(&mut self.movements);
        movements.append(&mut other.movements);
        if self.order() < other.order() {
            *self = other;
        }
        movements.sort_by(|one, two| one.id.cmp(&two.id));
        movements.dedup_by(|one, two| one.id == two.id);
        self.movements = movements;
    }
}
