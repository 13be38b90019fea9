//! An instance for one test: engines of its own, which may be killed and restarted, gone when the test is over.

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

/// The record of the process that a throw-away instance belongs to.
const OWNER_FILE: &str = "owner.json";

/// An instance with a unique name and free ports. Dropping it kills its engines and removes its data; what a killed
/// test process left behind is removed when the next one is opened.
#[derive(Debug)]
pub struct EphemeralInstance {
    instance: Instance,
}

impl EphemeralInstance {
    /// Makes a fresh instance; no engine runs yet.
    ///
    /// # Errors
    /// Its home cannot be made.
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
        tracing::warn!(state_dir = %state_dir.display(), %error, "could not remove a throw-away instance");
    }
}

/// Discards instances whose owner has died without dropping them.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for state_dir in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let named = state_dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
        // Without an owner's record it is being made right now.
        let owner = record::load::<Option<ProcessIdentity>>(&state_dir.join(OWNER_FILE)).ok().flatten().flatten();
        if named && owner.is_some_and(|owner| !owner.is_alive()) {
            discard(&state_dir);
        }
    }
}
