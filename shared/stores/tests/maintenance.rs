//! Maintenance ends as what it was read as: one that another operator has changed meanwhile stays.

#![allow(clippy::unwrap_used)]

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::maintenance::Deferral;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::maintenance::Maintenance;
use pvt_testkit::Namespace;
use uuid::Uuid;

#[tokio::test]
async fn maintenance_that_was_changed_meanwhile_is_not_removed() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let (now, actor) = (Timestamp::from(Utc::now()), Actor::from("operator"));
    let entry = |action: &str| AuditEntry::new(Uuid::now_v7(), now, &actor, action.to_owned(), "maintenance", "a test");
    let read = Maintenance { since: now, until: None, actor: actor.clone(), reason: "the mart is moved".to_owned() };
    let until = Some((now.as_datetime() + TimeDelta::hours(1)).into());
    let changes = [
        Maintenance { until, ..read.clone() },
        Maintenance { reason: "a restore".to_owned(), ..read.clone() },
        Maintenance { actor: Actor::from("another"), ..read.clone() },
    ];
    for changed in changes {
        assert!(mongo.maintenance().store(&changed, &entry("maintenance.on")).await?);
        assert!(!mongo.maintenance().remove(&read, &entry("maintenance.off")).await?, "{changed:?}");
        assert_eq!(mongo.maintenance().find().await?.as_ref(), Some(&changed));
        assert!(mongo.maintenance().remove(&changed, &entry("maintenance.off")).await?, "{changed:?}");
        assert_eq!(mongo.maintenance().find().await?, None);
    }
    // All of them began and ended at the same time.
    assert_eq!(mongo.maintenance().deferral().await?, Some(Deferral::after(now, now, None)));
    let entries = mongo.audit_log().list(Some("maintenance"), None, 10).await?;
    assert_eq!(entries.len(), 6, "what was not removed leaves no entry");
    Ok(())
}

#[tokio::test]
async fn deferral_outlasts_the_maintenance() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let (now, actor) = (Utc::now(), Actor::from("operator"));
    let entry = |at: Timestamp, action: &str| {
        AuditEntry::new(Uuid::now_v7(), at, &actor, action.to_owned(), "maintenance", "a test")
    };
    assert_eq!(mongo.maintenance().deferral().await?, None);
    let since = Timestamp::from(now - TimeDelta::minutes(10));
    let on = Maintenance { since, until: None, actor: actor.clone(), reason: "the mart is moved".to_owned() };
    assert!(mongo.maintenance().store(&on, &entry(since, "maintenance.on")).await?);
    assert_eq!(mongo.maintenance().deferral().await?, Some(Deferral::during(since)));
    assert!(mongo.maintenance().remove(&on, &entry(now.into(), "maintenance.off")).await?);
    let until = Some((now + TimeDelta::minutes(10)).into());
    assert_eq!(mongo.maintenance().deferral().await?, Some(Deferral { since, until }));
    assert_eq!(mongo.maintenance().find().await?, None, "what outlasts it is no maintenance");
    Ok(())
}
