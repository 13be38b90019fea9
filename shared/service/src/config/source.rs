//! Sources of settings: the variable itself, the file named by `NAME_FILE`, or a secret store behind `op://`.

use super::variables::Variable;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the secret store's CLI may take for one secret: it may ask a person.
const OP_TIMEOUT: Duration = Duration::from_secs(30);
const OP_POLL: Duration = Duration::from_millis(20);
/// A file larger than this is not a secret but a mistake.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
const OP_SCHEME: &str = "op://";

/// Where a setting's value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Compiled in.
    Default,
    /// The process environment or `.env`.
    Environment,
    /// The file that `NAME_FILE` names.
    File(String),
    /// The secret store, by this reference.
    SecretStore(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {path}"),
            Self::SecretStore(reference) => f.write_str(reference),
        }
    }
}

/// The variables as set. An empty value counts as not set, as in most shells' idiom `NAME= command`.
#[derive(Debug, Default)]
pub(super) struct Source(BTreeMap<String, String>);

impl Source {
    pub(super) fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The process environment over the `.env` file of this or a parent directory. The file's faults are reported under
    /// [`super::variables::PVT_ENV`] by the caller.
    pub(super) fn process() -> Result<Self, String> {
        let mut all = BTreeMap::new();
        match dotenvy::dotenv_iter() {
            Ok(pairs) => {
                for pair in pairs {
                    let (name, value) = pair.map_err(|error| match error {
                        // The line itself may hold a secret.
                        dotenvy::Error::LineParse(_, at) => {
                            format!("a line of .env cannot be read (at character {at})")
                        }
                        other => format!(".env cannot be read: {other}"),
                    })?;
                    all.insert(name, value);
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => return Err(format!(".env cannot be read: {error}")),
        }
        // What is not UTF-8 cannot be one of ours.
        all.extend(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        Ok(Self(all))
    }

    /// Sets what is not set, directly or by a file.
    pub(super) fn fill(&mut self, defaults: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in defaults {
            if self.set(&name).is_none() && self.set(&format!("{name}_FILE")).is_none() {
                self.0.insert(name, value);
            }
        }
    }

    /// Sets these, whatever they were before.
    pub(super) fn replace(&mut self, fixed: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in fixed {
            self.0.remove(&format!("{name}_FILE"));
            self.0.insert(name, value);
        }
    }

    /// Whether the variable of this name has a value.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set(name).is_some()
    }

    fn set(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value, resolved; `None` when nothing is set.
    pub(super) fn find(&self, variable: &Variable) -> Result<Option<(String, Origin)>, String> {
        let direct = self.set(variable.name);
        if !variable.is_secret() {
            return Ok(direct.map(|value| (value.to_owned(), Origin::Environment)));
        }
        let file_name = format!("{}_FILE", variable.name);
        match (direct, self.set(&file_name)) {
            (Some(_), Some(_)) => Err(format!("both {} and {file_name} are set; keep one", variable.name)),
            (Some(reference), None) if reference.starts_with(OP_SCHEME) => {
                read_secret_store(reference).map(|value| Some((value, Origin::SecretStore(reference.to_owned()))))
            }
            (Some(value), None) => Ok(Some((value.to_owned(), Origin::Environment))),
            (None, Some(path)) => read_file(path).map(|value| Some((value, Origin::File(path.to_owned())))),
            (None, None) => Ok(None),
        }
    }
}

fn read_file(path: &str) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("the file {path} cannot be opened: {error}"))?;
    let mut text = String::new();
    file.take(MAX_SECRET_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| format!("the file {path} cannot be read: {error}"))?;
    match text.trim() {
        "" => Err(format!("the file {path} is empty")),
        value => Ok(value.to_owned()),
    }
}

/// `op read`, bounded in time. Its error text names the reference, never the secret, but is not repeated here all the
/// same.
fn read_secret_store(reference: &str) -> Result<String, String> {
    let started = Command::new("op")
        .args(["read", "--no-newline", reference])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.map_err(|error| format!("`op` cannot be run to resolve {reference}: {error}"))?;
    let deadline = Instant::now() + OP_TIMEOUT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => return Err(format!("`op read {reference}` failed ({status}); try it by hand")),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(OP_POLL),
            Ok(None) => {
                // A child that cannot be killed has ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("`op read {reference}` did not answer within {} s", OP_TIMEOUT.as_secs()));
            }
            Err(error) => return Err(format!("`op` cannot be waited for: {error}")),
        }
    }
    let mut value = String::new();
    let read = child.stdout.take().map(|out| out.take(MAX_SECRET_BYTES).read_to_string(&mut value));
    match read {
        Some(Ok(_)) if !value.trim().is_empty() => Ok(value.trim().to_owned()),
        _ => Err(format!("`op read {reference}` printed nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> impl Iterator<Item = (String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter()
    }

    #[test]
    fn fixed_settings_override_the_environment() {
        let mut source =
            Source::new(pairs([("PUBLIC_URL", "https://ours"), ("MONGODB_URI_FILE", "/a"), ("PVT_ENV", " ")]));
        source.replace(pairs([("MONGODB_URI", "mongodb://engine")]));
        source.fill(pairs([
            ("PUBLIC_URL", "http://default"),
            ("MONGODB_URI", "mongodb://default"),
            ("PVT_ENV", "development"),
        ]));
        let found = ["PUBLIC_URL", "MONGODB_URI", "MONGODB_URI_FILE", "PVT_ENV"].map(|name| source.set(name));
        assert_eq!(found, [Some("https://ours"), Some("mongodb://engine"), None, Some("development")]);
    }
}
