//! The operator's command line, run as an operator runs it.

use crate::harness::{Expectations, SHORT_TIMEOUT, StackBuilder, VirtualHost, pvt};
use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use pvt_messaging::management::Management;
use pvt_testkit::{BasicProperties, DORM, Namespace, booking_body, days_from_now, eventually, properties};
use pvt_workers::jobs::WORKERS;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn help_shows_every_command_and_examples() -> Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let output = pvt(&["--help"], &Vec::new(), folder).await?;
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    for command in [
        "up",
        "down",
        "status",
        "doctor",
        "migrate",
        "seed",
        "topology",
        "queues",
        "dead",
        "reconcile",
        "keys",
        "users",
        "config",
        "bench",
        "api",
        "console",
        "workers",
    ] {
        assert!(
            shown.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "no {command} in\n{shown}"
        );
    }
    assert!(shown.contains("pvt dead replay"), "no examples in\n{shown}");
    let listed = text(&pvt(&["workers", "list"], &Vec::new(), folder).await?);
    assert!(WORKERS.iter().all(|worker| listed.contains(worker.name)), "not every worker is in\n{listed}");
    let wrong = pvt(&["quueues"], &Vec::new(), folder).await?;
    assert_eq!(wrong.status.code(), Some(2), "usage errors have their own exit code: {}", text(&wrong));
    Ok(())
}

#[tokio::test]
async fn migrate_and_topology_apply_prepare_empty_stores() -> Result<()> {
    let namespace = Namespace::new().await?;
    let environment = namespace.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Each of them twice: existing objects are left unchanged.
    for arguments in
        [["migrate"].as_slice(), &["migrate"], &["topology", "apply"], &["topology", "apply"], &["seed", "--days", "3"]]
    {
        let output = pvt(arguments, &environment, folder).await?;
        assert!(output.status.success(), "pvt {arguments:?}: {}", text(&output));
    }
    let diff = pvt(&["topology", "diff"], &environment, folder).await?;
    assert!(diff.status.success(), "{}", text(&diff));
    Management::new(namespace.management_url(), "/")?.delete_policies(&namespace.topology()).await?;
    let diff = pvt(&["topology", "diff"], &environment, folder).await?;
    assert_eq!(diff.status.code(), Some(5), "policies are gone: {}", text(&diff));
    assert!(!text(&diff).contains("retry."), "retry queues need none: {}", text(&diff));
    assert!(pvt(&["topology", "apply"], &environment, folder).await?.status.success());
    let shown = pvt(&["topology", "show"], &environment, folder).await?;
    let definitions: Value = serde_json::from_slice(&shown.stdout).with_context(|| text(&shown))?;
    let names = |kind: &str| -> BTreeSet<String> {
        definitions[kind]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["name"].as_str())
            .map(str::to_owned)
            .collect()
    };
    let expected = namespace.topology().queues().into_iter().map(|queue| queue.name).collect();
    assert_eq!(names("queues"), expected);
    assert!(!names("exchanges").is_empty() && !names("policies").is_empty());
    let inventory = namespace.mongo().await?.inventories().find(&"pvt-montreal".into()).await?;
    assert!(inventory.is_some(), "the demonstration property is seeded");
    Ok(())
}

/// Imports these definitions into a fresh virtual host, after which `pvt topology diff` must find nothing.
async fn check_import(namespace: &Namespace, vhost: &str, definitions: &Value) -> Result<()> {
    let host = VirtualHost::create(namespace.management_url(), vhost).await?;
    let (environment, folder) = (environment_of(namespace, vhost)?, Path::new(env!("CARGO_TARGET_TMPDIR")));
    let imported = async {
        let diff = pvt(&["topology", "diff"], &environment, folder).await?;
        ensure!(diff.status.code() == Some(5), "a fresh virtual host lacks everything: {}", text(&diff));
        host.import(definitions).await?;
        let same = || async {
            let diff = pvt(&["topology", "diff"], &environment, folder).await?;
            ensure!(diff.status.success(), "{}", text(&diff));
            Ok(Some(()))
        };
        // The broker's list of queues is some seconds old.
        eventually("the import is complete", SHORT_TIMEOUT, same).await
    };
    let imported = imported.await;
    host.delete().await?;
    imported
}

