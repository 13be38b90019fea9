//! RabbitMQ as a private node with its own name, ports, data, cookie and Erlang port mapper, apart from the system's
//! node.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{KILL_TIMEOUT, NativeEngine, PROBE_TIMEOUT};
use crate::error::EngineError;
use crate::install::Programs;
use crate::kind::EngineKind;
use crate::launch::Launch;
use crate::ports::Ports;
use crate::process::{ProcessIdentity, first_alive_after};
use crate::record::{self, Running};
use crate::state_dir;

/// Memory above which RabbitMQ blocks publishers; less on a small machine.
const MEMORY_LIMIT_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Share of the machine's memory that the limit may not exceed, as a divisor.
const MEMORY_SHARE_DIVISOR: u64 = 2;

/// Below this much free disk, RabbitMQ blocks publishers.
const DISK_FREE_LIMIT_BYTES: u64 = 200 * 1024 * 1024;

/// Interval of the statistics of the management API. A shorter one costs CPU for every queue and channel.
const STATISTICS_INTERVAL_MS: u32 = 5_000;

/// Quorum queues keep the content of a write-ahead file in memory; the default of 512 MB is for servers.
const WRITE_AHEAD_LIMIT_BYTES: u64 = 128 * 1024 * 1024;

/// Time for the port mapper to listen.
const MAPPER_TIMEOUT: Duration = Duration::from_secs(10);

/// No spinning schedulers and no threads bound to a core, which would take the cores from the product's processes;
/// distribution must not be reachable from other machines.
const ERLANG_ARGS: &str = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}";

