//! Discarding dead letters for good: first which, then exactly those that were shown, with the password once more.

use super::message::address;
use super::selection::{Review, Selection, Shown};
use super::{PATH, SAY_WHY, change};
use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::confirmation;
use crate::failure::{Failure, page};
use crate::forms::Submitted;
use crate::frame::Frame;
use crate::store;
use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use pvt_domain::dead_letters::masked_code;
use pvt_operations::dead_letters::{ShownDiscard, discard_shown};
use pvt_stores::StoreError;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterState};
use tracing::info;
use uuid::Uuid;

/// Dead letters that are listed.
const MAX_LISTED: i64 = 50;

#[derive(Template)]
#[template(path = "dead_letters/discard.html")]
struct DiscardPage {
    frame: Frame,
    words: String,
    fields: Vec<(&'static str, String)>,
    count: u64,
    rows: Vec<DiscardRow>,
    unlisted: u64,
    needs_password: bool,
}

struct DiscardRow {
    address: String,
    shown_id: String,
    kind: String,
    queue: String,
    class: String,
}

/// `GET /dead-letters/discard?id=&queue=&class=&group=`: which would be discarded.
pub(crate) async fn review(
    State(app): State<SharedApp>,
    user: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let mongo = app.mongo.clone();
    let reading = |filter: DeadLetterFilter| {
        store::read(&app, async move {
            let matched = mongo.dead_letters().matched(&filter).await?;
            let listed = mongo.dead_letters().list(&filter, &[DeadLetterState::Dead], 0, MAX_LISTED).await?;
            Ok::<_, StoreError>((matched, listed))
        })
    };
    let Review { words, fields, count, read: listed } = Review::new(query.as_deref(), "cause", reading).await?;
    page(&DiscardPage {
        frame: Frame::new(&user, "Discard dead letters", PATH),
        words,
        fields,
        count,
        unlisted: count.saturating_sub(u64::try_from(listed.len()).unwrap_or_default()),
        rows: listed.into_iter().map(DiscardRow::of).collect(),
        needs_password: confirmation::is_needed(&app, &user).await,
    })
}

impl DiscardRow {
    fn of(found: DeadLetter) -> Self {
        Self {
            address: address(&found),
            shown_id: found.shown_id().to_string(),
            kind: masked_code(&found.kind),
            queue: found.queue,
            class: masked_code(&found.last.class),
        }
    }
}

#[derive(Template)]
#[template(path = "dead_letters/discarded.html")]
struct DiscardedPage {
    frame: Frame,
    done: u64,
    left: u64,
    /// Why it ended before the last one.
    failure: Option<String>,
}

/// `POST /dead-letters/discard`, by administrators: those that were shown.
pub(crate) async fn discard(State(app): State<SharedApp>, form: Submitted) -> Result<Html<String>, Failure> {
    let user = form.user.clone().admin()?;
    let reason = form.fields.required("reason", SAY_WHY)?.to_owned();
    let Shown { until, matched } = Shown::of_fields(&form.fields)?;
    let incomplete = || Failure::Invalid("Open the page again: the form is incomplete.".to_owned());
    let cause = Uuid::try_parse(form.fields.get("cause")).map_err(|_| incomplete())?;
    let filter = Selection::of_fields(&form.fields)?.filter(Some(until));
    confirmation::require(&app, &form).await?;
    info!(user_id = %user.user().id, count = matched.count, "discarding dead letters");
    let (mongo, actor) = (app.mongo.clone(), user.actor());
    let discarding = async move { discard_shown(&mongo, cause, (&filter, &matched), actor, &reason).await };
    let ShownDiscard { done, left, failure } = change(discarding).await?;
    page(&DiscardedPage {
        frame: Frame::new(&user, "Dead letters were discarded", PATH),
        done,
        left,
        failure: failure.map(|failure| failure.to_string()),
    })
}
