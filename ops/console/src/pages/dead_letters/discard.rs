//! Discarding dead letters for good: first which, then exactly those that were shown, with the password once more.

use super::selection::{Selection, Shown};
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
use chrono::Utc;
use pvt_operations::dead_letters::{DiscardOutcome, discard_shown, in_words};
use pvt_stores::StoreError;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterState, Matched};
use tracing::info;

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
    id: String,
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
    let (selection, _) = Selection::of_query(query.as_deref())?;
    let until = Utc::now().into();
    let (mongo, filter) = (app.mongo.clone(), selection.filter(Some(until)));
    let read = store::read(&app, async move {
        let matched = mongo.dead_letters().matched(&filter).await?;
        let listed = mongo.dead_letters().list(&filter, &[DeadLetterState::Dead], 0, MAX_LISTED).await?;
        Ok::<_, StoreError>((matched, listed))
    });
    let (Matched { count, digest }, listed) = read.await?;
    if count == 0 {
        return Err(Failure::NotFound("None of them is dead any more.".to_owned()));
    }
    let mut fields = selection.fields();
    fields.extend([("until", until.to_string()), ("count", count.to_string()), ("digest", digest)]);
    page(&DiscardPage {
        frame: Frame::new(&user, "Discard dead letters", PATH),
        words: in_words(&selection.filter(None)),
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
            id: found.id.to_string(),
            shown_id: found.shown_id().to_string(),
            kind: found.kind,
            queue: found.queue,
            class: found.last.class,
        }
    }
}

#[derive(Template)]
#[template(path = "dead_letters/discarded.html")]
struct DiscardedPage {
    frame: Frame,
    count: usize,
    changed: usize,
}

/// `POST /dead-letters/discard`, by administrators: those that were shown.
pub(crate) async fn discard(State(app): State<SharedApp>, form: Submitted) -> Result<Html<String>, Failure> {
    let user = form.user.clone().admin()?;
    let reason = form.fields.required("reason", SAY_WHY)?.to_owned();
    let Shown { until, matched } = Shown::of_fields(&form.fields)?;
    let filter = Selection::of_fields(&form.fields)?.filter(Some(until));
    confirmation::require(&app, &form).await?;
    info!(user_id = %user.user().id, count = matched.count, "discarding dead letters");
    let (mongo, actor) = (app.mongo.clone(), user.actor());
    let discarding = async move { discard_shown(&mongo, &filter, &matched, actor, &reason).await };
    let DiscardOutcome { discarded, changed } = change(discarding).await?;
    page(&DiscardedPage {
        frame: Frame::new(&user, "Dead letters were discarded", PATH),
        count: discarded.len(),
        changed: changed.len(),
    })
}
