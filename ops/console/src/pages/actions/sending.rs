//! The requests of an action: sent in their order, and what became of them.
//!
//! While the outcome is not known, the form carries the requests as they were sent, and sends exactly these again:
//! derived anew from the booking as it is by then, they would be others under the same key.

use super::{Action, Notice};
use crate::access::SignedIn;
use crate::api::{Answer, Call, Refusal, Unanswered};
use crate::app::SharedApp;
use crate::failure::Failure;
use crate::forms::FormFields;
use axum::http::StatusCode;
use pvt_domain::ids::BookingId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The field with a request that was sent.
const STEP_FIELD: &str = "step";
/// Fields of every form, and those of a form that is sent again.
const OWN_FIELDS: [&str; 5] = ["csrf", "key", "rev", "next", STEP_FIELD];

/// Most requests of an action: an assignment, and the action itself.
const MAX_STEPS: usize = 2;

/// What a request of the API is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Route {
    /// The beds of the booking.
    Beds,
    /// The action itself.
    Action,
    /// A payment, which is not of a revision.
    Payment,
    /// Stays of the booking as they are to be.
    Stays,
}

/// One request of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) route: Route,
    pub(super) body: Value,
}

/// Requests with the key and the revision of their form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) steps: Vec<Step>,
    pub(super) key: String,
    /// The revision that was shown.
    pub(super) rev: Option<u32>,
    /// Whether the same requests were sent before.
    pub(super) is_repetition: bool,
}

impl Step {
    fn call(self, action: Action, booking: BookingId) -> Call {
        let path = match self.route {
            Route::Stays => return Call::patch(format!("/api/bookings/{booking}"), self.body),
            Route::Beds => format!("/api/bookings/{booking}/assign"),
            Route::Action => format!("/api/bookings/{booking}/{}", action.route()),
            Route::Payment => "/api/payments/record".to_owned(),
        };
        Call::post(path, self.body)
    }

    /// As a field holds it.
    pub(super) fn text(&self) -> String {
        json!(self).to_string()
    }
}

/// The requests that a form sends again; none of a form that is filled in.
///
/// # Errors
/// [`Failure::Invalid`] when they cannot be read.
pub(super) fn sent_before(fields: &FormFields) -> Result<Option<Vec<Step>>, Failure> {
    let steps = fields.all(STEP_FIELD).map(serde_json::from_str).collect::<Result<Vec<Step>, _>>();
    match steps {
        Ok(steps) if steps.is_empty() => Ok(None),
        Ok(steps) if steps.len() <= MAX_STEPS => Ok(Some(steps)),
        _ => Err(Failure::Invalid("Open the form again: its requests cannot be read.".to_owned())),
    }
}

/// What a user has filled in, for the form that is shown once the outcome is known.
pub(super) fn filled_in(fields: &FormFields) -> Vec<(String, String)> {
    fields.pairs().filter(|(name, _)| !OWN_FIELDS.contains(name)).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// What became of the requests: so many are done, and the last answer.
pub(super) struct Sent {
    pub(super) done: usize,
    pub(super) answer: Result<Answer, Unanswered>,
    pub(super) is_repetition: bool,
}

/// Sends the requests of an action to their end, also when the user has gone away.
pub(super) async fn send(app: &SharedApp, user: &SignedIn, id: BookingId, action: Action, request: Request) -> Sent {
    let (app, user, is_repetition) = (app.clone(), user.clone(), request.is_repetition);
    let sent = tokio::spawn(async move { send_in_order(&app, &user, id, action, request).await });
    sent.await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "an action panicked");
        Sent { done: 0, answer: Err(Unanswered::Unreadable), is_repetition }
    })
}

/// One after the other, each with a key of its own, until one is not done. Each is about the revision that the one
/// before has made.
async fn send_in_order(app: &SharedApp, user: &SignedIn, id: BookingId, action: Action, request: Request) -> Sent {
    let Request { steps, key, mut rev, is_repetition } = request;
    let mut answer = Ok(Answer::Accepted);
    for (done, step) in steps.into_iter().enumerate() {
        let key = if done == 0 { key.clone() } else { format!("{key}-{done}") };
        let of_revision = rev.filter(|_| step.route != Route::Payment);
        let call = step.call(action, id).keyed(key).at_rev(of_revision);
        answer = app.api.send(user, call).await;
        let Ok(Answer::Done(made)) = &answer else { return Sent { done, answer, is_repetition } };
        rev = made.get("rev").and_then(Value::as_u64).and_then(|rev| u32::try_from(rev).ok()).or(rev);
    }
    Sent { done: 0, answer, is_repetition }
}

/// What a form leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    /// It is refused, and the key is used up.
    Refused,
    /// It is not known: the same requests may be sent again, and no others.
    Unknown,
    /// It was not sent. Its key is kept, because the form may have been sent before.
    NotSent,
    /// Its key has been used for something else, which may be done.
    KeyReused,
}

impl Ended {
    /// What a refusal leads to, of a form that was sent before or not.
    pub(crate) fn of(refusal: &Refusal, is_repetition: bool) -> Self {
        match () {
            () if refusal.is_of_used_key() => Self::KeyReused,
            () if refusal.is_of_request() && !is_repetition => Self::NotSent,
            // What is refused before anyone looks at the key says nothing about what was sent before.
            () if refusal.is_undecided() || is_repetition && !refusal.is_decision() => Self::Unknown,
            () => Self::Refused,
        }
    }
}

/// What became of an action.
pub(super) struct Outcome {
    pub(super) status: StatusCode,
    pub(super) notice: Notice,
    pub(super) ended: Ended,
}

impl Outcome {
    pub(super) fn of(sent: Sent, action: Action) -> Self {
        let Sent { done, answer, is_repetition } = sent;
        let (status, mut notice, ended) = match answer {
            Ok(Answer::Done(_)) => (StatusCode::OK, Notice::done(action.done()), Ended::Done),
            Ok(Answer::Accepted) => (StatusCode::ACCEPTED, Notice::accepted(), Ended::Unknown),
            Ok(Answer::Refused(refusal)) => {
                let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
                let ended = Ended::of(&refusal, is_repetition);
                let notice = match ended {
                    Ended::KeyReused => Notice::key_reused(),
                    _ => Notice::refused(&refusal, Some(action)),
                };
                (status, notice, ended)
            }
            Err(unanswered) => (StatusCode::SERVICE_UNAVAILABLE, Notice::unanswered(&unanswered), Ended::Unknown),
        };
        if done > 0 {
            notice.lines.insert(0, "The bed was changed before that, and stays changed.".to_owned());
        }
        Self { status, notice, ended }
    }

    pub(super) fn invalid(advice: &str) -> Self {
        let notice = Notice::invalid(advice);
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, notice, ended: Ended::NotSent }
    }
}
