//! Client of the API: requests on behalf of a user who is signed in, so that permissions, validation, audit and answers
//! are the API's.
//!
//! Each request carries a token of the user's account as MongoDB has it now, good for a minute. A request that has been
//! sent is awaited to its end, also when the user has gone away. Whether a command without an answer was carried out is
//! not known: it is repeated with its own key, never with another.

mod answer;
mod words;

pub(crate) use answer::{Answer, Refusal, Unanswered};

use crate::access::SignedIn;
use answer::read;
use anyhow::Context as _;
use axum::http::{Method, header};
use chrono::Utc;
use pvt_service::Config;
use pvt_service::access_tokens::AccessTokens;
use reqwest::{Client, redirect};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};

/// How long the token of one request is good; clocks may differ, and a queue in the API may be long.
const TOKEN_AGE: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// For a whole request. The API waits up to ten seconds for a worker.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// The API, as the console reaches it.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    /// Without a slash at its end.
    base: String,
    tokens: Arc<AccessTokens>,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
    key: Option<String>,
    rev: Option<u32>,
}

impl Call {
    /// A request without effect.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, key: None, rev: None }
    }

    /// A command with this body.
    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    /// A change of what is there, with this body.
    pub(crate) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, body: Some(body), ..Self::get(path) }
    }

    /// With an idempotency key, so that a repetition acts once.
    pub(crate) fn keyed(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Only for this revision of the booking.
    pub(crate) fn at_rev(self, rev: Option<u32>) -> Self {
        Self { rev, ..self }
    }
}

impl Api {
    /// A client of the API of these settings. It connects when there is something to ask.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            // The requests carry tokens, which are for the API alone.
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            .user_agent(crate::app::ABOUT.name)
            .build()
            .context("a client of the API cannot be set up")?;
        let (secret, previous) = (&config.jwt_secret, config.jwt_previous_secret.as_ref());
        let tokens =
            AccessTokens::new(secret, previous, config.public_url.as_str()).context("JWT_SECRET cannot be used")?;
        let base = config.console_api_url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, tokens: Arc::new(tokens) })
    }

    /// Sends one request for this user, and waits for its answer.
    ///
    /// # Errors
    /// [`Unanswered`] when there is none that can be understood.
    pub(crate) async fn send(&self, user: &SignedIn, call: Call) -> Result<Answer, Unanswered> {
        let token = self.tokens.issue_for(user.user(), Utc::now(), TOKEN_AGE).map_err(|error| {
            error!(%error, "no access token can be made");
            Unanswered::Unreadable
        })?;
        let name = format!("{} {}", call.method, call.path);
        let sent = tokio::spawn(read(self.request(call).bearer_auth(token)));
        let answer = sent.await.unwrap_or_else(|panic| {
            error!(%panic, "a request to the API panicked");
            Err(Unanswered::Unreadable)
        });
        match &answer {
            Err(unanswered) => {
                warn!(user_id = %user.user().id, request = name, ?unanswered, "the API did not answer");
            }
            // Of an account as it is now: secrets or addresses of console and API differ.
            Ok(Answer::Refused(refusal)) if matches!(refusal.status, 401 | 403) => {
                error!(user_id = %user.user().id, request = name, code = refusal.code, "the API refuses the console");
            }
            Ok(_) => {}
        }
        answer
    }

    fn request(&self, call: Call) -> reqwest::RequestBuilder {
        let Call { method, path, body, key, rev } = call;
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = &body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(rev) = rev {
            request = request.header(header::IF_MATCH, format!("\"{rev}\""));
        }
        request
    }
}

#[cfg(test)]
mod tests;
