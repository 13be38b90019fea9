//! State directory of the engines: one root for each user, one folder in it for each instance.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::EngineError;

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `$PVT_HOME`; else `/var/lib/pvt` for root, whose home directory the user `postgres` cannot enter; else
/// `$XDG_STATE_HOME/pvt` or `~/.local/state/pvt`.
pub(crate) fn root() -> Result<PathBuf, EngineError> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = choose_root(set("PVT_HOME"), is_root(), set("XDG_STATE_HOME"), set("HOME"))
        .ok_or_else(|| EngineError::StateDir("set PVT_HOME to a folder (HOME is not set either)".into()))?;
    std::path::absolute(&root).map_err(|source| EngineError::file("resolve", &root, source))
}

fn choose_root(
    pvt_home: Option<PathBuf>,
    is_root: bool,
    state_home: Option<PathBuf>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    pvt_home
        .or_else(|| is_root.then(|| PathBuf::from("/var/lib/pvt")))
        .or_else(|| state_home.map(|state| state.join("pvt")))
        .or_else(|| home.map(|home| home.join(".local/state/pvt")))
}

/// Creates a folder and its parents.
pub(crate) fn create_dir(path: &Path) -> Result<(), EngineError> {
    fs::create_dir_all(path).map_err(|source| EngineError::file("create", path, source))
}

/// Refuses a folder that the user of PostgreSQL cannot enter; needed when this process runs as root.
pub(crate) fn check_enterable_by_others(home: &Path) -> Result<(), EngineError> {
    const OTHERS_MAY_ENTER: u32 = 0o001;
    for folder in home.ancestors() {
        let metadata = fs::metadata(folder).map_err(|source| EngineError::file("read", folder, source))?;
        if metadata.permissions().mode() & OTHERS_MAY_ENTER == 0 {
            return Err(EngineError::StateDir(format!(
                "{} is closed to other users, and PostgreSQL refuses to run as root; set PVT_HOME to a folder that \
                user `postgres` can enter",
                folder.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pvt_home_wins_and_root_never_uses_its_own_home() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(choose_root(path("/x"), true, None, path("/root")), path("/x"));
        assert_eq!(choose_root(None, true, path("/root/state"), path("/root")), path("/var/lib/pvt"));
        assert_eq!(choose_root(None, false, path("/s"), path("/home/a")), path("/s/pvt"));
        assert_eq!(choose_root(None, false, None, path("/home/a")), path("/home/a/.local/state/pvt"));
        assert_eq!(choose_root(None, false, None, None), None);
    }
}
