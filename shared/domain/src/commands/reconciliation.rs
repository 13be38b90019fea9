//! Commands that check the consistency of the stores.

use crate::actor::Actor;
use crate::ids::{PropertyId, uuid_text};
use crate::timestamp::Timestamp;
use crate::wire::{inbox, queues};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

inbox! {
    /// Inbox of the `reconciliation` queue.
    #[derive(Eq)]
    pub enum ReconcileCommand on queues::RECONCILIATION {
        commands {
            /// Reconcile the stores for one property.
            RECONCILE_PROPERTY = "reconcile.property.v1" => Property(ReconcileProperty);
        }
        events {}
    }
}

/// Reconciliation of one property; what can be repaired without loss is repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReconcileProperty {
    /// Id of the run and of its report.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub run_id: Uuid,
    /// Property.
    pub property_id: PropertyId,
    /// Report only.
    pub dry_run: bool,
    /// Who requests it: `schedule:<name>` or `staff:<id>`.
    pub actor: Actor,
    /// Time of the request.
    pub requested_at: Timestamp,
}
