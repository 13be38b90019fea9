//! Editing the body of a dead letter: what it would change is shown before, and the original is kept.

use super::message::{read, record_unmasked, version};
use super::{PATH, SAY_WHY, change};
use crate::access::SignedIn;
use crate::app::{App, SharedApp};
use crate::confirmation;
use crate::failure::{Failure, page};
use crate::forms::{FormFields, Submitted};
use crate::frame::Frame;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use pvt_domain::dead_letters::MemberChange;
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
    kind: String,
    queue: String,
    changes: Vec<ChangeRow>,
    body: String,
    reason: String,
    version: String,
}

/// The form once more with what was written, where the password is missing, because an edit may take longer than a
/// confirmation counts, or where no worker could read the new body.
#[derive(Template)]
#[template(path = "dead_letters/again.html")]
struct AgainPage {
    frame: Frame,
    notice: String,
    action: String,
    version: String,
    body: String,
    reason: String,
    needs_password: bool,
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
    let (reason, body) = fields(&form.fields)?;
    if let Err(failed) = confirmation::require(&app, &form).await {
        return unconfirmed(&user, format!("{PATH}/messages/{id}/review"), &form.fields, failed);
    }
    let (dead_letter, message) = read_unchanged(&app, &id, &form.fields).await?;
    let changes = match check_edit(&dead_letter, &message, body.as_bytes()) {
        Ok(changes) => changes,
        Err(refused) => {
            let (title, status) = ("Edit that cannot be made", StatusCode::UNPROCESSABLE_ENTITY);
            let again = again(
                &user,
                title,
                (refused.to_string(), false),
                format!("{PATH}/messages/{id}/review"),
                &form.fields,
            )?;
            return Ok((status, again).into_response());
        }
    };
    record_unmasked(&app, &user, dead_letter.id, &format!("to edit it: {reason}")).await?;
    let reviewed = page(&EditPage {
        frame: Frame::new(&user, "Edit of a dead letter", PATH),
        id: dead_letter.id.to_string(),
        changes: changes.iter().map(ChangeRow::of).collect(),
        version: version(&dead_letter),
        kind: dead_letter.kind,
        queue: dead_letter.queue,
        body,
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
    let (reason, body) = fields(&form.fields)?;
    if let Err(failed) = confirmation::require(&app, &form).await {
        return unconfirmed(&user, format!("{PATH}/messages/{id}/edit"), &form.fields, failed);
    }
    let (dead_letter, message) = read_unchanged(&app, &id, &form.fields).await?;
    info!(user_id = %user.user().id, dead_letter = %dead_letter.id, "editing a dead letter");
    let (mongo, actor, id) = (app.mongo.clone(), user.actor(), dead_letter.id);
    let editing = async move { apply_edit(&mongo, (&dead_letter, &message), body.into_bytes(), actor, &reason).await };
    change(editing).await?;
    Ok(Redirect::to(&format!("{PATH}/messages/{id}")).into_response())
}

/// The form again where the password was missing or wrong; any other failure as it is.
fn unconfirmed(user: &SignedIn, action: String, written: &FormFields, failed: Failure) -> Result<Response, Failure> {
    let Failure::Unconfirmed(notice) = failed else { return Err(failed) };
    let again = again(user, "Password needed", (notice.to_owned(), true), action, written)?;
    Ok((StatusCode::FORBIDDEN, again).into_response())
}

/// The form again under a notice, perhaps with a field for the password.
fn again(
    user: &SignedIn,
    title: &str,
    (notice, needs_password): (String, bool),
    action: String,
    written: &FormFields,
) -> Result<Html<String>, Failure> {
    let (reason, body) = fields(written)?;
    let (frame, version) = (Frame::new(user, title, PATH), written.get("version").to_owned());
    page(&AgainPage { frame, notice, action, version, body, reason, needs_password })
}

/// The reason and the new body. Browsers end the lines of a text with a carriage return, too.
fn fields(fields: &FormFields) -> Result<(String, String), Failure> {
    let reason = fields.required("reason", SAY_WHY)?.to_owned();
    fields.required("body", "The body is empty.")?;
    Ok((reason, fields.raw("body").replace("\r\n", "\n")))
}

/// The dead letter that the form was made for.
async fn read_unchanged(app: &App, id: &str, fields: &FormFields) -> Result<(DeadLetter, StoredMessage), Failure> {
    let (dead_letter, message) = read(app, id).await?;
    let is_same = version(&dead_letter) == fields.get("version");
    if is_same { Ok((dead_letter, message)) } else { Err(Failure::Conflict(CHANGED.to_owned())) }
}
