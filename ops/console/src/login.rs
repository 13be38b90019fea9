//! Signing in and out. Nothing here may reveal to a stranger whether an address has an account, neither by its answer
//! nor by how long that takes.

use crate::access::{Cookie, has_access};
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::forms::{FormFields, MAX_BODY_BYTES, csrf_token};
use crate::protection::is_same_origin;
use crate::store;
use askama::Template;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use pvt_domain::accounts::{Email, User, UserId};
use pvt_service::client_address::client_address;
use pvt_service::logins::{LoginOutcome, count_login, pad_answer_time};
use pvt_service::passwords::HasherError;
use pvt_service::rate_limits::RateLimitKey;
use pvt_stores::mongo::console_sessions::SESSION_AGE;
use secrecy::SecretString;
use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};
use uuid::Uuid;

/// How long the form to sign in may stay open.
const FORM_AGE: Duration = Duration::from_secs(3_600);
const BUSY_RETRY_SECS: u32 = 2;
const WRONG: &str = "The address or the password is wrong.";
const NO_ACCESS: &str = "This account has no access to the console.";
const EXPIRED: &str = "The form was open for too long, or cookies are refused. Try again.";

#[derive(Deserialize)]
pub(crate) struct NextQuery {
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    csrf: String,
    next: String,
    email: String,
    wrong: Option<&'static str>,
}

/// A page of this console to go to; the overview for anything else. Browsers read a backslash as a slash, and leave out
/// tabs and line ends before they read a URL at all.
pub(crate) fn safe_path(next: &str) -> &str {
    let is_harmful = |one: char| one == '\\' || one.is_control();
    let is_local = next.starts_with('/') && !next.starts_with("//") && !next.contains(is_harmful);
    if is_local { next } else { "/" }
}

/// `GET /login`.
pub(crate) async fn show(State(app): State<SharedApp>, Query(query): Query<NextQuery>) -> Result<Response, Failure> {
    let next = query.next.as_deref().map_or("/", safe_path).to_owned();
    form(&app, StatusCode::OK, SignInPage { csrf: String::new(), next, email: String::new(), wrong: None })
}

/// The form, made for a new secret in a cookie.
fn form(app: &App, status: StatusCode, shown: SignInPage) -> Result<Response, Failure> {
    let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let html = page(&SignInPage { csrf: csrf_token(&secret), ..shown })?;
    let mut response = (status, html).into_response();
    set(&mut response, Cookie::SignIn.set(app, &secret, FORM_AGE));
    Ok(response)
}

fn set(response: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// `POST /login`: a session, or one answer for every reason why not.
pub(crate) async fn sign_in(State(app): State<SharedApp>, request: Request) -> Result<Response, Failure> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let fields = FormFields::read(body, MAX_BODY_BYTES).await?;
    let next = safe_path(fields.raw("next")).to_owned();
    let again = |status, wrong| {
        let email = fields.get("email").to_owned();
        form(&app, status, SignInPage { csrf: String::new(), next: next.clone(), email, wrong: Some(wrong) })
    };
    let secret = Cookie::SignIn.read(&app, &parts.headers);
    let is_ours = secret.is_some_and(|secret| fields.is_made_for(&secret)) && is_same_origin(&parts.headers);
    if !is_ours {
        return again(StatusCode::FORBIDDEN, EXPIRED);
    }
    // Only now: a form of another site must not use up the attempts of the user whom it deceives.
    let address = client_address(&parts.extensions, &parts.headers, &app.config.trusted_proxies);
    count_attempt(&app, address, None)?;
    let Some((user, hash)) = verified(&app, &fields).await? else {
        count_login(LoginOutcome::Refused);
        pad_answer_time(started).await;
        return again(StatusCode::UNAUTHORIZED, WRONG);
    };
    if !has_access(&user) {
        count_login(LoginOutcome::Refused);
        return again(StatusCode::FORBIDDEN, NO_ACCESS);
    }
    let (mongo, id) = (app.mongo.clone(), user.id);
    let begun = async move { mongo.console_sessions().begin(id, &hash, Utc::now().into()).await };
    let token = store::write(&app, begun).await.map_err(Failure::for_strangers)?;
    count_login(LoginOutcome::Accepted);
    info!(user_id = %user.id, "signed in to the console");
    let mut response = Redirect::to(&next).into_response();
    set(&mut response, Cookie::Session.set(&app, &token, SESSION_AGE));
    set(&mut response, Cookie::SignIn.set(&app, "", Duration::ZERO));
    Ok(response)
}

