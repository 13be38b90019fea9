//! Accounts: registering, sessions, passwords, profiles, and what admins do about accounts and keys.
//!
//! Nothing here may tell a stranger whether an address has an account, neither by its answer nor by how long that
//! takes.

pub(crate) mod api_keys;
mod forms;
pub(crate) mod passwords;
pub(crate) mod profile;
pub(crate) mod register;
pub(crate) mod sessions;
pub(crate) mod users;

use crate::http::middleware::RequestContext;
use crate::http::problem::Problem;
use crate::state::App;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use chrono::Utc;
use pvt_domain::accounts::UserId;
use pvt_domain::messages::{ACCOUNT_MAIL, AccountMail, AccountMailKind};
use pvt_messaging::Outgoing;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// No answer about an address comes sooner than this: above what hashing, storing and queueing take, so that neither is
/// told by the other.
const MIN_ANSWER_TIME: Duration = Duration::from_millis(400);

/// Has a mail about an account sent.
async fn send_mail(app: &App, parts: &Parts, user_id: UserId, kind: AccountMailKind) -> Result<(), Problem> {
    let mail = AccountMail { mail_id: Uuid::new_v4(), user_id, kind, alert: None, requested_at: Utc::now().into() };
    let key = app.topology.command_key(ACCOUNT_MAIL, "");
    let message = Outgoing::command(key, mail.mail_id, &mail).map(|message| {
        message.with_correlation_id(user_id.as_uuid()).with_traceparent(RequestContext::traceparent(parts))
    });
    app.publish(message, |_| {}).await
}

/// Waits until an answer may be given to a request that began then.
async fn settle(begun: Instant) {
    sleep_until(begun + MIN_ANSWER_TIME).await;
}

/// The revision as an entity tag.
fn etag(rev: u32) -> HeaderValue {
    HeaderValue::try_from(format!("\"{rev}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}
