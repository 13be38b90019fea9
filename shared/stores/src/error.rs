//! Store errors, and their meaning for the message being handled.

use pvt_domain::failure::Failure;
use thiserror::Error;

/// Failure class of a MongoDB that does not respond.
pub const MONGODB_UNAVAILABLE: &str = "mongodb_unavailable";
/// Failure class of a PostgreSQL that does not respond.
pub const POSTGRES_UNAVAILABLE: &str = "postgres_unavailable";
/// Failure class of a row or table of PostgreSQL that another session holds.
pub const POSTGRES_LOCKED: &str = "postgres_locked";

/// A failure of MongoDB or PostgreSQL, classified by how to handle it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store does not respond: waiting helps, retrying this message alone does not.
    #[error("{store} is unavailable: {message}")]
    Unavailable {
        /// `mongodb` or `postgres`.
        store: &'static str,
        /// The driver's message, for operators.
        message: String,
    },
    /// The operation conflicted with another one or with an election: retrying at once helps.
    #[error("{store} reported a transient error: {message}")]
    Transient {
        /// `mongodb` or `postgres`.
        store: &'static str,
        /// The driver's message, for operators.
        message: String,
    },
    /// Another session of PostgreSQL holds a lock: on a row, which concerns few messages, or on a table, which concerns
    /// all.
    #[error("postgres: another session holds a lock: {0}")]
    Locked(String),
    /// A unique key exists already.
    #[error("duplicate key: {0}")]
    Duplicate(String),
    /// A booking that was decided as new exists already. The occupancy it was decided on may still be current.
    #[error("the booking exists already: {0}")]
    BookingExists(String),
    /// The document has changed since it was read.
    #[error("the stored revision is newer: {0}")]
    Stale(String),
    /// Any other failure: an unreadable document, a refused statement.
    #[error("{store} failed: {message}")]
    Broken {
        /// `mongodb` or `postgres`.
        store: &'static str,
        /// The driver's message, for operators.
        message: String,
    },
}

impl StoreError {
    /// Whether a read of MongoDB has reached the limit of time that was set for it, which says nothing about the
    /// server.
    pub fn is_time_limit(&self) -> bool {
        matches!(self, Self::Unavailable { message, .. } if message.contains("MaxTimeMSExpired"))
    }

    /// Stable name in failures, metrics, logs and traces.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Unavailable { store: "postgres", .. } => POSTGRES_UNAVAILABLE,
            Self::Unavailable { .. } => MONGODB_UNAVAILABLE,
            Self::Locked(_) => POSTGRES_LOCKED,
            Self::Transient { .. } => "store_contention",
            Self::Duplicate(_) | Self::BookingExists(_) => "store_duplicate",
            Self::Stale(_) => "store_stale",
            Self::Broken { .. } => "store_error",
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            // A probe finds out what is locked: the runtime waits for a table, and retries the messages of a row.
            StoreError::Unavailable { .. } | StoreError::Locked(_) => Self::unavailable(error.class(), error),
            _ => Self::retry(error.class(), error),
        }
    }
}

/// Positions of the documents that an unordered insert found already stored; none when all were new.
///
/// # Errors
/// On any other error; any of the documents may then have been inserted.
pub(crate) fn duplicate_positions<T>(inserted: mongodb::error::Result<T>) -> Result<Vec<usize>, StoreError> {
    let Err(error) = inserted else { return Ok(Vec::new()) };
    if let mongodb::error::ErrorKind::InsertMany(many) = &*error.kind
        && let Some(refused) = &many.write_errors
        && many.write_concern_error.is_none()
        && refused.iter().all(|refusal| refusal.code == DUPLICATE_KEY)
    {
        return Ok(refused.iter().map(|refusal| refusal.index).collect());
    }
    Err(error.into())
}

impl From<mongodb::error::Error> for StoreError {
    fn from(error: mongodb::error::Error) -> Self {
        use mongodb::error::TRANSIENT_TRANSACTION_ERROR;
        let message = error.to_string();
        let store = "mongodb";
        if is_duplicate_key(&error) {
            return Self::Duplicate(message);
        }
        if error.contains_label(TRANSIENT_TRANSACTION_ERROR) && !is_down(&error) {
            return Self::Transient { store, message };
        }
        if is_about_the_document(&error) {
            Self::Broken { store, message: without_values(&message) }
        } else {
            Self::Unavailable { store, message }
        }
    }
}

