//! Access to one booking: by its token, or as a caller who may see it.

use crate::auth::credentials::Credentials;
use crate::auth::policy::Caller;
use crate::http::headers;
use crate::http::problem::{self, Problem};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeInput, Operation};
use crate::resources::bookings::view::Links;
use crate::state::App;
use crate::store_call;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use pvt_service::tokens::{Purpose, TokenClaims};
use serde::Deserialize;
use std::sync::Arc;
use uuid::Uuid;

/// When to poll again for a booking that is not decided, in seconds.
const RETRY_AFTER_SECS: u32 = 1;
/// The detail for a token that shows a booking, where it is to be changed.
const VIEW_ONLY: &str = "This link shows the booking and cannot change it. Use the link for changes in the newest mail \
    about the booking.";

/// Query parameters of a booking's address.
#[derive(Debug, Deserialize)]
struct BookingQuery {
    token: Option<String>,
    wait: Option<String>,
}

/// A caller's access to a booking.
pub(crate) struct BookingAccess {
    pub(crate) id: BookingId,
    pub(crate) caller: Caller,
    /// The booking's token, if the caller has one that is good for this route and was signed here.
    token: Option<PresentedToken>,
}

/// A token as the caller sent it, and what it says.
#[derive(Clone)]
struct PresentedToken {
    text: String,
    claims: TokenClaims,
}

/// The credentials of a request for a booking: the booking's token, in the query or as a bearer credential, and the
/// caller.
pub(crate) struct BookingCredentials {
    pub(crate) caller: Caller,
    bearer: Option<Arc<str>>,
    query: BookingQuery,
    /// The least purpose of a token that the route accepts.
    needed: Purpose,
}

impl<S: Send + Sync> FromRequestParts<S> for BookingCredentials {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(parts)
    }
}

impl DescribeInput for BookingCredentials {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.with_token()
    }
}

impl BookingCredentials {
    /// Those of a request.
    ///
    /// # Errors
    /// 400 for a query that cannot be read.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Problem> {
        let query = headers::query(&parts.uri)?;
        let Credentials { caller, token: bearer, needed } = Credentials::of(parts);
        Ok(Self { caller, bearer, query, needed })
    }

    /// Access to this booking; a `token` in the body comes first. `None` for a known caller who names no booking.
    ///
    /// # Errors
    /// 404 for a caller with neither token nor credential, and 403 for one whose token is not good for this, before any
    /// store is read.
    pub(crate) fn access(
        &self,
        app: &App,
        id: Option<BookingId>,
        token: Option<&str>,
    ) -> Result<Option<BookingAccess>, Problem> {
        let is_anonymous = matches!(self.caller, Caller::Anonymous);
        let Some(id) = id else {
            return if is_anonymous { Err(problem::NOT_FOUND.into()) } else { Ok(None) };
        };
        let given = token.or(self.query.token.as_deref()).or(self.bearer.as_deref());
        let signed = given.and_then(|text| {
            let claims = app.booking_tokens.verify(id, text)?;
            Some(PresentedToken { text: text.to_owned(), claims })
        });
        let was_signed = signed.is_some();
        let token = signed.filter(|token| token.claims.purpose >= self.needed);
        if token.is_none() && is_anonymous {
            return Err(if was_signed {
                Problem::new(problem::FORBIDDEN, VIEW_ONLY)
            } else {
                problem::NOT_FOUND.into()
            });
        }
        // Refused at every address of a booking, also where nothing is waited for.
        self.query.wait.as_deref().map(headers::query_wait).transpose()?;
        Ok(Some(BookingAccess { id, caller: self.caller.clone(), token }))
    }
}

impl BookingAccess {
    /// Reads address, query and credentials. A caller with neither token nor credential is refused before any
    /// store is read.
    pub(crate) fn of(app: &App, id: &str, parts: &Parts) -> Result<Self, Problem> {
        let credentials = BookingCredentials::of(parts)?;
        let not_found = || Problem::from(problem::NOT_FOUND);
        let id: BookingId = id.parse().map_err(|_| not_found())?;
        credentials.access(app, Some(id), None)?.ok_or_else(not_found)
    }

    /// The stored booking, if there is one and the caller may see it.
    ///
    /// # Errors
    /// 404 when the caller may not see it or cannot know that it was requested.
    pub(crate) async fn booking(&self, app: &App) -> Result<Option<Booking>, Problem> {
        match self.stored(app).await? {
            Some(booking) if self.opens(&booking) => Ok(Some(booking)),
            None if self.token.is_some() => Ok(None),
            _ => Err(problem::NOT_FOUND.into()),
        }
    }

