//! Forms about dead letters that are sent late, or twice: what has changed since they were made is not taken, and what
//! was written is not lost.

use super::dead_letters::{arrival, find, in_state, store, submit, with_dead_letters};
use super::harness::{Harness, PASSWORD, Session};
use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use pvt_domain::accounts::Role;
use pvt_operations::dead_letters::apply_edit;
use pvt_stores::mongo::dead_letters::{Arrival, DeadLetterState};
use pvt_testkit::Namespace;
use reqwest::StatusCode;
use uuid::Uuid;

/// Refuses every connection.
const NO_SERVER: &str = "postgres://pvt@127.0.0.1:1/pvt";

/// The body whose property is spelled right.
async fn fixed_body(harness: &Harness, number: u128) -> Result<String> {
    let body = find(harness, number).await?.message.context("a message")?.body;
    Ok(String::from_utf8(body)?.replace("\"property\"", "\"property_id\""))
}

/// What happens ten minutes after the password was given.
async fn expire_confirmation(harness: &Harness, session: &Session) -> Result<()> {
    let token = session.cookie.split_once('=').context("a cookie")?.1;
    let long_ago = (Utc::now() - TimeDelta::minutes(30)).into();
    assert!(harness.mongo.console_sessions().confirm(token, long_ago).await?);
    Ok(())
}

#[tokio::test]
async fn edit_between_page_and_form_is_neither_discarded_nor_replayed() -> Result<()> {
    let harness = with_dead_letters(1).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let (discard, replay) = ("/dead-letters/discard", "/dead-letters/replay");
    let (_, discarding) = harness.get(&admin, discard).await?;
    let (_, replaying) = harness.get(&admin, replay).await?;
    let (read, body) = (find(&harness, 1).await?, fixed_body(&harness, 1).await?);
    let message = read.message.clone().context("a message")?;
    apply_edit(&harness.mongo, (&read, &message), body.into_bytes(), "operator", "spelled wrong").await?;
    let filled = [("reason", "why"), ("password", PASSWORD)];
    let refused = submit(&harness, &admin, &discarding, discard, &filled).await?;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let refused = submit(&harness, &admin, &replaying, replay, &[("reason", "why"), ("rate", "10")]).await?;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [1]);
    Ok(())
}

#[tokio::test]
async fn discard_that_is_sent_twice_says_what_was_discarded() -> Result<()> {
    let harness = with_dead_letters(3).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let action = "/dead-letters/discard";
    let (_, page) = harness.get(&admin, action).await?;
    let (_, other) = harness.get(&admin, action).await?;
    let filled = [("reason", "sent by hand"), ("password", PASSWORD)];
    for request in 1..=2 {
        let answer = submit(&harness, &admin, &page, action, &filled).await?;
        let (status, text) = (answer.status(), answer.text().await?);
        assert!(status == StatusCode::OK && text.contains("<p>3 discarded"), "{request}: {text}");
    }
    let answer = submit(&harness, &admin, &other, action, &filled).await?;
    assert_eq!(answer.status(), StatusCode::CONFLICT, "another form has discarded nothing");
    Ok(())
}

#[tokio::test]
async fn edit_that_takes_longer_than_a_confirmation_is_not_lost() -> Result<()> {
    let harness = with_dead_letters(1).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let place = format!("/dead-letters/messages/{}", Uuid::from_u128(1));
    let (whole, review, edit) = (format!("{place}/whole"), format!("{place}/review"), format!("{place}/edit"));
    let (_, page) = harness.get(&admin, &place).await?;
    let opened = submit(&harness, &admin, &page, &whole, &[("reason", "which name"), ("password", PASSWORD)]).await?;
    let (mut page, body) = (opened.text().await?, fixed_body(&harness, 1).await?);
    for (action, expected) in [(&review, StatusCode::OK), (&edit, StatusCode::SEE_OTHER)] {
        expire_confirmation(&harness, &admin).await?;
        let written = [("reason", "spelled wrong"), ("body", body.as_str())];
        let late = submit(&harness, &admin, &page, action, &written).await?;
        let (status, again) = (late.status(), late.text().await?);
        assert_eq!(status, StatusCode::FORBIDDEN, "{action}: {again}");
        assert!(again.contains("property_id") && again.contains("name=\"password\""), "{again}");
        assert!(find(&harness, 1).await?.edits.is_empty(), "without the password nothing is edited");
        let [reason, body] = written;
        let sent = submit(&harness, &admin, &again, action, &[reason, body, ("password", PASSWORD)]).await?;
        assert_eq!(sent.status(), expected, "{action}");
        page = sent.text().await?;
    }
    assert_eq!(find(&harness, 1).await?.edits.len(), 1);
    Ok(())
}

#[tokio::test]
async fn edit_that_no_worker_can_read_is_not_lost() -> Result<()> {
    let harness = with_dead_letters(1).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let place = format!("/dead-letters/messages/{}", Uuid::from_u128(1));
    let (whole, review) = (format!("{place}/whole"), format!("{place}/review"));
    let (_, page) = harness.get(&admin, &place).await?;
    let opened = submit(&harness, &admin, &page, &whole, &[("reason", "which name"), ("password", PASSWORD)]).await?;
    let written = [("reason", "spelled wrong"), ("body", "{\"half\": 1}")];
    let refused = submit(&harness, &admin, &opened.text().await?, &review, &written).await?;
    let (status, again) = (refused.status(), refused.text().await?);
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{again}");
    assert!(again.contains("could not read it") && again.contains("half") && !again.contains("name=\"password\""));
    let body = fixed_body(&harness, 1).await?;
    let sent = submit(&harness, &admin, &again, &review, &[written[0], ("body", &body)]).await?;
    assert_eq!(sent.status(), StatusCode::OK, "{}", sent.text().await?);
    Ok(())
}

#[tokio::test]
async fn events_can_be_replayed_while_the_mart_is_down() -> Result<()> {
    let harness = Harness::with(Namespace::new().await?, &[("DATABASE_URL", NO_SERVER)]).await?;
    let event = |number| Arrival {
        queue: "analytics".to_owned(),
        kind: "booking.confirmed.v1".to_owned(),
        ..arrival(number, "missing field `status`")
    };
    store(&harness.mongo, &(1..=450).map(event).collect::<Vec<_>>()).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let (status, page) = harness.get(&admin, "/dead-letters/replay").await?;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("Replay exactly these 450"), "{page}");
    Ok(())
}