/// The settings of a command, for the default topology in this virtual host.
fn environment_of(namespace: &Namespace, vhost: &str) -> Result<Vec<(String, String)>> {
    let mut amqp_url = url::Url::parse(namespace.amqp_url())?;
    amqp_url.set_path(vhost);
    let settings = [("AMQP_URL", amqp_url.as_str()), ("RABBITMQ_MANAGEMENT_URL", namespace.management_url())];
    Ok(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
}

#[tokio::test]
async fn definitions_are_imported_by_the_broker_and_do_not_differ() -> Result<()> {
    let namespace = Namespace::new().await?;
    let vhost = namespace.topology().prefix().trim_end_matches('.').to_owned();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let exported = pvt(&["topology", "export"], &environment_of(&namespace, &vhost)?, folder).await?;
    let exported: Value = serde_json::from_slice(&exported.stdout).with_context(|| text(&exported))?;
    assert_eq!(exported["queues"][0]["vhost"], vhost);
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/rabbitmq/definitions.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(committed)?)?;
    // The file is for the default virtual host, and the broker imports it into any.
    for definitions in [&exported, &committed] {
        check_import(&namespace, &vhost, definitions).await?;
    }
    Ok(())
}

#[tokio::test]
async fn queue_depths_are_listed() -> Result<()> {
    let mut stack = StackBuilder::new().prepare().await?;
    stack.run(&["mail-sink", "api"]).await?;
    for day in 10..15 {
        stack.book(&format!("k-{day}"), &booking_body(DORM, days_from_now(day), 1, 1)).await?;
    }
    let partition = stack.topology.name(&stack.partition_of("pvt-montreal"));
    let waiting = || async {
        let queues = stack.pvt_json(&["queues", "list", "--json"]).await?;
        let queues = queues.as_array().context("an array")?.clone();
        assert_eq!(queues.len(), stack.topology.queues().len(), "one object per queue");
        let ours = queues.iter().find(|queue| queue["name"] == partition.as_str()).context("the partition's queue")?;
        Ok((ours["ready"] == 5 && ours["role"] == "work").then_some(()))
    };
    eventually("five requests are queued", SHORT_TIMEOUT, waiting).await?;
    let table = stack.pvt(&["queues", "list"]).await?;
    assert!(text(&table).contains(&partition), "{}", text(&table));
    let ahead = Utc::now() + TimeDelta::days(30);
    stack.mongo.schedules().record_fire("night_audit", ahead.into(), true, 0).await?;
    let status = stack.pvt(&["doctor"]).await?;
    assert!(text(&status).to_lowercase().contains("mongodb"), "{}", text(&status));
    let warning = "WARN   schedules: ahead of the clock of MongoDB's server: night_audit has fired until";
    assert!(text(&status).contains(warning), "{}", text(&status));
    let none = stack.pvt(&["dead", "list"]).await?;
    assert!(none.status.success() && text(&none).contains("No dead letters"), "{}", text(&none));
    stack.run(&["workers"]).await?;
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn api_keys_grant_the_access_of_their_role() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let created = stack.pvt_json(&["keys", "create", "--role", "staff", "--name", "desk", "--json"]).await?;
    let staff = format!("Bearer {}", created["key"].as_str().context("a key")?);
    let client = stack.pvt_json(&["keys", "create", "--role", "client", "--json"]).await?;
    let client = format!("Bearer {}", client["key"].as_str().context("a key")?);
    let ours = stack.book("one", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    stack.client.wait_for_decision(&ours).await?;
    let path = format!("/api/bookings/{}", ours.id);
    let get = |bearer: String| {
        let path = path.clone();
        let client = stack.client.clone();
        async move { client.send(reqwest::Method::GET, &path, &[("authorization", bearer.as_str())], None).await }
    };
    assert_eq!(get(staff.clone()).await?.text("/status"), "confirmed");
    assert_eq!(get(client).await?.status.as_u16(), 404, "a client cannot see another client's booking");
    let spoilt = format!("{}{}", &staff[..staff.len() - 1], if staff.ends_with('0') { '1' } else { '0' });
    assert_eq!(get(spoilt).await?.status.as_u16(), 401);
    let unknown = stack.pvt(&["keys", "create", "--role", "emperor"]).await?;
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown));
    let keys = stack.pvt_json(&["keys", "list", "--json"]).await?;
    let desk =
        keys.as_array().into_iter().flatten().find(|key| key["name"] == "desk").context("the key at the desk")?;
    let id = desk["id"].as_str().context("an id")?;
    assert!(desk["revoked_at"].is_null() && desk.get("hash").is_none(), "{desk}");
    let revoked = stack.pvt(&["keys", "revoke", id]).await?;
    assert!(revoked.status.success(), "{}", text(&revoked));
    let listed = stack.pvt(&["keys", "list"]).await?;
    assert!(text(&listed).lines().any(|line| line.contains(id) && line.contains("revoked")), "{}", text(&listed));
    let unknown = stack.pvt(&["keys", "revoke", "0123456789ab"]).await?;
    assert_eq!(unknown.status.code(), Some(3), "{}", text(&unknown));
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn missing_objects_have_their_own_exit_code() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).prepare().await?;
    for arguments in [
        ["dead", "show", "00000000-0000-0000-0000-00000000dead"].as_slice(),
        &["dead", "replay", "--all"],
        &["reconcile", "run", "--property", "atlantis"],
    ] {
        let output = stack.pvt(arguments).await?;
        assert_eq!(output.status.code(), Some(3), "pvt {arguments:?}: {}", text(&output));
    }
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

