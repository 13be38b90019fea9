//! What happened to a booking: one entry a revision, with what it changed.

use super::{Booking, Payment, Status, Stay};
use crate::events;
use crate::ids::{BookingId, RatePlanId, uuid_text};
use crate::pricing::Price;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What caused a revision. The first history entry is always `Request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The guest's request was decided.
    Request,
    /// The booking was cancelled.
    Cancel,
    /// Dates, guests, room types or prices were changed.
    Modify,
    /// Beds were assigned, locked or unlocked by staff.
    Assign,
    /// Other beds were given to make room for somebody else's stay.
    Move,
    /// The guests came.
    CheckIn,
    /// The guests left.
    CheckOut,
    /// Nobody came.
    NoShow,
    /// A check-in or a no-show was undone.
    Reinstate,
    /// It was paid, or staff let it be paid later.
    Confirm,
    /// Nobody paid in time.
    Expire,
    /// Money came or went without changing where the booking stands.
    RecordPayment,
}

impl Action {
    /// Every action with its wire name.
    pub const ALL: [(&'static str, Self); 12] = [
        ("request", Self::Request),
        ("cancel", Self::Cancel),
        ("modify", Self::Modify),
        ("assign", Self::Assign),
        ("move", Self::Move),
        ("check_in", Self::CheckIn),
        ("check_out", Self::CheckOut),
        ("no_show", Self::NoShow),
        ("reinstate", Self::Reinstate),
        ("confirm", Self::Confirm),
        ("expire", Self::Expire),
        ("record_payment", Self::RecordPayment),
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, action)| *action == self).map_or("request", |(name, _)| name)
    }
}

/// A stay before and after; absent means that it was not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayChange {
    /// Its place in the booking.
    pub index: usize,
    /// As it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Stay>,
    /// As it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Stay>,
}

/// The price before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceChange {
    /// As it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Price>,
    /// As it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Price>,
}

/// The price list before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatePlanChange {
    /// As it was.
    pub before: RatePlanId,
    /// As it became.
    pub after: RatePlanId,
}

/// The money before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentChange {
    /// As it was.
    pub before: Payment,
    /// As it became.
    pub after: Payment,
}

/// What a revision changed beside the status. Compact: only what differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Stays that differ, by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<StayChange>,
    /// The price, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceChange>,
    /// The price list, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_plan: Option<RatePlanChange>,
    /// The money, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentChange>,
    /// Whether the guest's name or address was changed; the values are kept once only, in the booking.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
}

impl Changes {
    /// What differs between two states of one booking; `None` when nothing does.
    pub fn between(before: &Booking, after: &Booking) -> Option<Box<Self>> {
        let count = before.stays.len().max(after.stays.len());
        let differing = (0..count).filter(|index| before.stays.get(*index) != after.stays.get(*index));
        let stays = differing
            .map(|index| StayChange {
                index,
                before: before.stays.get(index).cloned(),
                after: after.stays.get(index).cloned(),
            })
            .collect();
        let changes = Self {
            stays,
            price: (before.price != after.price)
                .then(|| PriceChange { before: before.price.clone(), after: after.price.clone() }),
            rate_plan: (before.rate_plan_id != after.rate_plan_id)
                .then(|| RatePlanChange { before: before.rate_plan_id.clone(), after: after.rate_plan_id.clone() }),
            payment: (before.payment != after.payment)
                .then(|| PaymentChange { before: before.payment.clone(), after: after.payment.clone() }),
            guest: before.guest != after.guest,
        };
        (changes != Self::default()).then(|| Box::new(changes))
    }

    /// Takes the terms back to what they were before.
    fn undo(&self, RevisionState { stays, price, rate_plan_id, payment }: &mut RevisionState) {
        for change in self.stays.iter().rev() {
            match (&change.before, stays.get_mut(change.index)) {
                (Some(before), Some(stay)) => *stay = before.clone(),
                (Some(_), None) => {}
                (None, _) => stays.truncate(change.index),
            }
        }
        // Those that the change dropped lie behind what is left, in order.
        let kept = stays.len();
        stays
            .extend(self.stays.iter().filter(|change| change.index >= kept).filter_map(|change| change.before.clone()));
        if let Some(change) = &self.price {
            price.clone_from(&change.before);
        }
        if let Some(change) = &self.rate_plan {
            rate_plan_id.clone_from(&change.before);
        }
        if let Some(change) = &self.payment {
            payment.clone_from(&change.before);
        }
    }
}

/// One revision: what happened, why, and which message caused it.
///
/// Because it names the command and the event, a redelivered command finds its own entry and publishes the same event
/// again: the booking is inbox and outbox in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Revision that this entry made, counting from 1 without gaps.
    pub rev: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// What was asked.
    pub action: Action,
    /// Status before; `requested` for the first entry.
    pub from: Status,
    /// Status after.
    pub to: Status,
    /// The command's message id.
    #[serde(with = "uuid_text")]
    pub command_id: Uuid,
    /// The event's message id.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// Who asked: `guest`, `client:<id>`, `staff:<id>`, `system`.
    pub actor: String,
    /// Why, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What changed beside the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<Changes>>,
    /// Bookings that were given other beds to make this revision possible: a repetition of the command must tell of
    /// them, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<BookingId>,
}

impl HistoryEntry {
    /// The wire name of the event that tells of it.
    pub fn event_kind(&self) -> &'static str {
        events::kind_of(Some(self.action), self.to)
    }
}

/// Stays, price, price list and payment as they were at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionState {
    /// What was booked.
    pub stays: Vec<Stay>,
    /// What it cost.
    pub price: Option<Price>,
    /// By which price list.
    pub rate_plan_id: RatePlanId,
    /// How it was paid.
    pub payment: Payment,
}

impl Booking {
    /// What the booking was right after revision `rev`, by taking back what later revisions changed.
    pub fn state_at(&self, rev: u32) -> RevisionState {
        let mut terms = RevisionState {
            stays: self.stays.clone(),
            price: self.price.clone(),
            rate_plan_id: self.rate_plan_id.clone(),
            payment: self.payment.clone(),
        };
        for entry in self.history.iter().rev().take_while(|entry| entry.rev > rev) {
            if let Some(changes) = &entry.changes {
                changes.undo(&mut terms);
            }
        }
        terms
    }
}
