//! A headless Chromium, driven by its DevTools protocol over a pipe: messages of JSON, each ended by a zero byte.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// Of looks at a page: name, width, height, colour scheme.
pub const SCREENS: [(&str, u32, u32, &str); 4] = [
    ("wide-light", 1_280, 800, "light"),
    ("wide-dark", 1_280, 800, "dark"),
    ("narrow-light", 360, 740, "light"),
    ("narrow-dark", 360, 740, "dark"),
];
/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(50);
/// Most elements that the focus passes on its way.
const MAX_TABS: usize = 120;
/// The focus can be seen: it has an outline, is on the screen, and nothing lies over it.
const IS_FOCUS_SEEN: &str = "(it => { const box = it.getClientRects()[0], style = getComputedStyle(it); \
    if (box === undefined) return false; \
    const x = box.left + Math.min(box.width / 2, 8), y = box.top + Math.min(box.height / 2, 8); \
    return style.outlineStyle !== 'none' && it.contains(document.elementFromPoint(x, y)); })(document.activeElement)";
/// The modifier of keys that are pressed together with Control.
const CONTROL: u32 = 2;
/// For one answer of the browser.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Gives the browser the file descriptors 3 and 4 that it reads commands from and writes answers to.
const START: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null"#;
const ARGUMENTS: [&str; 13] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--lang=en-US",
    // Whatever a page loads from elsewhere fails.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "about:blank",
];

/// A browser with one tab.
pub struct Chromium {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    profile: PathBuf,
    sent: u64,
    tab: Option<String>,
    /// What the tab has reported: requests, errors, loads.
    events: Vec<Value>,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

impl Chromium {
    /// Starts a browser, which is installed when it is missing.
    ///
    /// # Errors
    /// When it can be neither found nor started.
    pub async fn start() -> Result<Self> {
        let progress = |line: &str| drop(writeln!(std::io::stderr(), "chromium: {line}"));
        let program = pvt_local_engines::chromium(&progress).await?;
        let profile = target_folder()?.join("tmp").join(format!("chromium-{}", Uuid::new_v4().simple()));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", START]).arg(program).arg(format!("--user-data-dir={}", profile.display())).args(ARGUMENTS);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let input = child.stdin.take().context("no pipe to the browser")?;
        let output = BufReader::new(child.stdout.take().context("no pipe from the browser")?);
        let mut browser = Self { _child: child, input, output, profile, sent: 0, tab: None, events: Vec::new() };
        let target = browser.send("Target.createTarget", json!({ "url": "about:blank" })).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.send("Target.attachToTarget", attach).await?;
        browser.tab = Some(attached["sessionId"].as_str().context("no session")?.to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.send(&format!("{domain}.enable"), json!({})).await?;
        }
        Ok(browser)
    }

    /// Sends a command and returns its result.
    ///
    /// # Errors
    /// What the browser answers.
    pub async fn send(&mut self, method: &str, params: Value) -> Result<Value> {
        self.sent += 1;
        let id = self.sent;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(tab) = &self.tab {
            message["sessionId"] = tab.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).await?;
        loop {
            let received = self.receive().await.with_context(|| method.to_owned())?;
            if received["id"] == id {
                return match received.get("error") {
                    Some(error) => bail!("{method}: {error}"),
                    None => Ok(received["result"].clone()),
                };
            }
            self.events.push(received);
        }
    }

    async fn receive(&mut self) -> Result<Value> {
        let mut bytes = Vec::new();
        timeout(ANSWER_LIMIT, self.output.read_until(0, &mut bytes)).await??;
        if bytes.pop().is_none() {
            bail!("the browser has ended");
        }
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Does something that loads a page, and waits until it is loaded.
    ///
    /// # Errors
    /// When no page is loaded in time.
    pub async fn load(&mut self, method: &str, params: Value) -> Result<()> {
        let before = self.events.len();
        self.send(method, params).await?;
        let is_load = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().skip(before).any(is_load) {
            let event = self.receive().await.context("loading a page")?;
            self.events.push(event);
        }
        Ok(())
    }

    /// Opens an address.
    ///
    /// # Errors
    /// When the page is not loaded in time.
    pub async fn open(&mut self, url: &str) -> Result<()> {
        self.load("Page.navigate", json!({ "url": url })).await
    }

    /// The value of an expression in the page.
    ///
    /// # Errors
    /// What the page throws.
    pub async fn value(&mut self, expression: &str) -> Result<Value> {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let evaluated = self.send("Runtime.evaluate", params).await?;
        match evaluated.get("exceptionDetails") {
            Some(exception) => bail!("{expression}: {exception}"),
            None => Ok(evaluated["result"]["value"].clone()),
        }
    }

    /// Waits until an expression in the page has a value.
    ///
    /// # Errors
    /// When it has another one for so long.
    pub async fn until(&mut self, expression: &str, value: &Value, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut last = Value::Null;
        while Instant::now() < deadline {
            // Between two pages there is no document.
            last = self.value(expression).await.unwrap_or_default();
            if last == *value {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        bail!("{expression} is {last}, never {value}")
    }

    /// Presses a key by its name: `j`, `Tab`, `ArrowDown`.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn press(&mut self, key: &str) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            self.send("Input.dispatchKeyEvent", key_event(kind, key)).await?;
        }
        Ok(())
    }

    /// Presses Enter on what leads to another page, and waits until it is loaded.
    ///
    /// # Errors
    /// When no page is loaded in time.
    pub async fn enter(&mut self) -> Result<()> {
        self.load("Input.dispatchKeyEvent", key_event("keyDown", "Enter")).await?;
        self.send("Input.dispatchKeyEvent", key_event("keyUp", "Enter")).await?;
        Ok(())
    }

    /// Types into what has the focus.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn type_text(&mut self, text: &str) -> Result<()> {
        self.send("Input.insertText", json!({ "text": text })).await?;
        Ok(())
    }

