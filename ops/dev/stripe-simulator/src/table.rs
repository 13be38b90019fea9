//! Bounded table of objects in the order of their creation. It drops the oldest when it is full.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, HashMap};

/// Most objects of a kind.
pub(crate) const MAX_ROWS: usize = 20_000;

/// An object of a table.
pub(crate) trait Row {
    /// Its id.
    fn id(&self) -> &str;
    /// Creation time in seconds since 1970.
    fn created(&self) -> i64;
}

/// A bounded list with an index by id.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: BTreeMap<u64, T>,
    by_id: HashMap<String, u64>,
    next: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), by_id: HashMap::new(), next: 0 }
    }
}

impl<T: Row> Table<T> {
    /// Adds the newest object and drops the oldest when there are too many.
    pub(crate) fn add(&mut self, row: T) {
        self.by_id.insert(row.id().to_owned(), self.next);
        self.rows.insert(self.next, row);
        self.next += 1;
        while self.rows.len() > MAX_ROWS {
            let Some((_, oldest)) = self.rows.pop_first() else { break };
            self.by_id.remove(oldest.id());
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(self.by_id.get(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(self.by_id.get(id)?)
    }

    pub(crate) fn remove(&mut self, id: &str) {
        if let Some(place) = self.by_id.remove(id) {
            self.rows.remove(&place);
        }
    }

    /// Newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &T> {
        self.rows.values().rev()
    }

    /// Newest first, from the one before `id`; none when `id` is unknown.
    pub(crate) fn older_than(&self, id: &str) -> impl Iterator<Item = &T> {
        let end = self.by_id.get(id).copied().unwrap_or(0);
        self.rows.range(..end).rev().map(|(_, row)| row)
    }

    /// Oldest first, from the one after `id`.
    pub(crate) fn newer_than(&self, id: &str) -> impl Iterator<Item = &T> {
        let start = self.by_id.get(id).map_or(u64::MAX, |place| place + 1);
        self.rows.range(start..).map(|(_, row)| row)
    }
}

impl<T: Serialize> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.values())
    }
}

impl<'de, T: Row + Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Self::default();
        Vec::<T>::deserialize(deserializer)?.into_iter().for_each(|row| table.add(row));
        Ok(table)
    }
}
