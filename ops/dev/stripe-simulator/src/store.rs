//! The state in a file, so that a restart forgets nothing. Written beside and renamed: a crash leaves the last one
//! whole.

use crate::simulation::Simulation;
use crate::state::State;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The file in the folder that was named.
const FILE: &str = "stripe.json";
/// How often changes are written.
const EVERY: Duration = Duration::from_secs(1);

/// What was kept in this folder, or nothing yet. Makes the folder.
pub(crate) fn load(folder: &Path) -> Result<State> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(FILE);
    let mut state: State = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    state.keys.forget_unanswered();
    Ok(state)
}

/// Writes the state when it changed, until `stop`, and once more then.
pub(crate) async fn keep(simulation: Arc<Simulation>, folder: PathBuf, stop: CancellationToken) -> Result<()> {
    let mut written = 0;
    loop {
        let stopped = tokio::time::timeout(EVERY, stop.cancelled()).await.is_ok();
        let version = simulation.read().version;
        if version != written {
            let (simulation, folder) = (simulation.clone(), folder.clone());
            let saved =
                tokio::task::spawn_blocking(move || save(&simulation, &folder)).await.context("writing the state")?;
            match saved {
                Ok(()) => written = version,
                Err(error) if stopped => return Err(error),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the state could not be written; trying again")
                }
            }
        }
        if stopped {
            return Ok(());
        }
    }
}

fn save(simulation: &Simulation, folder: &Path) -> Result<()> {
    let bytes = serde_json::to_vec(&*simulation.read()).context("encoding the state")?;
    let (path, beside) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
    std::fs::write(&beside, bytes).with_context(|| format!("writing {}", beside.display()))?;
    std::fs::rename(&beside, &path).with_context(|| format!("renaming to {}", path.display()))
}
