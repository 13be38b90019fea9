//! Sessions: begun by login, continued by rotating refresh tokens, ended by logout or by reuse of a token.

use super::forms::{LoginForm, RefreshForm};
use super::profile::{UserView, account_example};
use crate::http::extract::Form;
use crate::http::problem::{self, Problem};
use crate::http::response::{NoContent, Shown};
use crate::state::{App, SharedApp};
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::accounts::User;
use pvt_service::access_tokens::ACCESS_TOKEN_AGE;
use pvt_service::logins::{LoginOutcome, count_login, pad_answer_time};
use pvt_stores::mongo::refresh_tokens::{REFRESH_TOKEN_AGE, Rotation};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::warn;

/// Tokens of a session. Most names are those of RFC 6749 §5.1.
#[derive(Serialize, JsonSchema)]
#[schemars(example = example())]
pub(super) struct Tokens {
    access_token: String,
    #[schemars(extend("enum" = ["Bearer"]))]
    token_type: &'static str,
    /// Lifetime of the access token in seconds.
    #[schemars(range(min = 1))]
    expires_in: u64,
    /// Works once.
    refresh_token: String,
    /// In seconds.
    #[schemars(range(min = 1))]
    refresh_expires_in: u64,
    user: UserView,
}

/// `POST /api/auth/login`: tokens, or one answer for every reason why not.
pub(super) async fn login(State(app): State<SharedApp>, form: Form<LoginForm>) -> Result<Shown<Tokens>, Problem> {
    let (started, form) = (Instant::now(), form.value);
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
            count_login(LoginOutcome::Accepted);
            Ok(answer)
        }
        None => {
            count_login(LoginOutcome::Refused);
            pad_answer_time(started).await;
            Err(problem::INVALID_LOGIN.into())
        }
    }
}

/// Begins a session of this account and answers with its tokens.
pub(super) async fn begin(app: &App, user: &User) -> Result<Shown<Tokens>, Problem> {
    let (mongo, id) = (app.mongo.clone(), user.id);
    let refresh_token =
        store_call::write(async move { mongo.refresh_tokens().begin_session(id, Utc::now().into()).await }).await?;
    tokens(app, user, refresh_token)
}

fn tokens(app: &App, user: &User, refresh_token: String) -> Result<Shown<Tokens>, Problem> {
    let access_token = app.access_tokens.issue(user, Utc::now()).map_err(Problem::internal)?;
    let tokens = Tokens {
        access_token,
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_AGE.as_secs(),
        refresh_token,
        refresh_expires_in: REFRESH_TOKEN_AGE.as_secs(),
        user: UserView::from(user),
    };
    Ok(Shown::new(&tokens))
}

/// `POST /api/auth/refresh`: the next pair of tokens. The one that was sent is used up; who sends it again ends the
/// session.
pub(super) async fn refresh(State(app): State<SharedApp>, form: Form<RefreshForm>) -> Result<Shown<Tokens>, Problem> {
    let RefreshForm { refresh_token: token } = form.value;
    let mongo = app.mongo.clone();
    let rotation =
        store_call::write(async move { mongo.refresh_tokens().rotate(&token, Utc::now().into()).await }).await?;
    let (user_id, next) = match rotation {
        Rotation::Rotated { user_id, token } => (user_id, token),
        Rotation::Reused { user_id } => {
            count_login(LoginOutcome::Reused);
            warn!(%user_id, "refresh token reused, session ended");
            return Err(problem::SESSION_ENDED.into());
        }
        Rotation::Unknown => {
            count_login(LoginOutcome::Ended);
            return Err(problem::SESSION_ENDED.into());
        }
    };
    let mongo = app.mongo.clone();
    let user = store_call::read(async move { mongo.users().find(user_id).await })
        .await?
        .filter(|user| user.disabled_at.is_none());
    let user = user.ok_or_else(|| Problem::from(problem::SESSION_ENDED))?;
    count_login(LoginOutcome::Refreshed);
    tokens(&app, &user, next)
}

/// `POST /api/auth/logout`: 204, whatever the token was.
pub(super) async fn logout(State(app): State<SharedApp>, form: Form<RefreshForm>) -> Result<NoContent, Problem> {
    let RefreshForm { refresh_token: token } = form.value;
    let mongo = app.mongo.clone();
    store_call::write(async move { mongo.refresh_tokens().end_session(&token, Utc::now().into()).await }).await?;
    Ok(NoContent)
}

fn example() -> Value {
    json!({
        "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.…", "token_type": "Bearer", "expires_in": 900,
        "refresh_token": "pvtr_…", "refresh_expires_in": 604_800, "user": account_example(),
    })
}
