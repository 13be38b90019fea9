//! Forms about dead letters that are sent late, or twice: what has changed since they were made is not taken, and what
//! was written is not lost.

use super::dead_letters::{arrival, find, form, in_state, store, submit, with_dead_letters};
use super::harness::{Harness, PASSWORD, Session};
use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use pvt_domain::accounts::Role;
use pvt_operations::dead_letters::apply_edit;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::dead_letters::{Arrival, DeadLetterState, Discarded};
use pvt_testkit::Namespace;
use pvt_testkit::console::with_form;
use reqwest::{StatusCode, header};
use sqlx::{Connection as _, PgConnection};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Refuses every connection.
const NO_SERVER: &str = "postgres://pvt@127.0.0.1:1/pvt";
/// For a page that waits once for a second.
const WAITED_ONCE: Duration = Duration::from_secs(3);

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

/// Killed between two batches, it has discarded some: the same form says so, and takes no others.
#[tokio::test]
async fn discard_that_a_kill_has_cut_off_is_reported_by_its_form() -> Result<()> {
    let harness = with_dead_letters(3).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let action = "/dead-letters/discard";
    let (_, page) = harness.get(&admin, action).await?;
    let fields = form(&page, action)?;
    let cause = fields.iter().find(|(name, _)| name == "cause").context("a cause")?.1.parse()?;
    let (now, kind) = (Utc::now().into(), "dead_letter.discard".to_owned());
    let discarded = Discarded { at: now, actor: "staff:1".into(), reason: "sent by hand".to_owned() };
    let first = find(&harness, 1).await?;
    let entry = AuditEntry::new(cause, now, "staff:1", kind, &first.shown_id().to_string(), "sent by hand");
    assert_eq!(harness.mongo.dead_letters().discard(&[(&first, entry)], &discarded).await?.len(), 1);
    let filled = [("reason", "sent by hand"), ("password", PASSWORD)];
    let again = submit(&harness, &admin, &page, action, &filled).await?;
    let (status, text) = (again.status(), again.text().await?);
    assert!(status == StatusCode::OK && text.contains("<p>1 discarded") && text.contains("2 stay: "), "{text}");
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [2, 3]);
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
        assert!(again.contains("<h2>Your edit, which is not made yet</h2>"), "{again}");
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

/// Once the store is asked to change it, not every failure says whether the edit was made.
#[tokio::test]
async fn edit_that_may_have_been_made_is_not_called_unmade() -> Result<()> {
    let harness = with_dead_letters(1).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let place = format!("/dead-letters/messages/{}", Uuid::from_u128(1));
    let (whole, review, edit) = (format!("{place}/whole"), format!("{place}/review"), format!("{place}/edit"));
    let (_, page) = harness.get(&admin, &place).await?;
    let opened = submit(&harness, &admin, &page, &whole, &[("reason", "which name"), ("password", PASSWORD)]).await?;
    let body = String::from_utf8(find(&harness, 1).await?.message.context("a message")?.body)?;
    let page = opened.text().await?.replace(&review, &edit);
    let refused = submit(&harness, &admin, &page, &edit, &[("reason", "no change"), ("body", &body)]).await?;
    let (status, again) = (refused.status(), refused.text().await?);
    assert_eq!(status, StatusCode::CONFLICT, "{again}");
    assert!(again.contains("<h2>Your edit</h2>") && again.contains("It may have been made"), "{again}");
    let area = again.split("<textarea").nth(1).and_then(|rest| rest.split("</textarea>").next()).context("its text")?;
    assert!(area.lines().count() > 5, "in the lines of the form: {area}");
    Ok(())
}

/// An edit may be the work of many minutes: whatever is refused, its text is in the answer.
#[tokio::test]
async fn text_of_an_edit_is_kept_whatever_is_refused() -> Result<()> {
    let settings = [("PVT_RATE_AUTH", "1/15m"), ("PVT_TRUSTED_PROXIES", "127.0.0.1")];
    let harness = Harness::with(Namespace::new().await?, &settings).await?;
    store(&harness.mongo, &[arrival(1, "missing field `property_id`")]).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let place = format!("/dead-letters/messages/{}", Uuid::from_u128(1));
    let (whole, review, edit) = (format!("{place}/whole"), format!("{place}/review"), format!("{place}/edit"));
    let (_, page) = harness.get(&admin, &place).await?;
    let opened = submit(&harness, &admin, &page, &whole, &[("reason", "which name"), ("password", PASSWORD)]).await?;
    let (page, body) = (opened.text().await?, fixed_body(&harness, 1).await?);
    let refused = async |page: &str, action: &str, reason: &str, password: &str| {
        let written = [("reason", reason), ("body", body.as_str()), ("password", password)];
        let shown = form(page, action)?;
        let shown = shown.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<_> = shown.filter(|(name, _)| *name != "body").chain(written).collect();
        // Attempts from this machine are not counted.
        let request = harness.http.post(harness.url(action)).header("x-forwarded-for", "203.0.113.1");
        let answer = with_form(request.header(header::COOKIE, &admin.cookie), &fields).send().await?;
        let (status, retry) = (answer.status(), answer.headers().get(header::RETRY_AFTER).is_some());
        let text = answer.text().await?;
        assert!(text.contains("property_id") && text.contains("<textarea"), "{status}: {text}");
        anyhow::Ok((status, retry, text))
    };
    assert_eq!(refused(&page, &review, " ", "").await?.0, StatusCode::BAD_REQUEST, "without a reason");
    expire_confirmation(&harness, &admin).await?;
    assert_eq!(refused(&page, &review, "spelled wrong", "wrong").await?.0, StatusCode::FORBIDDEN);
    let (status, says_when, again) = refused(&page, &review, "spelled wrong", PASSWORD).await?;
    assert_eq!((status, says_when), (StatusCode::TOO_MANY_REQUESTS, true), "{again}");
    assert!(again.contains("name=\"password\"") && again.contains("Try again in"), "{again}");
    let token = admin.cookie.split_once('=').context("a cookie")?.1;
    assert!(harness.mongo.console_sessions().confirm(token, Utc::now().into()).await?);
    let mut died_again = arrival(1, "missing field `property_id`");
    died_again.death.id = Uuid::from_u128(99);
    store(&harness.mongo, &[died_again]).await?;
    assert_eq!(refused(&again, &review, "spelled wrong", "").await?.0, StatusCode::CONFLICT);
    let of_edit = again.replace(&review, &edit);
    assert_eq!(refused(&of_edit, &edit, "spelled wrong", "").await?.0, StatusCode::CONFLICT);
    assert!(find(&harness, 1).await?.edits.is_empty());
    Ok(())
}

