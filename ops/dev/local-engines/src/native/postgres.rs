//! PostgreSQL with a data folder of its own. It refuses to run as root, so its files and processes then belong to the
//! user `postgres`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::NativeEngine;
use crate::error::EngineError;
use crate::install::Programs;
use crate::launch::{Account, Launch};
use crate::ports::Ports;
use crate::state_dir;

/// Role and database of the product.
const NAME: &str = "pvt";

/// Only on Debian-like systems, where the package creates it.
const SYSTEM_USER: &str = "postgres";

const INITDB_TIMEOUT: Duration = Duration::from_secs(120);

/// SQLSTATE "invalid catalog name".
const NO_SUCH_DATABASE: &str = "3D000";

/// Sizes only; writes stay as safe as in production (`fsync`).
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=.",
    "max_connections=300",
    "shared_buffers=256MB",
    "fsync=on",
    "logging_collector=off",
    "log_min_messages=warning",
];

pub(super) async fn prepare(native_engine: &NativeEngine, programs: &Programs) -> Result<Launch, EngineError> {
    let bin = programs.postgres()?;
    let dir = native_engine.dir();
    let account = account()?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
        .map_err(|source| EngineError::file("protect", &dir, source))?;
    if let Some(account) = account {
        chown(&dir, Some(account.uid), Some(account.gid)).map_err(|source| EngineError::file("give", &dir, source))?;
    }
    let data = dir.join("data");
    if !data.exists() {
        create_cluster(&bin.join("initdb"), &dir, account).await?;
    }
    remove_stale_lock(&data)?;
    let port = native_engine.ports.postgres;
    let mut launch =
        Launch::new(bin.join("postgres"), dir).account(account).arg("-D").arg(data).arg("-p").arg(port.to_string());
    for setting in SETTINGS {
        launch = launch.arg("-c").arg(setting);
    }
    Ok(launch)
}

/// Creates the cluster in a folder that is renamed when complete: PostgreSQL would refuse an incomplete one.
async fn create_cluster(initdb: &Path, dir: &Path, account: Option<Account>) -> Result<(), EngineError> {
    let fresh = dir.join("data.new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(|source| EngineError::file("remove", &fresh, source))?;
    }
    Launch::new(initdb.to_owned(), dir.to_owned())
        .account(account)
        .arg("-D")
        .arg(&fresh)
        .arg(format!("--username={NAME}"))
        .arg("--auth=trust")
        .arg("--encoding=UTF8")
        .arg("--locale=C.UTF-8")
        .run(INITDB_TIMEOUT)
        .await?;
    let data = dir.join("data");
    fs::rename(&fresh, &data).map_err(|source| EngineError::file("rename", &fresh, source))
}

/// Removes the lock file of a crashed server, whose pid may belong to another process by now, which PostgreSQL would
/// take for a running server. The caller knows that the server is dead.
fn remove_stale_lock(data: &Path) -> Result<(), EngineError> {
    let lock = data.join("postmaster.pid");
    let Ok(content) = fs::read_to_string(&lock) else { return Ok(()) };
    let pid = content.lines().next().unwrap_or_default().trim().to_owned();
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if program.trim() == "postgres" {
        // Possibly a server that was started by hand on these files: PostgreSQL itself refuses then.
        return Ok(());
    }
    fs::remove_file(&lock).map_err(|source| EngineError::file("remove", &lock, source))
}

/// The user that PostgreSQL runs as: the present one (`None`), or its own when the present one is root.
fn account() -> Result<Option<Account>, EngineError> {
    if !state_dir::is_root() {
        return Ok(None);
    }
    let users = Path::new("/etc/passwd");
    let content = fs::read_to_string(users).map_err(|source| EngineError::file("read", users, source))?;
    find_account(&content).map(Some).ok_or_else(|| EngineError::NotInstalled {
        what: format!("user `{SYSTEM_USER}` (PostgreSQL refuses to run as root)"),
        commands: format!("  useradd --system --no-create-home {SYSTEM_USER}"),
    })
}

fn find_account(passwd: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [name, _, uid, gid, ..] if *name == SYSTEM_USER => {
                Some(Account { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
            }
            _ => None,
        }
    })
}

/// Checks that a query is answered in the database `pvt`, which is created if necessary.
pub(super) async fn probe(ports: &Ports) -> Result<(), String> {
    match query(ports, NAME, "SELECT 1").await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NO_SUCH_DATABASE) => {
            let created = query(ports, "postgres", "CREATE DATABASE pvt").await;
            created.map_err(|error| error.to_string())
        }
        answer => answer.map_err(|error| error.to_string()),
    }
}

async fn query(ports: &Ports, database: &str, statement: &'static str) -> Result<(), sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(ports.postgres)
        .username(NAME)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
        .disable_statement_logging();
    let mut connection = PgConnection::connect_with(&options).await?;
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    connection.close().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_is_found_by_exact_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgresql:x:9:9::/:/bin/sh\n\
            postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        let account = find_account(passwd).unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(find_account("root:x:0:0::/root:/bin/sh").is_none());
    }
}
