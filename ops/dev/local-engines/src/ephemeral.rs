//! Ephemeral instance for one test: engines of its own, which it may kill and restart, removed at its end.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Deref;
use std::path::Path;

use crate::error::EngineError;
use crate::instance::Instance;
use crate::kind::EngineKind;
use crate::native;
use crate::ports::PortPlan;
use crate::process::ProcessIdentity;
use crate::record;
use crate::state_dir;

const PREFIX: &str = "throwaway-";

/// The record of the process that owns an ephemeral instance.
const OWNER_FILE: &str = "owner.json";

/// An instance with a unique name and free ports. Dropping it kills its engines and removes its data. Instances of
/// killed test processes are removed when the next one is opened.
#[derive(Debug)]
pub struct EphemeralInstance {
    instance: Instance,
}

impl EphemeralInstance {
    /// Creates an instance without running engines.
    ///
    /// # Errors
    /// Its folder cannot be created.
    pub fn open() -> Result<Self, EngineError> {
        let unique = RandomState::new().build_hasher().finish();
        let instance = Instance::open(&format!("{PREFIX}{unique:016x}"), PortPlan::Free)?;
        sweep(instance.root());
        state_dir::create_dir(instance.state_dir())?;
        let this = Self { instance };
        record::save(&this.state_dir().join(OWNER_FILE), &ProcessIdentity::current())?;
        Ok(this)
    }

    /// Stops its engines in an orderly way and removes its data.
    ///
    /// # Errors
    /// As [`Instance::stop`], or the data cannot be removed.
    pub async fn close(self) -> Result<(), EngineError> {
        self.instance.stop(&EngineKind::ALL).await?;
        if let Some(compose) = self.instance.containers()? {
            compose.remove().await?;
        }
        fs::remove_dir_all(self.state_dir()).map_err(|source| EngineError::file("remove", self.state_dir(), source))
    }
}

impl Deref for EphemeralInstance {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl Drop for EphemeralInstance {
    fn drop(&mut self) {
        discard(self.instance.state_dir());
    }
}

fn discard(state_dir: &Path) {
    if !state_dir.exists() {
        return;
    }
    native::kill_everything(state_dir);
    if let Err(error) = fs::remove_dir_all(state_dir) {
        tracing::warn!(state_dir = %state_dir.display(), %error, "ephemeral instance not removed");
    }
}

/// Removes instances whose owner has died without dropping them.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for state_dir in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let named = state_dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
        // An instance without an owner's record is being created at this moment.
        let owner = record::load::<Option<ProcessIdentity>>(&state_dir.join(OWNER_FILE)).ok().flatten().flatten();
        if named && owner.is_some_and(|owner| !owner.is_alive()) {
            discard(&state_dir);
        }
    }
}
