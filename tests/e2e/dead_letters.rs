//! Dead letters through kills and an outage of the broker: stored once, replayed in the background, never lost.

use crate::harness::{CONSUMERS, Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder, StandaloneConsole};
use crate::outages::{PROGRESS, rabbitmqctl, with_own};
use anyhow::{Context, Result, ensure};
use pvt_testkit::console::{self, hidden_field, with_form};
use pvt_testkit::{DORM, EngineKind, booking_body, days_from_now, eventually, properties};
use reqwest::{Client, StatusCode, header, redirect};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::ready;
use std::time::{Duration, Instant};

/// For a program that waits for a broker that does not answer.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// Workers that keep what they know apart from the process that handles dead letters.
const PROCESSES: &[(&str, &[&str])] = &[("scheduler", &["scheduler"]), ("others", CONSUMERS)];

/// Sends messages that no version of `emails` can decode.
async fn send_poison(stack: &Stack, count: usize) -> Result<()> {
    for _ in 0..count {
        let (_, unknown) = properties("carrier.pigeon.v1");
        stack.broker.send("emails", unknown, b"{}").await?;
    }
    Ok(())
}

/// The stored dead letters, once there are as many that `are` so.
async fn stored(stack: &Stack, count: usize, are: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
    let all = || async {
        let listed = stack.pvt_json(&["dead", "list", "--json"]).await?;
        let listed: Vec<Value> =
            listed.as_array().context("an array")?.iter().filter(|one| are(one)).cloned().collect();
        Ok((listed.len() == count && listed.iter().all(|one| one["state"] == "dead")).then_some(listed))
    };
    eventually(&format!("{count} dead letters"), LONG_TIMEOUT, all).await
}

#[tokio::test]
async fn death_that_is_stored_before_a_kill_counts_once() -> Result<()> {
    let mut stack = StackBuilder::new().workers(PROCESSES).prepare().await?;
    stack.run(&["mail-sink", "api", "others"]).await?;
    send_poison(&stack, 3).await?;
    let dead = stack.topology.name("emails.dead");
    let died = || async { Ok((stack.broker.depths().await?.get(&dead) == Some(&3)).then_some(())) };
    eventually("three dead letters", SHORT_TIMEOUT, died).await?;
    stack.start_with_fault_point("scheduler", "after_store_before_ack").await?;
    stack.program("scheduler")?.wait_for_abort().await?;
    stack.restart("scheduler").await?;
    let collected = || async { Ok((stack.broker.depths().await?.get(&dead) == Some(&0)).then_some(())) };
    eventually("all are acknowledged", LONG_TIMEOUT, collected).await?;
    let letters = stored(&stack, 3, |_| true).await?;
    assert!(letters.iter().all(|letter| letter["deaths"] == 1 && letter["class"] == "unknown_type"), "{letters:?}");
    let groups = stack.pvt_json(&["dead", "groups", "--json"]).await?;
    assert_eq!((groups.as_array().map(Vec::len), &groups[0]["dead"]), (Some(1), &Value::from(3)), "{groups}");
    stack.end(Expectations::clean().dead("emails", 3)).await
}

#[tokio::test]
async fn replay_that_is_killed_goes_on_and_dies_again_once() -> Result<()> {
    let mut stack = StackBuilder::new().workers(PROCESSES).prepare().await?;
    stack.run(&["mail-sink", "api", "others", "scheduler"]).await?;
    send_poison(&stack, 5).await?;
    stored(&stack, 5, |letter| letter["deaths"] == 1).await?;
    stack.program("scheduler")?.stop().await?;
    let reason = ["--reason", "the cause is still there"];
    let begun = stack.pvt(&[&["dead", "replay", "--all", "--detach"], &reason[..]].concat()).await?;
    assert!(begun.status.success(), "{begun:?}");
    // The third message is in its queue, and the store does not say so.
    stack.start_with_fault_point("scheduler", "after_replay_before_record:3").await?;
    stack.program("scheduler")?.wait_for_abort().await?;
    // That one is sent again unless its death is stored by then; the second after it is recorded, and no end.
    stack.start_with_fault_point("scheduler", "after_replay_record:2").await?;
    stack.program("scheduler")?.wait_for_abort().await?;
    stack.restart("scheduler").await?;
    let letters = stored(&stack, 5, |letter| letter["new_since_replay"] == true).await?;
    let deaths: Vec<u64> = letters.iter().filter_map(|letter| letter["deaths"].as_u64()).collect();
    assert_eq!(deaths.iter().filter(|deaths| **deaths == 2).count(), 5, "{letters:?}");
    let operations = stack.pvt_json(&["dead", "operations", "--json"]).await?;
    let [operation] = operations.as_array().context("an array")?.as_slice() else {
        anyhow::bail!("one operation: {operations}")
    };
    assert_eq!((&operation["state"], &operation["replayed"]), (&Value::from("done"), &Value::from(5)), "{operation}");
    assert_eq!(operation["actor"], "operator");
    stack.end(Expectations::clean().dead("emails", 5)).await
}

