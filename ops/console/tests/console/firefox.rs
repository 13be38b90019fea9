//! The console in a second browser: a headless Firefox, driven by its Marionette protocol: over TCP, arrays of JSON,
//! each after its length and a colon.

use super::browser::pages;
use super::harness::{FOLLOW_LIMIT, HERE, Harness, PASSWORD};
use anyhow::{Context, Result, bail};
use chrono::Utc;
use pvt_domain::accounts::Role;
use pvt_testkit::{eventually, properties};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const JOURNEY_LIMIT: Duration = Duration::from_secs(90);
/// It listens on a port of its own choice, and whatever a page loads from elsewhere fails.
const PREFERENCES: &str = r#"
user_pref("marionette.port", 0);
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 9);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 9);
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
"#;

struct Firefox {
    _child: Child,
    connection: TcpStream,
    profile: PathBuf,
    sent: u64,
}

impl Drop for Firefox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

impl Firefox {
    /// Starts a browser, which is installed when it is missing.
    async fn start() -> Result<Self> {
        let progress = |line: &str| drop(writeln!(std::io::stderr(), "firefox: {line}"));
        let program = pvt_local_engines::firefox(&progress).await?;
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("firefox-{}", std::process::id()));
        std::fs::create_dir_all(&profile)?;
        std::fs::write(profile.join("user.js"), PREFERENCES)?;
        let mut command = Command::new(program);
        command.args(["--headless", "--marionette", "--no-remote", "--profile"]).arg(&profile).env("HOME", &profile);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn()?;
        let port = profile.join("MarionetteActivePort");
        let connect = || async {
            let Ok(port) = std::fs::read_to_string(&port) else { return Ok(None) };
            Ok(Some(TcpStream::connect(("127.0.0.1", port.trim().parse::<u16>()?)).await?))
        };
        let connection = eventually("the browser listens", ANSWER_LIMIT, connect).await?;
        let mut browser = Self { _child: child, connection, profile, sent: 0 };
        browser.receive().await?;
        browser.send("WebDriver:NewSession", json!({})).await?;
        Ok(browser)
    }

    async fn send(&mut self, command: &str, params: Value) -> Result<Value> {
        self.sent += 1;
        let message = json!([0, self.sent, command, params]).to_string();
        self.connection.write_all(format!("{}:{message}", message.len()).as_bytes()).await?;
        let answer = timeout(ANSWER_LIMIT, self.receive()).await.with_context(|| command.to_owned())??;
        match answer.as_array().map(Vec::as_slice) {
            Some([_, _, Value::Null, result]) => Ok(result.clone()),
            _ => bail!("{command}: {answer}"),
        }
    }

    async fn receive(&mut self) -> Result<Value> {
        let mut length = String::new();
        loop {
            match self.connection.read_u8().await? {
                b':' => break,
                digit => length.push(char::from(digit)),
            }
        }
        let mut bytes = vec![0; length.parse()?];
        self.connection.read_exact(&mut bytes).await?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    async fn open(&mut self, url: &str) -> Result<()> {
        self.send("WebDriver:Navigate", json!({ "url": url })).await?;
        Ok(())
    }

    /// What a script in the page returns.
    async fn value(&mut self, expression: &str) -> Result<Value> {
        let script = json!({ "script": format!("return {expression}"), "args": [] });
        Ok(self.send("WebDriver:ExecuteScript", script).await?["value"].clone())
    }

    /// Types keys into what has the focus.
    async fn press(&mut self, keys: &str) -> Result<()> {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.send("WebDriver:PerformActions", actions).await?;
        Ok(())
    }

    /// Waits until an expression has a value.
    async fn until(&mut self, expression: &str, value: &Value) -> Result<()> {
        let deadline = tokio::time::Instant::now() + FOLLOW_LIMIT;
        let mut last = Value::Null;
        while tokio::time::Instant::now() < deadline {
            last = self.value(expression).await?;
            if last == *value {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{expression} is {last}, never {value}")
    }
}

#[tokio::test]
async fn console_works_in_firefox() -> Result<()> {
    let harness = Harness::start().await?;
    let booking = harness.book(HERE, "confirmed", Utc::now().date_naive()).await?;
    let mut browser = Firefox::start().await?;
    tokio::time::timeout(JOURNEY_LIMIT, journey(&mut browser, &harness, &booking.id.to_string())).await?
}

async fn journey(browser: &mut Firefox, harness: &Harness, booking: &str) -> Result<()> {
    let user = harness.user(Role::Admin, &[]).await?;
    browser.open(&harness.url("/queues")).await?;
    browser.value("document.getElementById('email').focus()").await?;
    // Tab leads to the password, Enter sends the form.
    browser.press(&format!("{}\u{e004}{PASSWORD}\u{e007}", user.email.as_str())).await?;
    browser.until("location.pathname", &"/queues".into()).await?;
    for (name, path) in pages(booking) {
        browser.open(&harness.url(&path)).await?;
        assert_eq!(browser.value("location.pathname + location.search").await?, path);
        let widths = browser.value("[document.documentElement.scrollWidth, innerWidth]").await?;
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "{name}: {widths}");
    }
    browser.open(&harness.url("/queues")).await?;
    browser.until("document.getElementById('live-badge').textContent", &"live".into()).await?;
    let broker = pvt_testkit::Broker::connect(&harness.namespace).await?;
    broker.send("emails", properties("carrier.pigeon.v1").1, b"{}").await?;
    browser.until("document.querySelector('[data-live=\"queue.emails.ready\"]').textContent", &"1".into()).await?;
    browser.press("j").await?;
    browser.until("document.activeElement.matches('[data-row]')", &true.into()).await?;
    browser.press("/").await?;
    browser.until("document.activeElement.id", &"search".into()).await
}
