//! How a store fails, and what that means for the message being handled.

use pvt_domain::failure::Failure;
use thiserror::Error;

/// A failure of MongoDB or PostgreSQL, sorted by what helps.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store does not answer at all: waiting helps, trying this message elsewhere does not.
    #[error("{store} is unavailable: {message}")]
    Unavailable {
        /// `mongodb` or `postgres`.
        store: &'static str,
        /// The driver's words, for operators.
        message: String,
    },
    /// The operation lost against another one or an election: trying again at once helps.
    #[error("{store} asks to try again: {message}")]
    Transient {
        /// `mongodb` or `postgres`.
        store: &'static str,
        /// The driver's words, for operators.
        message: String,
    },
    /// A unique key exists already.
    #[error("a unique key exists already: {0}")]
    Duplicate(String),
    /// What was read before has changed since.
    #[error("the stored revision has moved on: {0}")]
    Stale(String),
    /// Anything else: a broken document, a refused statement.
    #[error("{store} failed: {message}")]
    Broken {
        /// `mongodb` or `postgres`.
        store: &'static str,
        /// The driver's words, for operators.
        message: String,
    },
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable { store: "postgres", .. } => Self::unavailable("postgres_unavailable", error),
            StoreError::Unavailable { .. } => Self::unavailable("mongodb_unavailable", error),
            StoreError::Transient { .. } => Self::retry("store_contention", error),
            StoreError::Duplicate(_) => Self::retry("store_duplicate", error),
            StoreError::Stale(_) => Self::retry("store_stale", error),
            StoreError::Broken { .. } => Self::retry("store_error", error),
        }
    }
}

impl From<mongodb::error::Error> for StoreError {
    fn from(error: mongodb::error::Error) -> Self {
        use mongodb::error::{ErrorKind, TRANSIENT_TRANSACTION_ERROR};
        let message = error.to_string();
        let store = "mongodb";
        if is_duplicate_key(&error) {
            return Self::Duplicate(message);
        }
        if error.contains_label(TRANSIENT_TRANSACTION_ERROR) && !is_down(&error) {
            return Self::Transient { store, message };
        }
        match *error.kind {
            ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::DnsResolve { .. } => {
                Self::Unavailable { store, message }
            }
            _ if is_down(&error) => Self::Unavailable { store, message },
            _ => Self::Broken { store, message },
        }
    }
}

/// MongoDB's code for a violated unique index.
const DUPLICATE_KEY: i32 = 11_000;

/// Server codes that mean "no primary here right now" (from the server's `error_codes.yml`): HostUnreachable, HostNotFound, ShutdownInProgress, NotWritablePrimary,
/// PrimarySteppedDown, InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
const NO_PRIMARY: [i32; 9] = [6, 7, 91, 10_107, 189, 11_600, 11_602, 13_435, 13_436];

fn is_down(error: &mongodb::error::Error) -> bool {
    use mongodb::error::ErrorKind;
    match &*error.kind {
        ErrorKind::Command(command) => NO_PRIMARY.contains(&command.code),
        ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => true,
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
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
                Self::Unavailable { store, message }
            }
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // Class 57 is operator intervention (shutdown, crash, starting up), 08 connection faults, 53 exhausted resources.
                Some(code) if code.starts_with("57") || code.starts_with("08") || code.starts_with("53") => Self::Unavailable { store, message },
                // Serialization failure and deadlock.
                Some("40001" | "40P01") => Self::Transient { store, message },
                Some("23505") => Self::Duplicate(message),
                _ => Self::Broken { store, message },
            },
            _ => Self::Broken { store, message },
        }
    }
}
