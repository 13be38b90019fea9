//! Idempotency cache: requests that this instance has accepted recently. It answers a repetition at once, and notices a
//! key that is used for something else.
//!
//! It only saves work and answers early. What makes a repetition harmless is the id, which is a function of client and
//! key.

use crate::form::fingerprint::Fingerprint;
use crate::http::problem::{self, Problem};
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use uuid::Uuid;

/// Requests remembered; the oldest unused are forgotten first.
const MAX_RECORDS: usize = 16_384;

#[derive(Debug, Clone, Copy)]
struct IdempotencyRecord {
    fingerprint: Fingerprint,
    confirmed: bool,
}

/// What is known of a request's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// Nothing: go on.
    New,
    /// An equal request is under way: go on.
    InFlight,
    /// The same request was accepted.
    Replayed,
    /// The id belongs to a request with another body.
    Reused,
}

/// The memory of one instance.
pub(crate) struct IdempotencyCache(Cache<Uuid, IdempotencyRecord>);

impl IdempotencyCache {
    pub(crate) fn new() -> Self {
        Self(Cache::new(MAX_RECORDS))
    }

    /// What is known, without leaving a trace.
    pub(crate) fn look_up(&self, id: Uuid, fingerprint: Fingerprint) -> KeyState {
        self.0.get(&id).map_or(KeyState::New, |known| state_of(&known, fingerprint))
    }

    /// As [`IdempotencyCache::look_up`]; a new id is reserved for this body until [`IdempotencyCache::confirm`] or
    /// [`IdempotencyCache::release`].
    pub(crate) fn reserve(&self, id: Uuid, fingerprint: Fingerprint) -> KeyState {
        match self.0.entry(&id, None, |_, known| EntryAction::Retain(state_of(known, fingerprint))) {
            EntryResult::Retained(seen) => seen,
            EntryResult::Vacant(place) => {
                // Fails only when the entry was removed in between, and then there is nothing to reserve against.
                let _ = place.insert(IdempotencyRecord { fingerprint, confirmed: false });
                KeyState::New
            }
            _ => KeyState::New,
        }
    }

    /// Reserves the id for this body, unless it belongs to another one.
    ///
    /// # Errors
    /// 422 when it does.
    pub(crate) fn take(&self, id: Uuid, fingerprint: Fingerprint) -> Result<(KeyState, Reservation<'_>), Problem> {
        match self.reserve(id, fingerprint) {
            KeyState::Reused => Err(problem::IDEMPOTENCY_KEY_REUSED.into()),
            // Only the request that made the reservation may release it.
            state => Ok((state, Reservation { memory: self, id, kept: state != KeyState::New })),
        }
    }

    /// The request is the broker's.
    pub(crate) fn confirm(&self, id: Uuid, fingerprint: Fingerprint) {
        self.0.insert(id, IdempotencyRecord { fingerprint, confirmed: true });
    }

    /// The id turned out to be another request's: the store is to be asked next time.
    pub(crate) fn forget(&self, id: Uuid) {
        self.0.remove(&id);
    }

    /// The request was not accepted after all.
    pub(crate) fn release(&self, id: Uuid) {
        self.0.remove_if(&id, |known| !known.confirmed);
    }

    /// Guards a reservation: unless it is kept, it is released, also when the request is dropped half-way.
    pub(crate) fn hold_reservation(&self, id: Uuid) -> Reservation<'_> {
        Reservation { memory: self, id, kept: false }
    }
}

/// A reservation that may yet be given up.
pub(crate) struct Reservation<'a> {
    memory: &'a IdempotencyCache,
    id: Uuid,
    kept: bool,
}

impl Reservation<'_> {
    /// Leaves the reservation to the publication, which confirms or releases it.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.memory.release(self.id);
        }
    }
}

fn state_of(known: &IdempotencyRecord, fingerprint: Fingerprint) -> KeyState {
    match (known.fingerprint == fingerprint, known.confirmed) {
        (false, _) => KeyState::Reused,
        (true, true) => KeyState::Replayed,
        (true, false) => KeyState::InFlight,
    }
}

#[cfg(test)]
mod tests {
    use super::{IdempotencyCache, KeyState};
    use crate::form::fingerprint::Fingerprint;
    use crate::form::json::parse;
    use uuid::Uuid;

    #[test]
    fn key_is_bound_to_its_first_body() {
        let (one, other) = (Fingerprint::of(&parse(b"1").unwrap()), Fingerprint::of(&parse(b"2").unwrap()));
        let (accepted, id) = (IdempotencyCache::new(), Uuid::from_u128(1));
        assert_eq!(accepted.look_up(id, one), KeyState::New);
        assert_eq!(accepted.reserve(id, one), KeyState::New);
        assert_eq!(accepted.reserve(id, one), KeyState::InFlight, "an equal request under way is no replay yet");
        assert_eq!(accepted.reserve(id, other), KeyState::Reused);
        accepted.confirm(id, one);
        assert_eq!((accepted.reserve(id, one), accepted.look_up(id, other)), (KeyState::Replayed, KeyState::Reused));
        accepted.release(id);
        assert_eq!(accepted.look_up(id, one), KeyState::Replayed, "what is confirmed stays");
    }

    #[test]
    fn failed_request_releases_the_key() {
        let (one, other) = (Fingerprint::of(&parse(b"1").unwrap()), Fingerprint::of(&parse(b"2").unwrap()));
        let (accepted, id) = (IdempotencyCache::new(), Uuid::from_u128(1));
        accepted.reserve(id, one);
        accepted.release(id);
        assert_eq!(accepted.reserve(id, other), KeyState::New);
        drop(accepted.hold_reservation(id));
        assert_eq!(accepted.reserve(id, one), KeyState::New, "a request that is dropped gives its key back");
        accepted.hold_reservation(id).keep();
        assert_eq!(accepted.reserve(id, other), KeyState::Reused);
    }
}
