//! What is known of Stripe's objects, as joins: of two states of an object the further one counts, whichever was told
//! first.
//!
//! A join is associative, commutative and idempotent, so any order and any repetition of what Stripe tells comes to the
//! same. States of the same rank are told apart by when Stripe told them and, within a second, by the id of the
//! telling.

use crate::stripe::{BalanceTransaction, IntentStatus, RefundStatus};
use serde::{Deserialize, Serialize};

/// One telling: when Stripe made it, in Unix seconds, and its id (`evt_…`, or the id of the request that read the
/// object).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Observation {
    /// When.
    pub at: i64,
    /// By which event.
    pub by: String,
}

/// What can be known of an object.
pub trait Fact {
    /// Stripe's id.
    fn id(&self) -> &str;
    /// Takes in what another telling says of the same object.
    fn join(&mut self, other: Self);
}

/// Objects of one kind, by id, each with the furthest that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts<T>(Vec<T>);

impl<T> Default for Facts<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Facts<T> {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by id.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T: Fact> Facts<T> {
    /// What is known of one object.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.place(id).ok().and_then(|place| self.0.get(place))
    }

    /// As if nothing had been told of this object.
    pub fn forget(&mut self, id: &str) {
        if let Ok(place) = self.place(id) {
            self.0.remove(place);
        }
    }

    /// Takes in a telling.
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

/// Where a checkout session stands. In the order in which a session moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// The guest may pay.
    Open,
    /// Nobody can pay any more.
    Expired,
    /// The guest went through it and the money is on its way.
    Processing,
    /// The money did not come.
    Failed,
    /// The money is there.
    Paid,
}

/// A checkout session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFact {
    /// `cs_…`.
    pub id: String,
    /// Where it stands.
    pub state: SessionState,
    /// By whom this was told.
    pub told: Observation,
    /// The payment, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Where its page is. A bearer secret of whoever may pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it ends by itself, in Unix seconds.
    pub expires_at: i64,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentFact {
    /// `pi_…`.
    pub id: String,
    /// Where it stands.
    pub status: IntentStatus,
    /// By whom this was told.
    pub told: Observation,
    /// What is to be paid, in minor units.
    pub amount: i64,
    /// What was.
    pub received: i64,
    /// Stripe's lower-case code.
    pub currency: String,
    /// Which demand it pays, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand: Option<u32>,
    /// When it was made, in Unix seconds.
    pub created: i64,
    /// The last time that an attempt failed, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<i64>,
}

/// An attempt of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeFact {
    /// `ch_…`.
    pub id: String,
    /// Its payment.
    pub intent: String,
    /// The most that it was ever said to have given back.
    pub refunded: i64,
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFact {
    /// `re_…`.
    pub id: String,
    /// Where it stands.
    pub status: RefundStatus,
    /// By whom this was told.
    pub told: Observation,
    /// Its payment.
    pub intent: String,
    /// Minor units.
    pub amount: i64,
    /// Stripe's lower-case code.
    pub currency: String,
    /// The order that it carries out; absent when somebody made it at Stripe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was made, in Unix seconds.
    pub created: i64,
    /// Stripe's word for why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// How far a dispute has come. In the order in which a dispute moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStage {
    /// The hostel may answer.
    Open,
    /// The bank reads the answer.
    UnderReview,
    /// It is over.
    Closed,
}

/// A bank wants money back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DisputeFact {
    /// `dp_…`.
    pub id: String,
    /// How far it has come.
    pub stage: DisputeStage,
    /// Stripe's word for where it stands.
    pub status: String,
    /// By whom this was told.
    pub told: Observation,
    /// Its payment.
    pub intent: String,
    /// Minor units.
    pub amount: i64,
    /// Stripe's lower-case code.
    pub currency: String,
    /// Stripe's word for why.
    pub reason: String,
    /// When it was opened, in Unix seconds.
    pub created: i64,
    /// What was taken and given back for it, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub movements: Vec<BalanceTransaction>,
}

impl DisputeFact {
    /// Whether it is still argued about, so that nothing of its payment may be given back by us.
    pub fn freezes(&self) -> bool {
        self.stage != DisputeStage::Closed
    }

    /// Whether the bank took the money for good.
    pub fn is_lost(&self) -> bool {
        self.stage == DisputeStage::Closed && self.status == "lost"
    }

    /// What the bank has of it, in minor units; once it is lost, all of it, whether or not the movement was told
    /// already.
    pub fn taken(&self) -> i64 {
        let moved = -self
            .movements
            .iter()
            .filter(|movement| movement.currency == self.currency)
            .map(|movement| movement.amount)
            .sum::<i64>();
        moved.max(if self.is_lost() { self.amount } else { 0 })
    }
}

impl IntentFact {
    /// When it came to where it stands, in Unix seconds; where only its session told of it, when that was made.
    pub fn since(&self) -> i64 {
        if self.told.at > 0 { self.told.at } else { self.created }
    }
}

impl Fact for SessionFact {
    fn id(&self) -> &str {
        &self.id
    }

    fn join(&mut self, other: Self) {
        // Only what is open has a page, so an older telling of it is still right.
        let (mine, theirs) = (self.intent.take(), other.intent.clone());
        if (self.state, &self.told) < (other.state, &other.told) {
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
        if (self.status, &self.told) < (other.status, &other.told) {
            *self = other;
        }
        self.failed_at = failed_at;
    }
}

impl Fact for ChargeFact {
    fn id(&self) -> &str {
        &self.id
    }

    fn join(&mut self, other: Self) {
        self.refunded = self.refunded.max(other.refunded);
    }
}

impl Fact for RefundFact {
    fn id(&self) -> &str {
        &self.id
    }

    fn join(&mut self, other: Self) {
        if (self.status, &self.told) < (other.status, &other.told) {
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
        if (self.stage, &self.told) < (other.stage, &other.told) {
            *self = other;
        }
        movements.sort_by(|one, two| one.id.cmp(&two.id));
        movements.dedup_by(|one, two| one.id == two.id);
        self.movements = movements;
    }
}
