//! Store of the newest mails, in memory and optionally on disk.

use super::kept_mail::KeptMail;
use super::recipients;
use super::segments::{MAX_BYTES, Segments};
use chrono::Utc;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Mails kept at once.
pub(super) const MAX_MAILS: usize = 20_000;

/// The accepted mails.
#[derive(Debug)]
pub struct MailStore {
    inner: Mutex<Inner>,
    discard: bool,
}

#[derive(Debug, Default)]
struct Inner {
    accepted: u64,
    mails: VecDeque<Arc<KeptMail>>,
    bytes: usize,
    segments: Option<Segments>,
}

/// Totals of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreCounts {
    pub accepted: u64,
    pub kept: usize,
    pub bytes: usize,
}

impl MailStore {
    /// A store in this folder, with the mails that are there; `None` keeps mails in memory only. With `discard` it only
    /// counts.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn open(folder: Option<&Path>, discard: bool) -> io::Result<Self> {
        let mut inner = Inner::default();
        if let Some(folder) = folder.filter(|_| !discard) {
            let (segments, records, accepted) = Segments::open(folder)?;
            records.into_iter().for_each(|record| inner.remember(record));
            inner.accepted = accepted;
            inner.segments = Some(segments);
        }
        Ok(Self { inner: Mutex::new(inner), discard })
    }

    /// Keeps a mail, on disk first, and returns its number.
    ///
    /// # Errors
    /// When it cannot be written; then it is not kept at all.
    pub fn keep(&self, from: String, to: Vec<String>, raw: Vec<u8>) -> io::Result<u64> {
        let mut inner = self.lock();
        let n = inner.accepted + 1;
        if !self.discard {
            let record = KeptMail { n, received_at: Utc::now(), from, to, raw };
            if let Some(segments) = &mut inner.segments {
                segments.append(&record)?;
            }
            inner.remember(record);
        }
        inner.accepted = n;
        Ok(n)
    }

    /// Mails accepted since the beginning, kept or not.
    pub fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    pub(super) fn counts(&self) -> StoreCounts {
        let inner = self.lock();
        StoreCounts { accepted: inner.accepted, kept: inner.mails.len(), bytes: inner.bytes }
    }

    /// The mail of this number, if it is still kept.
    pub fn get(&self, n: u64) -> Option<Arc<KeptMail>> {
        let inner = self.lock();
        let place = inner.mails.binary_search_by_key(&n, |mail| mail.n).ok()?;
        inner.mails.get(place).cloned()
    }

    /// The newest mails, newest first; with `to`, those to an address that contains it, whatever its capitals.
    pub fn newest(&self, to: Option<&str>, limit: usize) -> Vec<Arc<KeptMail>> {
        let part = to.map(str::trim).unwrap_or_default();
        let fits = |mail: &KeptMail| part.is_empty() || mail.to.iter().any(|to| recipients::contains(to, part));
        self.lock().mails.iter().rev().filter(|mail| fits(mail)).take(limit).cloned().collect()
    }

    /// Removes all kept mails; the count of accepted ones stays.
    ///
    /// # Errors
    /// When they cannot be removed from disk.
    pub fn clear(&self) -> io::Result<()> {
        let mut inner = self.lock();
        let accepted = inner.accepted;
        if let Some(segments) = &mut inner.segments {
            segments.clear(accepted)?;
        }
        inner.mails.clear();
        inner.bytes = 0;
        Ok(())
    }

    /// No panic can happen while it is held, so a poisoned lock is still consistent.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remember(&mut self, mail: KeptMail) {
        self.bytes += mail.raw.len();
        self.mails.push_back(Arc::new(mail));
        while self.mails.len() > MAX_MAILS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.mails.pop_front() else { break };
            self.bytes -= oldest.raw.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_MAILS, MailStore};

    fn keep(store: &MailStore, to: &str) -> u64 {
        store.keep("a@pvt.test".to_owned(), vec![to.to_owned()], b"Subject: x\r\n\r\nhello\r\n".to_vec()).unwrap()
    }

    #[test]
    fn newest_mails_are_filtered_by_recipient() {
        let store = MailStore::open(None, false).unwrap();
        for to in ["ada@example.com", "eve@example.com", "ADA@example.com"] {
            keep(&store, to);
        }
        let numbers = |to, limit| store.newest(to, limit).iter().map(|mail| mail.n).collect::<Vec<_>>();
        assert_eq!(numbers(None, 2), [3, 2]);
        assert_eq!(numbers(Some("Ada@Example.com"), 10), [3, 1]);
        assert_eq!(numbers(Some(" ada@ "), 10), [3, 1]);
        assert_eq!(numbers(Some("eva@"), 10), [0; 0]);
        assert_eq!(numbers(Some("example"), 10), [3, 2, 1]);
        assert_eq!(store.get(2).unwrap().to, ["eve@example.com"]);
    }

    #[test]
    fn store_is_bounded_and_counts_every_mail() {
        let store = MailStore::open(None, false).unwrap();
        for _ in 0..MAX_MAILS + 5 {
            keep(&store, "ada@example.com");
        }
        let counts = store.counts();
        assert_eq!((counts.accepted, counts.kept), (MAX_MAILS as u64 + 5, MAX_MAILS));
        assert!(store.get(5).is_none() && store.get(6).is_some());
        store.clear().unwrap();
        assert_eq!((store.counts().kept, store.counts().bytes, store.accepted()), (0, 0, MAX_MAILS as u64 + 5));
    }

    #[test]
    fn discarding_store_only_counts() {
        let store = MailStore::open(None, true).unwrap();
        assert_eq!((keep(&store, "a@b.c"), keep(&store, "a@b.c")), (1, 2));
        assert_eq!((store.accepted(), store.newest(None, 10).len()), (2, 0));
    }
}
