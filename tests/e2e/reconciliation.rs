//! Reconciliation: mismatches between stores are detected, reported, and repaired where that is safe.

use crate::harness::{Expectations, InProcessWorkers, Stack, StackBuilder};
use anyhow::{Context, Result};
use pvt_stores::mart::Mart;
use pvt_testkit::{DORM, booking_body, days_from_now, doc, eventually};
use pvt_workers::clock;
use pvt_workers::jobs::reconciliation::Reconciliation;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Runs the command and returns its single report.
async fn run(stack: &Stack, arguments: &[&str]) -> Result<Value> {
    let mut all = vec!["reconcile", "run", "--json", "--property", "pvt-montreal"];
    all.extend(arguments);
    let reports = stack.pvt_json(&all).await?;
    Ok(reports.as_array().and_then(|reports| reports.first()).context("one report")?.clone())
}

/// Number of findings by kind, and of repaired ones.
fn tally(report: &Value) -> (BTreeMap<String, usize>, u64) {
    let mut kinds = BTreeMap::new();
    for finding in report["findings"].as_array().into_iter().flatten() {
        *kinds.entry(finding["kind"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    (kinds, report["repaired"].as_u64().unwrap_or_default())
}

fn expected(kinds: &[(&str, usize)]) -> BTreeMap<String, usize> {
    kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

#[tokio::test]
async fn mismatches_are_detected_reported_and_repaired() -> Result<()> {
    let stack = StackBuilder::new().workers(&[("others", &["confirmations", "emails", "analytics"])]).start().await?;
    let mart = Mart::connect(&stack.namespace.database_url(), "tests")?;
    let worker = Reconciliation::new(stack.mongo.clone(), mart.clone(), &stack.namespace.topology(), clock::system)
        .with_grace(Duration::ZERO);
    let crew = InProcessWorkers::start(&stack, |engine| engine.register(worker))?;
    let mut ours = Vec::new();
    for day in 10..16 {
        ours.push(stack.book(&format!("k-{day}"), &booking_body(DORM, days_from_now(day), 2, 1)).await?);
    }
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    let clean = run(&stack, &[]).await?;
    assert_eq!(tally(&clean), (BTreeMap::new(), 0), "nothing is found where nothing is wrong: {clean}");

    // An orphan claim, a missing claim, a claim of the wrong booking, and a booking whose events never reached the
    // mart.
    let claims = stack.stores.records().await?.claims;
    let of = |booked: usize| {
        claims.iter().filter(|claim| claim.booking == ours[booked].id.to_string()).cloned().collect::<Vec<_>>()
    };
    let ghost = "11111111-2222-5333-8444-555555555555";
    stack
        .stores
        .insert("claims", doc! { "_id": format!("pvt-montreal|d6b-6|{}", days_from_now(100)), "booking": ghost })
        .await?;
    let (lost, stolen) = (&of(0)[0].key, &of(1)[1].key);
    assert_eq!(stack.stores.delete("claims", lost).await?, 1);
    assert_eq!(stack.stores.delete("claims", stolen).await?, 1);
    stack.stores.insert("claims", doc! { "_id": stolen, "booking": ours[2].id.to_string() }).await?;
    stack.stores.delete_from_mart(ours[3].id).await?;

    let drift = expected(&[("orphan_claim", 2), ("missing_claim", 2), ("event_missing", 1)]);
    let before = stack.stores.records().await?;
    let dry = run(&stack, &["--dry-run"]).await?;
    assert_eq!(tally(&dry), (drift.clone(), 0), "{dry}");
    let after = stack.stores.records().await?;
    assert_eq!(
        (before.claims.len(), before.mart_events.len()),
        (after.claims.len(), after.mart_events.len()),
        "a dry run changes nothing"
    );

    let report = run(&stack, &[]).await?;
    assert_eq!(tally(&report), (drift, 5), "{report}");
    let audit: Vec<Value> = stack.stores.all("audit").await?;
    assert_eq!(audit.len(), 5, "one row a repair: {audit:?}");
    assert!(audit.iter().all(|row| row["cause"] == report["_id"] || row["cause"] == report["run_id"]), "{audit:?}");
    eventually("the mart has caught up", crate::harness::SHORT_TIMEOUT, || async {
        let records = stack.stores.records().await?;
        Ok((records.mart_bookings.len() == ours.len()).then_some(()))
    })
    .await?;
    let clean = run(&stack, &[]).await?;
    assert_eq!(tally(&clean), (BTreeMap::new(), 0), "{clean}");
    crew.stop().await?;
    mart.close().await;
    stack.end(expectations).await
}

#[tokio::test]
async fn findings_that_need_staff_are_not_repaired() -> Result<()> {
    let stack = StackBuilder::new()
        .workers(&[("others", &["confirmations", "emails", "analytics", "reconciliation"])])
        .start()
        .await?;
    let ours = stack.book("one", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    let theirs = stack.book("two", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    for booked in [&ours, &theirs] {
        stack.client.wait_for_decision(booked).await?;
    }
    // Both get the same bed, which no writer of the product can do.
    let bed = stack.client.wait_for_decision(&ours).await?["stays"][0]["assigned_beds"][0]
        .as_str()
        .context("a bed")?
        .to_owned();
    stack.stores.set("bookings", &theirs.id.to_string(), doc! { "stays.0.assigned_beds": [&bed] }).await?;
    let report = run(&stack, &[]).await?;
    let (kinds, repaired) = tally(&report);
    assert_eq!((kinds.get("conflict"), kinds.get("orphan_claim")), (Some(&1), Some(&1)), "{report}");
    assert_eq!(repaired, 1, "only the claim without a booking is released: {report}");
    assert_eq!(report["findings"][0]["severity"], "critical", "the worst comes first: {report}");
    let again = run(&stack, &[]).await?;
    assert_eq!(tally(&again), (expected(&[("conflict", 1)]), 0), "{again}");
    // Staff resolve it: one of the two gets another bed.
    stack.stores.set("bookings", &theirs.id.to_string(), doc! { "stays.0.assigned_beds": ["d6b-1"] }).await?;
    let settled = run(&stack, &[]).await?;
    assert_eq!(tally(&settled), (expected(&[("missing_claim", 1)]), 1), "{settled}");
    stack.end(Expectations::clean().without_mart()).await
}
