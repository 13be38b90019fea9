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
pub(crate) use beds::BedChoice;
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
use pvt_domain::block::Block;
use pvt_domain::booking::Booking;
use pvt_domain::business_day::business_date;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::Inventory;
use pvt_domain::money::Money;
use pvt_domain::nights::Nights;
use pvt_stores::StoreError;
use pvt_stores::mongo::occupancy::Occupant;
use sending::{Ended, Outcome, Request};
use serde::Deserialize;
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
    /// Of a move to another room type: the beds, and whose price is paid.
    to: Option<String>,
    price: Option<String>,
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
            let first = booking.stays.iter().map(|stay| stay.arrival).min().unwrap_or(today);
            let end = booking.stays.iter().map(|stay| stay.departure).max().unwrap_or(today);
            let nights = Nights::new(first, end);
            let occupants = mongo.occupancy().occupants(&booking.property_id, nights).await?;
            let blocks = mongo.occupancy().blocks_within(&booking.property_id, nights).await?;
            Ok::<_, StoreError>(Some(Self { booking, inventory, today, occupants, blocks }))
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

    /// The guest of a booking on these nights, with its reference.
    fn name_of(&self, id: BookingId) -> Option<String> {
        let occupant = self.occupants.iter().find(|one| one.id == id)?;
        Some(format!("{} ({})", occupant.guest.full_name(), occupant.reference))
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
    let named = [("stay", &query.stay), ("to", &query.to), ("price", &query.price)];
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
    let fields = typed.fields();
    let (content, notice) = match action.dry_run(around, fields) {
        Err(advice) => {
            let advice = Some(advice).filter(|_| !fields.get("to").is_empty());
            (Content::Choose { advice, fields: room::choice(around, fields) }, None)
        }
        Ok(call) => match preview_of(app, user, (action, around, fields), call).await {
            Ok(preview) => (Content::Open { preview, fields: form::fields(action, around, typed) }, None),
            // Another choice may be possible.
            Err(notice) if action == Action::Room => {
                (Content::Choose { advice: None, fields: room::choice(around, fields) }, Some(notice))
            }
            Err(notice) => return (None, Some(notice)),
        },
    };
    let (key, rev) = (Uuid::new_v4().to_string(), around.booking.rev);
    let label = action.label(&around.booking, &around.inventory.property);
    (Some(ActionForm { path: action.path(), label, key, rev, content }), notice)
}

/// What it would cost now, as the API says; which entry would be undone.
async fn preview_of(
    app: &App,
    user: &SignedIn,
    (action, around, fields): (Action, &Surroundings, &FormFields),
    dry_run: Option<Call>,
) -> Result<Vec<String>, Notice> {
    if action == Action::Reinstate {
        return Ok(form::undone(around));
    }
    let Some(call) = dry_run else { return Ok(Vec::new()) };
    match app.api.send(user, call).await {
        Ok(Answer::Done(preview)) if action == Action::Room => Ok(room::preview_lines(around, fields, &preview)),
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
        Some(around) => notice.naming(|id| around.name_of(id)),
        None => notice.without_booking(),
    };
    let next = safe_path(fields.get("next")).to_owned();
    let body = page(&action_page(&user, action, &before, around.as_ref(), Some(notice), form, next))?;
    Ok((status, body).into_response())
}

/// A form that sends the same requests again, with the same key for the same revision.
fn frozen_form(action: Action, request: Request, before: &Surroundings, fields: &FormFields) -> ActionForm {
    let steps = request.steps.iter().map(sending::Step::text).collect();
    ActionForm {
        path: action.path(),
        label: action.label(&before.booking, &before.inventory.property),
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
    let title = format!("{}: {}", action.label(booking, &known.inventory.property), booking.reference);
    let apart_from = Some(action).filter(|_| form.is_some());
    ActionPage {
        frame: Frame::new(user, title, "/front-desk"),
        notice,
        id: booking.id.to_string(),
        booking: around.map(Surroundings::facts),
        offers: around
            .map_or_else(Vec::new, |around| Action::offers(&around.booking, &around.inventory.property, apart_from)),
        form,
        next,
    }
}
