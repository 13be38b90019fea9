//! One dead letter: its headers, its deaths and replays, and its body, masked unless an administrator says why not.

use super::selection::Selection;
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
use axum::extract::{Path, RawQuery, State};
use axum::response::Html;
use pvt_domain::actor::Actor;
use pvt_domain::dead_letters::{masked_body, masked_code, masked_error, masked_header};
use pvt_domain::messages::MAX_BODY_BYTES;
use pvt_operations::dead_letters::{self, Audited};
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterState, StoredMessage};
use serde_json::Value;
use tracing::info;
use url::form_urlencoded;
use uuid::Uuid;

/// Larger bodies are not shown on a page: no worker reads them, and a form could not hold them.
pub(super) const MAX_SHOWN_BYTES: usize = MAX_BODY_BYTES;
/// A body that would be larger in lines is shown without them: members that are deep within others are mostly blanks.
const MAX_INDENTED_BYTES: usize = 128 * 1024;

#[derive(Template)]
#[template(path = "dead_letters/message.html")]
struct MessagePage {
    frame: Frame,
    /// Its own id, which forms and links are about: others may have the id of the message.
    id: String,
    /// The id that operators know it by.
    shown_id: String,
    facts: Vec<(&'static str, String)>,
    group: String,
    booking: Option<String>,
    headers: Vec<(String, String)>,
    history: Vec<HistoryRow>,
    is_dead: bool,
    is_whole: bool,
    /// Whether its body is too large for a page.
    is_large: bool,
    max_kib: usize,
    body: String,
    /// The body before the first edit.
    original: Option<String>,
    /// Whether forms must request the password.
    needs_password: bool,
    reason: String,
    version: String,
}

/// Several dead letters with one id.
#[derive(Template)]
#[template(path = "dead_letters/choice.html")]
struct ChoicePage {
    frame: Frame,
    shown_id: String,
    rows: Vec<ChoiceRow>,
}

struct ChoiceRow {
    address: String,
    queue: String,
    kind: String,
    state: &'static str,
    died: String,
}

struct HistoryRow {
    at: String,
    what: String,
}

/// The address of the page of a dead letter, by the id that operators know it by.
pub(super) fn address(dead_letter: &DeadLetter) -> String {
    let queue: String = form_urlencoded::byte_serialize(dead_letter.queue.as_bytes()).collect();
    format!("{PATH}/messages/{}?queue={queue}", dead_letter.shown_id())
}

/// `GET /dead-letters/messages/{id}?queue=`, by its own id or by that of its message.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let (selection, _) = Selection::of_query(query.as_deref())?;
    let (wanted, mongo) = (parsed(&id)?, app.mongo.clone());
    let mut found = store::read(&app, async move { mongo.dead_letters().find(wanted).await }).await?;
    found.retain(|one| selection.queue.as_ref().is_none_or(|queue| *queue == one.queue));
    if found.len() > 1 {
        return page(&ChoicePage::of(&user, &found));
    }
    let (dead_letter, message) = complete(found)?;
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
    record_unmasked(&app, &user, &dead_letter, &reason).await?;
    let names = names(&app, &dead_letter, &message).await;
    let masked = MessagePage::of(&user, &dead_letter, &message, &names, false);
    let original = dead_letter.original.as_ref().map(|original| shown_body(&original.bytes, whole));
    let shown = MessagePage {
        is_whole: true,
        facts: facts(&dead_letter, &message, &names, [str::to_owned, str::to_owned]),
        headers: message.headers.clone(),
        body: shown_body(&message.body, whole),
        original,
        reason,
        ..masked
    };
    page(&shown)
}

/// Records who reads the body of a dead letter without a mask; without that it is not shown.
pub(super) async fn record_unmasked(
    app: &App,
    user: &SignedIn,
    dead_letter: &DeadLetter,
    reason: &str,
) -> Result<(), Failure> {
    let id = dead_letter.shown_id();
    info!(user_id = %user.user().id, dead_letter = %id, "showing the whole body of a dead letter");
    let (mongo, actor, reason) = (app.mongo.clone(), user.actor(), reason.to_owned());
    let read = dead_letter.clone();
    change(async move { dead_letters::record_unmasked(&mongo, Audited::from(&read), actor, &reason).await }).await
}

/// The dead letter of this id of its own, with its message.
pub(super) async fn read(app: &App, id: &str) -> Result<(DeadLetter, StoredMessage), Failure> {
    let (id, mongo) = (parsed(id)?, app.mongo.clone());
    complete(store::read(app, async move { mongo.dead_letters().with_messages([id]).await }).await?)
}

fn none() -> Failure {
    Failure::NotFound("There is no such dead letter. Replayed ones are kept for 30 days.".to_owned())
}

fn parsed(id: &str) -> Result<Uuid, Failure> {
    Uuid::try_parse(id).map_err(|_| none())
}

