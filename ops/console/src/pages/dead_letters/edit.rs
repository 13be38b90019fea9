//! Editing the body of a dead letter: what it would change is shown before, and the original is kept.

use super::message::{read, record_unmasked, version};
use super::{PATH, SAY_WHY, change};
use crate::app::{App, SharedApp};
use crate::confirmation;
use crate::failure::{Failure, page};
use crate::forms::{FormFields, Submitted};
use crate::frame::Frame;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
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

/// A member before and after.
struct ChangeRow {
    sign: char,
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
            sign: change.without_values().chars().next().unwrap_or('~'),
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
) -> Result<Html<String>, Failure> {
    let user = form.user.clone().admin()?;
    let (reason, body) = fields(&form.fields)?;
    confirmation::require(&app, &form).await?;
    let (dead_letter, message) = read_unchanged(&app, &id, &form.fields).await?;
    let changes = check_edit(&dead_letter, &message, body.as_bytes()).map_err(Failure::of_operation)?;
    record_unmasked(&app, &user, dead_letter.id, &format!("to edit it: {reason}")).await?;
    page(&EditPage {
        frame: Frame::new(&user, "Edit of a dead letter", PATH),
        id: dead_letter.id.to_string(),
        changes: changes.iter().map(ChangeRow::of).collect(),
        version: version(&dead_letter),
        kind: dead_letter.kind,
        queue: dead_letter.queue,
        body,
        reason,
    })
}

/// `POST /dead-letters/messages/{id}/edit`, by administrators.
pub(crate) async fn apply(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    form: Submitted,
) -> Result<Redirect, Failure> {
    let user = form.user.clone().admin()?;
    let (reason, body) = fields(&form.fields)?;
    let (dead_letter, message) = read_unchanged(&app, &id, &form.fields).await?;
    info!(user_id = %user.user().id, dead_letter = %dead_letter.id, "editing a dead letter");
    let (mongo, actor, id) = (app.mongo.clone(), user.actor(), dead_letter.id);
    let editing = async move { apply_edit(&mongo, (&dead_letter, &message), body.into_bytes(), actor, &reason).await };
    change(editing).await?;
    Ok(Redirect::to(&format!("{PATH}/messages/{id}")))
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
