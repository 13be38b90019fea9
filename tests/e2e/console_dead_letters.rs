//! Dead letters in the console as an operator replays them at night: with the keyboard alone, in a browser, while the
//! console itself is restarted.

use crate::harness::{Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder, ports};
use anyhow::{Context, Result, ensure};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use pvt_stores::mongo::dead_letters::{DeadLetterFilter, DeadLetterState};
use pvt_testkit::{Chromium, eventually, properties};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use uuid::Uuid;

const COUNT: u32 = 500;
/// The whole journey in the browser.
const JOURNEY_LIMIT: Duration = Duration::from_secs(150);

/// Sends messages that no version of `emails` can decode; their ids.
async fn send_poison(stack: &Stack) -> Result<BTreeSet<Uuid>> {
    let channel = stack.broker.channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let queue = stack.topology.name("emails");
    let (mut confirms, mut ids) = (Vec::new(), BTreeSet::new());
    for _ in 0..COUNT {
        let (id, unknown) = properties("carrier.pigeon.v1");
        ids.insert(id);
        let options = BasicPublishOptions::default();
        confirms.push(channel.basic_publish("".into(), queue.as_str().into(), options, b"{}", unknown).await?);
    }
    for confirm in confirms {
        confirm.await?;
    }
    Ok(ids)
}

async fn until(browser: &mut Chromium, expression: &str, value: &Value) -> Result<()> {
    browser.until(expression, value, SHORT_TIMEOUT).await
}

#[tokio::test]
async fn replay_of_many_is_followed_by_keyboard_and_survives_the_console() -> Result<()> {
    let mut stack = StackBuilder::new().prepare().await?;
    let (address, metrics) = (ports::free()?, ports::free()?);
    let base = format!("http://{address}");
    let settings = [("PVT_CONSOLE_ADDR", address.to_string()), ("PVT_CONSOLE_METRICS_ADDR", metrics.to_string())];
    stack.add("console", &["console"], &settings, format!("{base}/readyz"));
    stack.run(&["mail-sink", "api", "workers", "console"]).await?;
    let created = stack.pvt(&["users", "create", "op@example.com", "--role", "admin"]).await?;
    ensure!(created.status.success(), "{created:?}");
    let password = String::from_utf8(created.stdout)?.trim().to_owned();
    let sent = send_poison(&stack).await?;
    let stored = || async {
        let count = stack.mongo.dead_letters().count_by_queue().await?.get("emails").copied();
        Ok((count == Some(u64::from(COUNT))).then_some(()))
    };
    eventually("all are stored", LONG_TIMEOUT, stored).await?;
    let mut browser = Chromium::start().await?;
    tokio::time::timeout(JOURNEY_LIMIT, journey(&mut browser, &mut stack, &base, &password)).await??;
    let again = || async {
        let groups = stack.mongo.dead_letters().groups().await?;
        Ok((groups.first().map(|group| group.new_since_replay) == Some(u64::from(COUNT))).then_some(()))
    };
    eventually("the cause was still there", SHORT_TIMEOUT, again).await?;
    let operations = stack.mongo.dead_letters().list_operations(5).await?;
    let [operation] = operations.as_slice() else { anyhow::bail!("one operation: {operations:?}") };
    assert_eq!((operation.replayed(), operation.remaining, operation.kept.len()), (500, 0, 0), "{operation:?}");
    // Whatever it says of itself: each message was sent once more, and has died twice.
    let letters = stack.mongo.dead_letters().list(&DeadLetterFilter::default(), &DeadLetterState::ALL, 0, 0).await?;
    assert_eq!(letters.iter().map(|letter| letter.message_id).collect::<BTreeSet<_>>(), sent);
    let are_twice_dead = letters.iter().all(|letter| (letter.deaths, letter.replays.len()) == (2, 1));
    assert!(letters.len() == sent.len() && are_twice_dead, "{letters:?}");
    assert!(operation.actor.as_str().starts_with("staff:") && operation.reason == "tried by keyboard");
    stack.end(Expectations::clean().dead("emails", COUNT)).await
}

async fn journey(browser: &mut Chromium, stack: &mut Stack, base: &str, password: &str) -> Result<()> {
    browser.screen(1_280, 800, "light").await?;
    browser.open(&format!("{base}/dead-letters")).await?;
    browser.type_text("op@example.com").await?;
    browser.press("Tab").await?;
    browser.type_text(password).await?;
    browser.enter().await?;
    until(browser, "location.pathname", &"/dead-letters".into()).await?;

    // A group, one of its rows, and back to all of them.
    browser.press("j").await?;
    browser.enter().await?;
    until(browser, "location.pathname.startsWith('/dead-letters/groups/')", &true.into()).await?;
    browser.press("j").await?;
    browser.press("x").await?;
    assert_eq!(browser.value("document.querySelectorAll('[data-row] input:checked').length").await?, 1);
    browser.look("dead-letters-group").await?;
    browser.open(&format!("{base}/dead-letters")).await?;
    browser.look("dead-letters-groups").await?;
    browser.tab_to("it.textContent.startsWith('Replay all 500')").await?;
    browser.enter().await?;
    assert_eq!(browser.value("location.pathname").await?, "/dead-letters/replay");
    assert!(browser.value("document.body.textContent.includes('500 would die again')").await? == true);
    browser.look("dead-letters-replay").await?;
    browser.tab_to("it.id === 'reason'").await?;
    browser.type_text("tried by keyboard").await?;
    browser.enter().await?;
    until(browser, "location.pathname.startsWith('/dead-letters/operations/')", &true.into()).await?;

    // Without loading the page again it shows how the replay goes on, also by another process of the console.
    browser.value("window.isSamePage = true").await?;
    let sent = "Number(document.querySelector('progress').value)";
    let mut seen = Vec::new();
    let deadline = Instant::now() + SHORT_TIMEOUT;
    while seen.len() < 3 {
        ensure!(Instant::now() < deadline, "the progress is not shown: {seen:?}");
        let now = browser.value(sent).await?.as_u64().context("a number")?;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        sleep(Duration::from_millis(50)).await;
    }
    ensure!(seen.is_sorted() && seen.iter().any(|sent| (1..500).contains(sent)), "{seen:?}");
    assert_eq!(browser.complaints(base), Vec::<String>::new());
    browser.look("dead-letters-progress").await?;
    stack.program("console")?.kill9()?;
    until(browser, "document.getElementById('live-badge').dataset.state", &"stale".into()).await?;
    stack.restart("console").await?;
    until(browser, "document.getElementById('state').textContent", &"done".into()).await?;
    until(browser, sent, &500.into()).await?;
    let words = "document.body.textContent.includes('500 have died again: the cause is still there.')";
    until(browser, words, &true.into()).await?;
    assert_eq!(browser.value("window.isSamePage").await?, true);
    Ok(())
}
