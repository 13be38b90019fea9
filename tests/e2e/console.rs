//! The console as shipped: the account that the command line makes signs in, and SIGTERM ends it with its open tabs.

use crate::harness::{Program, SHORT_TIMEOUT, ports, pvt};
use anyhow::{Context, Result};
use pvt_testkit::Namespace;
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Client, Response, StatusCode, redirect};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TABS: usize = 50;

fn cookie(answer: &Response) -> Result<String> {
    let set = answer.headers().get(SET_COOKIE).context("no cookie")?.to_str()?;
    Ok(set.split(';').next().unwrap_or_default().to_owned())
}

/// The cookie of a session.
pub(crate) async fn sign_in(http: &Client, base: &str, email: &str, password: &str) -> Result<String> {
    let form = http.get(format!("{base}/login")).send().await?;
    let form_cookie = cookie(&form)?;
    let page = form.text().await?;
    let csrf =
        page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).context("no form")?;
    let email = email.replace('@', "%40");
    let request = http.post(format!("{base}/login")).header(COOKIE, form_cookie);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = request.body(format!("csrf={csrf}&email={email}&password={password}&next=%2F")).send().await?;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    cookie(&answer)
}

/// A console as a process of its own, not yet started.
pub(crate) struct StandaloneConsole {
    pub(crate) program: Program,
    pub(crate) base: String,
    pub(crate) metrics: SocketAddr,
    /// Of the administrator `op@example.com`.
    pub(crate) password: String,
    pub(crate) folder: PathBuf,
}

impl StandaloneConsole {
    pub(crate) async fn of(namespace: &Namespace) -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(namespace.name());
        std::fs::create_dir_all(&folder)?;
        let (address, metrics) = (ports::free()?, ports::free()?);
        let mut environment: Vec<(String, String)> =
            namespace.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.push(("PVT_CONSOLE_ADDR".to_owned(), address.to_string()));
        environment.push(("PVT_CONSOLE_METRICS_ADDR".to_owned(), metrics.to_string()));
        let created = pvt(&["users", "create", "op@example.com", "--role", "admin"], &environment, &folder).await?;
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        let password = String::from_utf8(created.stdout)?.trim().to_owned();
        let base = format!("http://{address}");
        let program = Program::new("console", &["console"], environment, &folder, format!("{base}/readyz"));
        Ok(Self { program, base, metrics, password, folder })
    }
}

#[tokio::test]
async fn console_ends_at_once_with_its_open_tabs() -> Result<()> {
    let namespace = Namespace::new().await?;
    namespace.mongo().await?;
    let StandaloneConsole { mut program, base, metrics, password, folder } = StandaloneConsole::of(&namespace).await?;
    program.start(&[])?;
    let http = Client::builder().redirect(redirect::Policy::none()).build()?;
    program.ready(&http).await?;
    let session = sign_in(&http, &base, "op@example.com", &password).await?;
    let overview = http.get(&base).header(COOKIE, &session).send().await?;
    assert_eq!(overview.status(), StatusCode::OK);
    let details = http.get(format!("http://{metrics}/readyz?verbose")).send().await?.text().await?;
    assert!(details.contains("mongodb"), "{details}");
    let mut tabs = Vec::new();
    for _ in 0..TABS {
        let mut tab = http.get(format!("{base}/live")).header(COOKIE, &session).send().await?;
        assert!(tab.chunk().await?.is_some(), "the stream has begun");
        tabs.push(tab);
    }
    let stopped = Instant::now();
    program.stop().await?;
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}\n{}", stopped.elapsed(), program.log());
    for mut tab in tabs {
        let ended = async { while tab.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
        tokio::time::timeout(SHORT_TIMEOUT, ended).await?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
