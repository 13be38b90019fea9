//! JSON records in the folder of an instance: running processes with their identity and ports.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::ports::Ports;
use crate::process::ProcessIdentity;

/// Record of a launched engine. It is kept when the engine dies, so that the next start knows its ports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    /// The engine's main process.
    pub(crate) process: ProcessIdentity,
    /// The ports of the whole instance when it was launched; only those of this engine count.
    pub(crate) ports: Ports,
    /// Whether it has answered since it was launched. True in older records, which lack it.
    #[serde(default = "answered")]
    pub(crate) answered: bool,
}

fn answered() -> bool {
    true
}

/// Reads a record; `None` when there is none.
///
/// # Errors
/// When the file cannot be read or is not such a record.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EngineError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| EngineError::Record { path: path.to_owned(), source }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EngineError::file("read", path, source)),
    }
}

/// Writes a record atomically: a reader sees the old or the new one.
///
/// # Errors
/// When the folder cannot be written.
pub fn save<T: Serialize>(path: &Path, value: &T) -> Result<(), EngineError> {
    let bytes =
        serde_json::to_vec_pretty(value).map_err(|source| EngineError::Record { path: path.to_owned(), source })?;
    let fresh = path.with_extension("json.new");
    fs::write(&fresh, bytes).map_err(|source| EngineError::file("write", &fresh, source))?;
    fs::rename(&fresh, path).map_err(|source| EngineError::file("replace", path, source))
}

/// Removes a record, if there is one.
///
/// # Errors
/// When the folder cannot be written.
pub fn remove(path: &Path) -> Result<(), EngineError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(EngineError::file("remove", path, source)),
        _ => Ok(()),
    }
}
