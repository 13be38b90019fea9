//! Run record on disk: what `pvt up` has started, for the commands after it.

use anyhow::Result;
use pvt_local_engines::process::ProcessIdentity;
use pvt_local_engines::record;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A recorded process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) identity: ProcessIdentity,
    /// Its URL.
    pub(super) url: String,
    /// The parts of its health.
    #[serde(default)]
    pub(super) health_url: Option<String>,
}

/// The supervisor and its processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunRecord {
    pub(super) supervisor: ProcessIdentity,
    /// Everything was ready.
    pub(super) ready: bool,
    pub(super) processes: Vec<Process>,
    /// Settings by which other commands find this system.
    #[serde(default)]
    pub(super) settings: Vec<(String, String)>,
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("stack.json")
}

impl RunRecord {
    pub(super) fn load(state_dir: &Path) -> Result<Option<Self>> {
        Ok(record::load(&path(state_dir))?)
    }

    pub(super) fn save(&self, state_dir: &Path) -> Result<()> {
        Ok(record::save(&path(state_dir), self)?)
    }

    pub(super) fn remove(state_dir: &Path) -> Result<()> {
        Ok(record::remove(&path(state_dir))?)
    }
}
