//! Answers of the API: done, accepted, refused with its advice; or none.

use pvt_domain::booking::RefusalCause;
use pvt_domain::ids::BookingId;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// Longest answer that is read.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// An answer that can be understood.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is done, or it is what was asked for.
    Done(Value),
    /// It is accepted, and will be decided.
    Accepted,
    /// It is not done.
    Refused(Box<Refusal>),
}

/// Why there is no such answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The API was not reached: nothing was done now; an earlier attempt may have been.
    Unreached,
    /// It was reached, and has not answered in time: whether something was done is not known.
    Silent,
    /// The answer is not the API's, or cannot be read.
    Unreadable,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreached => {
                "The booking system cannot be reached. Send the form again as it is in a moment: it is done once."
            }
            Self::Silent => {
                "There was no answer in time, so it is not known whether this was done. Send the form again as it \
                is: it is done once."
            }
            Self::Unreadable => {
                "The answer cannot be read, so it is not known whether this was done. Look at the booking, or send the \
                form again as it is: it is done once."
            }
        })
    }
}

/// A problem of the API (RFC 9457), with what it names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Refusal {
    pub(super) title: String,
    pub(crate) status: u16,
    pub(crate) code: String,
    #[serde(default)]
    pub(super) errors: Vec<FieldError>,
    /// Bookings in the way.
    #[serde(default)]
    pub(crate) bookings: Vec<BookingId>,
    #[serde(default)]
    pub(crate) cause: RefusalCause,
    #[serde(default)]
    pub(super) alternatives: Vec<Alternative>,
}

/// A field that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct FieldError {
    pub(super) pointer: String,
    pub(super) code: String,
}

/// What could be booked instead.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Alternative {
    pub(super) stays: Vec<AlternativeStay>,
    pub(super) total: pvt_domain::money::Money,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct AlternativeStay {
    pub(super) room_type_id: String,
    pub(super) arrival: String,
    pub(super) departure: String,
    pub(super) guests: u32,
}

impl Refusal {
    /// Whether the same request may be sent again with its own key, because it was not decided. Who may not ask now may
    /// have asked before.
    pub(crate) fn is_undecided(&self) -> bool {
        self.status >= 500 || matches!(self.status, 401 | 403 | 429) || self.code == "still_processing"
    }

    /// Whether the request itself was not valid, so that no worker has decided it, and its key is not used up.
    pub(crate) fn is_of_request(&self) -> bool {
        self.status == 400 || matches!(self.code.as_str(), "validation_failed" | "card_number_refused")
    }

    /// Whether it is a decision about this very request, made where each key is known: on the booking as it was then.
    pub(crate) fn is_decision(&self) -> bool {
        matches!(self.status, 409 | 412) && !self.is_undecided()
    }

    /// Whether the key was used for another request, of which this says nothing.
    pub(crate) fn is_of_used_key(&self) -> bool {
        self.code == "idempotency_key_reused"
    }
}

/// Sends a request and reads what is answered.
pub(super) async fn read(request: RequestBuilder) -> Result<Answer, Unanswered> {
    let response = request.send().await.map_err(unanswered)?;
    let status = response.status();
    let body = body(response).await?;
    match status {
        StatusCode::OK | StatusCode::CREATED => parsed(&body).map(Answer::Done),
        StatusCode::ACCEPTED => Ok(Answer::Accepted),
        _ if status.is_client_error() || status.is_server_error() => parsed(&body).map(Answer::Refused),
        _ => Err(Unanswered::Unreadable),
    }
}

/// Where no connection came about, nothing was sent.
fn unanswered(error: reqwest::Error) -> Unanswered {
    if error.is_connect() { Unanswered::Unreached } else { Unanswered::Silent }
}

async fn body(mut response: Response) -> Result<Vec<u8>, Unanswered> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Unanswered::Unreadable);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unanswered> {
    serde_json::from_slice(body).map_err(|_| Unanswered::Unreadable)
}
