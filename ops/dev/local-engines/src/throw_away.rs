//! An instance for one test: engines of its own, which may be killed and restarted, gone when the test is over.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Deref;
use std::path::Path;

use crate::error::EngineError;
use crate::home;
use crate::instance::Instance;
use crate::kind::EngineKind;
use crate::native;
use crate::ports::PortPlan;
use crate::process::ProcessIdentity;
use crate::record;

const PREFIX: &str = "throwaway-";

/// The record of the process that a throw-away instance belongs to.
const OWNER_FILE: &str = "owner.json";

/// An instance with a unique name and free ports. Dropping it kills its engines and removes its data; what a killed
/// test process left behind is removed when the next one is opened.
#[derive(Debug)]
pub struct ThrowAway {
    instance: Instance,
}

impl ThrowAway {
    /// Makes a fresh instance; no engine runs yet.
    ///
    /// # Errors
    /// Its home cannot be made.
    pub fn open() -> Result<Self, EngineError> {
        let unique = RandomState::new().build_hasher().finish();
        let instance = Instance::open(&format!("{PREFIX}{unique:016x}"), PortPlan::Free)?;
        sweep(instance.root());
        home::create_dir(instance.home())?;
        let this = Self { instance };
        record::save(&this.home().join(OWNER_FILE), &ProcessIdentity::current())?;
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
        fs::remove_dir_all(self.home()).map_err(|source| EngineError::file("remove", self.home(), source))
    }
}

impl Deref for ThrowAway {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl Drop for ThrowAway {
    fn drop(&mut self) {
        discard(self.instance.home());
    }
}

fn discard(home: &Path) {
    if !home.exists() {
        return;
    }
    native::kill_everything(home);
    if let Err(error) = fs::remove_dir_all(home) {
        tracing::warn!(home = %home.display(), %error, "could not remove a throw-away instance");
    }
}

/// Discards instances whose owner has died without dropping them.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for home in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let named = home.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
        // Without an owner's record it is being made right now.
        let owner = record::load::<Option<ProcessIdentity>>(&home.join(OWNER_FILE)).ok().flatten().flatten();
        if named && owner.is_some_and(|owner| !owner.is_alive()) {
            discard(&home);
        }
    }
}
