//! `pvt secrets`: secrets of an installation's own, as files for settings such as `JWT_SECRET_FILE`.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use pvt_operations::terminal;
use rand::Rng as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Bytes of randomness in a secret.
const SECRET_BYTES: usize = 48;
/// The files, and what stands before the randomness in them.
const FILES: [(&str, &str); 2] = [("jwt_secret", ""), ("stripe_webhook_secret", "whsec_")];

/// Creates secrets that no one else has
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pvt secrets create /var/lib/pvt/secrets

Creates the files `jwt_secret` and `stripe_webhook_secret`, readable by their owner alone, for JWT_SECRET_FILE and
STRIPE_WEBHOOK_SECRETS_FILE. A file that exists is left as it is. For events of Stripe, replace the second one by the
signing secret that Stripe shows for the webhook endpoint.")]
pub(crate) struct Secrets {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
enum SecretsCommand {
    /// Creates the secrets that are missing in a directory
    Create {
        /// The directory; it is created if need be
        directory: PathBuf,
    },
}

impl Secrets {
    pub(crate) async fn run(self) -> Result<()> {
        let SecretsCommand::Create { directory } = self.command;
        for name in create(&directory)? {
            terminal::note(format_args!("created {}", directory.join(name).display()));
        }
        Ok(())
    }
}

/// Creates the missing files; returns their names.
fn create(directory: &Path) -> Result<Vec<&'static str>> {
    let place = || directory.display().to_string();
    DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(place)?;
    let mut created = Vec::new();
    for (name, prefix) in FILES {
        let path = directory.join(name);
        if path.try_exists().with_context(place)? {
            continue;
        }
        // Written apart and then linked: a start that is interrupted leaves no half secret, and of two starts at once
        // the second keeps what the first created.
        let draft = directory.join(format!(".{name}.{}", Uuid::new_v4()));
        let mut random = [0; SECRET_BYTES];
        rand::rng().fill_bytes(&mut random);
        let secret = random.iter().fold(prefix.to_owned(), |text, byte| format!("{text}{byte:02x}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&draft).with_context(place)?;
        writeln!(file, "{secret}").and_then(|()| file.sync_all()).with_context(place)?;
        let linked = std::fs::hard_link(&draft, &path);
        std::fs::remove_file(&draft).with_context(place)?;
        match linked {
            Ok(()) => created.push(name),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(place),
        }
    }
    Ok(created)
}

#[cfg(test)]
mod tests {
    use super::create;
    use pvt_service::Config;
    use std::os::unix::fs::MetadataExt as _;
    use uuid::Uuid;

    #[test]
    fn secrets_are_created_once_and_serve_a_public_address() {
        let directory = std::env::temp_dir().join(format!("pvt-secrets-{}", Uuid::new_v4()));
        let file = |name: &str| directory.join(name).display().to_string();
        assert_eq!(create(&directory).unwrap(), ["jwt_secret", "stripe_webhook_secret"]);
        let secret = std::fs::read_to_string(file("jwt_secret")).unwrap();
        assert_eq!(std::fs::metadata(file("jwt_secret")).unwrap().mode() & 0o777, 0o400);
        assert!(create(&directory).unwrap().is_empty(), "a second start keeps them");
        assert_eq!(std::fs::read_to_string(file("jwt_secret")).unwrap(), secret);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2, "drafts are removed");
        let config = Config::from_pairs([
            ("PVT_HTTP_ADDR", "0.0.0.0:8080".to_owned()),
            ("JWT_SECRET_FILE", file("jwt_secret")),
            ("STRIPE_WEBHOOK_SECRETS_FILE", file("stripe_webhook_secret")),
        ]);
        assert!(!config.unwrap().is_local());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