    /// Presses Control and A: what is typed then replaces all that a field holds.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn select_all(&mut self) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            let mut event = key_event(kind, "a");
            event["text"] = "".into();
            event["modifiers"] = CONTROL.into();
            event["commands"] = json!(["selectAll"]);
            self.send("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Presses Tab until this is true of the focused element `it`.
    ///
    /// # Errors
    /// When the focus does not come there.
    pub async fn tab_to(&mut self, is: &str) -> Result<()> {
        for _ in 0..MAX_TABS {
            if self.value(&format!("(it => {is})(document.activeElement)")).await? == true {
                return Ok(());
            }
            self.press("Tab").await?;
        }
        bail!("the keyboard does not reach: {is}")
    }

    /// Whether a user sees which element has the focus.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn is_focus_seen(&mut self) -> Result<bool> {
        Ok(self.value(IS_FOCUS_SEEN).await? == true)
    }

    /// Signs in on the form that users see who are not signed in, by filling in its fields.
    ///
    /// # Errors
    /// When no page follows.
    pub async fn sign_in(&mut self, email: &str, password: &str) -> Result<()> {
        let fill = format!(
            "document.getElementById('email').value = {}; document.getElementById('password').value = {}; \
            document.querySelector('form').requestSubmit()",
            json!(email),
            json!(password)
        );
        self.load("Runtime.evaluate", json!({ "expression": fill })).await
    }

    /// Shows pages on a screen of this size, in this colour scheme.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn screen(&mut self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.send("Emulation.setDeviceMetricsOverride", metrics).await?;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.send("Emulation.setEmulatedMedia", features).await?;
        Ok(())
    }

    /// Looks at the page on every screen: nothing may stick out of it. Leaves screenshots.
    ///
    /// # Errors
    /// When the page is wider than a screen.
    pub async fn look(&mut self, name: &str) -> Result<()> {
        for (screen, width, height, scheme) in SCREENS {
            self.screen(width, height, scheme).await?;
            let widths = self.value("[document.documentElement.scrollWidth, innerWidth]").await?;
            ensure!(widths[0].as_u64() <= widths[1].as_u64(), "{name} on {screen}: {widths}");
            self.screenshot(&format!("{name}-{screen}")).await?;
        }
        Ok(())
    }

    /// Writes what is seen to `target/screenshots`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn screenshot(&mut self, name: &str) -> Result<()> {
        let folder = target_folder()?.join("screenshots");
        std::fs::create_dir_all(&folder)?;
        let shot = self.send("Page.captureScreenshot", json!({ "format": "png" })).await?;
        let png = STANDARD.decode(shot["data"].as_str().context("no picture")?)?;
        std::fs::write(folder.join(format!("{name}.png")), png)?;
        Ok(())
    }

    /// Errors in the console, exceptions, and requests to other places than `base`.
    pub fn complaints(&self, base: &str) -> Vec<String> {
        let complaint = |event: &Value| {
            let params = &event["params"];
            let is_bad = match event["method"].as_str()? {
                "Runtime.exceptionThrown" => true,
                "Log.entryAdded" => params["entry"]["level"] == "error",
                "Runtime.consoleAPICalled" => params["type"] == "error",
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str().unwrap_or_default();
                    // Pictures of form controls are part of the browser.
                    !url.starts_with(base) && !url.starts_with("data:") && url != "about:blank"
                }
                _ => false,
            };
            is_bad.then(|| event.to_string())
        };
        self.events.iter().filter_map(complaint).collect()
    }
}

fn key_event(kind: &str, key: &str) -> Value {
    let (code, text) = match key {
        "Enter" => (13, "\r"),
        "Tab" => (9, ""),
        "Escape" => (27, ""),
        " " => (32, " "),
        "ArrowLeft" => (37, ""),
        "ArrowUp" => (38, ""),
        "ArrowRight" => (39, ""),
        "ArrowDown" => (40, ""),
        typed => (0, typed),
    };
    // With a text, a key is typed.
    let kind = if text.is_empty() && kind == "keyDown" { "rawKeyDown" } else { kind };
    json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text })
}

/// `target`, which programs of tests are built into.
fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(3).context("a program outside of the folder of the build")?.to_owned())
}
