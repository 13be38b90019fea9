//! Sessions: begun by logging in, continued by refresh tokens that rotate, ended by logging out or by a stolen token.

use super::forms::{LoginForm, RefreshForm};
use super::profile::UserView;
use super::settle;
use crate::auth::access_tokens::ACCESS_TOKEN_AGE;
use crate::form::read_form;
use crate::http::metrics::LOGINS;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::state::{App, SharedApp};
use crate::store_call;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::Utc;
use pvt_domain::accounts::User;
use pvt_stores::mongo::refresh_tokens::{REFRESH_TOKEN_AGE, Rotation};
use serde::Serialize;
use tokio::time::Instant;
use tracing::warn;

/// What a session hands out (RFC 6749 §5.1 has most of the names).
#[derive(Serialize)]
struct Tokens {
    access_token: String,
    token_type: &'static str,
    /// Of the access token, in seconds.
    expires_in: u64,
    refresh_token: String,
    /// In seconds.
    refresh_expires_in: u64,
    user: UserView,
}

fn count(outcome: &'static str) {
    metrics::counter!(LOGINS, "outcome" => outcome).increment(1);
}

/// `POST /api/auth/login`: tokens, or one answer for every reason why not.
pub(crate) async fn login(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let (form, _): (LoginForm, _) = read_form(&parts.headers, body).await?;
    let mongo = app.mongo.clone();
    let found = match form.email {
        Some(email) => store_call::read(async move { mongo.users().credentials_by_email(&email).await }).await?,
        None => None,
    };
    let (user, hash) = found.unzip();
    let right = app.password_hasher.verify(form.password, hash).await?;
    match user.filter(|user| right && user.disabled_at.is_none()) {
        Some(user) => {
            let answer = begin(&app, &user).await?;
            count("accepted");
            Ok(answer)
        }
        None => {
            count("refused");
            settle(begun).await;
            Err(problem::INVALID_LOGIN.into())
        }
    }
}

/// Begins a session of this account and answers with its tokens.
pub(crate) async fn begin(app: &App, user: &User) -> HandlerResult {
    let (mongo, id) = (app.mongo.clone(), user.id);
    let refresh_token =
        store_call::write(async move { mongo.refresh_tokens().begin_session(id, Utc::now().into()).await }).await?;
    tokens(app, user, refresh_token)
}

fn tokens(app: &App, user: &User, refresh_token: String) -> HandlerResult {
    let access_token = app.access_tokens.issue(user, Utc::now()).map_err(Problem::internal)?;
    let tokens = Tokens {
        access_token,
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_AGE.as_secs(),
        refresh_token,
        refresh_expires_in: REFRESH_TOKEN_AGE.as_secs(),
        user: UserView::from(user),
    };
    Ok(Json(tokens).into_response())
}

/// `POST /api/auth/refresh`: the next pair of tokens. The one that was sent is used up; who sends it again ends the
/// session.
pub(crate) async fn refresh(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let (RefreshForm { refresh_token: token }, _) = read_form(&parts.headers, body).await?;
    let mongo = app.mongo.clone();
    let rotation =
        store_call::write(async move { mongo.refresh_tokens().rotate(&token, Utc::now().into()).await }).await?;
    let (user_id, next) = match rotation {
        Rotation::Rotated { user_id, token } => (user_id, token),
        Rotation::Reused { user_id } => {
            count("reused");
            warn!(%user_id, "a refresh token came a second time: its session is ended");
            return Err(problem::SESSION_ENDED.into());
        }
        Rotation::Unknown => {
            count("ended");
            return Err(problem::SESSION_ENDED.into());
        }
    };
    let mongo = app.mongo.clone();
    let user = store_call::read(async move { mongo.users().find(user_id).await })
        .await?
        .filter(|user| user.disabled_at.is_none());
    let user = user.ok_or_else(|| Problem::from(problem::SESSION_ENDED))?;
    count("refreshed");
    tokens(&app, &user, next)
}

/// `POST /api/auth/logout`: 204, whatever the token was.
pub(crate) async fn logout(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let (RefreshForm { refresh_token: token }, _) = read_form(&parts.headers, body).await?;
    let mongo = app.mongo.clone();
    store_call::write(async move { mongo.refresh_tokens().end_session(&token, Utc::now().into()).await }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
