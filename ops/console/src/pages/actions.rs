//! Actions of staff on a booking: check-in, check-out, no-show, reinstatement, confirmation, cancellation, payments.
//!
//! The API decides them, as a request of the user who is signed in. A form carries its idempotency key and the revision
//! that was shown, so that a form that is sent twice acts once, and one that is outdated does nothing.

mod action;
mod amounts;
mod form;
mod notice;

pub(crate) use action::{Action, Offer};
pub(crate) use notice::Notice;

use crate::access::SignedIn;
use crate::api::{Answer, Call, Unanswered};
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::forms::{FormFields, Submitted};
use crate::frame::Frame;
use crate::login::safe_path;
use crate::store;
use action::Step;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{NaiveDate, Utc};
use form::FieldView;
use pvt_domain::block::Block;
use pvt_domain::booking::Booking;
use pvt_domain::business_day::business_date;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::Inventory;
use pvt_domain::money::Money;
use pvt_domain::nights::Nights;
use pvt_stores::StoreError;
use pvt_stores::mongo::occupancy::Occupant;
use serde::Deserialize;
use serde_json::Value;
use tracing::info;
use uuid::Uuid;

/// A booking with what surrounds it.
pub(crate) struct Surroundings {
    pub(crate) booking: Booking,
    pub(crate) inventory: Inventory,
    pub(crate) today: NaiveDate,
    /// Bookings on its nights, itself among them.
    occupants: Vec<Occupant>,
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
pub(crate) struct ActionQuery {
    /// The stay that is meant; all that are due without one.
    stay: Option<String>,
    /// The page to return to.
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "action.html")]
struct ActionPage {
    frame: Frame,
    notice: Option<Notice>,
    booking: Facts,
    /// None once it is done.
    form: Option<ActionForm>,
    offers: Vec<Offer>,
    next: String,
}

/// The booking as it stands.
struct Facts {
    id: String,
    reference: String,
    guest: String,
    status: &'static str,
    rev: u32,
    due: String,
    stays: Vec<String>,
}

struct ActionForm {
    path: &'static str,
    label: &'static str,
    key: String,
    rev: u32,
    /// What the API says that it would cost.
    preview: Vec<String>,
    fields: Vec<FieldView>,
}

impl Surroundings {
    /// Reads a booking at the user's properties.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for any other.
    pub(crate) async fn read(app: &App, user: &SignedIn, id: &str) -> Result<Self, Failure> {
        let none = || Failure::NotFound("There is no such booking at your properties.".to_owned());
        let id: BookingId = id.parse().map_err(|_| none())?;
        let properties = user.properties(app).await?;
        let mongo = app.mongo.clone();
        let found = store::read(app, async move {
            let Some(booking) = mongo.bookings().find(id).await? else { return Ok(None) };
            if !properties.contains(&booking.property_id) {
                return Ok(None);
            }
            let Some(inventory) = mongo.inventories().find(&booking.property_id).await? else { return Ok(None) };
            let today = business_date(&inventory.property, Utc::now().into());
            let first = booking.stays.iter().map(|stay| stay.arrival).min().unwrap_or(today);
            let end = booking.stays.iter().map(|stay| stay.departure).max().unwrap_or(today);
            let nights = Nights::new(first, end);
            let occupants = mongo.occupancy().occupants(&booking.property_id, nights).await?;
            let blocks = mongo.occupancy().blocks_within(&booking.property_id, nights).await?;
            Ok::<_, StoreError>(Some(Self { booking, inventory, today, occupants, blocks }))
        });
        found.await?.ok_or_else(none)
    }

    /// An amount in the currency of the booking.
    pub(crate) fn money(&self, amount: i64) -> Money {
        let currency = self.booking.price.as_ref().map_or(self.inventory.property.currency, |price| price.currency);
        Money::new(amount, currency)
    }

    fn facts(&self) -> Facts {
        let booking = &self.booking;
        Facts {
            id: booking.id.to_string(),
            reference: booking.reference.clone(),
            guest: booking.guest.full_name(),
            status: booking.status.as_str(),
            rev: booking.rev,
            due: self.money(booking.outstanding()).to_string(),
            stays: booking.numbered_stays().iter().map(|stay| form::stay_label(self, stay)).collect(),
        }
    }
}

/// `GET /bookings/{id}/actions/{action}`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Path((id, action)): Path<(String, String)>,
    Query(query): Query<ActionQuery>,
) -> Result<Html<String>, Failure> {
    let action = Action::of_path(&action).ok_or_else(no_action)?;
    let around = Surroundings::read(&app, &user, &id).await?;
    let fields = FormFields::of([("stay", query.stay.as_deref().unwrap_or_default())]);
    let mut notice = None;
    let mut preview = Vec::new();
    if action.is_offered(&around.booking) {
        match preview_of(&app, &user, action, &around).await {
            Ok(lines) => preview = lines,
            Err(refused) => notice = Some(refused),
        }
    } else {
        notice = Some(Notice::not_offered(action, &around.booking));
    }
    let typed = form::Typed::first(&fields);
    let form = action.is_offered(&around.booking).then(|| ActionForm {
        path: action.path(),
        label: action.label(),
        key: Uuid::new_v4().to_string(),
        rev: around.booking.rev,
        preview,
        fields: form::fields(action, &around, &typed),
    });
    let next = safe_path(query.next.as_deref().unwrap_or("/front-desk")).to_owned();
    page(&action_page(&user, action, &around, notice, form, next))
}

