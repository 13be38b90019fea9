//! Lifecycle of real engines in ephemeral instances: started once, shared, killed, paused, restarted with their data,
//! and removed.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use pvt_local_engines::{EngineError, EngineKind, EphemeralInstance, Instance, PortPlan, Ports, Urls};
use sqlx::{Connection, PgConnection};

const DEADLINE: Duration = Duration::from_secs(20);

const COLLECTIONS: usize = 50;
const CLOSED_WITHIN: Duration = Duration::from_secs(90);

fn quiet(_: &str) {}

/// Every process whose working directory is in this folder, in which all engines are launched.
fn processes_of(state_dir: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    entries
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|folder| folder.starts_with(state_dir)))
        .map(|process| fs::read_to_string(process.join("cmdline")).unwrap_or_default())
        .collect()
}

/// Every process that is still there after a moment: an interrupted start leaves a probe of `initdb`, which ends by
/// itself.
async fn leftover_processes(state_dir: &Path) -> Vec<String> {
    let since = Instant::now();
    loop {
        let left = processes_of(state_dir);
        if left.is_empty() || since.elapsed() > Duration::from_secs(5) {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pids(instance: &Instance) -> Vec<i32> {
    let status = instance.status().await.unwrap();
    for engine in &status {
        assert!(engine.running && engine.trouble.is_none(), "{engine:?}");
    }
    status.iter().map(|engine| engine.pid.unwrap()).collect()
}

async fn postgres(urls: &Urls) -> PgConnection {
    PgConnection::connect(&urls.postgres).await.unwrap()
}

async fn write_marks(urls: &Urls) {
    let mut connection = postgres(urls).await;
    sqlx::raw_sql("CREATE TABLE mark (n int); INSERT INTO mark VALUES (7)").execute(&mut connection).await.unwrap();
    let client = mongodb::Client::with_uri_str(&urls.mongodb).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let marks = client.database("kept").collection::<Document>("mark");
    marks.insert_one(doc! { "n": 7 }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    let put = reqwest::Client::new()
        .put(format!("{}/api/queues/%2f/mark", urls.management))
        .json(&serde_json::json!({ "durable": true, "arguments": { "x-queue-type": "quorum" } }));
    assert!(put.send().await.unwrap().status().is_success());
}

async fn assert_marks(urls: &Urls) {
    let mut connection = postgres(urls).await;
    let found: i32 = sqlx::query_scalar("SELECT n FROM mark").fetch_one(&mut connection).await.unwrap();
    assert_eq!(found, 7);
    let client = mongodb::Client::with_uri_str(&urls.mongodb).await.unwrap();
    let marks = client.database("kept").collection::<Document>("mark");
    assert_eq!(marks.count_documents(doc! { "n": 7 }).await.unwrap(), 1);
    let queue = reqwest::get(format!("{}/api/queues/%2f/mark", urls.management)).await.unwrap();
    assert!(queue.status().is_success());
}

#[tokio::test]
async fn engines_are_shared_survive_sigkill_and_leave_no_process() {
    let instance = EphemeralInstance::open().unwrap();
    let state_dir = instance.state_dir().to_owned();

    // Two concurrent starts: one starts the engines, the other finds them.
    let other = Instance::open(instance.name(), PortPlan::Free).unwrap();
    let (urls, theirs) =
        tokio::join!(instance.ensure(&EngineKind::ALL, &quiet), other.ensure(&EngineKind::ALL, &quiet));
    let urls = urls.unwrap();
    assert_eq!(urls, theirs.unwrap());
    let started = pids(&instance).await;
    assert_eq!(other.ensure(&EngineKind::ALL, &quiet).await.unwrap(), urls);
    assert_eq!(pids(&other).await, started);
    write_marks(&urls).await;

    for (position, kind) in EngineKind::ALL.into_iter().enumerate() {
        let engine = instance.engine(kind);
        engine.kill9().await.unwrap();
        assert!(!instance.status().await.unwrap()[position].running);
        assert!(matches!(engine.kill9().await, Err(EngineError::NotRunning(_))));
        assert_eq!(engine.start(&quiet).await.unwrap(), urls);
    }
    let restarted = pids(&instance).await;
    assert!(restarted.iter().all(|pid| !started.contains(pid)), "{started:?} {restarted:?}");
    assert_marks(&urls).await;

    let frozen = instance.engine(EngineKind::MongoDb);
    frozen.pause().await.unwrap();
    assert!(instance.status().await.unwrap()[1].trouble.is_some());
    frozen.resume().await.unwrap();
    assert_eq!(frozen.start(&quiet).await.unwrap(), urls);
    instance.engine(EngineKind::PostgreSql).pause().await.unwrap();

    let since = Instant::now();
    instance.stop(&EngineKind::ALL).await.unwrap();
    assert!(since.elapsed() < DEADLINE, "an orderly stop, also of a frozen engine, took {:?}", since.elapsed());
    assert_eq!(processes_of(&state_dir), Vec::<String>::new());

    assert_eq!(instance.ensure(&EngineKind::ALL, &quiet).await.unwrap(), urls);
    assert_marks(&urls).await;
    assert!(processes_of(&state_dir).len() >= 4);
    drop(instance);
    assert_eq!(processes_of(&state_dir), Vec::<String>::new());
    assert!(!state_dir.exists());
}

/// Tests drop a database each. Files that stayed open for minutes made MongoDB abort for want of descriptors.
#[tokio::test]
async fn dropped_databases_leave_no_open_file() {
    let instance = EphemeralInstance::open().unwrap();
    let urls = instance.ensure(&[EngineKind::MongoDb], &quiet).await.unwrap();
    let pid = instance.status().await.unwrap().iter().find_map(|engine| engine.pid).unwrap();
    let files = || {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        open.filter_map(|file| fs::read_link(file.ok()?.path()).ok())
            .filter(|path| path.extension() == Some("wt".as_ref()))
            .count()
    };
    let before = files();
    let client = mongodb::Client::with_uri_str(&urls.mongodb).await.unwrap();
    for n in 0..COLLECTIONS {
        client.database("dropped").collection(&format!("c{n}")).insert_one(doc! {}).await.unwrap();
    }
    assert!(files() >= before + COLLECTIONS, "each collection has files");
    client.database("dropped").drop().await.unwrap();
    let since = Instant::now();
    while files() > before + COLLECTIONS / 10 {
        assert!(since.elapsed() < CLOSED_WITHIN, "{} files before, {} now", before, files());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn failed_start_reports_log_and_leaves_no_process() {
    let instance = EphemeralInstance::open().unwrap();
    let engine = [EngineKind::PostgreSql];
    instance.ensure(&engine, &quiet).await.unwrap();
    instance.stop(&engine).await.unwrap();
    fs::write(instance.state_dir().join("postgres/data/postgresql.conf"), "no_such_setting = 1\n").unwrap();
    let error = instance.ensure(&engine, &quiet).await.unwrap_err();
    assert!(matches!(error, EngineError::Start { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
    assert_eq!(processes_of(instance.state_dir()), Vec::<String>::new());
    instance.close().await.unwrap();
}

#[tokio::test]
async fn port_conflict_names_the_port() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let ports = Ports { postgres: port, ..Ports::DOCUMENTED };
    let instance = Instance::open(&format!("taken-{port}"), PortPlan::Fixed(ports)).unwrap();
    let error = instance.ensure(&[EngineKind::PostgreSql], &quiet).await.unwrap_err();
    fs::remove_dir_all(instance.state_dir()).unwrap();
    assert!(matches!(error, EngineError::PortTaken { port: named, .. } if named == port), "{error}");
}

#[tokio::test]
async fn instances_of_dead_processes_are_removed() {
    let abandoned = Instance::open(&format!("throwaway-dead-{}", std::process::id()), PortPlan::Free).unwrap();
    fs::create_dir_all(abandoned.state_dir()).unwrap();
    let engine = abandoned.engine(EngineKind::MongoDb);
    engine.start(&quiet).await.unwrap();
    // The pid exists, but belongs to a process with another start time.
    let owner = format!(r#"{{ "pid": {}, "start_ticks": 1 }}"#, std::process::id());
    fs::write(abandoned.state_dir().join("owner.json"), owner).unwrap();
    let next = EphemeralInstance::open().unwrap();
    assert!(!abandoned.state_dir().exists());
    assert_eq!(processes_of(abandoned.state_dir()), Vec::<String>::new());
    next.close().await.unwrap();
}

#[tokio::test]
async fn interrupted_start_and_forced_stop_leave_no_process() {
    let instance = EphemeralInstance::open().unwrap();
    let kinds = [EngineKind::RabbitMq, EngineKind::PostgreSql];
    // The start is interrupted as soon as both processes exist: neither has answered.
    let starting = instance.ensure(&kinds, &quiet);
    let launched = async {
        while instance.engine(EngineKind::RabbitMq).pid().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        started = starting => drop(started.unwrap()),
        () = launched => {}
    }
    let since = Instant::now();
    instance.stop(&kinds).await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(15), "a starting engine is not waited for: {:?}", since.elapsed());
    assert_eq!(leftover_processes(instance.state_dir()).await, Vec::<String>::new());

    instance.ensure(&kinds, &quiet).await.unwrap();
    instance.force_stop(&kinds).await.unwrap();
    assert_eq!(processes_of(instance.state_dir()), Vec::<String>::new());
    instance.ensure(&kinds, &quiet).await.unwrap();

    // A stopping engine is waited for and started again.
    let pid = instance.engine(EngineKind::RabbitMq).pid().unwrap().unwrap();
    let dying = pvt_local_engines::process::ProcessIdentity::of(pid).unwrap();
    assert!(dying.signal(rustix::process::Signal::TERM));
    while dying.is_alive()
        && reqwest::get(format!("{}/api/overview", instance.urls().unwrap().unwrap().management)).await.is_ok()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    instance.ensure(&kinds, &quiet).await.unwrap();
    assert_ne!(instance.engine(EngineKind::RabbitMq).pid().unwrap(), Some(pid));
    instance.close().await.unwrap();
}
