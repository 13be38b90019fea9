//! The browsers in which tests open the product's pages: found, or installed from Debian's packages like the engines.

use super::{apt, on_path};
use crate::error::EngineError;
use crate::lock::Lock;
use crate::progress::Progress;
use crate::state_dir;
use std::path::PathBuf;

struct Browser {
    name: &'static str,
    /// Names under which distributions have it.
    programs: &'static [&'static str],
    /// Without a font, pages have no text.
    packages: [&'static str; 2],
}

const CHROMIUM: Browser = Browser {
    name: "Chromium",
    programs: &["chromium", "chromium-browser", "google-chrome"],
    packages: ["chromium", "fonts-dejavu-core"],
};
const FIREFOX: Browser =
    Browser { name: "Firefox", programs: &["firefox-esr", "firefox"], packages: ["firefox-esr", "fonts-dejavu-core"] };

/// Chromium's program, which is installed when it is missing.
///
/// # Errors
/// When it is missing and cannot be installed; the error says by which commands it can be.
pub async fn chromium(progress: Progress<'_>) -> Result<PathBuf, EngineError> {
    CHROMIUM.find_or_install(progress).await
}

/// Firefox's program, which is installed when it is missing.
///
/// # Errors
/// As [`chromium`].
pub async fn firefox(progress: Progress<'_>) -> Result<PathBuf, EngineError> {
    FIREFOX.find_or_install(progress).await
}

impl Browser {
    async fn find_or_install(&self, progress: Progress<'_>) -> Result<PathBuf, EngineError> {
        if let Some(found) = self.find() {
            return Ok(found);
        }
        let root = state_dir::root()?;
        state_dir::create_dir(&root)?;
        let waiting = || progress("waiting for another process that is installing programs");
        let _lock = Lock::acquire(&root.join("install.lock"), waiting).await?;
        if let Some(found) = self.find() {
            return Ok(found);
        }
        if !apt::usable() {
            return Err(self.missing());
        }
        apt::install(&self.packages, &root, progress).await?;
        self.find().ok_or_else(|| self.missing())
    }

    fn find(&self) -> Option<PathBuf> {
        self.programs.iter().find_map(|program| on_path(program))
    }

    fn missing(&self) -> EngineError {
        let packages = self.packages.join(" ");
        let commands = format!("  sudo apt-get update && sudo apt-get install -y --no-install-recommends {packages}");
        EngineError::NotInstalled { what: self.name.to_owned(), commands }
    }
}
