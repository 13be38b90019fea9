//! Passwords: changed with the present one, or reset with a mailed token. Either ends every other session.

use super::forms::{ForgotPasswordForm, PasswordChangeForm, PasswordResetForm};
use super::sessions::{self, Tokens};
use super::{Accepted, accepted, send_mail};
use crate::auth::policy::Caller;
use crate::http::extract::Form;
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::{NoContent, Shown};
use crate::state::{App, SharedApp};
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::accounts::{User, UserId, check_password};
use pvt_domain::intake::FieldError;
use pvt_domain::messages::AccountMailKind;
use pvt_service::logins::pad_answer_time;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use uuid::Uuid;

/// `POST /api/auth/change-password`: a new session, the only one left.
pub(super) async fn change(
    State(app): State<SharedApp>,
    caller: Caller,
    form: Form<PasswordChangeForm>,
) -> Result<Shown<Tokens>, Problem> {
    let id = caller.signed_in_user()?.id;
    let PasswordChangeForm { current_password: proof, new_password: password } = form.value;
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
pub(super) async fn forgot(
    State(app): State<SharedApp>,
    context: RequestContext,
    form: Form<ForgotPasswordForm>,
) -> Result<Accepted, Problem> {
    let (started, ForgotPasswordForm { email }) = (Instant::now(), form.value);
    let mongo = app.mongo.clone();
    let user = store_call::read(async move { mongo.users().find_by_email(&email).await }).await?;
    // For an unknown address a mail to an unknown account is queued: the same work, and the worker drops it.
    let id = user.map_or_else(|| UserId::from_uuid(Uuid::now_v7()), |user| user.id);
    send_mail(&app, &context, id, AccountMailKind::PasswordReset).await?;
    pad_answer_time(started).await;
    Ok(accepted())
}

/// `POST /api/auth/reset-password`: 204, after which the token is used up and every session has ended.
pub(super) async fn reset(State(app): State<SharedApp>, form: Form<PasswordResetForm>) -> Result<NoContent, Problem> {
    let PasswordResetForm { token: proof, new_password: password } = form.value;
    let (mongo, token) = (app.mongo.clone(), proof.clone());
    // The token is used up only once the new password is acceptable, or a typing error would cost another mail.
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
    Ok(NoContent)
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
        None => Ok(app.password_hasher.hash(password).await?),
    }
}

async fn replace(app: &App, user: &User, password: SecretString) -> Result<(), Problem> {
    let hash = hashed(app, user, password).await?;
    let (mongo, id) = (app.mongo.clone(), user.id);
    store_call::write(async move { mongo.users().set_password(id, &hash, Utc::now().into()).await }).await
}
