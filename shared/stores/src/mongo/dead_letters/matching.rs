//! Selections of dead letters as they were shown, so that what was confirmed is what is changed, however many arrive or
//! change meanwhile.

use super::{COLLECTION, DeadLetter, DeadLetterFilter, DeadLetterState, DeadLetters};
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// What a selection has matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// How many.
    pub count: u64,
    /// A hash of which they are, each with its last death: another set, or one of them that has died again, has
    /// another one.
    pub digest: String,
}

/// A dead letter and its last death, by their ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Identity {
    #[serde(rename = "_id")]
    id: String,
    last: LastDeath,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct LastDeath {
    id: String,
}

/// What an [`Identity`] is read from.
pub(super) fn projection() -> Document {
    doc! { "_id": 1, "last.id": 1 }
}

impl Matched {
    /// Describes these.
    pub fn of_dead_letters(dead_letters: &[DeadLetter]) -> Self {
        let identity =
            |one: &DeadLetter| Identity { id: one.id.to_string(), last: LastDeath { id: one.last.id.to_string() } };
        Self::of(dead_letters.iter().map(identity).collect())
    }

    /// Describes a set; the order does not count.
    pub(super) fn of(mut identities: Vec<Identity>) -> Self {
        identities.sort_unstable();
        let mut hash = Sha256::new();
        for Identity { id, last } in &identities {
            hash.update(format!("{id} {}\n", last.id));
        }
        let digest = hash.finalize().iter().fold(String::new(), |mut hex, byte| {
            // Writing into a text does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self { count: u64::try_from(identities.len()).unwrap_or(u64::MAX), digest }
    }
}

impl DeadLetters<'_> {
    /// Describes those that match and are dead.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn matched(self, filter: &DeadLetterFilter) -> Result<Matched, StoreError> {
        let dead = filter.document(&[DeadLetterState::Dead]);
        let found = self.identities().find(dead).projection(projection()).await?;
        Ok(Matched::of(found.try_collect().await?))
    }

    pub(super) fn identities(self) -> Collection<Identity> {
        self.0.collection(COLLECTION)
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, LastDeath, Matched};

    #[test]
    fn another_set_or_another_death_has_another_digest() {
        let one = |id: &str, death: &str| Identity { id: id.to_owned(), last: LastDeath { id: death.to_owned() } };
        let shown = Matched::of(vec![one("a", "1"), one("b", "1")]);
        assert_eq!(shown, Matched::of(vec![one("b", "1"), one("a", "1")]), "in whatever order");
        for changed in
            [vec![one("a", "1"), one("c", "1")], vec![one("a", "1"), one("b", "2")], vec![one("a", "1")], Vec::new()]
        {
            assert_ne!(shown, Matched::of(changed));
        }
    }
}
