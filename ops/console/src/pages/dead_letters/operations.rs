//! Replays of dead letters: how far each has come, and cancelling one.

use super::{PATH, SAY_WHY, change, read_replays};
use crate::access::SignedIn;
use crate::actors::{self, ActorNames};
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::forms::Submitted;
use crate::frame::Frame;
use crate::live::replays;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use pvt_operations::dead_letters::cancel_replay;
use pvt_stores::mongo::dead_letters::{OperationState, ReplayOperation};
use tracing::info;
use uuid::Uuid;

/// Replays on the page of all.
const MAX_OPERATIONS: i64 = 50;

/// A replay in a list.
pub(super) struct OperationRow {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) progress: String,
    pub(super) since: String,
    pub(super) actor: String,
    pub(super) selection: String,
    pub(super) reason: String,
}

impl OperationRow {
    pub(super) fn of(operation: &ReplayOperation, names: &ActorNames) -> Self {
        Self {
            id: operation.id.to_string(),
            state: replays::state(operation),
            progress: replays::progress(operation),
            since: shown(operation.created_at),
            actor: names.of(&operation.actor),
            selection: operation.selection.clone(),
            reason: operation.reason.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "dead_letters/operations.html")]
struct OperationsPage {
    frame: Frame,
    digest: String,
    rows: Vec<OperationRow>,
}

/// `GET /dead-letters/operations`.
pub(crate) async fn list(State(app): State<SharedApp>, user: SignedIn) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let (mongo, figures) = (app.mongo.clone(), app.board.figures());
    let found = store::read(&app, async move { mongo.dead_letters().list_operations(MAX_OPERATIONS).await }).await?;
    let names = actors::names(&app, found.iter().map(|operation| &operation.actor)).await;
    page(&OperationsPage {
        frame: Frame::new(&user, "Replays of dead letters", PATH),
        digest: replays::all_digest(&figures.replays),
        rows: found.iter().map(|operation| OperationRow::of(operation, &names)).collect(),
    })
}

#[derive(Template)]
#[template(path = "dead_letters/operation.html")]
struct OperationPage {
    frame: Frame,
    row: OperationRow,
    digest: String,
    total: u64,
    passed: u64,
    rate: u32,
    kept: Vec<(String, u64)>,
    died_again: u64,
    ended: Option<String>,
    /// As it is stored: a wait does not change it.
    state: &'static str,
    is_running: bool,
}

/// `GET /dead-letters/operations/{id}`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    // What the stream has is read first: the page shows that or what is newer, and is fetched anew only when the stream
    // has moved on.
    let figures = app.board.figures();
    let operation = read(&app, &id).await?;
    let names = actors::names(&app, [&operation.actor]).await;
    let streamed = figures.replays.value().and_then(|replays| replays.iter().find(|one| one.id == operation.id));
    let seen = streamed.unwrap_or(&operation);
    page(&OperationPage {
        frame: Frame::new(&user, "Replay of dead letters", PATH),
        row: OperationRow::of(&operation, &names),
        digest: replays::digest(seen),
        total: operation.total,
        passed: operation.total.saturating_sub(operation.remaining),
        rate: operation.rate,
        died_again: operation.died_again,
        ended: operation.ended_at.map(shown),
        state: seen.state.as_str(),
        is_running: operation.state == OperationState::Running,
        kept: operation.kept.into_iter().map(|(why, count)| (why.replace('_', " "), count)).collect(),
    })
}

/// The replay as it is stored: what the stream has may be older than what the user has just done.
async fn read(app: &App, id: &str) -> Result<ReplayOperation, Failure> {
    let none = || Failure::NotFound("There is no such replay. Those that have ended are kept for 30 days.".to_owned());
    let id = Uuid::try_parse(id).map_err(|_| none())?;
    let mongo = app.mongo.clone();
    store::read(app, async move { mongo.dead_letters().operation(id).await }).await?.ok_or_else(none)
}

/// `POST /dead-letters/operations/{id}/cancel`, by administrators.
pub(crate) async fn cancel(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    form: Submitted,
) -> Result<Redirect, Failure> {
    let Submitted { user, fields } = form;
    let user = user.admin()?;
    let reason = fields.required("reason", SAY_WHY)?.to_owned();
    let id = Uuid::try_parse(&id).map_err(|_| Failure::NotFound("There is no such replay.".to_owned()))?;
    info!(user_id = %user.user().id, operation = %id, "cancelling a replay of dead letters");
    let (mongo, actor) = (app.mongo.clone(), user.actor());
    change(async move { cancel_replay(&mongo, id, actor, &reason).await }).await?;
    read_replays(&app).await;
    Ok(Redirect::to(&format!("{PATH}/operations/{id}")))
}
