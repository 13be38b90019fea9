//! Lock between processes, so that many test processes start the engines once.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::EngineError;

/// An installation over a slow connection is the longest operation under a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// Interval at which a waiting process tries again.
const POLL: Duration = Duration::from_millis(50);

/// A lock held until it is dropped; the operating system releases it when the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock; `on_wait` is called once if it must wait.
    pub(crate) async fn acquire(path: &Path, on_wait: impl FnOnce()) -> Result<Self, EngineError> {
        let file = open(path)?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let mut on_wait = Some(on_wait);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(EngineError::file("lock", path, source)),
            }
            if let Some(on_wait) = on_wait.take() {
                on_wait();
            }
            if Instant::now() >= deadline {
                return Err(EngineError::Locked { path: path.to_owned(), waited_s: LOCK_TIMEOUT.as_secs() });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn open(path: &Path) -> Result<File, EngineError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| EngineError::file("open", path, source))
}
