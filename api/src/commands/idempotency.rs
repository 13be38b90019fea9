//! Idempotency: the ids of requests by client and key, and requests that create parts of an inventory.
//!
//! The same client and key always give the same id, so a repetition is recognised by whatever is stored under it. For
//! an inventory that is the audit entry, written in the same transaction: nothing is created twice, also when what was
//! created has changed or been deleted since. This instance caches recent ids as well.

use crate::auth::policy::Caller;
use crate::commands::idempotency_cache::Reservation;
use crate::form::fingerprint::Fingerprint;
use crate::http::problem::{self, Problem};
use crate::state::App;
use crate::store_call;
use pvt_domain::actor::Actor;
use pvt_domain::ids::BookingId;
use uuid::Uuid;

/// Namespaces of ids. What is stored has ids derived from them, so they never change.
const INVENTORY_NAMESPACE: Uuid = Uuid::from_u128(0x9a4e_17c6_0d3b_4f52_b1c8_2e65_7f90_d4a1);
const NOTIFICATION_NAMESPACE: Uuid = Uuid::from_u128(0x3b1d_92f4_5e0a_4c86_8f27_61d9_a4e8_0c35);
const PAYMENT_NAMESPACE: Uuid = Uuid::from_u128(0x51c7_0e3a_94bd_4e18_a2f6_7d09_c48b_31e5);

/// The id of a notification.
pub(crate) fn notification_id(caller: &Caller, key: &str) -> Uuid {
    id_of_client(&NOTIFICATION_NAMESPACE, caller.client().unwrap_or_default(), key)
}

/// The id of the idempotency record of a payment's key. Keys of anonymous callers are per booking, those of known
/// callers per caller.
pub(crate) fn payment_record_id(caller: &Caller, booking: BookingId, key: &str) -> Uuid {
    match caller.client() {
        Some(client) => id_of_client(&PAYMENT_NAMESPACE, client, key),
        None => Uuid::new_v5(&booking.as_uuid(), format!("money\n{key}").as_bytes()),
    }
}

/// The id of a command of this kind about a booking.
pub(crate) fn booking_command_id(booking: BookingId, kind: &str, actor: &Actor, key: &str) -> Uuid {
    Uuid::new_v5(&booking.as_uuid(), format!("{kind}\n{actor}\n{key}").as_bytes())
}

fn id_of_client(namespace: &Uuid, client: &str, key: &str) -> Uuid {
    Uuid::new_v5(namespace, format!("{client}\n{key}").as_bytes())
}

/// A request with its key.
pub(crate) struct IdempotentRequest<'a> {
    app: &'a App,
    id: Uuid,
    fingerprint: Fingerprint,
    reserved: Reservation<'a>,
    replayed: bool,
}

impl<'a> IdempotentRequest<'a> {
    /// Takes the key for this body.
    ///
    /// # Errors
    /// 422 when it named another request.
    pub(crate) fn take(app: &'a App, caller: &Caller, key: &str, fingerprint: Fingerprint) -> Result<Self, Problem> {
        let id = id_of_client(&INVENTORY_NAMESPACE, caller.client().unwrap_or_default(), key);
        let (_, reserved) = app.idempotency.take(id, fingerprint)?;
        Ok(Self { app, id, fingerprint, reserved, replayed: false })
    }

    /// As [`IdempotentRequest::take`], for a change of an inventory that is audited under [`IdempotentRequest::id`] as
    /// `subject`.
    ///
    /// # Errors
    /// As [`IdempotentRequest::take`].
    pub(crate) async fn begin_audited(
        app: &'a App,
        caller: &Caller,
        key: &str,
        fingerprint: Fingerprint,
        subject: &str,
    ) -> Result<Self, Problem> {
        let taken = Self::take(app, caller, key, fingerprint)?;
        let (mongo, id) = (app.mongo.clone(), taken.id);
        let earlier = store_call::read(async move { mongo.audit_log().of_cause(id).await }).await?;
        if earlier.iter().any(|entry| entry.subject != subject) {
            return Err(problem::IDEMPOTENCY_KEY_REUSED.into());
        }
        Ok(Self { replayed: !earlier.is_empty(), ..taken })
    }

    /// Names the request.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Whether it was handled before, whatever happened since.
    pub(crate) fn is_replay(&self) -> bool {
        self.replayed
    }

    /// Completes the request.
    pub(crate) fn done(self) {
        self.reserved.keep();
        self.app.idempotency.confirm(self.id, self.fingerprint);
    }
}

#[cfg(test)]
mod tests {
    use super::{booking_command_id, notification_id, payment_record_id};
    use crate::auth::policy::Caller;
    use pvt_domain::actor::Actor;
    use pvt_domain::ids::BookingId;
    use uuid::Uuid;

    /// Documents and replayed requests of earlier versions have these ids.
    #[test]
    fn ids_of_keys_never_change() {
        let booking = BookingId::from_uuid(Uuid::from_u128(7));
        let anonymous = Caller::Anonymous;
        let ids = [
            notification_id(&anonymous, "k"),
            payment_record_id(&anonymous, booking, "k"),
            booking_command_id(booking, "booking.cancel.v1", &Actor::GUEST, "k"),
        ];
        assert_eq!(
            ids.map(|id| id.to_string()),
            [
                "2f5d77f1-2798-567b-9c16-d9e49e6705bc",
                "b54da334-75fb-5adc-b653-537edf44bd49",
                "c96d207b-1a85-5440-b1ff-d1fa88a67b1c",
            ]
        );
    }
}
