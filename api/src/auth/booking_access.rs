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
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use serde::Deserialize;
use std::sync::Arc;

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
}

/// The credentials of a request for a booking: the booking's token, in the query or as a bearer credential, and the
/// caller.
pub(crate) struct BookingCredentials {
    pub(crate) caller: Caller,
    bearer: Option<Arc<str>>,
    query: BookingQuery,
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
        let Credentials { caller, token: bearer } = Credentials::of(parts);
        Ok(Self { caller, bearer, query })
    }

    /// Access to this booking; a `token` in the body comes first. `None` for a known caller who names no booking.
    ///
    /// # Errors
    /// 404 for a caller with neither token nor credential, before any store is read.
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
        let token = given.filter(|token| app.booking_tokens.verify(id, token)).map(str::to_owned);
        if token.is_none() && is_anonymous {
            return Err(problem::NOT_FOUND.into());
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