/// A command that its sender has spelled wrong: put right by hand, with its original kept.
#[tokio::test]
async fn message_is_edited_and_its_body_masked() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let (id, kind) = properties("reconcile.property.v1");
    let (id, run) = (id.to_string(), "5b0a3c54-1c39-4d6e-9a0b-0d4a5a9be001");
    let body = |property: &str| {
        json!({ "run_id": run, property: "pvt-montreal", "dry_run": true, "actor": "tests", "note": "Ada Lovelace",
            "requested_at": "2027-01-01T00:00:00.000Z" })
        .to_string()
    };
    stack.broker.send("reconciliation", kind, body("property").as_bytes()).await?;
    stored(&stack, 1, |letter| letter["class"] == "invalid_body").await?;
    let shown = stack.pvt_json(&["dead", "show", &id]).await?;
    assert_eq!((&shown["body"]["run_id"], &shown["body"]["note"]), (&json!(run), &json!("masked")), "{shown}");
    let own = shown["dead_letter"].as_str().context("its own id")?;
    let by_own = stack.pvt_json(&["dead", "show", own, "--unmasked", "--reason", "by its own id"]).await?;
    assert_eq!((by_own["id"].as_str(), own == id), (Some(id.as_str()), false), "both are accepted, one is shown");
    let refused = stack.pvt(&["dead", "show", &id, "--unmasked"]).await?;
    assert_eq!(refused.status.code(), Some(2), "a reason is required: {refused:?}");
    let whole = stack.pvt_json(&["dead", "show", &id, "--unmasked", "--reason", "a test"]).await?;
    assert_eq!(whole["body"]["note"], "Ada Lovelace");
    let dry = stack.pvt(&["dead", "replay", &id, "--dry-run"]).await?;
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.status.success() && said.contains("it would die again: the body does not match"), "{said}");

    let file = stack.folder().join("fixed.json");
    let edit = async |text: &str| {
        std::fs::write(&file, text)?;
        let path = file.to_str().context("a path")?;
        stack.pvt(&["dead", "edit", &id, "--body", path, "--reason", "spelled wrong"]).await
    };
    for (wrong, why) in [(body("properties"), "could not read it"), (body("property"), "could not read it")] {
        let refused = edit(&wrong).await?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(5) && said.contains(why), "{said}");
    }
    let edited = edit(&body("property_id")).await?;
    let changed = String::from_utf8_lossy(&edited.stdout).into_owned();
    assert!(edited.status.success(), "{edited:?}");
    assert_eq!(changed.lines().collect::<Vec<_>>(), ["- /property", "+ /property_id"]);
    let shown = stack.pvt_json(&["dead", "show", &id]).await?;
    assert_eq!((&shown["body"]["property_id"], &shown["original"]["run_id"]), (&json!("pvt-montreal"), &json!(run)));
    let replayed = stack.pvt(&["dead", "replay", &id]).await?;
    assert!(replayed.status.success(), "{replayed:?}");
    let reported = || async { Ok((stack.stores.all::<Value>("reconciliations").await?.len() == 1).then_some(())) };
    eventually("the command is carried out", SHORT_TIMEOUT, reported).await?;
    let audited = stack.mongo.audit_log().list(None, None, 50).await?;
    let mut actions: Vec<&str> = audited.iter().map(|entry| entry.action.as_str()).collect();
    actions.retain(|action| action.starts_with("dead_letter."));
    let expected = ["dead_letter.replay", "dead_letter.edit", "dead_letter.unmask", "dead_letter.unmask"];
    assert_eq!(actions, expected, "the newest first");
    let of_message = audited.iter().filter(|entry| entry.subject == id).count();
    assert_eq!(of_message, 3, "its edit, and each look at it: {audited:?}");
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

