//! Poison messages: dead-lettered alone, each with its reason, and replayed once the cause is fixed.

use crate::harness::{Expectations, InProcessWorkers, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder};
use anyhow::{Context, Result};
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::EmailCommand;
use pvt_messaging::RetryDelay;
use pvt_messaging::management::Management;
use pvt_testkit::{
    BasicProperties, DORM, booking_body, days_from_now, eventually, properties, properties_that_fill_a_frame,
};
use pvt_worker_runtime::{Batch, BatchWorker, Spec};
use pvt_workers::jobs::emails::Emails;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const QUEUES: [&str; 4] = ["payments", "emails", "analytics", "reconciliation"];
const MIB: usize = 1024 * 1024;

/// A message type of this queue.
fn known_type(queue: &str) -> &'static str {
    match queue {
        "payments" => "stripe.event.v1",
        "emails" => "notification.send.v1",
        "analytics" => "booking.confirmed.v1",
        "reconciliation" => "reconcile.property.v1",
        _ => "booking.request.v1",
    }
}

/// Publishes one poison message of every kind; message ids with the expected error class.
async fn poison(stack: &Stack, queue: &str) -> Result<BTreeMap<String, &'static str>> {
    let known = known_type(queue);
    let newer = known.replace(".v1", ".v99");
    let table: [(&str, Vec<u8>, &'static str); 6] = [
        (known, b"{\"half\": ".to_vec(), "invalid_body"),
        (known, b"{}".to_vec(), "invalid_body"),
        (known, vec![0xff, 0xfe, 0x00], "invalid_body"),
        ("carrier.pigeon.v1", b"{}".to_vec(), "unknown_type"),
        (&newer, b"{}".to_vec(), "unknown_version"),
        (known, vec![b' '; MIB], "oversize"),
    ];
    let mut sent = BTreeMap::new();
    for (kind, body, class) in table {
        let (id, properties) = properties(kind);
        stack.broker.send(queue, properties, &body).await?;
        sent.insert(id.to_string(), class);
    }
    Ok(sent)
}

fn body(day: u64) -> Value {
    booking_body(DORM, days_from_now(day), 1, 1)
}

#[tokio::test]
async fn poison_messages_are_isolated_from_healthy_ones() -> Result<()> {
    let mut stack = StackBuilder::new().prepare().await?;
    stack.run(&["mail-sink", "api"]).await?;
    let partition = stack.partition_of("pvt-montreal");
    let mut expected = BTreeMap::new();
    let mut expectations = Expectations::clean();
    // Healthy messages before, between and after, so that batches contain both.
    for (turn, queue) in QUEUES.iter().copied().chain([partition.as_str()]).enumerate() {
        stack.book(&format!("neighbour-{turn}"), &body(10 + u64::try_from(turn)?)).await?;
        expected.extend(poison(&stack, queue).await?);
        stack.broker.send(queue, BasicProperties::default().with_type(known_type(queue).into()), b"{}").await?;
        expectations = expectations.dead(queue, 7);
    }
    stack.book("after", &body(20)).await?;
    stack.run(&["workers"]).await?;
    let all = || async {
        Ok((stack.pvt_json(&["dead", "list", "--json"]).await?.as_array().map_or(0, Vec::len) == 35).then_some(()))
    };
    eventually("35 dead letters", LONG_TIMEOUT, all).await?;

    let listed = stack.pvt_json(&["dead", "list", "--json"]).await?;
    let listed = listed.as_array().context("an array")?;
    let without_id = listed.iter().filter(|letter| letter["class"] == "invalid_envelope").count();
    assert_eq!(without_id, 5, "without an id nothing can be deduplicated");
    for (id, class) in &expected {
        let letter = listed
            .iter()
            .find(|letter| letter["id"] == id.as_str())
            .with_context(|| format!("{id} of {class} is missing"))?;
        assert_eq!(letter["class"], *class, "{letter}");
        assert_eq!(letter["attempt"], 1, "what can never be read is not tried again: {letter}");
        assert!(
            letter["worker"].is_string() && letter["message"].is_string() && letter["first_failed_at"].is_string(),
            "{letter}"
        );
    }
    let (id, _) = expected.iter().find(|(_, class)| **class == "unknown_version").context("one of them")?;
    let shown = stack.pvt_json(&["dead", "show", id]).await?;
    assert_eq!((&shown["id"], &shown["class"], &shown["body"]), (&json!(id), &json!("unknown_version"), &json!({})));
    let dry = stack.pvt(&["dead", "replay", "--all", "--class", "oversize", "--dry-run"]).await?;
    assert!(dry.status.success(), "{dry:?}");
    // The cause is still there: it is dead-lettered again, still alone.
    let replayed_and_dead = || async {
        let replayed = stack.pvt(&["dead", "replay", id]).await?;
        let said = String::from_utf8_lossy(&replayed.stderr).into_owned();
        // On a slow machine it may die a moment after the command has looked.
        anyhow::ensure!(replayed.status.success() && said.contains("1 replayed, 1 died again"), "{said}");
        Ok(Some(()))
    };
    eventually("the command says that it died again", LONG_TIMEOUT, replayed_and_dead).await?;
    stack.end(expectations).await
}

