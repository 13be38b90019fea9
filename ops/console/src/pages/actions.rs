//! Actions of staff on a booking: check-in, check-out, no-show, reinstatement, confirmation, cancellation, payments.
//!
//! The API decides them, as a request of the user who is signed in. A form carries its idempotency key and the revision
//! that was shown, so that a form that is sent twice acts once, and one that is outdated does nothing.

mod action;
mod amounts;
mod beds;
mod form;
mod notice;
mod room;
mod sending;

#[cfg(test)]
mod tests;

pub(crate) use action::{Action, Offer};
pub(crate) use beds::{BedChoice, TakenBeds};
pub(crate) use notice::Notice;

use crate::access::SignedIn;
use crate::api::{Answer, Call};
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::forms::{FormFields, Submitted};
use crate::frame::Frame;
use crate::login::safe_path;
use crate::pages::balance::balance;
use crate::store;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{NaiveDate, Utc};
use form::{FieldView, Typed};
use pvt_domain::booking::Booking;
use pvt_domain::business_day::business_date;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::{Inventory, Property};
use pvt_domain::money::Money;
use pvt_stores::StoreError;
pub(crate) use sending::Ended;
use sending::{Outcome, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;
use uuid::Uuid;

/// A booking with its property.
pub(crate) struct Surroundings {
    pub(crate) booking: Booking,
    pub(crate) inventory: Inventory,
    pub(crate) today: NaiveDate,
}

#[derive(Deserialize)]
pub(crate) struct ActionQuery {
    /// The stay that is meant; all that are due without one.
    stay: Option<String>,
    /// Of a move to another room type: the beds, and whose price is paid.
    to: Option<String>,
    price: Option<String>,
    override_restrictions: Option<String>,
    /// The page to return to.
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "action.html")]
struct ActionPage {
    frame: Frame,
    notice: Option<Notice>,
    id: String,
    /// None while it cannot be read.
    booking: Option<Facts>,
    /// None once it is done.
    form: Option<ActionForm>,
    offers: Vec<Offer>,
    next: String,
}

/// The booking as it stands.
struct Facts {
    reference: String,
    guest: String,
    status: &'static str,
    rev: u32,
    due: String,
    stays: Vec<String>,
}

struct ActionForm {
    path: &'static str,
    label: String,
    key: String,
    rev: u32,
    content: Content,
}