/// A queue that hangs, as one that has lost the majority of its replicas: what is for others is sent, a shutdown is not
/// held up, and it gets its own once it answers.
#[tokio::test]
#[ignore = "runs a broker of its own: tests/long-journeys/run"]
async fn queue_that_does_not_answer_holds_up_nothing_else() -> Result<()> {
    const OTHERS: usize = 20;
    let (own, urls) = with_own(EngineKind::RabbitMq).await?;
    let mut stack = StackBuilder::new().on(urls).workers(PROCESSES).prepare().await?;
    stack.run(&["mail-sink", "api", "others", "scheduler"]).await?;
    send_poison(&stack, 1).await?;
    for _ in 0..OTHERS {
        stack.broker.send("reconciliation", properties("carrier.pigeon.v1").1, b"{}").await?;
    }
    stored(&stack, OTHERS + 1, |_| true).await?;
    let process = format!("whereis(list_to_atom(\"%2F_{}\"))", stack.topology.name("emails"));
    let control = async |what: &str| rabbitmqctl(&own, &["eval", &format!("sys:{what}({process}).")]).await;
    control("suspend").await?;
    let begun = stack.pvt(&["dead", "replay", "--all", "--rate", "1000", "--detach"]).await?;
    assert!(begun.status.success(), "{begun:?}");
    // Its first message is for the queue that does not answer.
    let scheduler = stack.program("scheduler")?;
    let sends = || ready(Ok(scheduler.log().contains("replaying dead letters").then_some(())));
    eventually("the replay begins", SHORT_TIMEOUT, sends).await?;
    let begun = Instant::now();
    scheduler.stop().await?;
    assert!(begun.elapsed() < SHUTDOWN_LIMIT, "while it sends: {:?}", begun.elapsed());
    stack.restart("scheduler").await?;
    let died_again = || async {
        let groups = stack.mongo.dead_letters().groups().await?;
        let again: u64 = groups.iter().map(|group| group.new_since_replay).sum();
        let operations = stack.mongo.dead_letters().list_operations(1).await?;
        let operation = operations.into_iter().next().context("an operation")?;
        Ok((again == u64::try_from(OTHERS)?).then_some(operation))
    };
    let operation = eventually("what is for the other queue was sent", SHORT_TIMEOUT, died_again).await?;
    assert_eq!((operation.remaining, operation.waits_for.as_deref()), (1, Some("the queue `emails` does not answer")));
    let begun = Instant::now();
    stack.program("scheduler")?.stop().await?;
    assert!(begun.elapsed() < SHUTDOWN_LIMIT, "while the queue is passed over: {:?}", begun.elapsed());
    control("resume").await?;
    stack.restart("scheduler").await?;
    // A message that was sent in vain may have arrived after all, under its own id; its copies have one death.
    let letters = stored(&stack, OTHERS + 1, |letter| letter["new_since_replay"] == true).await?;
    assert!(letters.iter().all(|letter| letter["deaths"] == 2), "{letters:?}");
    let ids: BTreeSet<_> = letters.iter().filter_map(|letter| letter["message_id"].as_str()).collect();
    assert_eq!(ids.len(), OTHERS + 1, "each message once: {letters:?}");
    stack.end(Expectations::clean().dead("emails", 1).dead("reconciliation", u32::try_from(OTHERS)?)).await?;
    Ok(own.close().await?)
}

