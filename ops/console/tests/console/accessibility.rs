//! Every page of the console as axe-core, which we did not write, judges it.

use super::browser::{pages, sign_in};
use super::dead_letters;
use super::harness::{HERE, Harness};
use anyhow::{Context, Result};
use chrono::Utc;
use pvt_testkit::{Chromium, SCREENS};
use serde_json::Value;

/// Lists the violations of the rules of WCAG 2.2 up to level AA that are serious or critical, each with the elements.
const VIOLATIONS: &str = "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', \
    'best-practice'] }).then(({ violations, passes }) => ({ passes: passes.length, found: violations \
        .filter(({ impact }) => impact === 'serious' || impact === 'critical') \
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' ')}`) }))";

/// What axe-core finds on the page that is open.
async fn violations(browser: &mut Chromium, axe: &str) -> Result<Vec<String>> {
    if browser.value("typeof axe").await? == "undefined" {
        browser.value(&format!("{axe}; true")).await?;
    }
    let examined = browser.value(VIOLATIONS).await?;
    anyhow::ensure!(examined["passes"].as_u64() > Some(5), "rules were applied: {examined}");
    let found = examined["found"].as_array().context("a list")?;
    Ok(found.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

#[tokio::test]
#[ignore = "needs axe-core: tests/accessibility/run"]
async fn axe_finds_no_serious_violation_on_any_page() -> Result<()> {
    let axe = std::fs::read_to_string(std::env::var("PVT_AXE").context("PVT_AXE is the path of axe.min.js")?)?;
    let harness = Harness::start().await?;
    let booking = harness.book(HERE, "confirmed", Utc::now().date_naive()).await?;
    harness.dispute(&booking).await?;
    let mut browser = Chromium::start().await?;
    let mut found = Vec::new();
    browser.open(&harness.url("/login")).await?;
    found.extend(violations(&mut browser, &axe).await?.into_iter().map(|violation| format!("sign-in: {violation}")));
    sign_in(&mut browser, &harness).await?;
    for (name, path) in pages(&booking.id.to_string()).into_iter().chain(dead_letters::pages(&harness).await?) {
        browser.open(&harness.url(&path)).await?;
        for (screen, width, height, scheme) in SCREENS {
            browser.screen(width, height, scheme).await?;
            let on_screen = violations(&mut browser, &axe).await?;
            found.extend(on_screen.into_iter().map(|violation| format!("{name} on {screen}: {violation}")));
        }
    }
    anyhow::ensure!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    Ok(())
}
