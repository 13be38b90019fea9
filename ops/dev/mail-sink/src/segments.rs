//! Accepted mails on disk, in append-only files. Each record is a line of JSON and the message that it announces.
//!
//! A record is written with one call before the mail is acknowledged, so a killed process leaves at most one torn
//! record, at the end of the newest file, of a mail that was not acknowledged. Loading truncates it.

use super::kept_mail::KeptMail;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file is closed and the next begun at this size.
const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of messages that the files hold together, at least.
pub(super) const MAX_BYTES: usize = 256 * 1024 * 1024;
const MAX_SEGMENTS: usize = MAX_BYTES / SEGMENT_BYTES as usize + 2;
const EXTENSION: &str = "mails";

/// The line of JSON before a message.
#[derive(Serialize, Deserialize)]
struct Heading {
    n: u64,
    received_at: DateTime<Utc>,
    from: String,
    to: Vec<String>,
    bytes: usize,
}

/// The files of one folder, the newest open for writing.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    files: Vec<PathBuf>,
    newest: File,
    newest_bytes: u64,
    buffer: Vec<u8>,
}

impl Segments {
    /// Opens the folder, creating it if necessary. Returns the stored mails, oldest first, and how many were ever
    /// accepted.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Vec<KeptMail>, u64)> {
        fs::create_dir_all(folder)?;
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        // Names are numbers of fixed width.
        files.sort();
        let mut records = Vec::new();
        for path in &files {
            let content = fs::read(path)?;
            let whole = read_records(&content, &mut records);
            if whole < content.len() {
                tracing::warn!(file = %path.display(), cut = content.len() - whole, "torn record at the end of a file, \
                    truncating");
                OpenOptions::new().write(true).open(path)?.set_len(whole as u64)?;
            }
        }
        let path = files.last().cloned().unwrap_or_else(|| segment_path(folder, 1));
        // The name of a file without records still holds the count of the mails before it.
        let before = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u64>().ok())
            .map_or(0, |first| first.saturating_sub(1));
        let accepted = records.last().map_or(before, |record| record.n.max(before));
        let newest = append_to(&path)?;
        let newest_bytes = newest.metadata()?.len();
        if files.is_empty() {
            files.push(path);
        }
        Ok((Self { folder: folder.to_owned(), files, newest, newest_bytes, buffer: Vec::new() }, records, accepted))
    }

    /// Writes a record to the operating system. After an error the file has its previous length.
    pub(super) fn append(&mut self, record: &KeptMail) -> io::Result<()> {
        if self.newest_bytes >= SEGMENT_BYTES {
            self.begin_file(record.n)?;
        }
        let heading = Heading {
            n: record.n,
            received_at: record.received_at,
            from: record.from.clone(),
            to: record.to.clone(),
            bytes: record.raw.len(),
        };
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, &heading)?;
        self.buffer.push(b'\n');
        self.buffer.extend_from_slice(&record.raw);
        self.buffer.push(b'\n');
        if let Err(error) = self.newest.write_all(&self.buffer) {
            self.newest.set_len(self.newest_bytes)?;
            return Err(error);
        }
        self.newest_bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// Removes every mail. The count lives on in the name of an empty file.
    pub(super) fn clear(&mut self, accepted: u64) -> io::Result<()> {
        self.begin_file(accepted + 1)?;
        while self.files.len() > 1 {
            self.remove_oldest()?;
        }
        self.newest.set_len(0)?;
        self.newest_bytes = 0;
        Ok(())
    }

    fn begin_file(&mut self, first: u64) -> io::Result<()> {
        let path = segment_path(&self.folder, first);
        self.newest = append_to(&path)?;
        self.newest_bytes = self.newest.metadata()?.len();
        if self.files.last() != Some(&path) {
            self.files.push(path);
        }
        while self.files.len() > MAX_SEGMENTS {
            self.remove_oldest()?;
        }
        Ok(())
    }

    fn remove_oldest(&mut self) -> io::Result<()> {
        fs::remove_file(self.files.remove(0))
    }
}

fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.{EXTENSION}"))
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Reads whole records and returns where the last one ends.
fn read_records(content: &[u8], records: &mut Vec<KeptMail>) -> usize {
    let mut at = 0;
    while let Some((record, length)) = read_record(&content[at..]) {
        records.push(record);
        at += length;
    }
    at
}

fn read_record(content: &[u8]) -> Option<(KeptMail, usize)> {
    let line = content.iter().position(|byte| *byte == b'\n')?;
    let heading: Heading = serde_json::from_slice(&content[..line]).ok()?;
    let end = (line + 1).checked_add(heading.bytes)?;
    let raw = content.get(line + 1..end)?.to_vec();
    (content.get(end) == Some(&b'\n')).then(|| {
        let Heading { n, received_at, from, to, .. } = heading;
        (KeptMail { n, received_at, from, to, raw }, end + 1)
    })
}

#[cfg(test)]
mod tests;
