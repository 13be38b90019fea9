//! Chromium, in which tests open the product's pages: found, or installed from Debian's packages like the engines.

use super::{apt, on_path};
use crate::error::EngineError;
use crate::lock::Lock;
use crate::progress::Progress;
use crate::state_dir;
use std::path::PathBuf;

/// Names under which distributions have it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Without a font, pages have no text.
const PACKAGES: [&str; 2] = ["chromium", "fonts-dejavu-core"];

/// The program, which is installed when it is missing.
///
/// # Errors
/// When it is missing and cannot be installed; the error says by which commands it can be.
pub async fn chromium(progress: Progress<'_>) -> Result<PathBuf, EngineError> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let root = state_dir::root()?;
    state_dir::create_dir(&root)?;
    let waiting = || progress("waiting for another process that is installing programs");
    let _lock = Lock::acquire(&root.join("install.lock"), waiting).await?;
    if let Some(found) = find() {
        return Ok(found);
    }
    if !apt::usable() {
        return Err(missing());
    }
    apt::install(&PACKAGES, &root, progress).await?;
    find().ok_or_else(missing)
}

fn find() -> Option<PathBuf> {
    NAMES.into_iter().find_map(on_path)
}

fn missing() -> EngineError {
    let packages = PACKAGES.join(" ");
    let commands = format!("  sudo apt-get update && sudo apt-get install -y --no-install-recommends {packages}");
    EngineError::NotInstalled { what: "Chromium".to_owned(), commands }
}
