//! Installation of Debian packages without starting their system services: the engines run as private instances, and
//! services of the machine are left to its owner.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::error::EngineError;
use crate::launch::{last_lines, output_within};
use crate::progress::Progress;
use crate::state_dir;

/// For a slow connection.
const APT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Time for which apt waits for another apt, in seconds.
const LOCK_OPTION: &str = "DPkg::Lock::Timeout=300";

const POLICY_PATH: &str = "/usr/sbin/policy-rc.d";

/// 101 means "action not allowed", which package scripts accept without an error.
const POLICY: &str = "#!/bin/sh\n# Written by pvt while it installs packages; safe to delete.\nexit 101\n";

/// Whether packages can be installed: as root, on Debian or a derivative.
pub(super) fn usable() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    state_dir::is_root() && Path::new("/usr/bin/apt-get").exists() && is_debian(&release)
}

fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .any(|id| id == "debian")
}

/// Refreshes the lists and installs the packages; the output of apt goes to `install.log` under `root`.
pub(super) async fn install(packages: &[&str], root: &Path, progress: Progress<'_>) -> Result<(), EngineError> {
    let what = packages.join(" ");
    progress(&format!("installing {what} from Debian's packages (once; their system services are not started)"));
    let log = root.join("install.log");
    let guard = ServiceGuard::put(Path::new(POLICY_PATH))?;
    apt_get(&["update"], &what, &log).await?;
    let options = ["install", "-y", "--no-install-recommends", "-o", LOCK_OPTION];
    let arguments: Vec<&str> = options.iter().chain(packages).copied().collect();
    apt_get(&arguments, &what, &log).await?;
    guard.lift()
}

async fn apt_get(arguments: &[&str], what: &str, log: &Path) -> Result<(), EngineError> {
    let mut command = Command::new("/usr/bin/apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
    let output = output_within(command, &format!("apt-get {}", arguments.join(" ")), APT_TIMEOUT).await?;
    let text = [output.stdout, output.stderr].concat();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|source| EngineError::file("open", log, source))?;
    file.write_all(&text).map_err(|source| EngineError::file("write", log, source))?;
    if output.status.success() {
        return Ok(());
    }
    Err(EngineError::Install { what: what.to_owned(), detail: last_lines(&String::from_utf8_lossy(&text)) })
}

/// Keeps packages from starting services while it exists. An existing policy is left as it is.
struct ServiceGuard {
    /// The policy file, if this process created it.
    ours: Option<PathBuf>,
}

impl ServiceGuard {
    fn put(path: &Path) -> Result<Self, EngineError> {
        // A leftover of an earlier crash is recognised by its content.
        if fs::read_to_string(path).is_ok_and(|content| content == POLICY) {
            return Ok(Self { ours: Some(path.to_owned()) });
        }
        let created = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path);
        match created {
            Ok(mut file) => {
                let guard = Self { ours: Some(path.to_owned()) };
                file.write_all(POLICY.as_bytes()).map_err(|source| EngineError::file("write", path, source))?;
                Ok(guard)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { ours: None }),
            Err(source) => Err(EngineError::file("create", path, source)),
        }
    }

    fn lift(mut self) -> Result<(), EngineError> {
        let Some(path) = self.ours.take() else { return Ok(()) };
        fs::remove_file(&path).map_err(|source| EngineError::file("remove", &path, source))
    }
}

impl Drop for ServiceGuard {
    fn drop(&mut self) {
        if let Some(path) = self.ours.take()
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "temporary service policy not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_derivatives_are_recognised() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nID_LIKE=\"rhel centos\"\n"));
    }

    #[test]
    fn foreign_policy_file_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("pvt-policy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("policy-rc.d");
        drop(ServiceGuard::put(&path).unwrap());
        assert!(!path.exists());
        fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        ServiceGuard::put(&path).unwrap().lift().unwrap();
        assert!(path.exists());
        fs::write(&path, POLICY).unwrap();
        ServiceGuard::put(&path).unwrap().lift().unwrap();
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