/// The only one of these, with its message.
fn complete(found: Vec<DeadLetter>) -> Result<(DeadLetter, StoredMessage), Failure> {
    let mut dead_letter = found.into_iter().next().ok_or_else(none)?;
    let message = dead_letter.message.take().ok_or_else(none)?;
    Ok((dead_letter, message))
}

/// What a form is about that changes a dead letter: this death with these edits, and no later one.
pub(super) fn version(dead_letter: &DeadLetter) -> String {
    format!("{}-{}", dead_letter.last.id, dead_letter.edits.len())
}

/// A body by one of these two, unless it is too large for a page.
fn shown_body(body: &[u8], shown: fn(&[u8]) -> String) -> String {
    if body.len() > MAX_SHOWN_BYTES { format!("{} bytes, too large for a page", body.len()) } else { shown(body) }
}

/// A body as it is: JSON in lines, anything else as text.
pub(super) fn whole(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    value.as_ref().and_then(indented).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// A body as operators see it.
fn masked(body: &[u8]) -> String {
    let value = masked_body(body);
    indented(&value).unwrap_or_else(|| value.to_string())
}

/// The value in lines, unless these are too large.
fn indented(value: &Value) -> Option<String> {
    let mut lines = vec![0; MAX_INDENTED_BYTES];
    let mut rest = lines.as_mut_slice();
    serde_json::to_writer_pretty(&mut rest, value).ok()?;
    let free = rest.len();
    let text = lines.get(..MAX_INDENTED_BYTES - free)?;
    Some(String::from_utf8_lossy(text).into_owned())
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
            shown_id: dead_letter.shown_id().to_string(),
            facts: facts(dead_letter, message, names, [masked_error, masked_code]),
            group: dead_letter.last.group.clone(),
            booking: dead_letter.booking_id.map(|booking| booking.to_string()),
            headers: message.headers.iter().map(|(name, value)| (name.clone(), masked_header(name, value))).collect(),
            history: history(dead_letter, names),
            is_dead: dead_letter.state == DeadLetterState::Dead,
            is_whole: false,
            is_large: message.body.len() > MAX_SHOWN_BYTES,
            max_kib: MAX_SHOWN_BYTES / 1024,
            body: shown_body(&message.body, masked),
            original: dead_letter.original.as_ref().map(|original| shown_body(&original.bytes, masked)),
            needs_password,
            reason: String::new(),
            version: version(dead_letter),
        }
    }
}

impl ChoicePage {
    fn of(user: &SignedIn, found: &[DeadLetter]) -> Self {
        let row = |one: &DeadLetter| ChoiceRow {
            address: format!("{PATH}/messages/{}", one.id),
            queue: one.queue.clone(),
            kind: masked_code(&one.kind),
            state: one.state.as_str(),
            died: shown(one.last.died_at),
        };
        Self {
            frame: Frame::new(user, "Dead letters with one id", PATH),
            shown_id: found.first().map(|one| one.shown_id().to_string()).unwrap_or_default(),
            rows: found.iter().map(row).collect(),
        }
    }
}

fn facts(
    dead_letter: &DeadLetter,
    message: &StoredMessage,
    names: &ActorNames,
    [shown_error, shown_code]: [fn(&str) -> String; 2],
) -> Vec<(&'static str, String)> {
    let DeadLetter { last, .. } = dead_letter;
    let none = || "–".to_owned();
    let code = |text: Option<&str>| text.map_or_else(none, shown_code);
    let named = message.actor.as_deref().map(|actor| (actor, names.of(&Actor::from(actor))));
    // One without a name is whatever the sender wrote.
    let named = named.filter(|(actor, name)| actor != name).map(|(_, name)| name);
    vec![
        ("Id", dead_letter.shown_id().to_string()),
        ("State", dead_letter.state.as_str().to_owned()),
        ("Type", shown_code(&dead_letter.kind)),
        ("Queue", dead_letter.queue.clone()),
        ("Worker", code(last.worker.as_deref())),
        ("Class", shown_code(&last.class)),
        ("Error", last.error.as_deref().map_or_else(none, shown_error)),
        ("Attempts of the last death", last.attempt.to_string()),
        ("Deaths", dead_letter.deaths.to_string()),
        ("First failed", code(last.first_failed_at.as_deref())),
        ("Sent", message.sent_at.map_or_else(none, shown)),
        ("Actor", named.unwrap_or_else(|| code(message.actor.as_deref()))),
        ("Reply to", code(message.reply_to.as_deref())),
        ("Trace", code(message.traceparent.as_deref())),
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
        let class = masked_code(&last.class);
        events.push((last.died_at, format!("died for the last time{after}: {class}")));
    }
    events
        .extend(discarded.iter().map(|one| (one.at, format!("discarded by {}: {}", names.of(&one.actor), one.reason))));
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(at, what)| HistoryRow { at: shown(at), what }).collect()
}
