//! Durability of the mail sink: killed without warning, it keeps every mail that it acknowledged.

use crate::{client_of, count, outgoing_mails};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn start(smtp: SocketAddr, http: SocketAddr, store: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pvt"));
    command.args([
        "dev",
        "mail-sink",
        "--smtp",
        &smtp.to_string(),
        "--http",
        &http.to_string(),
        "--store",
        &store.display().to_string(),
    ]);
    let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let begun = Instant::now();
    let browser = reqwest::Client::new();
    while browser.get(format!("http://{http}/dev/mail/count")).send().await.is_err() {
        assert!(begun.elapsed() < START_DEADLINE, "the sink does not start");
        tokio::time::sleep(POLL).await;
    }
    process
}

#[tokio::test]
async fn killed_sink_keeps_every_acknowledged_mail() {
    let store = Folder(std::env::temp_dir().join(format!("pvt-sink-{}", uuid::Uuid::new_v4())));
    let (smtp, http) = (free_address(), free_address());
    let mut process = start(smtp, http, &store.0).await;
    // One client for all requests: creating one reads the trusted certificates.
    let browser = reqwest::Client::new();
    let outgoing_mails = outgoing_mails(3_000);
    let client = client_of(smtp);
    let sending = tokio::spawn(async move {
        let mut outcomes = Vec::new();
        for batch in outgoing_mails.chunks(200) {
            outcomes.extend(client.send_all(batch).await);
        }
        outcomes
    });
    // Killed in the middle of the mails.
    let begun = Instant::now();
    loop {
        let answer = browser.get(format!("http://{http}/dev/mail/count")).send().await.unwrap().text().await.unwrap();
        let accepted: serde_json::Value = serde_json::from_str(&answer).unwrap();
        if accepted["count"].as_u64().unwrap() > 500 {
            break;
        }
        assert!(begun.elapsed() < START_DEADLINE, "no mails arrive");
    }
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    let outcomes = sending.await.unwrap();
    let acknowledged = count(&outcomes, "accepted");
    assert!(acknowledged > 500 && acknowledged < 3_000, "{acknowledged}");

    let _again = start(smtp, http, &store.0).await;
    let mut kept = HashSet::new();
    let mails =
        browser.get(format!("http://{http}/dev/mail.json?limit=1")).send().await.unwrap().bytes().await.unwrap();
    let newest: serde_json::Value = serde_json::from_slice(&mails).unwrap();
    let accepted = newest[0]["n"].as_u64().unwrap();
    for n in 1..=accepted {
        let raw = browser.get(format!("http://{http}/dev/mail/{n}/raw")).send().await.unwrap().text().await.unwrap();
        kept.extend(raw.lines().find_map(|line| line.strip_prefix("Subject: for ").map(str::to_owned)));
    }
    for (number, outcome) in outcomes.iter().enumerate() {
        let to = format!("guest-{number}@example.com");
        assert!(outcome.as_str() != "accepted" || kept.contains(&to), "{to} was acknowledged and is lost");
    }
}