    /// The stored booking, for staff of its property.
    ///
    /// # Errors
    /// 404 for other callers, 409 before it is decided.
    pub(crate) async fn booking_for_staff(&self, app: &App) -> Result<Booking, Problem> {
        let booking = self.decided_booking(app).await?;
        if self.is_staff_of(&booking) { Ok(booking) } else { Err(problem::NOT_FOUND.into()) }
    }

    /// As [`Self::booking`], where only a decided booking will do.
    ///
    /// # Errors
    /// As [`Self::booking`], and 409 before it is decided.
    pub(crate) async fn decided_booking(&self, app: &App) -> Result<Booking, Problem> {
        self.booking(app).await?.ok_or_else(still_processing)
    }

    /// The booking after a command of this caller, with access to it: a change of the guest's address ends the token
    /// that it was sent with, so that its holder gets the next one.
    ///
    /// # Errors
    /// As [`Self::decided_booking`]: the token may have been revoked meanwhile.
    pub(crate) async fn after_command(&self, app: &App, command_id: Uuid) -> Result<(Booking, Self), Problem> {
        let booking = self.stored(app).await?.ok_or_else(still_processing)?;
        let access = self.renewed(app, &booking, command_id);
        if access.opens(&booking) { Ok((booking, access)) } else { Err(problem::NOT_FOUND.into()) }
    }

    /// As it is after a command of this caller, which is stored in `booking`.
    pub(crate) fn renewed(&self, app: &App, booking: &Booking, command_id: Uuid) -> Self {
        let entry = booking.entry_of(command_id);
        let own = entry.and_then(|entry| entry.changes.as_deref()).is_some_and(|changes| changes.links_revoked);
        let mut token = self.token.clone();
        if let Some(PresentedToken { text, claims }) = &mut token
            && own
            && claims.epoch.checked_add(1) == Some(booking.token_epoch)
        {
            claims.epoch = booking.token_epoch;
            *text = app.booking_tokens.token(self.id, claims.purpose, claims.epoch);
        }
        Self { id: self.id, caller: self.caller.clone(), token }
    }

    async fn stored(&self, app: &App) -> Result<Option<Booking>, Problem> {
        let (mongo, id) = (app.mongo.clone(), self.id);
        store_call::read(async move { mongo.bookings().find(id).await }).await
    }

    /// Whether this caller may see this booking, as it is now.
    pub(crate) fn opens(&self, booking: &Booking) -> bool {
        self.token_for(booking).is_some() || self.caller.may_see(booking)
    }

    /// The token, if it opens this booking as it is now.
    fn token_for(&self, booking: &Booking) -> Option<&PresentedToken> {
        self.token.as_ref().filter(|token| booking.accepts_token(token.claims.epoch, Utc::now().into()))
    }

    /// Whether this caller may see how to reach the guest.
    pub(crate) fn sees_contact_data(&self, booking: &Booking) -> bool {
        let manages = self.token_for(booking).is_some_and(|token| token.claims.purpose >= Purpose::Manage);
        manages || self.caller.may_see(booking)
    }

    /// Whether the caller came with a token of the booking. It may be one of an earlier epoch.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether the caller is staff of the booking's property.
    pub(crate) fn is_staff_of(&self, booking: &Booking) -> bool {
        self.caller.is_staff_of(&booking.property_id)
    }

    /// The caller as the booking's history names it. A caller with only the token is the guest.
    pub(crate) fn actor(&self, booking: &Booking) -> Actor {
        self.caller.actor_at(&booking.property_id)
    }

    /// The address of one of the booking's payments, for this caller.
    pub(crate) fn payment_path(&self, payment: &str) -> String {
        let query = self.token_text().map(|token| format!("?booking_id={}&token={token}", self.id)).unwrap_or_default();
        format!("/api/payments/{payment}{query}")
    }

    /// The booking's links, for this caller: with the token that the caller sent, and never with another.
    pub(crate) fn links(&self) -> Links {
        Links::new(self.id, self.token_text())
    }

    /// The token that the caller sent.
    pub(crate) fn token_text(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.text.as_str())
    }
}

fn still_processing() -> Problem {
    Problem::from(problem::STILL_PROCESSING).retry_after(RETRY_AFTER_SECS)
}
