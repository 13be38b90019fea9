//! Replaying dead letters: first what would happen, then exactly to those that were shown.

use super::message::address;
use super::selection::{Review, Selection, Shown};
use super::{PATH, SAY_WHY, change, read_replays};
use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::forms::Submitted;
use crate::frame::Frame;
use crate::store;
use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{Html, Redirect};
use pvt_domain::dead_letters::masked_code;
use pvt_operations::dead_letters::{self, DEFAULT_RATE, Done, Forecast, MAX_RATE, begin_shown_replay};
use tracing::info;
use uuid::Uuid;

/// Dead letters of which a dry run says what would happen. Each is read with what it is about.
const MAX_FORECAST: i64 = 500;
/// Of them, those that are listed.
const MAX_LISTED: usize = 50;

#[derive(Template)]
#[template(path = "dead_letters/replay.html")]
struct ReplayPage {
    frame: Frame,
    words: String,
    fields: Vec<(&'static str, String)>,
    count: u64,
    outcomes: Vec<OutcomeRow>,
    /// Of how many that is known, where not of all.
    forecast: Option<usize>,
    rows: Vec<ForecastRow>,
    unlisted: usize,
    default_rate: u32,
    max_rate: u32,
}

struct OutcomeRow {
    what: &'static str,
    count: usize,
}

struct ForecastRow {
    address: String,
    shown_id: String,
    kind: String,
    queue: String,
    outcome: String,
}

/// `GET /dead-letters/replay?id=&queue=&class=&group=`: a dry run.
pub(crate) async fn review(
    State(app): State<SharedApp>,
    user: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let (mongo, mart) = (app.mongo.clone(), app.mart.clone());
    let reading = |filter| {
        store::read_in_turn(&app, &app.scans, async move {
            let matched = mongo.dead_letters().matched(&filter).await?;
            anyhow::Ok((matched, dead_letters::forecast(&mongo, &mart, &filter, MAX_FORECAST).await?))
        })
    };
    let Review { words, fields, count, read: forecasts } = Review::new(query.as_deref(), "operation", reading).await?;
    let is_partial = u64::try_from(forecasts.len()).is_ok_and(|known| known < count);
    page(&ReplayPage {
        frame: Frame::new(&user, "Replay dead letters", PATH),
        words,
        fields,
        count,
        outcomes: outcomes(&forecasts),
        forecast: is_partial.then_some(forecasts.len()),
        unlisted: forecasts.len().saturating_sub(MAX_LISTED),
        rows: forecasts.iter().take(MAX_LISTED).map(ForecastRow::of).collect(),
        default_rate: DEFAULT_RATE,
        max_rate: MAX_RATE,
    })
}

/// How many would end how.
fn outcomes(forecasts: &[Forecast]) -> Vec<OutcomeRow> {
    let row = |what, is: &dyn Fn(&Forecast) -> bool| OutcomeRow {
        what,
        count: forecasts.iter().filter(|forecast| is(forecast)).count(),
    };
    let readable = |forecast: &Forecast| forecast.unreadable.is_none();
    let rows = [
        row("would die again: their worker cannot read them", &|one| !readable(one)),
        row("were done already, and would be recognized", &|one| readable(one) && matches!(one.done, Done::Yes(_))),
        row("would be handled", &|one| readable(one) && matches!(one.done, Done::No(_))),
        row("would be handled, or recognized: only their worker can say which", &|one| {
            readable(one) && one.done == Done::Unknown
        }),
    ];
    rows.into_iter().filter(|row| row.count > 0).collect()
}

impl ForecastRow {
    fn of(forecast: &Forecast) -> Self {
        let dead_letter = &forecast.dead_letter;
        Self {
            address: address(dead_letter),
            shown_id: dead_letter.shown_id().to_string(),
            kind: masked_code(&dead_letter.kind),
            queue: dead_letter.queue.clone(),
            outcome: forecast.outcome(),
        }
    }
}

/// `POST /dead-letters/replay`, by administrators: those that were shown, in the background.
pub(crate) async fn begin(State(app): State<SharedApp>, form: Submitted) -> Result<Redirect, Failure> {
    let Submitted { user, fields } = form;
    let user = user.admin()?;
    let reason = fields.required("reason", SAY_WHY)?.to_owned();
    let rate = fields.get("rate").parse().ok().filter(|rate| (1..=MAX_RATE).contains(rate));
    let rate = rate.ok_or_else(|| Failure::Invalid(format!("The rate is a number from 1 to {MAX_RATE}.")))?;
    let incomplete = || Failure::Invalid("Open the page again: the form is incomplete.".to_owned());
    let id = Uuid::try_parse(fields.get("operation")).map_err(|_| incomplete())?;
    let Shown { until, matched } = Shown::of_fields(&fields)?;
    let filter = Selection::of_fields(&fields)?.filter(Some(until));
    info!(user_id = %user.user().id, operation = %id, count = matched.count, "replaying dead letters");
    let (mongo, actor) = (app.mongo.clone(), user.actor());
    let beginning = async move { begin_shown_replay(&mongo, id, (&filter, &matched), rate, actor, &reason).await };
    let operation = change(beginning).await?;
    read_replays(&app).await;
    Ok(Redirect::to(&format!("{PATH}/operations/{}", operation.id)))
}
