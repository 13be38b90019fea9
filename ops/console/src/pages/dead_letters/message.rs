//! One dead letter: its headers, its deaths and replays, and its body, masked unless an administrator says why not.

use super::{PATH, SAY_WHY, change};
use crate::access::SignedIn;
use crate::actors::{self, ActorNames};
use crate::app::{App, SharedApp};
use crate::confirmation;
use crate::failure::{Failure, page};
use crate::forms::Submitted;
use crate::frame::Frame;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use pvt_domain::actor::Actor;
use pvt_domain::dead_letters::masked_body;
use pvt_operations::dead_letters;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterState, StoredMessage};
use serde_json::Value;
use tracing::info;
use uuid::Uuid;

#[derive(Template)]
#[template(path = "dead_letters/message.html")]
struct MessagePage {
    frame: Frame,
    id: String,
    facts: Vec<(&'static str, String)>,
    group: String,
    booking: Option<String>,
    headers: Vec<(String, String)>,
    history: Vec<HistoryRow>,
    is_dead: bool,
    is_whole: bool,
    body: String,
    /// The body before the first edit.
    original: Option<String>,
    /// Whether forms must request the password.
    needs_password: bool,
    reason: String,
    version: String,
}

struct HistoryRow {
    at: String,
    what: String,
}

/// `GET /dead-letters/messages/{id}`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let (dead_letter, message) = read(&app, &id).await?;
    let needs_password = confirmation::is_needed(&app, &user).await;
    let names = names(&app, &dead_letter, &message).await;
    page(&MessagePage::of(&user, &dead_letter, &message, &names, needs_password))
}

/// `POST /dead-letters/messages/{id}/whole`, by administrators: the whole body, which the audit notes before.
pub(crate) async fn show_whole(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    form: Submitted,
) -> Result<Html<String>, Failure> {
    let user = form.user.clone().admin()?;
    let reason = form.fields.required("reason", SAY_WHY)?.to_owned();
    confirmation::require(&app, &form).await?;
    let (dead_letter, message) = read(&app, &id).await?;
    record_unmasked(&app, &user, dead_letter.id, &reason).await?;
    let names = names(&app, &dead_letter, &message).await;
    let masked = MessagePage::of(&user, &dead_letter, &message, &names, false);
    let original = dead_letter.original.as_ref().map(|original| whole(&original.bytes));
    page(&MessagePage { is_whole: true, body: whole(&message.body), original, reason, ..masked })
}

/// Records who reads the body of a dead letter without a mask; without that it is not shown.
pub(super) async fn record_unmasked(app: &App, user: &SignedIn, id: Uuid, reason: &str) -> Result<(), Failure> {
    info!(user_id = %user.user().id, dead_letter = %id, "showing the whole body of a dead letter");
    let (mongo, actor, reason) = (app.mongo.clone(), user.actor(), reason.to_owned());
    change(async move { dead_letters::record_unmasked(&mongo, id, actor, &reason).await }).await
}

/// The dead letter of this id of its own, with its message.
pub(super) async fn read(app: &App, id: &str) -> Result<(DeadLetter, StoredMessage), Failure> {
    let none = || Failure::NotFound("There is no such dead letter. Replayed ones are kept for 30 days.".to_owned());
    let id = Uuid::try_parse(id).map_err(|_| none())?;
    let mongo = app.mongo.clone();
    let found = store::read(app, async move { mongo.dead_letters().with_messages([id]).await }).await?;
    let dead_letter = found.into_iter().next().ok_or_else(none)?;
    let message = dead_letter.message.clone().ok_or_else(none)?;
    Ok((dead_letter, message))
}

/// What a form is about that changes a dead letter: this death with these edits, and no later one.
pub(super) fn version(dead_letter: &DeadLetter) -> String {
    format!("{}-{}", dead_letter.last.id, dead_letter.edits.len())
}