/// Writes the node's configuration and starts its port mapper.
pub(super) async fn prepare(native_engine: &NativeEngine, programs: &Programs) -> Result<Launch, EngineError> {
    let dir = native_engine.dir();
    for folder in ["data", "log", "conf.d"] {
        state_dir::create_dir(&dir.join(folder))?;
    }
    write(&dir.join("rabbitmq.conf"), &configuration(&native_engine.ports))?;
    write(&dir.join("enabled_plugins"), "[rabbitmq_management].\n")?;
    // Given explicitly, so that no configuration of the system's node in /etc is read.
    write(&dir.join("advanced.config"), "[].\n")?;
    write(&dir.join("env.conf"), "")?;
    let program = programs.rabbitmq()?;
    ensure_mapper(native_engine, &program.mapper).await?;
    Ok(Launch::new(program.server.clone(), dir.clone())
        .env("HOME", &dir)
        .env("RABBITMQ_NODENAME", format!("pvt-{}@localhost", native_engine.instance))
        .env("RABBITMQ_DIST_PORT", native_engine.ports.distribution.to_string())
        .env("ERL_EPMD_PORT", native_engine.ports.mapper.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
        .env("RABBITMQ_CONFIG_FILES", dir.join("conf.d"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("advanced.config"))
        .env("RABBITMQ_CONF_ENV_FILE", dir.join("env.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", dir.join("data"))
        .env("RABBITMQ_LOG_BASE", dir.join("log"))
        .env("RABBITMQ_SCHEDULER_BIND_TYPE", "u")
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG_ARGS)
        // The script is replaced by the Erlang machine instead of supervising it, so its pid is the right one.
        .env("detached", "true"))
}

/// Connections log errors only: each health probe disconnects without a handshake, which logs a warning.
fn configuration(ports: &Ports) -> String {
    let Ports { amqp, management, .. } = ports;
    let memory = memory_limit_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {management}\n\
         management.rates_mode = basic\n\
         collect_statistics_interval = {STATISTICS_INTERVAL_MS}\n\
         vm_memory_high_watermark.absolute = {memory}\n\
         disk_free_limit.absolute = {DISK_FREE_LIMIT_BYTES}\n\
         raft.wal_max_size_bytes = {WRITE_AHEAD_LIMIT_BYTES}\n\
         log.file = false\n\
         log.console = true\n\
         log.console.use_colors = off\n\
         log.console.level = warning\n\
         log.connection.level = error\n"
    )
}

fn memory_limit_bytes(meminfo: &str) -> u64 {
    let total_kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    total_kib.map_or(MEMORY_LIMIT_BYTES, |kib| MEMORY_LIMIT_BYTES.min(kib * 1024 / MEMORY_SHARE_DIVISOR))
}

fn write(path: &Path, content: &str) -> Result<(), EngineError> {
    fs::write(path, content).map_err(|source| EngineError::file("write", path, source))
}

fn mapper_record(state_dir: &Path) -> PathBuf {
    state_dir.join("rabbitmq-mapper.json")
}

/// The Erlang port mapper of the instance, if it runs.
pub(super) fn mapper(state_dir: &Path) -> Result<Option<ProcessIdentity>, EngineError> {
    let running: Option<Running> = record::load(&mapper_record(state_dir))?;
    Ok(running.map(|running| running.process).filter(|process| process.is_alive()))
}

/// Starts the port mapper. The node would start it as a daemon that outlives it.
async fn ensure_mapper(native_engine: &NativeEngine, program: &Path) -> Result<(), EngineError> {
    let port = native_engine.ports.mapper;
    if mapper(&native_engine.state_dir)?.is_some() {
        return Ok(());
    }
    let launch = Launch::new(program.to_owned(), native_engine.dir())
        .arg("-port")
        .arg(port.to_string())
        .arg("-address")
        .arg("127.0.0.1");
    let process = launch.spawn(&native_engine.log())?;
    record::save(
        &mapper_record(&native_engine.state_dir),
        &Running { process, ports: native_engine.ports, answered: false },
    )?;
    let deadline = Instant::now() + MAPPER_TIMEOUT;
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if !process.is_alive() || Instant::now() >= deadline {
            return Err(EngineError::PortTaken { kind: EngineKind::RabbitMq, port });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Stops the port mapper of the instance.
pub(super) async fn stop_mapper(state_dir: &Path) -> Result<(), EngineError> {
    if let Some(process) = mapper(state_dir)? {
        process.signal(Signal::KILL);
        if first_alive_after(&[process], KILL_TIMEOUT).await.is_some() {
            return Err(EngineError::Undead { kind: EngineKind::RabbitMq, pid: process.pid });
        }
    }
    record::remove(&mapper_record(state_dir))
}

/// Checks that the AMQP listener speaks AMQP, the management API answers, and no alarm blocks publishers.
pub(super) async fn probe(ports: &Ports) -> Result<(), String> {
    greet(ports.amqp).await.map_err(|error| format!("AMQP: {error}"))?;
    let url = format!("http://127.0.0.1:{}/api/health/checks/local-alarms", ports.management);
    let client = reqwest::Client::builder()
        // Loopback needs no proxy of the environment.
        .no_proxy()
        .timeout(PROBE_TIMEOUT)
        .build()
        .map_err(|error| format!("management API: {error}"))?;
    let answer = client.get(url).basic_auth("guest", Some("guest")).send().await;
    let answer = answer.map_err(|error| format!("management API: {error}"))?;
    if answer.status().is_success() {
        return Ok(());
    }
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    Err(format!("management API: {status} {body}"))
}

/// Sends the protocol header and expects `connection.start`: class 10, method 10, in a method frame on channel 0.
async fn greet(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    let mut start = [0_u8; 11];
    stream.read_exact(&mut start).await?;
    if start[..3] == [1, 0, 0] && start[7..] == [0, 10, 0, 10] {
        return Ok(());
    }
    Err(std::io::Error::other("the listener does not speak AMQP 0-9-1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limit_depends_on_machine_memory() {
        assert_eq!(memory_limit_bytes("MemTotal:       24000000 kB\nMemFree: 1 kB"), MEMORY_LIMIT_BYTES);
        assert_eq!(memory_limit_bytes("MemTotal:        2000000 kB"), 1_024_000_000);
        assert_eq!(memory_limit_bytes(""), MEMORY_LIMIT_BYTES);
    }
}
