//! MongoDB as a replica set `pvt` of one member, because transactions need a replica set.

use std::time::Duration;

use ::mongodb::Client;
use ::mongodb::bson::{Document, doc};
use ::mongodb::error::{Error, ErrorKind};
use ::mongodb::options::{ClientOptions, ServerAddress};

use super::NativeEngine;
use crate::error::EngineError;
use crate::install::Programs;
use crate::launch::Launch;
use crate::ports::Ports;
use crate::state_dir;

const REPLICA_SET: &str = "pvt";

/// Enough for development; the default of half the memory would starve the other engines.
const CACHE_GB: &str = "1";

/// The default is 5 % of the disk.
const OPLOG_MB: &str = "1024";

/// Snapshots older than this cannot be read any more. Files of a dropped collection and of its indexes stay open for as
/// long, five minutes by default: databases of tests that come and go would use up the file descriptors of the process.
const SNAPSHOT_HISTORY_SECONDS: u32 = 5;

/// A checkpoint has to pass as well until such files are closed; the default is a minute.
const CHECKPOINT_SECONDS: u32 = 20;

/// A stopping primary waits 15 s for secondaries to catch up by default; there are none.
const SHUTDOWN_GRACE_MS: u32 = 100;

/// `replSetGetConfig` on a server that was never initiated.
const NOT_YET_INITIALIZED: i32 = 94;

const SELECTION_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn prepare(native_engine: &NativeEngine, programs: &Programs) -> Result<Launch, EngineError> {
    let data = native_engine.dir().join("data");
    state_dir::create_dir(&data)?;
    Ok(Launch::new(programs.mongod()?.to_owned(), native_engine.dir())
        .arg("--dbpath")
        .arg(data)
        .arg("--port")
        .arg(native_engine.ports.mongodb.to_string())
        .arg("--bind_ip")
        .arg("127.0.0.1")
        // A leftover socket of another user in /tmp would prevent the start.
        .arg("--nounixsocket")
        .arg("--replSet")
        .arg(REPLICA_SET)
        .arg("--wiredTigerCacheSizeGB")
        .arg(CACHE_GB)
        .arg("--oplogSize")
        .arg(OPLOG_MB)
        .arg("--syncdelay")
        .arg(CHECKPOINT_SECONDS.to_string())
        .arg("--quiet")
        .arg("--setParameter")
        .arg("diagnosticDataCollectionEnabled=false")
        .arg("--setParameter")
        .arg(format!("minSnapshotHistoryWindowInSeconds={SNAPSHOT_HISTORY_SECONDS}"))
        .arg("--setParameter")
        .arg(format!("shutdownTimeoutMillisForSignaledShutdown={SHUTDOWN_GRACE_MS}")))
}

/// Checks that the member is primary under the address of its clients; initiates or corrects the set if necessary.
pub(super) async fn probe(ports: &Ports) -> Result<(), String> {
    let client = client(ports.mongodb).map_err(|error| error.to_string())?;
    let result = ensure_primary(&client, &format!("127.0.0.1:{}", ports.mongodb)).await;
    client.shutdown().immediate(true).await;
    result
}

fn client(port: u16) -> Result<Client, Error> {
    let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(port) };
    let options = ClientOptions::builder()
        .hosts(vec![address])
        .direct_connection(true)
        .server_selection_timeout(SELECTION_TIMEOUT)
        .connect_timeout(SELECTION_TIMEOUT)
        .build();
    Client::with_options(options)
}

async fn ensure_primary(client: &Client, address: &str) -> Result<(), String> {
    let admin = client.database("admin");
    let hello = admin.run_command(doc! { "hello": 1 }).await.map_err(|error| error.to_string())?;
    let is_primary = hello.get_bool("isWritablePrimary").unwrap_or(false);
    if is_primary && hello.get_str("me").ok() == Some(address) {
        return Ok(());
    }
    let command = match admin.run_command(doc! { "replSetGetConfig": 1 }).await {
        Ok(answer) => correction(&answer, address)?,
        Err(error) if code(&error) == Some(NOT_YET_INITIALIZED) => Some(initiation(address)),
        Err(error) => return Err(error.to_string()),
    };
    if let Some(command) = command {
        admin.run_command(command).await.map_err(|error| error.to_string())?;
    }
    Err("not primary yet".into())
}

fn initiation(address: &str) -> Document {
    doc! { "replSetInitiate": { "_id": REPLICA_SET, "members": [{ "_id": 0, "host": address }] } }
}

/// A forced reconfiguration, needed when the port has changed since the initiation: the member would not find itself in
/// its set and would never be elected.
fn correction(answer: &Document, address: &str) -> Result<Option<Document>, String> {
    let unexpected = |error: ::mongodb::bson::error::Error| format!("replica set configuration: {error}");
    let mut config = answer.get_document("config").map_err(unexpected)?.clone();
    let member = config.get_array("members").map_err(unexpected)?.first().and_then(|member| member.as_document());
    if member.and_then(|member| member.get_str("host").ok()) == Some(address) {
        return Ok(None);
    }
    let version = config.get_i32("version").map_err(unexpected)?;
    config.insert("version", version + 1);
    config.insert("members", vec![doc! { "_id": 0, "host": address }]);
    Ok(Some(doc! { "replSetReconfig": config, "force": true }))
}

fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_set_is_reconfigured_only_on_address_change() {
        let answer =
            doc! { "config": { "_id": "pvt", "version": 3, "members": [{ "_id": 0, "host": "127.0.0.1:1" }] } };
        assert_eq!(correction(&answer, "127.0.0.1:1"), Ok(None));
        let command = correction(&answer, "127.0.0.1:2").unwrap().unwrap();
        let config = command.get_document("replSetReconfig").unwrap();
        assert_eq!(config.get_i32("version").unwrap(), 4);
    }
}