/// A body as it is: JSON in lines, anything else as text.
pub(super) fn whole(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let lines = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    lines.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// A body as operators see it.
fn masked(body: &[u8]) -> String {
    serde_json::to_string_pretty(&masked_body(body)).unwrap_or_default()
}

/// Names of the staff who sent the message, or replayed, edited or discarded it.
async fn names(app: &App, dead_letter: &DeadLetter, message: &StoredMessage) -> ActorNames {
    let DeadLetter { replays, edits, discarded, .. } = dead_letter;
    let sender = message.actor.as_deref().map(Actor::from);
    let acted = replays.iter().map(|one| &one.actor).chain(edits.iter().map(|one| &one.actor));
    actors::names(app, acted.chain(discarded.iter().map(|one| &one.actor)).chain(&sender)).await
}

impl MessagePage {
    fn of(
        user: &SignedIn,
        dead_letter: &DeadLetter,
        message: &StoredMessage,
        names: &ActorNames,
        needs_password: bool,
    ) -> Self {
        Self {
            frame: Frame::new(user, "Dead letter", PATH),
            id: dead_letter.id.to_string(),
            facts: facts(dead_letter, message, names),
            group: dead_letter.last.group.clone(),
            booking: dead_letter.booking_id.map(|booking| booking.to_string()),
            headers: message.headers.clone(),
            history: history(dead_letter, names),
            is_dead: dead_letter.state == DeadLetterState::Dead,
            is_whole: false,
            body: masked(&message.body),
            original: dead_letter.original.as_ref().map(|original| masked(&original.bytes)),
            needs_password,
            reason: String::new(),
            version: version(dead_letter),
        }
    }
}

fn facts(dead_letter: &DeadLetter, message: &StoredMessage, names: &ActorNames) -> Vec<(&'static str, String)> {
    let DeadLetter { last, .. } = dead_letter;
    let none = || "–".to_owned();
    let message_id = (!dead_letter.message_id.is_nil()).then(|| dead_letter.message_id.to_string());
    vec![
        ("State", dead_letter.state.as_str().to_owned()),
        ("Type", dead_letter.kind.clone()),
        ("Queue", dead_letter.queue.clone()),
        ("Worker", last.worker.clone().unwrap_or_else(none)),
        ("Class", last.class.clone()),
        ("Error", last.error.clone().unwrap_or_else(none)),
        ("Attempts of the last death", last.attempt.to_string()),
        ("Deaths", dead_letter.deaths.to_string()),
        ("First failed", last.first_failed_at.clone().unwrap_or_else(none)),
        ("Message id", message_id.unwrap_or_else(none)),
        ("Sent", message.sent_at.map_or_else(none, shown)),
        ("Actor", message.actor.as_deref().map_or_else(none, |actor| names.of(&Actor::from(actor)))),
        ("Reply to", message.reply_to.clone().unwrap_or_else(none)),
        ("Trace", message.traceparent.clone().unwrap_or_else(none)),
        ("Bytes", last.bytes.to_string()),
    ]
}

/// What has happened to it, the oldest first. Of deaths, the first and the last are known.
fn history(dead_letter: &DeadLetter, names: &ActorNames) -> Vec<HistoryRow> {
    let DeadLetter { last, first_died_at, replays, edits, discarded, deaths, .. } = dead_letter;
    let mut events = vec![(*first_died_at, "died".to_owned())];
    events.extend(replays.iter().map(|replay| (replay.at, format!("replayed by {}", names.of(&replay.actor)))));
    events.extend(edits.iter().map(|edit| {
        let (actor, changed) = (names.of(&edit.actor), edit.changed.join(", "));
        (edit.at, format!("edited by {actor}: {} ({changed})", edit.reason))
    }));
    if *deaths > 1 {
        let after = if last.follows.is_some() { ", after a replay" } else { "" };
        events.push((last.died_at, format!("died for the last time{after}: {}", last.class)));
    }
    events
        .extend(discarded.iter().map(|one| (one.at, format!("discarded by {}: {}", names.of(&one.actor), one.reason))));
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(at, what)| HistoryRow { at: shown(at), what }).collect()
}
