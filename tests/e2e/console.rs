//! The console as shipped: the account that the command line makes signs in, and SIGTERM ends it with its open tabs.

use crate::harness::{SHORT_TIMEOUT, StandaloneConsole};
use anyhow::Result;
use pvt_testkit::Namespace;
use pvt_testkit::console::sign_in;
use reqwest::header::COOKIE;
use reqwest::{Client, StatusCode, redirect};
use std::time::{Duration, Instant};

const TABS: usize = 50;

#[tokio::test]
async fn console_ends_at_once_with_its_open_tabs() -> Result<()> {
    let namespace = Namespace::new().await?;
    namespace.mongo().await?;
    let StandaloneConsole { mut program, base, metrics, password, folder } = StandaloneConsole::of(&namespace).await?;
    program.start(&[])?;
    let http = Client::builder().redirect(redirect::Policy::none()).build()?;
    program.ready(&http).await?;
    let session = sign_in(&http, &base, "op@example.com", &password).await?.cookie;
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
