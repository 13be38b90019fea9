//! The catalogue of messages lists each committed example once, and its readers read them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use pvt_domain::messages::catalog::CATALOG;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn catalog_lists_every_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let examples: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let listed: BTreeSet<String> = CATALOG.iter().map(|entry| entry.kind.to_owned()).collect();
    assert_eq!(listed, examples, "left: shared/domain/src/messages/catalogue.rs; right: examples in tests/messages");
    assert_eq!(listed.len(), CATALOG.len(), "each once");
}

#[test]
fn catalog_entries_accept_their_example_only() {
    for entry in CATALOG {
        assert!(entry.takes(entry.example.as_bytes()), "{}", entry.kind);
        assert!(!entry.takes(b"{}"), "{}", entry.kind);
    }
}
