//! Editing the body of a dead letter: what it would change is shown before, and the original is kept.

use super::message::{read, record_unmasked, version, whole};
use super::{PATH, SAY_WHY, change};
use crate::access::SignedIn;
use crate::app::{App, SharedApp};
use crate::confirmation;
use crate::failure::{Failure, page};
use crate::forms::{FormFields, Submitted};
use crate::frame::Frame;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use pvt_domain::dead_letters::{MemberChange, compact_body, masked_code};
use pvt_operations::dead_letters::{apply_edit, check_edit};
use pvt_stores::mongo::dead_letters::{DeadLetter, StoredMessage};
use serde_json::Value;
use tracing::info;

const CHANGED: &str = "It has died again or was changed since you opened it. Open it again and repeat the edit.";

#[derive(Template)]
#[template(path = "dead_letters/edit.html")]
struct EditPage {
    frame: Frame,
    id: String,
    place: String,
    kind: String,
    queue: String,
    changes: Vec<ChangeRow>,
    body: String,
    reason: String,
    version: String,
}

/// The form once more with what was written, where it was not taken: the password is missing, because an edit may take
/// longer than a confirmation counts, no worker could read the new body, or a source is down for a moment.
#[derive(Template)]
#[template(path = "dead_letters/again.html")]
struct AgainPage {
    frame: Frame,
    notice: String,
    action: String,
    place: String,
    version: String,
    body: String,
    reason: String,
    needs_password: bool,
    /// Whether it is certain that nothing was changed.
    is_unmade: bool,
}

/// What a form says, of the dead letter that it was made for.
struct Edited {
    dead_letter: DeadLetter,
    message: StoredMessage,
    body: Vec<u8>,
    reason: String,
}

/// A member before and after.
struct ChangeRow {
    what: &'static str,
    path: String,
    before: String,
    after: String,
}

impl ChangeRow {
    fn of(change: &MemberChange) -> Self {
        let text = |value: &Option<Value>| match value {
            None => String::new(),
            Some(value) => serde_json::to_string_pretty(value).unwrap_or_default(),
        };
        Self {
            what: match (&change.before, &change.after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            },
            path: change.path.clone(),
            before: text(&change.before),
            after: text(&change.after),
        }
    }
}

/// `POST /dead-letters/messages/{id}/review`, by administrators: what an edit would change, after the check that its
/// worker can read it. The values of before are shown, so the audit notes that as it does an unmasked body.
pub(crate) async fn review(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    form: Submitted,
) -> Result<Response, Failure> {
    let user = form.user.clone().admin()?;
    let answer = reviewed(&app, &user, &id, &form).await;
    keep_text(&app, &user, (&id, "review"), &form.fields, answer.map_err(|failed| (failed, true))).await
}

async fn reviewed(app: &App, user: &SignedIn, id: &str, form: &Submitted) -> Result<Response, Failure> {
    let Edited { dead_letter, message, body, reason } = edited(app, id, form).await?;
    let changes =
        check_edit(&dead_letter, &message, &body).map_err(|refused| Failure::Unusable(refused.to_string()))?;
    record_unmasked(app, user, &dead_letter, &format!("to edit it: {reason}")).await?;
    let reviewed = page(&EditPage {
        frame: Frame::new(user, "Edit of a dead letter", PATH),
        id: dead_letter.id.to_string(),
        place: place(&dead_letter),
        changes: changes.iter().map(ChangeRow::of).collect(),
        version: version(&dead_letter),
        kind: masked_code(&dead_letter.kind),
        queue: dead_letter.queue,
        body: String::from_utf8_lossy(&body).into_owned(),
        reason,
    })?;
    Ok(reviewed.into_response())
}

/// `POST /dead-letters/messages/{id}/edit`, by administrators.
pub(crate) async fn apply(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    form: Submitted,
) -> Result<Response, Failure> {
    let user = form.user.clone().admin()?;
    let answer = match edited(&app, &id, &form).await {
        Ok(edited) => applied(&app, &user, edited).await.map_err(|failed| (failed, false)),
        Err(failed) => Err((failed, true)),
    };
    keep_text(&app, &user, (&id, "edit"), &form.fields, answer).await
}

async fn applied(app: &App, user: &SignedIn, edited: Edited) -> Result<Response, Failure> {
    let Edited { dead_letter, message, body, reason } = edited;
    info!(user_id = %user.user().id, dead_letter = %dead_letter.shown_id(), "editing a dead letter");
    let (mongo, actor, place) = (app.mongo.clone(), user.actor(), place(&dead_letter));
    change(async move { apply_edit(&mongo, (&dead_letter, &message), body, actor, &reason).await }).await?;
    Ok(Redirect::to(&place).into_response())
}

/// Reads what both steps of an edit begin with: the form, the password, the dead letter that the form was made for.
async fn edited(app: &App, id: &str, form: &Submitted) -> Result<Edited, Failure> {
    let reason = form.fields.required("reason", SAY_WHY)?.to_owned();
    form.fields.required("body", "The body is empty.")?;
    let body = compact_body(text_of(&form.fields).into_bytes());
    confirmation::require(app, form).await?;
    let (dead_letter, message) = read(app, id).await?;
    let is_same = version(&dead_letter) == form.fields.get("version");
    if is_same { Ok(Edited { dead_letter, message, body, reason }) } else { Err(Failure::Conflict(CHANGED.to_owned())) }
}

/// The new body. Browsers end the lines of a text with a carriage return, too.
fn text_of(fields: &FormFields) -> String {
    fields.raw("body").replace("\r\n", "\n")
}

/// A text of one line, which the page of the changes has, in the lines of the form before it.
fn in_lines(text: String) -> String {
    let lines = whole(text.as_bytes());
    if compact_body(lines.clone().into_bytes()) == text.as_bytes() { lines } else { text }
}

/// The address of its page by its own id: others may have the id of the message.
fn place(dead_letter: &DeadLetter) -> String {
    format!("{PATH}/messages/{}", dead_letter.id)
}

/// The answer, or the form again with what was written in it: an edit may be the work of many minutes. A failure comes
/// with whether it is certain that nothing was changed.
async fn keep_text(
    app: &App,
    user: &SignedIn,
    (id, step): (&str, &str),
    written: &FormFields,
    answer: Result<Response, (Failure, bool)>,
) -> Result<Response, Failure> {
    let (failed, is_unmade) = match answer {
        Ok(answer) => return Ok(answer),
        Err(failed) => failed,
    };
    let (_, title, notice) = failed.words();
    // A store that has just not answered would be waited for once more.
    let is_down = matches!(failed, Failure::Down(..) | Failure::Slow | Failure::Unsure(_));
    let again = page(&AgainPage {
        frame: Frame::new(user, title, PATH),
        notice,
        action: format!("{PATH}/messages/{id}/{step}"),
        place: format!("{PATH}/messages/{id}"),
        version: written.get("version").to_owned(),
        body: in_lines(text_of(written)),
        reason: written.get("reason").to_owned(),
        needs_password: is_down || confirmation::is_needed(app, user).await,
        is_unmade,
    })?;
    Ok(failed.answer(again.into_response()))
}
