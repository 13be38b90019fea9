//! A key for something that is made: the same key with another body is refused, a failed request gives its key back.
//!
//! What makes a repetition harmless is that the caller names the thing: making the same again makes nothing.

use crate::accepted::{Reserved, Seen};
use crate::app::App;
use crate::fingerprint::Fingerprint;
use crate::policy::Caller;
use crate::problem::{self, Problem};
use uuid::Uuid;

/// Name space of keys: the same client and key always name the same wish.
const WISHES: Uuid = Uuid::from_u128(0x9a4e_17c6_0d3b_4f52_b1c8_2e65_7f90_d4a1);

/// A request with its key.
pub(crate) struct Once<'a> {
    app: &'a App,
    id: Uuid,
    fingerprint: Fingerprint,
    reserved: Reserved<'a>,
}

impl<'a> Once<'a> {
    /// Takes the key for this body.
    ///
    /// # Errors
    /// 422 when it named another request.
    pub(crate) fn take(app: &'a App, caller: &Caller, key: &str, fingerprint: Fingerprint) -> Result<Self, Problem> {
        let id = Uuid::new_v5(&WISHES, format!("{}\n{key}", caller.client().unwrap_or_default()).as_bytes());
        if app.accepted.reserve(id, fingerprint) == Seen::Other {
            return Err(problem::IDEMPOTENCY_KEY_REUSED.into());
        }
        Ok(Self { app, id, fingerprint, reserved: app.accepted.until_kept(id) })
    }

    /// It was done.
    pub(crate) fn done(self) {
        self.reserved.keep();
        self.app.accepted.confirm(self.id, self.fingerprint);
    }
}