/// Replays all dead letters as a page of the console offers it.
async fn begin_in_console(console: &StandaloneConsole, rate: &str) -> Result<()> {
    let http = Client::builder().redirect(redirect::Policy::none()).build()?;
    let session = console::sign_in(&http, &console.base, "op@example.com", &console.password).await?;
    let url = format!("{}/dead-letters/replay", console.base);
    let page = http.get(&url).header(header::COOKIE, &session.cookie).send().await?.text().await?;
    let names = ["csrf", "until", "count", "digest", "operation"];
    let shown = names.map(|name| Ok((name, hidden_field(&page, name)?)));
    let shown = shown.into_iter().collect::<Result<Vec<_>>>()?;
    let shown = shown.iter().map(|(name, value)| (*name, value.as_str()));
    let fields: Vec<_> = shown.chain([("rate", rate), ("reason", "the cause is gone")]).collect();
    let answer = with_form(http.post(&url).header(header::COOKIE, &session.cookie), &fields).send().await?;
    ensure!(answer.status() == StatusCode::SEE_OTHER, "{answer:?}");
    Ok(())
}

/// Requests of bookings that died for a reason that is gone: each is decided once, whatever fails meanwhile.
#[tokio::test]
async fn replay_during_a_broker_restart_and_kills_loses_and_doubles_nothing() -> Result<()> {
    const REQUESTS: u64 = 20;
    let (own, urls) = with_own(EngineKind::RabbitMq).await?;
    let mut stack = StackBuilder::new().on(urls).workers(PROCESSES).prepare().await?;
    stack.run(&["mail-sink", "api"]).await?;
    let mut accepted = Vec::new();
    for number in 0..REQUESTS {
        let body = booking_body(DORM, days_from_now(20 + number), 1, 1);
        accepted.push(stack.book(&format!("r-{number}"), &body).await?);
    }
    // As an operator would who moves them by hand: nothing has handled them.
    let partition = stack.partition_of("pvt-montreal");
    let requests = stack.broker.peek_partition(&partition).await?;
    let management = pvt_messaging::management::Management::new(stack.namespace.management_url(), "/")?;
    management.purge(&stack.topology.name(&partition)).await?;
    for request in &requests {
        let sent = pvt_testkit::BasicProperties::default()
            .with_message_id(request.id.as_str().into())
            .with_type(request.kind.as_str().into())
            .with_delivery_mode(2);
        stack.broker.send(&format!("{partition}.dead"), sent, &request.body).await?;
    }
    stack.run(&["others", "scheduler"]).await?;
    stored(&stack, requests.len(), |_| true).await?;
    let mut console = StandaloneConsole::of(&stack.namespace).await?;
    console.program.start(&[])?;
    console.program.ready(stack.client.http()).await?;
    begin_in_console(&console, "2").await?;
    let first = stack.client.wait_for_decision(&accepted[0]).await?;
    assert_eq!(first["status"], "confirmed");
    let operation = || async {
        let all = stack.mongo.dead_letters().list_operations(1).await?;
        all.into_iter().next().context("an operation")
    };
    ensure!(operation().await?.remaining > 0, "the broker restarts amid the replay, and the console is killed");
    console.program.kill9()?;
    own.engine(EngineKind::RabbitMq).restart(PROGRESS).await?;
    ensure!(operation().await?.remaining > 0, "the scheduler is killed amid the replay");
    stack.program("scheduler")?.kill9()?;
    stack.restart("scheduler").await?;
    for booked in &accepted {
        assert_eq!(stack.client.wait_for_decision(booked).await?["status"], "confirmed");
    }
    let ended = || async {
        let all = stack.mongo.dead_letters().list_operations(1).await?;
        Ok(all.into_iter().find(|operation| operation.state.has_ended()))
    };
    let ended = eventually("the replay ends", SHORT_TIMEOUT, ended).await?;
    assert_eq!((ended.replayed(), ended.kept.len()), (REQUESTS, 0));
    // Whatever the operation says: each message has made one revision, and they were handled in their order.
    let bookings = stack.stores.records().await?.bookings;
    let history: Vec<_> = bookings.iter().flat_map(|booking| &booking.history).collect();
    let mut decided = Vec::new();
    for request in &requests {
        let of_it: Vec<_> = history.iter().filter(|entry| entry.command_id.to_string() == request.id).collect();
        ensure!(of_it.len() == 1, "{} has made {} revisions", request.id, of_it.len());
        decided.extend(of_it.iter().map(|entry| entry.at));
    }
    ensure!(decided.len() == usize::try_from(REQUESTS)? && decided.is_sorted(), "{decided:?}");
    stack.end(Expectations::clean()).await?;
    Ok(own.close().await?)
}
