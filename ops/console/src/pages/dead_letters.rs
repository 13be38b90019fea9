//! Dead letters: their groups, what they are, and what is done about them. For administrators: a dead letter does not
//! say which property it concerns.

pub(crate) mod discard;
pub(crate) mod edit;
pub(crate) mod group;
mod message;
pub(crate) mod operations;
pub(crate) mod replay;
mod selection;

pub(crate) use message::{show as show_message, show_whole};

use crate::access::SignedIn;
use crate::actors;
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::live::replays;
use crate::live::watch;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use chrono::Utc;
use operations::OperationRow;
use pvt_domain::dead_letters::{masked_code, masked_error};
use pvt_stores::StoreError;
use pvt_stores::mongo::dead_letters::DeadLetterGroup;
use selection::{Pages, Selection};
use std::time::Duration;
use tokio::time::Instant;

/// Where these pages are in the navigation.
const PATH: &str = "/dead-letters";
/// Groups, or dead letters, on one page.
const PAGE_SIZE: u64 = 50;
/// For one change. Thousands of dead letters take seconds; one that takes longer is left to its end.
const CHANGE_LIMIT: Duration = Duration::from_secs(20);
const SAY_WHY: &str = "Say why: the reason is recorded.";

#[derive(Template)]
#[template(path = "dead_letters/groups.html")]
struct GroupsPage {
    frame: Frame,
    selection: Selection,
    queues: Vec<String>,
    digest: String,
    summary: String,
    rows: Vec<GroupRow>,
    pages: Pages,
    /// How many are dead.
    dead: u64,
    query: String,
    operations: Vec<OperationRow>,
    operations_digest: String,
}

struct GroupRow {
    /// Of its page.
    address: String,
    worker: String,
    class: String,
    message: String,
    queues: String,
    dead: u64,
    replaying: u64,
    new_since_replay: u64,
    oldest: String,
    newest: String,
}

/// `GET /dead-letters?queue=&class=&group=&page=`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let (selection, number) = Selection::of_query(query.as_deref())?;
    let figures = app.board.figures();
    let (mongo, filter) = (app.mongo.clone(), selection.filter(None));
    let read = store::read(&app, async move {
        let groups = mongo.dead_letters().groups_of(&filter).await?;
        let queues: Vec<String> = mongo.dead_letters().count_by_queue().await?.into_keys().collect();
        Ok::<_, StoreError>((groups, queues))
    });
    let (groups, mut queues) = read.await?;
    if let Some(queue) = selection.queue.as_ref().filter(|queue| !queues.contains(*queue)) {
        queues.push(queue.clone());
    }
    let dead = groups.iter().map(|group| group.dead).sum();
    let names = actors::names(&app, figures.replays.value().into_iter().flatten().map(|one| &one.actor)).await;
    let pages = Pages::new(number, u64::try_from(groups.len()).unwrap_or(u64::MAX), PATH, &selection.query());
    page(&GroupsPage {
        frame: Frame::new(&user, "Dead letters", PATH),
        summary: summary(&groups),
        digest: replays::dead_letters_digest(&figures.dead_letters, &figures.replays),
        rows: pages.of(groups).map(|group| GroupRow::of(group, &selection)).collect(),
        query: selection.query(),
        selection,
        queues,
        pages,
        dead,
        operations: figures.replays.value().into_iter().flatten().map(|one| OperationRow::of(one, &names)).collect(),
        operations_digest: replays::all_digest(&figures.replays),
    })
}

fn summary(groups: &[DeadLetterGroup]) -> String {
    let sum = |count: fn(&DeadLetterGroup) -> u64| groups.iter().map(count).sum::<u64>();
    let (dead, replaying, new) =
        (sum(|group| group.dead), sum(|group| group.replaying), sum(|group| group.new_since_replay));
    match groups.len() {
        0 => "No dead letters are stored that match.".to_owned(),
        count => {
            let causes = if count == 1 { "one cause".to_owned() } else { format!("{count} causes") };
            format!("{dead} dead, {replaying} being replayed, of {causes}; {new} have died again after a replay.")
        }
    }
}

impl GroupRow {
    fn of(found: DeadLetterGroup, selection: &Selection) -> Self {
        let only = Selection { queue: selection.queue.clone(), ..Selection::default() }.query();
        let DeadLetterGroup { group, dead, replaying, new_since_replay, first_seen, last_seen, queues, example } =
            found;
        Self {
            address: format!("{PATH}/groups/{group}?{only}"),
            worker: example.last.worker.as_deref().map_or(example.queue, masked_code),
            class: masked_code(&example.last.class),
            message: shown_error(example.last.error.as_deref()),
            queues: queues.join(", "),
            dead,
            replaying,
            new_since_replay,
            oldest: shown(first_seen),
            newest: shown(last_seen),
        }
    }
}

/// The error of a dead letter, masked.
fn shown_error(error: Option<&str>) -> String {
    error.map_or_else(|| "–".to_owned(), masked_error)
}

/// Runs a change to its end, also when the user has gone away.
async fn change<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> Result<T, Failure> {
    store::change(CHANGE_LIMIT, "It has not ended yet, and goes on. Look at it in a moment.", work).await
}

/// Reads the replays now, without waiting for the next round: what the user has done is on the next page.
async fn read_replays(app: &App) {
    let begun = Instant::now();
    if let Ok(replays) = watch::limited(watch::replays(&app.mongo)).await {
        app.board.update(|figures| figures.take_replays(begun, Ok(replays), Utc::now().into()));
    }
}