#[tokio::test]
async fn edited_body_is_stored_without_the_lines_of_the_form() -> Result<()> {
    let harness = with_dead_letters(1).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let place = format!("/dead-letters/messages/{}", Uuid::from_u128(1));
    let (whole, review, edit) = (format!("{place}/whole"), format!("{place}/review"), format!("{place}/edit"));
    let (_, page) = harness.get(&admin, &place).await?;
    let opened = submit(&harness, &admin, &page, &whole, &[("reason", "which name"), ("password", PASSWORD)]).await?;
    let body = fixed_body(&harness, 1).await?;
    let value: serde_json::Value = serde_json::from_str(&body)?;
    let lines = serde_json::to_string_pretty(&value)?.replace('\n', "\r\n");
    let written = [("reason", "spelled wrong"), ("body", lines.as_str())];
    let reviewed = submit(&harness, &admin, &opened.text().await?, &review, &written).await?.text().await?;
    let edited = submit(&harness, &admin, &reviewed, &edit, &written[..1]).await?;
    assert_eq!(edited.status(), StatusCode::SEE_OTHER, "{}", edited.text().await?);
    let found = find(&harness, 1).await?;
    let stored = found.message.context("a message")?.body;
    assert_eq!((stored.len(), usize::try_from(found.last.bytes)?), (body.len(), body.len()));
    assert_eq!(String::from_utf8(stored)?.lines().count(), 1);
    Ok(())
}

#[tokio::test]
async fn passwords_of_a_session_are_tried_a_few_times_only() -> Result<()> {
    let settings = [("PVT_RATE_AUTH", "4/15m"), ("PVT_TRUSTED_PROXIES", "127.0.0.1")];
    let harness = Harness::with(Namespace::new().await?, &settings).await?;
    store(&harness.mongo, &[arrival(1, "missing")]).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let (_, page) = harness.get(&admin, "/dead-letters/discard").await?;
    let shown = form(&page, "/dead-letters/discard")?;
    let attempt = async |from: &str, password: &str| {
        let request = harness.http.post(harness.url("/dead-letters/discard")).header("x-forwarded-for", from);
        let shown = shown.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<_> = shown.chain([("reason", "why"), ("password", password)]).collect();
        let sent = with_form(request.header(header::COOKIE, &admin.cookie), &fields).send().await?;
        anyhow::Ok(sent.status())
    };
    for number in 1..=4 {
        let from = format!("203.0.113.{number}");
        assert_eq!(attempt(&from, "wrong horse battery").await?, StatusCode::FORBIDDEN);
    }
    let right = attempt("203.0.113.9", PASSWORD).await?;
    assert_eq!(right, StatusCode::TOO_MANY_REQUESTS, "of the account, from whichever address");
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [1]);
    Ok(())
}

/// The mart is there and does not answer: each chunk of events would have to wait for it.
#[tokio::test]
async fn mart_that_does_not_answer_is_waited_for_once() -> Result<()> {
    let harness = Harness::start().await?;
    let event = |number| Arrival {
        queue: "analytics".to_owned(),
        kind: "booking.confirmed.v1".to_owned(),
        ..arrival(number, "missing field `status`")
    };
    store(&harness.mongo, &(1..=450).map(event).collect::<Vec<_>>()).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let mut postgres = PgConnection::connect(&harness.namespace.database_url()).await?;
    let mut locked = postgres.begin().await?;
    sqlx::query("LOCK TABLE fact_booking_event IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await?;
    let begun = Instant::now();
    let (status, page) = harness.get(&admin, "/dead-letters/replay").await?;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("Replay exactly these 450"), "{page}");
    // Five chunks, of which each would wait for a second.
    assert!(begun.elapsed() < WAITED_ONCE, "{:?}", begun.elapsed());
    locked.rollback().await?;
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
