//! Container backend, by `docker compose`. Images, volumes, health checks and the initiation of the replica set are
//! left to the compose file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::error::EngineError;
use crate::kind::EngineKind;
use crate::launch::{check, output_within};
use crate::ports::Ports;

/// The repository's compose file, embedded so that an installed binary works without a checkout.
const COMPOSE_FILE: &str = include_str!("../../../../docker-compose.yml");

/// Images may have to be pulled.
const COMPOSE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The compose project of one instance.
pub(crate) struct Compose {
    file: PathBuf,
    project: String,
    ports: Ports,
}

impl Compose {
    pub(crate) fn new(instance: &str, state_dir: &Path, ports: Ports) -> Result<Self, EngineError> {
        let file = state_dir.join("docker-compose.yml");
        fs::write(&file, COMPOSE_FILE).map_err(|source| EngineError::file("write", &file, source))?;
        Ok(Self { file, project: format!("pvt-{instance}"), ports })
    }

    fn arguments(&self, verb: &[&str], kinds: &[EngineKind]) -> Vec<String> {
        let file = self.file.display().to_string();
        ["compose", "-f", &file, "-p", &self.project]
            .iter()
            .chain(verb)
            .map(ToString::to_string)
            .chain(kinds.iter().map(|kind| kind.slug().to_owned()))
            .collect()
    }

    async fn run(&self, verb: &[&str], kinds: &[EngineKind]) -> Result<String, EngineError> {
        let arguments = self.arguments(verb, kinds);
        let line = format!("docker {}", arguments.join(" "));
        let mut command = Command::new("docker");
        command.args(&arguments);
        command.env("PVT_AMQP_PORT", self.ports.amqp.to_string());
        command.env("PVT_MANAGEMENT_PORT", self.ports.management.to_string());
        command.env("PVT_MONGODB_PORT", self.ports.mongodb.to_string());
        command.env("PVT_POSTGRES_PORT", self.ports.postgres.to_string());
        let output = output_within(command, &line, COMPOSE_TIMEOUT).await?;
        check(&line, output.status, &output.stderr)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts the containers that do not run and waits for the health checks.
    pub(crate) async fn up(&self, kinds: &[EngineKind]) -> Result<(), EngineError> {
        self.run(&["up", "-d", "--wait"], kinds).await.map(drop)
    }

    /// Stops in order; the volumes stay.
    pub(crate) async fn stop(&self, kinds: &[EngineKind]) -> Result<(), EngineError> {
        self.run(&["stop", "--timeout", "30"], kinds).await.map(drop)
    }

    /// Removes the containers, the network and the volumes.
    pub(crate) async fn remove(&self) -> Result<(), EngineError> {
        self.run(&["down", "--volumes"], &[]).await.map(drop)
    }

    /// Runs `kill`, `pause` or `unpause` on one service.
    pub(crate) async fn service_command(&self, verb: &str, kind: EngineKind) -> Result<(), EngineError> {
        self.run(&[verb], &[kind]).await.map(drop)
    }

    /// The engines whose containers run.
    pub(crate) async fn running(&self) -> Result<Vec<EngineKind>, EngineError> {
        let names = self.run(&["ps", "--services", "--status", "running"], &[]).await?;
        Ok(EngineKind::ALL.into_iter().filter(|kind| names.lines().any(|name| name.trim() == kind.slug())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compose_command_names_file_project_and_services() {
        let compose = Compose { file: "/h/c.yml".into(), project: "pvt-dev".into(), ports: Ports::DOCUMENTED };
        let line = compose.arguments(&["up", "-d", "--wait"], &EngineKind::ALL).join(" ");
        assert_eq!(line, "compose -f /h/c.yml -p pvt-dev up -d --wait rabbitmq mongodb postgres");
    }

    #[test]
    fn compose_file_publishes_documented_ports() {
        for kind in EngineKind::ALL {
            assert!(COMPOSE_FILE.contains(&format!("\n  {}:\n", kind.slug())), "{kind}");
        }
        let Ports { amqp, management, mongodb, postgres, .. } = Ports::DOCUMENTED;
        for (name, port) in [("AMQP", amqp), ("MANAGEMENT", management), ("MONGODB", mongodb), ("POSTGRES", postgres)] {
            assert!(COMPOSE_FILE.contains(&format!("127.0.0.1:${{PVT_{name}_PORT:-{port}}}:")), "{name}");
        }
    }
}
