//! State file, which keeps the state across restarts. It is written beside and renamed, so that a crash leaves the last
//! one whole.

use crate::simulation::Simulation;
use crate::state::State;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Name of the file.
const FILE: &str = "stripe.json";
/// How often changes are written.
const EVERY: Duration = Duration::from_secs(1);

/// The state of this folder, which is created if necessary; empty when there is none.
pub(crate) fn load(folder: &Path) -> Result<State> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(FILE);
    let mut state: State = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("cannot read {}", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    state.keys.forget_unanswered();
    Ok(state)
}

/// Writes the state whenever it has changed, until `stop`, and once more then.
pub(crate) async fn keep(simulation: Arc<Simulation>, folder: PathBuf, stop: CancellationToken) -> Result<()> {
    let mut written = 0;
    loop {
        let stopped = tokio::time::timeout(EVERY, stop.cancelled()).await.is_ok();
        let version = simulation.read().version;
        if version != written {
            let (simulation, folder) = (simulation.clone(), folder.clone());
            let saved = tokio::task::spawn_blocking(move || save(&simulation, &folder))
                .await
                .context("the state was not written")?;
            match saved {
                Ok(()) => written = version,
                Err(error) if stopped => return Err(error),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "state not written, trying again")
                }
            }
        }
        if stopped {
            return Ok(());
        }
    }
}

fn save(simulation: &Simulation, folder: &Path) -> Result<()> {
    let bytes = serde_json::to_vec(&*simulation.read()).context("the state cannot be encoded")?;
    let (path, beside) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
    std::fs::write(&beside, bytes).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, &path).with_context(|| format!("cannot rename to {}", path.display()))
}
