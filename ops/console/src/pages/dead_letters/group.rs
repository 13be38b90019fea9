//! A group of dead letters: those that wait, or are being replayed, with a choice of some.

use super::message::address;
use super::selection::{Pages, Selection};
use super::{PAGE_SIZE, PATH, shown_error};
use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::response::Html;
use pvt_domain::dead_letters::masked_code;
use pvt_stores::StoreError;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterState};

/// What operators look at.
const OPEN: [DeadLetterState; 2] = [DeadLetterState::Dead, DeadLetterState::Replaying];

#[derive(Template)]
#[template(path = "dead_letters/group.html")]
struct GroupPage {
    frame: Frame,
    group: String,
    worker: String,
    class: String,
    message: String,
    dead: u64,
    replaying: u64,
    rows: Vec<DeadLetterRow>,
    pages: Pages,
    /// All of the group.
    query: String,
}

struct DeadLetterRow {
    id: String,
    address: String,
    shown_id: String,
    kind: String,
    queue: String,
    is_dead: bool,
    state: &'static str,
    booking: Option<String>,
    deaths: u32,
    attempt: u32,
    new_since_replay: bool,
    first: String,
    last: String,
    message: String,
}

/// `GET /dead-letters/groups/{group}?queue=&page=`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Path(group): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let (selection, number) = Selection::of_query(query.as_deref())?;
    let of_group = Selection { group: Some(group.clone()), ids: Vec::new(), ..selection };
    let path = format!("{PATH}/groups/{group}");
    let page_query = Selection { group: None, ..of_group.clone() }.query();
    let (mongo, filter) = (app.mongo.clone(), of_group.filter(None));
    let read = store::read(&app, async move {
        let dead = mongo.dead_letters().count(&filter, &[DeadLetterState::Dead]).await?;
        let replaying = mongo.dead_letters().count(&filter, &[DeadLetterState::Replaying]).await?;
        let pages = Pages::new(number, dead + replaying, &path, &page_query);
        let limit = i64::try_from(PAGE_SIZE).unwrap_or(i64::MAX);
        let found = mongo.dead_letters().list(&filter, &OPEN, pages.skip(), limit).await?;
        Ok::<_, StoreError>((dead, replaying, pages, found))
    });
    let (dead, replaying, pages, found) = read.await?;
    let none = || Failure::NotFound("No dead letters of this group are left.".to_owned());
    let last = found.first().map(|one| one.last.clone()).ok_or_else(none)?;
    let queue = found.first().map(|one| one.queue.clone()).unwrap_or_default();
    page(&GroupPage {
        frame: Frame::new(&user, "Dead letters with one cause", PATH),
        worker: last.worker.as_deref().map_or(queue, masked_code),
        class: masked_code(&last.class),
        message: shown_error(last.error.as_deref()),
        query: of_group.query(),
        group,
        dead,
        replaying,
        rows: found.into_iter().map(DeadLetterRow::of).collect(),
        pages,
    })
}

impl DeadLetterRow {
    fn of(found: DeadLetter) -> Self {
        Self {
            id: found.id.to_string(),
            address: address(&found),
            shown_id: found.shown_id().to_string(),
            is_dead: found.state == DeadLetterState::Dead,
            state: found.state.as_str(),
            booking: found.booking_id.map(|booking| booking.to_string()),
            kind: masked_code(&found.kind),
            queue: found.queue,
            deaths: found.deaths,
            attempt: found.last.attempt,
            new_since_replay: found.new_since_replay,
            first: shown(found.first_died_at),
            last: shown(found.last.died_at),
            message: shown_error(found.last.error.as_deref()),
        }
    }
}