/// A message about a document without what it quotes of that: a guest may have written it, and messages are logged.
fn without_values(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    let mut characters = message.chars();
    let mut is_quoted = false;
    while let Some(c) = characters.next() {
        match (c, is_quoted) {
            // Within quotes the next one is quoted, too, whatever it is.
            ('\\', true) => drop(characters.next()),
            ('"', _) => {
                shown.push_str(if is_quoted { "…\"" } else { "\"" });
                is_quoted = !is_quoted;
            }
            (_, true) => {}
            (c, false) => shown.push(c),
        }
    }
    shown
}

/// MongoDB's code for a violated unique index.
pub(crate) const DUPLICATE_KEY: i32 = 11_000;

/// Server codes of a server that is no primary at the moment (from the server's `error_codes.yml`): HostUnreachable,
/// HostNotFound, ShutdownInProgress, NotWritablePrimary, PrimarySteppedDown, InterruptedAtShutdown,
/// InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
const NO_PRIMARY: [i32; 9] = [6, 7, 91, 10_107, 189, 11_600, 11_602, 13_435, 13_436];

fn is_down(error: &mongodb::error::Error) -> bool {
    use mongodb::error::ErrorKind;
    match &*error.kind {
        ErrorKind::Command(command) => NO_PRIMARY.contains(&command.code),
        ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => true,
        _ => false,
    }
}

/// Server codes that a document or a statement causes on every server (from
/// `error_codes.yml`): BadValue, FailedToParse, TypeMismatch, Overflow, InvalidLength, DocumentValidationFailure,
/// BSONObjectTooLarge; and the two without a name of an update or upsert that would make a document too large.
pub(crate) const OF_THE_DOCUMENT: [i32; 9] = [2, 9, 14, 15, 16, 121, 10_334, 17_419, 17_420];

/// Whether the same message would fail the same way on a healthy server. Every other error (authentication, rights,
/// disks, elections) is the server's: waiting costs nothing, while giving up healthy messages would.
fn is_about_the_document(error: &mongodb::error::Error) -> bool {
    use mongodb::error::{ErrorKind, WriteFailure};
    match &*error.kind {
        ErrorKind::Bson(_)
        | ErrorKind::BsonSerialization(_)
        | ErrorKind::BsonDeserialization(_)
        | ErrorKind::InvalidArgument { .. } => true,
        ErrorKind::Command(command) => OF_THE_DOCUMENT.contains(&command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => OF_THE_DOCUMENT.contains(&write.code),
        ErrorKind::InsertMany(many) => {
            many.write_errors.iter().flatten().any(|write| OF_THE_DOCUMENT.contains(&write.code))
        }
        _ => false,
    }
}

fn is_duplicate_key(error: &mongodb::error::Error) -> bool {
    use mongodb::error::{ErrorKind, WriteFailure};
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE_KEY,
        ErrorKind::InsertMany(many) => many.write_errors.iter().flatten().any(|write| write.code == DUPLICATE_KEY),
        ErrorKind::Command(command) => command.code == DUPLICATE_KEY,
        _ => false,
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let store = "postgres";
        let message = error.to_string();
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_) => Self::Unavailable { store, message },
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // Serialization failure and deadlock.
                Some("40001" | "40P01") => Self::Transient { store, message },
                Some("23505") => Self::Duplicate(message),
                // The lock timeout of the transaction.
                Some("55P03") => Self::Locked(message),
                // Data exceptions, violated constraints and limits are the message's. Every other error
                // (authentication, rights, a missing table, a read-only standby, shutdowns) is the server's: waiting
                // costs nothing, while giving up healthy messages would.
                Some(code) if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => {
                    Self::Broken { store, message }
                }
                _ => Self::Unavailable { store, message },
            },
            _ => Self::Broken { store, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{StoreError, without_values};
    use mongodb::bson::{deserialize_from_document, doc};

    #[test]
    fn unreadable_document_is_not_an_unavailable_server() {
        let unreadable =
            deserialize_from_document::<std::collections::HashMap<String, u32>>(doc! { "n": "Lovelace" }).unwrap_err();
        let error = StoreError::from(mongodb::error::Error::from(unreadable));
        assert!(matches!(error, StoreError::Broken { .. }));
        assert!(!error.to_string().contains("Lovelace"), "it quotes the document: {error}");
    }

    #[test]
    fn quotes_within_a_value_show_nothing_of_it() {
        for value in [r#"O"Unmistakable"#, r"back\slash", r#"\""#, r#"" at key "x"#, "", "Ada"] {
            let message = format!("invalid type: string {value:?}, expected u32 at key {:?}", "guest");
            assert_eq!(without_values(&message), r#"invalid type: string "…", expected u32 at key "…""#);
        }
        assert_eq!(without_values(r#"cut off: "Unmistak"#), r#"cut off: ""#);
    }
}
