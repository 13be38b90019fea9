//! The two ways to run engines, and how one of them is chosen.

use std::env;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::EngineError;
use crate::launch::output_within;

/// How the engines of an instance are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Programs of this machine, installed when missing.
    Native,
    /// Containers, by `docker compose` and the repository's compose file.
    Containers,
}

/// A daemon that does not answer soon is taken for none.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(5);

impl Backend {
    /// What the variable `PVT_ENGINES` says, if it is set.
    pub(crate) fn from_env() -> Result<Option<Self>, EngineError> {
        match env::var("PVT_ENGINES").unwrap_or_default().as_str() {
            "" => Ok(None),
            "native" => Ok(Some(Self::Native)),
            "containers" => Ok(Some(Self::Containers)),
            other => Err(EngineError::Backend(other.to_owned())),
        }
    }

    /// Containers where Docker runs and knows `compose`, else local programs.
    pub(crate) async fn detect() -> Self {
        if answers(&["info"]).await && answers(&["compose", "version"]).await { Self::Containers } else { Self::Native }
    }
}

async fn answers(arguments: &[&str]) -> bool {
    let mut command = Command::new("docker");
    command.args(arguments);
    output_within(command, "docker", DOCKER_TIMEOUT).await.is_ok_and(|output| output.status.success())
}