/// Counts an attempt with a password from this address, and of this account where it is known.
///
/// # Errors
/// [`Failure::TooMany`] when it is one too many.
pub(crate) fn count_attempt(app: &App, address: IpAddr, account: Option<UserId>) -> Result<(), Failure> {
    let is_exempt = app.exempt_loopback && address.is_loopback();
    let Some(limit) = app.login_limit.as_ref().filter(|_| !is_exempt) else { return Ok(()) };
    let of_account = account.map(|id| RateLimitKey::Client(id.to_string()));
    for key in of_account.into_iter().chain([RateLimitKey::at(address)]) {
        limit.count(&key).map_err(|exceeded| Failure::TooMany(exceeded.retry_after_secs))?;
    }
    Ok(())
}

/// Whether this is the password of this hash; without a hash it is not, and that takes as long to find out.
///
/// # Errors
/// [`Failure::TooMany`] while too many passwords are being compared.
pub(crate) async fn is_password(app: &App, password: &str, hash: Option<String>) -> Result<bool, Failure> {
    app.hasher.verify(SecretString::from(password), hash).await.map_err(|failed| match failed {
        HasherError::Busy => Failure::TooMany(BUSY_RETRY_SECS),
        HasherError::Failed(cause) => Failure::internal(cause),
    })
}

/// The account of these credentials with its password's hash, unless it is disabled.
async fn verified(app: &App, fields: &FormFields) -> Result<Option<(User, String)>, Failure> {
    let (mongo, email) = (app.mongo.clone(), Email::parse(fields.get("email")).ok());
    let found = store::read(app, async move {
        match email {
            Some(email) => mongo.users().credentials_by_email(&email).await,
            None => Ok(None),
        }
    });
    let found = found.await.map_err(Failure::for_strangers)?;
    let hash = found.as_ref().map(|(_, hash)| hash.clone());
    let right = is_password(app, fields.raw("password"), hash).await?;
    Ok(found.filter(|(user, _)| right && user.disabled_at.is_none()))
}

/// `POST /logout`. The browser forgets the session also when MongoDB cannot.
pub(crate) async fn sign_out(State(app): State<SharedApp>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    if let Some(token) = Cookie::Session.read(&app, &parts.headers) {
        let fields = FormFields::read(body, MAX_BODY_BYTES).await?;
        if !is_same_origin(&parts.headers) || !fields.is_made_for(&token) {
            return Err(Failure::Forged);
        }
        app.sessions.forget(&token);
        let mongo = app.mongo.clone();
        if let Err(failed) = store::write(&app, async move { mongo.console_sessions().end(&token).await }).await {
            warn!(?failed, "a session was not ended, and lasts until it expires");
        }
    }
    let mut response = Redirect::to("/login").into_response();
    set(&mut response, Cookie::Session.set(&app, "", Duration::ZERO));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::safe_path;

    #[test]
    fn only_pages_of_the_console_follow_a_sign_in() {
        assert_eq!(safe_path("/queues?x=1"), "/queues?x=1");
        let other_sites = ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com"];
        let with_controls = ["/\t/evil.example.com", "/\t\\evil.example.com", "/\n/evil.example.com", "/queues\u{1}"];
        for elsewhere in ["", "queues"].iter().chain(&other_sites).chain(&with_controls) {
            assert_eq!(safe_path(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
