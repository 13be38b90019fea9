//! Backend of an instance: local programs or containers, and the choice between them.

use std::env;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::EngineError;
use crate::launch::output_within;

/// The backend that runs the engines of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Programs of this machine, installed when missing.
    Native,
    /// Containers, by `docker compose` and the repository's compose file.
    Containers,
}

/// A daemon that does not answer in this time counts as absent.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(5);

impl Backend {
    /// The backend of the variable `PVT_ENGINES`, if it is set.
    pub(crate) fn from_env() -> Result<Option<Self>, EngineError> {
        match env::var("PVT_ENGINES").unwrap_or_default().as_str() {
            "" => Ok(None),
            "native" => Ok(Some(Self::Native)),
            "containers" => Ok(Some(Self::Containers)),
            other => Err(EngineError::Backend(other.to_owned())),
        }
    }

    /// Containers where Docker runs with `compose`, else local programs.
    pub(crate) async fn detect() -> Self {
        if answers(&["info"]).await && answers(&["compose", "version"]).await { Self::Containers } else { Self::Native }
    }
}

async fn answers(arguments: &[&str]) -> bool {
    let mut command = Command::new("docker");
    command.args(arguments);
    output_within(command, "docker", DOCKER_TIMEOUT).await.is_ok_and(|output| output.status.success())
}
