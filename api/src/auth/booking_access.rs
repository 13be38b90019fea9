//! Access to one booking: by its token, or as a caller who may see it.

use crate::auth::credentials::Credentials;
use crate::auth::policy::Caller;
use crate::http::headers;
use crate::http::problem::{self, Problem};
use crate::resources::bookings::view::Links;
use crate::state::App;
use crate::store_call;
use axum::http::request::Parts;
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use serde::Deserialize;
use std::time::Duration;

/// When to poll again for a booking that is not decided, in seconds.
const RETRY_AFTER_SECS: u32 = 1;

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
    /// The booking's valid token, if the caller has it.
    pub(crate) token: Option<String>,
    /// How long the caller wants to wait.
    pub(crate) wait: Option<Duration>,
}

impl BookingAccess {
    /// Reads address, query and credentials. A caller with neither token nor credential is refused before any
    /// store is read.
    pub(crate) fn of(app: &App, id: &str, parts: &Parts) -> Result<Self, Problem> {
        let query: BookingQuery = headers::query(&parts.uri)?;
        let id: BookingId = id.parse().map_err(|_| Problem::from(problem::NOT_FOUND))?;
        Self::new(app, id, query, None, parts)
    }

    /// As [`Self::of`], where booking and token may stand in the body. `None` for a known caller who names no booking.
    pub(crate) fn at(
        app: &App,
        id: Option<BookingId>,
        token: Option<&str>,
        parts: &Parts,
    ) -> Result<Option<Self>, Problem> {
        let query: BookingQuery = headers::query(&parts.uri)?;
        match id {
            Some(id) => Self::new(app, id, query, token, parts).map(Some),
            None if matches!(Credentials::of(parts).caller, Caller::Anonymous) => Err(problem::NOT_FOUND.into()),
            None => Ok(None),
        }
    }

    fn new(app: &App, id: BookingId, query: BookingQuery, token: Option<&str>, parts: &Parts) -> Result<Self, Problem> {
        let Credentials { caller, token: bearer } = Credentials::of(parts);
        let given = token.or(query.token.as_deref()).or(bearer.as_deref());
        let token = given.filter(|token| app.booking_tokens.verify(id, token)).map(str::to_owned);
        if token.is_none() && matches!(caller, Caller::Anonymous) {
            return Err(problem::NOT_FOUND.into());
        }
        let wait = query.wait.as_deref().map(headers::query_wait).transpose()?;
        Ok(Self { id, caller, token, wait })
    }

    /// The stored booking, if there is one and the caller may see it.
    ///
    /// # Errors
    /// 404 when the caller may not see it or cannot know that it was requested.
    pub(crate) async fn booking(&self, app: &App) -> Result<Option<Booking>, Problem> {
        let (mongo, id) = (app.mongo.clone(), self.id);
        match store_call::read(async move { mongo.bookings().find(id).await }).await? {
            Some(booking) if self.token.is_some() || self.caller.may_see(&booking) => Ok(Some(booking)),
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
        self.booking(app).await?.ok_or_else(|| Problem::from(problem::STILL_PROCESSING).retry_after(RETRY_AFTER_SECS))
    }

    /// Whether the caller is staff of the booking's property.
    pub(crate) fn is_staff_of(&self, booking: &Booking) -> bool {
        self.caller.is_staff_of(&booking.property_id)
    }

    /// The caller as the booking's history names it. A caller with only the token is the guest.
    pub(crate) fn actor(&self) -> Actor {
        self.caller.actor()
    }

    /// The address of one of the booking's payments, for this caller.
    pub(crate) fn payment_path(&self, payment: &str) -> String {
        let query =
            self.token.as_ref().map(|token| format!("?booking_id={}&token={token}", self.id)).unwrap_or_default();
        format!("/api/payments/{payment}{query}")
    }

    /// The booking's links, for this caller.
    pub(crate) fn links(&self) -> Links {
        Links::new(self.id, self.token.as_deref())
    }
}
