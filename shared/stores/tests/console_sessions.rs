//! Sessions of the console: they open what they are of, end in time, and end with their account.

#![allow(clippy::unwrap_used)]

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use pvt_domain::accounts::{Email, Role, User, UserId};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::console_sessions::{CONFIRMATION_AGE, SESSION_AGE};
use pvt_testkit::Namespace;
use std::time::Duration;
use uuid::Uuid;

const HASH: &str = "hash";

#[tokio::test]
async fn session_lasts_until_it_expires_or_is_ended() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let (user, now): (_, Timestamp) = (UserId::from_uuid(Uuid::now_v7()), Utc::now().into());
    let token = mongo.console_sessions().begin(user, HASH, now).await?;
    let at_end: Timestamp = (now.as_datetime() + SESSION_AGE).into();
    let before_end = (at_end.as_datetime() - TimeDelta::seconds(1)).into();
    assert_eq!(mongo.console_sessions().find(&token, before_end).await?.map(|session| session.user_id), Some(user));
    assert_eq!(mongo.console_sessions().find(&token, at_end).await?.map(|session| session.user_id), None);
    assert_eq!(mongo.console_sessions().find(&token[1..], now).await?.map(|session| session.user_id), None);
    let other = mongo.console_sessions().begin(user, HASH, now).await?;
    mongo.console_sessions().end(&token).await?;
    assert_eq!(mongo.console_sessions().find(&token, now).await?.map(|session| session.user_id), None);
    assert_eq!(mongo.console_sessions().find(&other, now).await?.map(|session| session.user_id), Some(user));
    Ok(())
}

#[tokio::test]
async fn password_that_is_given_again_counts_for_some_minutes_of_its_session() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let (user, now): (_, Timestamp) = (UserId::from_uuid(Uuid::now_v7()), Utc::now().into());
    let after = |age: Duration| Timestamp::from(now.as_datetime() + age);
    let sessions = mongo.console_sessions();
    let (token, other) = (sessions.begin(user, HASH, now).await?, sessions.begin(user, HASH, now).await?);
    assert!(!sessions.is_confirmed(&token, now).await?, "that a session has begun is not enough");
    assert!(sessions.confirm(&token, now).await?);
    assert!(sessions.is_confirmed(&token, after(CONFIRMATION_AGE - Duration::from_secs(1))).await?);
    assert!(!sessions.is_confirmed(&token, after(CONFIRMATION_AGE)).await?);
    assert!(!sessions.is_confirmed(&other, now).await?, "of this session alone");
    assert!(!sessions.confirm(&token, after(SESSION_AGE)).await?, "it has ended");
    sessions.end(&token).await?;
    assert!(!sessions.is_confirmed(&token, now).await?);
    Ok(())
}

#[tokio::test]
async fn new_password_and_disabling_end_every_session() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let (id, now): (_, Timestamp) = (UserId::from_uuid(Uuid::now_v7()), Utc::now().into());
    let user = User {
        id,
        email: Email::parse("ada@example.com").unwrap(),
        name: "Ada".to_owned(),
        role: Role::Admin,
        properties: Vec::new(),
        locale: None,
        rev: 1,
        created_at: now,
        disabled_at: None,
    };
    mongo.users().create(user, "hash".to_owned()).await?;
    let first = mongo.console_sessions().begin(id, HASH, now).await?;
    mongo.users().set_password(id, "other", now).await?;
    assert_eq!(mongo.console_sessions().find(&first, now).await?.map(|session| session.user_id), None);
    let second = mongo.console_sessions().begin(id, HASH, now).await?;
    let opened = mongo.console_sessions().find(&second, now).await?.unwrap();
    assert!(opened.is_of_password(HASH) && !opened.is_of_password("other"), "it began with the password of before");
    let entry = AuditEntry::new(Uuid::nil(), now, "operator", "account.disable".to_owned(), &id.to_string(), "");
    assert!(mongo.users().disable(id, now, &entry).await?);
    assert!(!mongo.users().disable(id, now, &entry).await?, "it is disabled already");
    assert_eq!(mongo.audit_log().of_cause(Uuid::nil()).await?, [entry]);
    assert_eq!(mongo.console_sessions().find(&second, now).await?.map(|session| session.user_id), None);
    Ok(())
}
