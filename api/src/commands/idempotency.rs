//! Idempotency of requests that create parts of an inventory: the same key with another body is refused, the same
//! request creates nothing twice, also when what it created has changed or been deleted since.
//!
//! What was created is known by its audit entry, which names the key and is written in the same transaction; this
//! instance also caches it.

use crate::auth::policy::Caller;
use crate::commands::idempotency_cache::{KeyState, Reservation};
use crate::form::fingerprint::Fingerprint;
use crate::http::problem::{self, Problem};
use crate::state::App;
use crate::store_call;
use uuid::Uuid;

/// Namespace of keys: the same client and key always name the same request.
const REQUEST_NAMESPACE: Uuid = Uuid::from_u128(0x9a4e_17c6_0d3b_4f52_b1c8_2e65_7f90_d4a1);

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
        let id = Uuid::new_v5(&REQUEST_NAMESPACE, format!("{}\n{key}", caller.client().unwrap_or_default()).as_bytes());
        if app.idempotency.reserve(id, fingerprint) == KeyState::Reused {
            return Err(problem::IDEMPOTENCY_KEY_REUSED.into());
        }
        Ok(Self { app, id, fingerprint, reserved: app.idempotency.hold_reservation(id), replayed: false })
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