/// A message that no AMQP client of ours can read is isolated by the broker, and the operator can see and remove it.
#[tokio::test]
async fn message_that_cannot_be_read_stops_nothing_and_can_be_discarded() -> Result<()> {
    let mut stack = StackBuilder::new().prepare().await?;
    stack.run(&["mail-sink", "api"]).await?;
    let (before, behind) = (properties("carrier.pigeon.v1"), properties("carrier.pigeon.v1"));
    let (unreadable, full) = properties_that_fill_a_frame("notification.send.v1");
    stack.broker.send("emails.dead", before.1, b"{}").await?;
    stack.broker.send("emails", full, b"{}").await?;
    // Returned once, it cannot be read any more.
    let management = Management::new(stack.namespace.management_url(), "/")?;
    assert_eq!(management.peek(&stack.topology.name("emails"), 10).await?.len(), 1);
    stack.run(&["workers"]).await?;
    for day in 10..20 {
        let booked = stack.book(&format!("beside-{day}"), &body(day)).await?;
        stack.client.wait_for_decision(&booked).await?;
    }
    let listed = async |expected: usize| {
        let complete = || async {
            let listed = stack.pvt_json(&["dead", "list", "--json"]).await?;
            let listed = listed.as_array().context("an array")?.clone();
            Ok((listed.len() == expected).then_some(listed))
        };
        eventually(&format!("{expected} dead letters"), LONG_TIMEOUT, complete).await
    };
    listed(2).await?;
    stack.broker.send("emails.dead", behind.1, b"{}").await?;
    let letters = listed(3).await?;
    let ids = |letters: &[Value]| letters.iter().map(|letter| letter["id"].to_string()).collect::<BTreeSet<_>>();
    let [before, unreadable, behind] = [before.0, unreadable, behind.0].map(|id| id.to_string());
    assert_eq!(ids(&letters), [&before, &unreadable, &behind].map(|id| json!(id).to_string()).into());
    let shown = letters.iter().find(|letter| letter["id"] == unreadable.as_str()).context("listed")?;
    assert_eq!(shown["class"], "delivery_limit");
    assert!(shown["message"].as_str().context("a text")?.contains("larger than a frame"), "{shown}");
    assert_eq!(stack.pvt_json(&["dead", "show", &unreadable]).await?["id"], unreadable.as_str());

    let impossible = stack.pvt(&["dead", "replay", &unreadable]).await?;
    assert_eq!(impossible.status.code(), Some(75), "{impossible:?}");
    let passed = stack.pvt(&["dead", "discard", &behind, "--reason", "unknown sender"]).await?;
    assert!(passed.status.success(), "others are reached all the same: {passed:?}");
    assert_eq!(ids(&listed(2).await?), [&before, &unreadable].map(|id| json!(id).to_string()).into());
    let cleared = stack.pvt(&["dead", "discard", "--all", "--reason", "too large"]).await?;
    assert!(cleared.status.success(), "{cleared:?}");
    listed(0).await?;
    stack.end(Expectations::clean()).await
}

/// The real worker with a defect: it panics on one booking.
struct Trapped {
    emails: Emails,
    victim: BookingId,
}

impl BatchWorker for Trapped {
    const SPEC: Spec = Spec { retry_schedule: &[RetryDelay::S5, RetryDelay::S5], ..Emails::SPEC };
    type Message = EmailCommand;

    async fn handle(&self, batch: &mut Batch<EmailCommand>) -> Result<(), Failure> {
        let about = |message: &EmailCommand| match message {
            EmailCommand::Send(request) => Some(request.booking_id),
            EmailCommand::Happened(event) => Some(event.booking_id),
            EmailCommand::Paid(event) => Some(event.booking_id),
            EmailCommand::Account(_) => None,
        };
        assert!(
            !batch.items.iter().any(|job| about(&job.message) == Some(self.victim)),
            "a defect of this test's worker"
        );
        self.emails.handle(batch).await
    }
}

#[tokio::test]
async fn panic_dead_letters_one_message_and_replay_recovers_it() -> Result<()> {
    let processes: &[(&str, &[&str])] = &[("others", &["confirmations", "analytics"]), ("emails", &["emails"])];
    let mut stack = StackBuilder::new().workers(processes).prepare().await?;
    stack.run(&["mail-sink", "api", "others"]).await?;
    // All of them are in one batch, the victim in the middle.
    let mut ours = Vec::new();
    for day in 10..19 {
        ours.push(stack.book(&format!("k-{day}"), &body(day)).await?);
    }
    for booked in &ours {
        stack.client.wait_for_decision(booked).await?;
    }
    let victim = ours[4].id;
    let config = stack.config()?;
    let trapped = Trapped { emails: Emails::new(stack.mongo.clone(), &config)?, victim: BookingId::from_uuid(victim) };
    let workers = InProcessWorkers::start(&stack, |engine| engine.register_batch(trapped))?;
    eventually("the neighbours get their mails", SHORT_TIMEOUT, || async {
        Ok((stack.mailbox.all().await?.len() == 8).then_some(()))
    })
    .await?;
    let dead = || async {
        let letters = stack.broker.peek("emails.dead", 10).await?;
        Ok((!letters.is_empty()).then_some(letters))
    };
    let letters = eventually("the victim is dead-lettered", SHORT_TIMEOUT, dead).await?;
    workers.stop().await?;
    assert_eq!(letters.len(), 1, "alone");
    let header = |name: &str| letters[0].headers.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!((header("error-class"), header("worker"), header("attempt")), ("panic", "emails", "3"), "{letters:?}");
    assert!(header("error-message").contains("a defect"), "{letters:?}");
    assert_eq!(stack.mailbox.all().await?.len(), 8);

    // The fixed worker is deployed.
    stack.run(&["emails"]).await?;
    let replayed = stack.pvt(&["dead", "replay", "--queue", "emails", "--class", "panic", "--all"]).await?;
    assert!(replayed.status.success(), "{replayed:?}");
    stack.end(Expectations::clean()).await
}
