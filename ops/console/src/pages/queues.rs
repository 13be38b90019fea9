//! Queues: what waits where, and pausing and resuming.

use crate::access::SignedIn;
use crate::actors;
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::forms::Submitted;
use crate::frame::Frame;
use crate::live::figures::{QueueRow, WaitingRow};
use crate::live::history::History;
use crate::live::reading::{Reading, clock};
use crate::live::watch;
use crate::pages::sparkline::Sparkline;
use crate::store;
use askama::Template;
use axum::extract::State;
use axum::response::{Html, Redirect};
use chrono::{DateTime, Utc};
use pvt_domain::messages::queues;
use pvt_operations::queue_pauses::{self, PauseOutcome};
use pvt_operations::trace::time_span;
use pvt_stores::mongo::queue_pauses::QueuePause;
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// For one change of the pauses.
const CHANGE_LIMIT: Duration = Duration::from_secs(10);
const NAME_A_QUEUE: &str = "Name a queue.";
const SAY_WHY: &str = "Say why: the reason is shown while the queue is paused, and recorded.";

#[derive(Template)]
#[template(path = "queues.html")]
struct QueuesPage {
    frame: Frame,
    source: String,
    /// How the samples are.
    history: String,
    rows: Vec<QueueView>,
    waiting: Vec<WaitingView>,
    times: TimesView,
    digest: String,
    /// Queues, and families of partitions, that can be paused.
    names: Vec<String>,
}

/// A work queue with its course.
struct QueueView {
    row: QueueRow,
    ready: Sparkline,
}

/// Messages that wait elsewhere, with their course.
struct WaitingView {
    row: WaitingRow,
    ready: Sparkline,
}

/// Times from the acceptance of booking requests to their confirmation.
struct TimesView {
    words: String,
    p95: Sparkline,
}

/// `GET /queues`.
pub(crate) async fn show(State(app): State<SharedApp>, user: SignedIn) -> Result<Html<String>, Failure> {
    let figures = app.board.figures();
    let rows = figures.queue_rows(&app.topology);
    let mut names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    names.extend(queues::PARTITIONED.iter().map(|family| (*family).to_owned()));
    names.sort_unstable();
    let (history, now) = (history(&figures.history), Utc::now());
    let course =
        |name: &str| Sparkline::of(&history.of_queue(name, |counts| counts.ready), now, |count| count.to_string());
    let waiting = figures.waiting_rows(&app.topology).into_iter();
    page(&QueuesPage {
        frame: Frame::new(&user, "Queues", "/queues"),
        source: figures.queues.state(),
        history: figures.history.state(),
        rows: rows.into_iter().map(|row| QueueView { ready: course(&row.name), row }).collect(),
        waiting: waiting.map(|row| WaitingView { ready: course(&row.name), row }).collect(),
        times: times(&history, now),
        digest: figures.queues_digest(),
        names,
    })
}

fn history(read: &Reading<Arc<History>>) -> Arc<History> {
    read.value().cloned().unwrap_or_default()
}

fn times(history: &History, now: DateTime<Utc>) -> TimesView {
    let shown = |time: Duration| time_span(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let words = history.percentiles(now).map_or_else(
        || "No booking was held or confirmed in the last 15 minutes.".to_owned(),
        |times| {
            format!(
                "Of {} bookings held or confirmed in the last 15 minutes, half waited for that at most {}, 95 % at \
                most {}, 99 % at most {}.",
                times.bookings,
                shown(times.p50),
                shown(times.p95),
                shown(times.p99)
            )
        },
    );
    let p95 = Sparkline::of(&history.p95_by_minute(), now, |milliseconds| shown(Duration::from_millis(milliseconds)));
    TimesView { words, p95 }
}

/// `POST /queues/pause`, by administrators.
pub(crate) async fn pause(State(app): State<SharedApp>, form: Submitted) -> Result<Redirect, Failure> {
    let Submitted { user, fields } = form;
    let user = user.admin()?;
    let queue = fields.required("queue", NAME_A_QUEUE)?.to_owned();
    let reason = fields.required("reason", SAY_WHY)?.to_owned();
    info!(user_id = %user.user().id, %queue, "pausing a queue");
    let (mongo, topology, actor) = (app.mongo.clone(), app.topology.clone(), user.actor());
    let work = async move { queue_pauses::pause(&mongo, &topology, &queue, actor, &reason).await };
    let outcome = change(work).await?;
    let page = changed(&app).await;
    match outcome {
        PauseOutcome::Paused(_) => Ok(page),
        PauseOutcome::PausedBefore(QueuePause { queue, since, actor, reason }) => {
            let actor = actors::names(&app, [&actor]).await.of(&actor);
            Err(Failure::Conflict(format!(
                "{queue} was paused before, at {} by {actor}: {reason}. That pause stands.",
                clock(since)
            )))
        }
    }
}

/// `POST /queues/resume`, by administrators.
pub(crate) async fn resume(State(app): State<SharedApp>, form: Submitted) -> Result<Redirect, Failure> {
    let Submitted { user, fields } = form;
    let user = user.admin()?;
    let queue = fields.required("queue", NAME_A_QUEUE)?.to_owned();
    let reason = fields.required("reason", SAY_WHY)?.to_owned();
    info!(user_id = %user.user().id, %queue, "resuming a queue");
    let (mongo, topology, actor) = (app.mongo.clone(), app.topology.clone(), user.actor());
    let none = Failure::Conflict(format!("{queue} is not paused, so nothing was resumed."));
    let ended = change(async move { queue_pauses::resume(&mongo, &topology, &queue, actor, &reason).await }).await?;
    let page = changed(&app).await;
    if ended.is_empty() { Err(none) } else { Ok(page) }
}

/// Runs a change to its end, also when the user has gone away.
async fn change<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> Result<T, Failure> {
    let unended = "MongoDB has not confirmed it yet. Look at the queues again in a moment.";
    store::change(CHANGE_LIMIT, unended, work).await
}

/// Shows the change at once, without waiting for the next reading.
async fn changed(app: &App) -> Redirect {
    if let Ok((pauses, names)) = watch::named_pauses(&app.mongo).await {
        app.board.update(|figures| {
            figures.pauses = figures.pauses.next(Ok(pauses), Utc::now().into());
            figures.names = names;
        });
    }
    Redirect::to("/queues")
}
