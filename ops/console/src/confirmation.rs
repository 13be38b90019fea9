//! The password once more, for what cannot be undone and for what is masked. It then counts for some minutes of the
//! session: a browser that was left open for longer does no such harm.

use crate::access::SignedIn;
use crate::app::App;
use crate::failure::Failure;
use crate::forms::Submitted;
use crate::login::{count_attempt, is_password};
use crate::store;
use chrono::Utc;
use pvt_service::logins::{LoginOutcome, count_login};
use tracing::{info, warn};

/// The field that holds it.
const PASSWORD_FIELD: &str = "password";
const MISSING: &str = "Give your password, too: this cannot be undone, or shows what is masked. Nothing was changed.";
const WRONG: &str = "The password is wrong. Nothing was changed.";

/// Whether a form must request the password. Where that cannot be read, it does.
pub(crate) async fn is_needed(app: &App, user: &SignedIn) -> bool {
    !is_confirmed(app, user).await.unwrap_or(false)
}

async fn is_confirmed(app: &App, user: &SignedIn) -> Result<bool, Failure> {
    let (mongo, token) = (app.mongo.clone(), user.token().to_owned());
    store::read(app, async move { mongo.console_sessions().is_confirmed(&token, Utc::now().into()).await }).await
}

/// Passes a form of a session that was confirmed a short time ago, or that has the user's password, which confirms it.
/// Attempts are counted like those to sign in, by address and by account: the cookie alone must not be a way to try
/// passwords.
///
/// # Errors
/// [`Failure::Unconfirmed`] without the right password, [`Failure::TooMany`] after too many attempts.
pub(crate) async fn require(app: &App, form: &Submitted) -> Result<(), Failure> {
    let Submitted { user, fields } = form;
    if is_confirmed(app, user).await? {
        return Ok(());
    }
    let password = fields.raw(PASSWORD_FIELD);
    if password.is_empty() {
        return Err(Failure::Unconfirmed(MISSING));
    }
    let (mongo, id) = (app.mongo.clone(), user.user().id);
    count_attempt(app, user.address(), Some(id))?;
    let found = store::read(app, async move { mongo.users().credentials(id).await }).await?;
    if !is_password(app, password, found.map(|(_, hash)| hash)).await? {
        count_login(LoginOutcome::Refused);
        warn!(user_id = %id, "a wrong password in a session of the console");
        return Err(Failure::Unconfirmed(WRONG));
    }
    let (mongo, token) = (app.mongo.clone(), user.token().to_owned());
    let confirming = async move { mongo.console_sessions().confirm(&token, Utc::now().into()).await };
    if !store::write(app, confirming).await? {
        return Err(Failure::SignedOut("/".to_owned()));
    }
    info!(user_id = %id, "a session of the console was confirmed");
    Ok(())
}
