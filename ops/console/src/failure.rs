//! Answers to requests that cannot be met, as pages.

use crate::live::reading::Outage;
use crate::store;
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use pvt_operations::OperationError;
use tracing::error;
use url::form_urlencoded;

/// A request that cannot be met.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No user is signed in; the page to return to then.
    SignedOut(String),
    /// The role does not allow it.
    Forbidden,
    /// The password is needed once more, or was wrong.
    Unconfirmed(&'static str),
    /// The form was not made by this console for this session.
    Forged,
    /// It does not exist, or not for this user.
    NotFound(String),
    /// The request makes no sense, and why.
    Invalid(String),
    /// The present state does not allow it, and why.
    Conflict(String),
    /// What was written cannot be taken as it is, and why.
    Unusable(String),
    /// A source that is needed is down.
    Down(&'static str, Outage),
    /// The same for users who are not signed in: why it is down is not for them to learn.
    Unavailable(&'static str),
    /// Whether this store has written it is not known.
    Unsure(&'static str),
    /// What was asked for takes too long.
    Slow,
    /// Others read as much, and no place became free.
    Busy,
    /// Try again after so many seconds.
    TooMany(u32),
    /// Something that cannot happen did.
    Internal,
}

impl Failure {
    /// Something that cannot happen did. The cause goes to the log, not to the user.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        error!(%cause, "internal error");
        Self::Internal
    }

    /// The failure of an operation that changes something, without a hint that names a command: this is a browser.
    pub(crate) fn of_operation(failed: anyhow::Error) -> Self {
        match failed.downcast::<OperationError>() {
            Ok(OperationError::Hinted(failed, _)) => Self::of_operation((*failed).into()),
            Ok(OperationError::NotFound(text)) => Self::NotFound(text),
            Ok(OperationError::Conflict(text) | OperationError::Different(text) | OperationError::TryLater(text)) => {
                Self::Conflict(text)
            }
            Err(failed) => store::failure(&failed, None),
        }
    }

    /// The failure as a user may see it who is not signed in.
    pub(crate) fn for_strangers(self) -> Self {
        match self {
            Self::Down(source, _) => Self::Unavailable(source),
            other => other,
        }
    }

    /// What it says to the user.
    pub(crate) fn text(&self) -> String {
        self.words().2
    }

    /// Its status, title and text.
    pub(crate) fn words(&self) -> (u16, &'static str, String) {
        match self {
            Self::SignedOut(_) => (401, "Not signed in", "Sign in first.".to_owned()),
            Self::Forbidden => (403, "Not allowed", "Your role does not allow this.".to_owned()),
            Self::Unconfirmed(text) => (403, "Password needed", (*text).to_owned()),
            Self::Forged => (
                403,
                "Not accepted",
                "The form is not of this session. Open the page again and repeat what you did.".to_owned(),
            ),
            Self::NotFound(text) => (404, "Not found", text.clone()),
            Self::Invalid(text) => (400, "Not understood", text.clone()),
            Self::Conflict(text) => (409, "Not possible now", text.clone()),
            Self::Unusable(text) => (422, "Not accepted as it is", text.clone()),
            Self::Down(source, outage) => {
                (503, "A source is down", format!("{source} is {outage}. Nothing older is shown instead."))
            }
            Self::Unavailable(source) => (503, "A source is down", format!("{source} is down. Try again later.")),
            Self::Unsure(store) => {
                let text = format!("{store} did not answer: it may have been stored or not. Try again.");
                (503, "No answer", text)
            }
            Self::Slow => {
                (503, "No answer in time", "What you asked for takes too long. Ask for less, or try again.".to_owned())
            }
            Self::Busy => {
                (503, "Too much is read at once", "Others are reading such pages. Try again in a moment.".to_owned())
            }
            Self::TooMany(seconds) => (429, "Too many attempts", format!("Try again in {seconds} seconds.")),
            Self::Internal => (500, "Internal error", "The cause is in the log of the console.".to_owned()),
        }
    }

    /// An answer with this body, and with what its status needs.
    pub(crate) fn answer(&self, body: Response) -> Response {
        let status = StatusCode::from_u16(self.words().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body).into_response();
        if let Self::TooMany(seconds) = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        response
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    title: &'static str,
    text: String,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::SignedOut(next) = &self {
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            return Redirect::to(&format!("/login?next={next}")).into_response();
        }
        let (_, title, text) = self.words();
        let page = FailurePage { title, text };
        self.answer(page.render().map_or_else(|_| title.into_response(), |html| Html(html).into_response()))
    }
}

/// A page with status 200.
///
/// # Errors
/// [`Failure::Internal`] when the template cannot be filled in.
pub(crate) fn page(template: &impl Template) -> Result<Html<String>, Failure> {
    template.render().map(Html).map_err(Failure::internal)
}

/// The same for a page of about so many `bytes`, whose text is mostly written without being moved to a larger place.
///
/// # Errors
/// As [`page`].
pub(crate) fn large_page(template: &impl Template, bytes: usize) -> Result<Html<String>, Failure> {
    let mut text = String::with_capacity(bytes);
    template.render_into(&mut text).map_err(Failure::internal)?;
    Ok(Html(text))
}
