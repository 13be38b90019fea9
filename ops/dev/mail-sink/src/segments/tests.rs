//! Mails on disk: every acknowledged mail survives any end of the process.

use crate::store::MailStore;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A temporary folder, removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("pvt-mails-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(folder: &Path) -> MailStore {
    MailStore::open(Some(folder), false).unwrap()
}

fn keep(store: &MailStore, text: &str) -> u64 {
    store.keep("a@pvt.test".to_owned(), vec!["ada@example.com".to_owned()], text.as_bytes().to_vec()).unwrap()
}

fn texts(store: &MailStore) -> Vec<String> {
    store.newest(None, 100).iter().rev().map(|mail| String::from_utf8_lossy(&mail.raw).into_owned()).collect()
}

#[test]
fn mails_survive_restart() {
    let folder = Folder::new();
    let store = open(&folder.0);
    keep(&store, "one\n{\"n\":9}\n");
    keep(&store, "");
    drop(store);
    let store = open(&folder.0);
    assert_eq!(texts(&store), ["one\n{\"n\":9}\n", ""]);
    assert_eq!((keep(&store, "three"), store.accepted()), (3, 3));
}

#[test]
fn torn_record_is_truncated() {
    let folder = Folder::new();
    let store = open(&folder.0);
    keep(&store, "one");
    keep(&store, "two");
    drop(store);
    let file = fs::read_dir(&folder.0).unwrap().next().unwrap().unwrap().path();
    let whole = fs::metadata(&file).unwrap().len();
    for torn in
        ["{\"n\":3,", "{\"n\":3,\"received_at\":\"2027-01-01T00:00:00Z\",\"from\":\"\",\"to\":[],\"bytes\":500}\nshort"]
    {
        OpenOptions::new().append(true).open(&file).unwrap().write_all(torn.as_bytes()).unwrap();
        let store = open(&folder.0);
        assert_eq!(texts(&store), ["one", "two"]);
        assert_eq!(fs::metadata(&file).unwrap().len(), whole);
    }
    assert_eq!(keep(&open(&folder.0), "three"), 3);
    assert_eq!(texts(&open(&folder.0)), ["one", "two", "three"]);
}

#[test]
fn clearing_keeps_accepted_count() {
    let folder = Folder::new();
    let store = open(&folder.0);
    keep(&store, "one");
    store.clear().unwrap();
    drop(store);
    let store = open(&folder.0);
    assert_eq!((texts(&store).len(), store.accepted()), (0, 1));
    assert_eq!(keep(&store, "two"), 2);
}
