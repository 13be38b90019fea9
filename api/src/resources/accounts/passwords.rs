//! Passwords: changed by who knows the old one, or chosen anew by who reads the account's mail. Either ends every
//! session.

use super::forms::{ForgotPasswordForm, PasswordChangeForm, PasswordResetForm};
use super::{send_mail, sessions, settle};
use crate::auth::credentials::Credentials;
use crate::form::read_form;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::state::{App, SharedApp};
use crate::store_call;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::Utc;
use pvt_domain::accounts::{User, UserId, check_password};
use pvt_domain::intake::FieldError;
use pvt_domain::messages::AccountMailKind;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

/// `POST /api/auth/change-password`: a new session, the only one left.
pub(crate) async fn change(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let id = Credentials::of(&parts).caller.signed_in_user()?.id;
    let (form, _): (PasswordChangeForm, _) = read_form(&parts.headers, body).await?;
    let (proof, password) = (form.current_password, form.new_password);
    let mongo = app.mongo.clone();
    let found = store_call::read(async move { mongo.users().credentials(id).await }).await?;
    let (user, hash) = found.ok_or_else(|| Problem::from(problem::UNAUTHENTICATED))?;
    if !app.password_hasher.verify(proof, Some(hash)).await? || user.disabled_at.is_some() {
        return Err(Problem::fields(vec![FieldError::new(
            "/current_password",
            "wrong_password",
            "is not the password of this account",
        )]));
    }
    replace(&app, &user, password).await?;
    sessions::begin(&app, &user).await
}

/// `POST /api/auth/forgot-password`: 202 whether the address has an account or not.
pub(crate) async fn forgot(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let (ForgotPasswordForm { email }, _) = read_form(&parts.headers, body).await?;
    let mongo = app.mongo.clone();
    let user = store_call::read(async move { mongo.users().find_by_email(&email).await }).await?;
    // For nobody's address a mail to nobody is queued: the same work, and the worker drops it.
    let id = user.map_or_else(|| UserId::from_uuid(Uuid::now_v7()), |user| user.id);
    send_mail(&app, &parts, id, AccountMailKind::PasswordReset).await?;
    settle(begun).await;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted" }))).into_response())
}

/// `POST /api/auth/reset-password`: 204, after which the token is used up and every session has ended.
pub(crate) async fn reset(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let (PasswordResetForm { token: proof, new_password: password }, _) = read_form(&parts.headers, body).await?;
    let (mongo, token) = (app.mongo.clone(), proof.clone());
    // The token is used up only once the new password is acceptable, or a slip of the hand would cost another mail.
    let owner = store_call::read(async move {
        match mongo.password_resets().find(token.expose_secret(), Utc::now().into()).await? {
            Some(id) => mongo.users().find(id).await,
            None => Ok(None),
        }
    })
    .await?;
    let owner = owner.filter(|owner| owner.disabled_at.is_none()).ok_or_else(bad_token)?;
    let mongo = app.mongo.clone();
    let hash = hashed(&app, &owner, password).await?;
    let reset = store_call::write(async move {
        let now = Utc::now().into();
        match mongo.password_resets().consume(proof.expose_secret(), now).await? {
            Some(id) => mongo.users().set_password(id, &hash, now).await.map(Some),
            None => Ok(None),
        }
    });
    reset.await?.ok_or_else(bad_token)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn bad_token() -> Problem {
    Problem::fields(vec![FieldError::new(
        "/token",
        "invalid_token",
        "is not good, or not any more; POST /api/auth/forgot-password sends another",
    )])
}

/// The hash of a new password of this account.
async fn hashed(app: &App, user: &User, password: SecretString) -> Result<String, Problem> {
    match check_password(password.expose_secret(), Some(&user.email), "/new_password") {
        Some(violation) => Err(Problem::fields(vec![violation])),
        None => app.password_hasher.hash(password).await,
    }
}

async fn replace(app: &App, user: &User, password: SecretString) -> Result<(), Problem> {
    let hash = hashed(app, user, password).await?;
    let (mongo, id) = (app.mongo.clone(), user.id);
    store_call::write(async move { mongo.users().set_password(id, &hash, Utc::now().into()).await }).await
}
