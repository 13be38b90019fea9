//! Requests that this instance has accepted lately: what answers a repetition at once, and notices a key that is used
//! for something else.
//!
//! It only saves work and answers early. What makes a repetition harmless is the id, which is a function of client and
//! key.

use crate::fingerprint::Fingerprint;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use uuid::Uuid;

/// Requests remembered; the oldest unused are forgotten first.
const MAX_REMEMBERED: usize = 16_384;

#[derive(Debug, Clone, Copy)]
struct Remembered {
    fingerprint: Fingerprint,
    confirmed: bool,
}

/// What is known of a request's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing: go on.
    New,
    /// An equal request is under way: go on.
    UnderWay,
    /// The same request was accepted.
    Accepted,
    /// The id belongs to a request with another body.
    Other,
}

/// The memory of one instance.
pub(crate) struct Accepted(Cache<Uuid, Remembered>);

impl Accepted {
    pub(crate) fn new() -> Self {
        Self(Cache::new(MAX_REMEMBERED))
    }

    /// What is known, without leaving a trace.
    pub(crate) fn look_up(&self, id: Uuid, fingerprint: Fingerprint) -> Seen {
        self.0.get(&id).map_or(Seen::New, |known| judge(&known, fingerprint))
    }

    /// As [`Accepted::look_up`]; a new id is reserved for this body until [`Accepted::confirm`] or
    /// [`Accepted::release`].
    pub(crate) fn reserve(&self, id: Uuid, fingerprint: Fingerprint) -> Seen {
        match self.0.entry(&id, None, |_, known| EntryAction::Retain(judge(known, fingerprint))) {
            EntryResult::Retained(seen) => seen,
            EntryResult::Vacant(place) => {
                // Fails only when the entry was removed in between, and then there is nothing to reserve against.
                let _ = place.insert(Remembered { fingerprint, confirmed: false });
                Seen::New
            }
            _ => Seen::New,
        }
    }

    /// The request is the broker's.
    pub(crate) fn confirm(&self, id: Uuid, fingerprint: Fingerprint) {
        self.0.insert(id, Remembered { fingerprint, confirmed: true });
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
    pub(crate) fn until_kept(&self, id: Uuid) -> Reserved<'_> {
        Reserved { memory: self, id, kept: false }
    }
}

/// A reservation that may yet be given up.
pub(crate) struct Reserved<'a> {
    memory: &'a Accepted,
    id: Uuid,
    kept: bool,
}

impl Reserved<'_> {
    /// Leaves the reservation to whoever publishes.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.memory.release(self.id);
        }
    }
}

fn judge(known: &Remembered, fingerprint: Fingerprint) -> Seen {
    match (known.fingerprint == fingerprint, known.confirmed) {
        (false, _) => Seen::Other,
        (true, true) => Seen::Accepted,
        (true, false) => Seen::UnderWay,
    }
}

#[cfg(test)]
mod tests {
    use super::{Accepted, Seen};
    use crate::fingerprint::Fingerprint;
    use crate::json::parse;
    use uuid::Uuid;

    #[test]
    fn a_key_belongs_to_its_first_body() {
        let (one, other) = (Fingerprint::of(&parse(b"1").unwrap()), Fingerprint::of(&parse(b"2").unwrap()));
        let (accepted, id) = (Accepted::new(), Uuid::from_u128(1));
        assert_eq!(accepted.look_up(id, one), Seen::New);
        assert_eq!(accepted.reserve(id, one), Seen::New);
        assert_eq!(accepted.reserve(id, one), Seen::UnderWay, "an equal request under way is no replay yet");
        assert_eq!(accepted.reserve(id, other), Seen::Other);
        accepted.confirm(id, one);
        assert_eq!((accepted.reserve(id, one), accepted.look_up(id, other)), (Seen::Accepted, Seen::Other));
        accepted.release(id);
        assert_eq!(accepted.look_up(id, one), Seen::Accepted, "what is confirmed stays");
    }

    #[test]
    fn a_failed_request_leaves_the_key_free() {
        let (one, other) = (Fingerprint::of(&parse(b"1").unwrap()), Fingerprint::of(&parse(b"2").unwrap()));
        let (accepted, id) = (Accepted::new(), Uuid::from_u128(1));
        accepted.reserve(id, one);
        accepted.release(id);
        assert_eq!(accepted.reserve(id, other), Seen::New);
        drop(accepted.until_kept(id));
        assert_eq!(accepted.reserve(id, one), Seen::New, "a request that is dropped gives its key back");
        accepted.until_kept(id).keep();
        assert_eq!(accepted.reserve(id, other), Seen::Other);
    }
}