/// What a form asks for.
enum Content {
    /// It asks what the API is to be asked.
    Choose { advice: Option<String>, fields: Vec<FieldView> },
    /// It is filled in, under what the API says that it would cost.
    Open { preview: Vec<String>, fields: Vec<FieldView> },
    /// It sends the same requests again, and keeps what was filled in.
    Frozen { steps: Vec<String>, filled_in: Vec<(String, String)> },
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
            Ok::<_, StoreError>(Some(Self { booking, inventory, today }))
        });
        found.await?.ok_or_else(none)
    }

    /// With the stays as they were at the revision that a form was made for, so that a form that is sent twice means
    /// the same.
    fn at_rev(&self, rev: Option<u32>) -> Booking {
        let booking = &self.booking;
        match rev.filter(|rev| *rev < booking.rev) {
            Some(rev) => Booking { stays: booking.state_at(rev).stays, no_shows: Vec::new(), ..booking.clone() },
            None => booking.clone(),
        }
    }

    /// An amount in the currency of the booking.
    pub(crate) fn money(&self, amount: i64) -> Money {
        let currency = self.booking.price.as_ref().map_or(self.inventory.property.currency, |price| price.currency);
        Money::new(amount, currency)
    }

    /// The property, and its business day.
    fn day(&self) -> (&Property, NaiveDate) {
        (&self.inventory.property, self.today)
    }

    fn facts(&self) -> Facts {
        let booking = &self.booking;
        Facts {
            reference: booking.reference.clone(),
            guest: booking.guest.full_name(),
            status: booking.status.as_str(),
            rev: booking.rev,
            due: balance(booking, self.money(0).currency),
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
    let named = [
        ("stay", &query.stay),
        ("to", &query.to),
        ("price", &query.price),
        (room::OVERRIDE, &query.override_restrictions),
    ];
    let fields = FormFields::of(named.map(|(name, value)| (name, value.as_deref().unwrap_or_default())));
    let (form, notice) = match action.is_offered(&around.booking) {
        true => open_form(&app, &user, action, &around, &Typed::first(&fields)).await,
        false => (None, Some(Notice::not_offered(action, &around.booking))),
    };
    let next = safe_path(query.next.as_deref().unwrap_or("/front-desk")).to_owned();
    page(&action_page(&user, action, &around, Some(&around), notice, form, next))
}

fn no_action() -> Failure {
    Failure::NotFound("There is no such action.".to_owned())
}

/// A form with a key of its own; none where it cannot be said what the action would cost.
async fn open_form(
    app: &App,
    user: &SignedIn,
    action: Action,
    around: &Surroundings,
    typed: &Typed<'_>,
) -> (Option<ActionForm>, Option<Notice>) {
    let (taken, notice) = match action {
        Action::CheckIn | Action::Room => match TakenBeds::read(app, around).await {
            Ok(taken) => (Some(taken), None),
            Err(failure) => (None, Some(Notice::without_beds(&failure))),
        },
        _ => (None, None),
    };
    let (content, notice) = match (action, &taken) {
        (Action::Room, None) => return (None, notice),
        (Action::Room, Some(taken)) => room_form(app, user, (around, taken), typed).await,
        _ => match preview_of(app, user, action, around).await {
            Ok(preview) => {
                (Content::Open { preview, fields: form::fields(action, around, taken.as_ref(), typed) }, notice)
            }
            Err(notice) => return (None, Some(notice)),
        },
    };
    let (key, rev) = (Uuid::new_v4().to_string(), around.booking.rev);
    let label = action.label(&around.booking, around.day());
    (Some(ActionForm { path: action.path(), label, key, rev, content }), notice)
}

/// The choice of beds of another room type, or what the move that is chosen would cost.
async fn room_form(
    app: &App,
    user: &SignedIn,
    (around, taken): (&Surroundings, &TakenBeds),
    typed: &Typed<'_>,
) -> (Content, Option<Notice>) {
    let fields = typed.fields();
    let choose = |advice| Content::Choose { advice, fields: room::choice(around, taken, fields) };
    let call = match room::dry_run(around, taken, fields) {
        Ok(call) => call,
        Err(advice) => return (choose(Some(advice).filter(|_| !fields.get("to").is_empty())), None),
    };
    match dry_run(app, user, Action::Room, call).await {
        Ok(answer) => {
            let preview = room::preview_lines(around, taken, fields, &answer.unwrap_or_default());
            (Content::Open { preview, fields: form::fields(Action::Room, around, None, typed) }, None)
        }
        // Another choice may be possible.
        Err(notice) => (choose(None), Some(notice)),
    }
}

/// What it would cost now, as the API says; which entry would be undone.
async fn preview_of(app: &App, user: &SignedIn, action: Action, around: &Surroundings) -> Result<Vec<String>, Notice> {
    match action {
        Action::Reinstate => Ok(form::undone(around)),
        Action::Cancel => {
            let path = format!("/api/bookings/{}/cancel", around.booking.id);
            let answer = dry_run(app, user, action, Call::post(path, json!({ "dry_run": true }))).await?;
            Ok(answer.iter().flat_map(action::preview_lines).collect())
        }
        _ => Ok(Vec::new()),
    }
}

async fn dry_run(app: &App, user: &SignedIn, action: Action, call: Call) -> Result<Option<Value>, Notice> {
    match app.api.send(user, call).await {
        Ok(Answer::Done(preview)) => Ok(Some(preview)),
        Ok(Answer::Accepted) => Ok(None),
        Ok(Answer::Refused(refusal)) => Err(Notice::refused(&refusal, Some(action))),
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
    let sent_before = sending::sent_before(&fields)?;
    let mut request = Request { steps: Vec::new(), key, rev, is_repetition: sent_before.is_some() };
    let steps = match sent_before {
        Some(steps) => Ok(steps),
        None => action.steps(&before, &before.at_rev(rev), &fields),
    };
    let outcome = match steps {
        Ok(steps) => {
            request.steps = steps;
            Outcome::of(sending::send(&app, &user, before.booking.id, action, request.clone()).await, action)
        }
        Err(advice) => Outcome::invalid(&advice),
    };
    let Outcome { status, mut notice, ended } = outcome;
    // The outcome and the key are shown also when the booking cannot be read any more.
    let around = Surroundings::read(&app, &user, &id).await.ok();
    let form = match (ended, &around) {
        (Ended::Unknown, _) => Some(frozen_form(action, request, &before, &fields)),
        (Ended::Done | Ended::KeyReused, _) | (_, None) => None,
        (Ended::Refused | Ended::NotSent, Some(around)) if action.is_offered(&around.booking) => {
            let (form, failed) = open_form(&app, &user, action, around, &Typed::again(&fields)).await;
            notice.lines.extend(failed.map(|failed| failed.text));
            let kept = |form| match ended {
                Ended::NotSent => ActionForm { key: request.key, rev: rev.unwrap_or(around.booking.rev), ..form },
                _ => form,
            };
            form.map(kept)
        }
        _ => None,
    };
    notice = match &around {
        Some(around) => named(&app, around, notice).await,
        None => notice.without_booking(),
    };
    let next = safe_path(fields.get("next")).to_owned();
    let body = page(&action_page(&user, action, &before, around.as_ref(), Some(notice), form, next))?;
    Ok((status, body).into_response())
}

/// With the guests of its bookings, where they can be read.
async fn named(app: &App, around: &Surroundings, notice: Notice) -> Notice {
    let ids: Vec<BookingId> = notice.bookings.iter().map(|(id, _)| *id).collect();
    if ids.is_empty() {
        return notice;
    }
    let mongo = app.mongo.clone();
    let known = store::read(app, async move { mongo.bookings().find_by_ids(ids).await }).await.unwrap_or_default();
    let property = &around.booking.property_id;
    notice.naming(|id| {
        let booking = known.get(&id).filter(|booking| booking.property_id == *property)?;
        Some(format!("{} ({})", booking.guest.full_name(), booking.reference))
    })
}

/// A form that sends the same requests again, with the same key for the same revision.
fn frozen_form(action: Action, request: Request, before: &Surroundings, fields: &FormFields) -> ActionForm {
    let steps = request.steps.iter().map(sending::Step::text).collect();
    ActionForm {
        path: action.path(),
        label: action.label(&before.booking, before.day()),
        key: request.key,
        rev: request.rev.unwrap_or(before.booking.rev),
        content: Content::Frozen { steps, filled_in: sending::filled_in(fields) },
    }
}

/// The key of a form, which has one from the moment that it was shown.
pub(crate) fn idempotency_key(fields: &FormFields) -> Result<String, Failure> {
    let key = fields.get("key").parse::<Uuid>();
    key.map(|key| key.to_string()).map_err(|_| Failure::Invalid("Open the form again: it has no key.".to_owned()))
}

fn action_page(
    user: &SignedIn,
    action: Action,
    known: &Surroundings,
    around: Option<&Surroundings>,
    notice: Option<Notice>,
    form: Option<ActionForm>,
    next: String,
) -> ActionPage {
    let booking = &known.booking;
    let title = format!("{}: {}", action.label(booking, known.day()), booking.reference);
    let apart_from = Some(action).filter(|_| form.is_some());
    ActionPage {
        frame: Frame::new(user, title, "/front-desk"),
        notice,
        id: booking.id.to_string(),
        booking: around.map(Surroundings::facts),
        offers: around.map_or_else(Vec::new, |around| Action::offers(&around.booking, around.day(), apart_from)),
        form,
        next,
    }
}