#[tokio::test]
async fn unreachable_services_are_reported_in_one_line() -> Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let unused = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let environment = vec![
        ("AMQP_URL".to_owned(), format!("amqp://guest:secret@{unused}/%2f")),
        ("MONGODB_URI".to_owned(), format!("mongodb://{unused}/pvt")),
        ("DATABASE_URL".to_owned(), format!("postgres://pvt@{unused}/pvt")),
    ];
    for arguments in
        [["queues", "list"].as_slice(), &["dead", "list"], &["users", "list"], &["migrate"], &["topology", "diff"]]
    {
        let output = pvt(arguments, &environment, folder).await?;
        assert_eq!(output.status.code(), Some(75), "pvt {arguments:?}: {}", text(&output));
        assert!(
            text(&output).lines().count() == 1 && text(&output).contains("is not reachable at"),
            "pvt {arguments:?}: {}",
            text(&output)
        );
    }
    let doctor = text(&pvt(&["doctor"], &environment, folder).await?);
    for what in ["pauses of queues", "maintenance"] {
        assert!(doctor.contains(&format!("WARN   {what}: unknown, MongoDB cannot be read")), "{doctor}");
    }
    Ok(())
}

#[tokio::test]
async fn discard_requires_reason() -> Result<()> {
    let mut stack = StackBuilder::new().prepare().await?;
    stack.run(&["mail-sink", "api", "workers"]).await?;
    let (id, poison) = properties("carrier.pigeon.v1");
    stack.broker.send("emails", poison, b"{}").await?;
    // Two messages that differ only in their position.
    for _ in 0..2 {
        stack.broker.send("emails", BasicProperties::default().with_type("notification.send.v1".into()), b"{}").await?;
    }
    let three = || async {
        let letters = stack.pvt_json(&["dead", "list", "--json"]).await?.as_array().context("an array")?.clone();
        Ok((letters.len() == 3).then_some(letters))
    };
    let letters = eventually("three dead letters", SHORT_TIMEOUT, three).await?;
    let nameless: BTreeSet<&str> = letters
        .iter()
        .filter(|letter| letter["message_id"].is_null())
        .filter_map(|letter| letter["id"].as_str())
        .collect();
    assert_eq!(nameless.len(), 2, "{letters:?}");
    let one = nameless.first().context("one of them")?;
    assert_eq!(stack.pvt_json(&["dead", "show", one, "--json"]).await?["id"], **one);
    let of_gone_partition = stack.pvt(&["dead", "list", "--queue", "bookings.7"]).await?;
    assert!(of_gone_partition.status.success(), "{}", text(&of_gone_partition));
    let dry = stack.pvt(&["dead", "discard", one, "--reason", "test", "--dry-run"]).await?;
    assert!(dry.status.success() && text(&dry).contains("1 would be"), "{}", text(&dry));
    let discarded = stack.pvt(&["dead", "discard", one, "--reason", "unknown sender"]).await?;
    assert!(discarded.status.success() && text(&discarded).contains("1 discarded"), "{}", text(&discarded));
    let rest = stack.pvt(&["dead", "discard", "--all", "--class", "invalid_envelope", "--reason", "the same"]).await?;
    assert!(rest.status.success() && text(&rest).contains("1 discarded"), "{}", text(&rest));
    let left = stack.pvt_json(&["dead", "list", "--json"]).await?;
    assert_eq!((left.as_array().map(Vec::len), &left[0]["id"]), (Some(1), &Value::from(id.to_string())));
    stack.end(Expectations::clean().dead("emails", 1)).await
}
