//! Settings of the system that a command is about.

use crate::reachability::{self, Dependency};
use anyhow::Result;
use pvt_service::config::Config;

/// The settings of the environment, over those of a `pvt up` that runs on this machine.
pub(crate) fn load() -> Result<Config> {
    #[cfg(feature = "dev")]
    let config = Config::from_env_over(pvt_supervisor::running_settings()?)?;
    #[cfg(not(feature = "dev"))]
    let config = Config::from_env()?;
    Ok(config)
}

/// The settings, once everything that the command depends on accepts connections.
pub(crate) async fn ready(dependencies: &[Dependency]) -> Result<Config> {
    let config = load()?;
    reachability::check(&config, dependencies).await?;
    Ok(config)
}