fn no_action() -> Failure {
    Failure::NotFound("There is no such action.".to_owned())
}

/// What a cancellation would cost now, as the API says.
async fn preview_of(app: &App, user: &SignedIn, action: Action, around: &Surroundings) -> Result<Vec<String>, Notice> {
    let Some(call) = action.dry_run(&around.booking) else { return Ok(Vec::new()) };
    match app.api.send(user, call).await {
        Ok(Answer::Done(preview)) => Ok(action::preview_lines(&preview)),
        Ok(Answer::Refused(refusal)) => Err(Notice::refused(&refusal)),
        Ok(Answer::Accepted) => Ok(Vec::new()),
        Err(unanswered) => Err(Notice::unanswered(&unanswered)),
    }
}

/// `POST /bookings/{id}/actions/{action}`.
pub(crate) async fn act(
    State(app): State<SharedApp>,
    Path((id, action)): Path<(String, String)>,
    submitted: Submitted,
) -> Result<Response, Failure> {
    let Submitted { user, fields } = submitted;
    let action = Action::of_path(&action).ok_or_else(no_action)?;
    let before = Surroundings::read(&app, &user, &id).await?;
    let key = idempotency_key(&fields)?;
    let rev = fields.get("rev").parse::<u32>().ok();
    info!(user_id = %user.user().id, booking_id = %before.booking.id, action = action.path(), "acting on a booking");
    let steps = action.steps(&before, &fields).map_err(Failure::Invalid);
    let outcome = match steps {
        Ok(steps) => Outcome::of(send(&app, &user, steps, &key, rev).await, action),
        Err(Failure::Invalid(advice)) => Outcome::invalid(&advice),
        Err(failed) => return Err(failed),
    };
    let around = Surroundings::read(&app, &user, &id).await?;
    let next = safe_path(fields.get("next")).to_owned();
    let (key, rev) = match outcome.is_undecided {
        true => (key, rev.unwrap_or(around.booking.rev)),
        false => (Uuid::new_v4().to_string(), around.booking.rev),
    };
    let shows_form = !outcome.is_done && (outcome.is_undecided || action.is_offered(&around.booking));
    let form = shows_form.then(|| ActionForm {
        path: action.path(),
        label: action.label(),
        key,
        rev,
        preview: Vec::new(),
        fields: form::fields(action, &around, &form::Typed::again(&fields)),
    });
    let body = page(&action_page(&user, action, &around, Some(outcome.notice), form, next))?;
    Ok((outcome.status, body).into_response())
}

/// The key of a form, which has one from the moment that it was shown.
pub(crate) fn idempotency_key(fields: &FormFields) -> Result<String, Failure> {
    let key = fields.get("key").parse::<Uuid>();
    key.map(|key| key.to_string()).map_err(|_| Failure::Invalid("Open the form again: it has no key.".to_owned()))
}

/// Sends the steps of an action one after the other, each with a key of its own, until one is not done. Each is about
/// the revision that the one before has made.
async fn send(app: &App, user: &SignedIn, steps: Vec<Step>, key: &str, rev: Option<u32>) -> Result<Answer, Unanswered> {
    let mut rev = rev;
    let mut last = Answer::Accepted;
    for (index, step) in steps.into_iter().enumerate() {
        let key = if index == 0 { key.to_owned() } else { format!("{key}-{index}") };
        let call = Call::post(step.path, step.body).keyed(key).at_rev(rev.filter(|_| step.is_of_revision));
        last = app.api.send(user, call).await?;
        let Answer::Done(done) = &last else { return Ok(last) };
        rev = done.get("rev").and_then(Value::as_u64).and_then(|rev| u32::try_from(rev).ok()).or(rev);
    }
    Ok(last)
}

/// What became of an action.
struct Outcome {
    status: StatusCode,
    notice: Notice,
    is_done: bool,
    /// The same form may be sent again, with its key.
    is_undecided: bool,
}

impl Outcome {
    fn of(answer: Result<Answer, Unanswered>, action: Action) -> Self {
        let (status, notice, is_done, is_undecided) = match answer {
            Ok(Answer::Done(_)) => (StatusCode::OK, Notice::done(action.done()), true, false),
            Ok(Answer::Accepted) => (StatusCode::ACCEPTED, Notice::accepted(), false, true),
            Ok(Answer::Refused(refusal)) => {
                let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
                (status, Notice::refused(&refusal), false, refusal.is_undecided())
            }
            Err(unanswered) => (StatusCode::SERVICE_UNAVAILABLE, Notice::unanswered(&unanswered), false, true),
        };
        Self { status, notice, is_done, is_undecided }
    }

    fn invalid(advice: &str) -> Self {
        let notice = Notice::invalid(advice);
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, notice, is_done: false, is_undecided: false }
    }
}

fn action_page(
    user: &SignedIn,
    action: Action,
    around: &Surroundings,
    notice: Option<Notice>,
    form: Option<ActionForm>,
    next: String,
) -> ActionPage {
    let title = format!("{}: {}", action.label(), around.booking.reference);
    ActionPage {
        frame: Frame::new(user, title, "/front-desk"),
        notice,
        booking: around.facts(),
        offers: Action::offers(&around.booking, Some(action).filter(|_| form.is_some())),
        form,
        next,
    }
}
