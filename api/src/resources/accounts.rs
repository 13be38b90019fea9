//! Accounts: registration, sessions, passwords, profiles, roles and API keys.
//!
//! Nothing here may reveal to a stranger whether an address has an account, neither by its answer nor by how long that
//! takes.

mod api_keys;
mod forms;
mod passwords;
mod profile;
mod register;
mod sessions;
mod users;

use crate::auth::guard::{Resource, at, delete, get, patch, post, put};
use crate::auth::rules::{ACCOUNT, ACCOUNT_PASSWORD, ACCOUNTS_ADMIN, OPEN, OPEN_PASSWORD};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::JsonResponse;
use crate::state::App;
use axum::http::StatusCode;
use chrono::Utc;
use pvt_domain::accounts::UserId;
use pvt_domain::messages::{ACCOUNT_MAIL, AccountMail, AccountMailKind};
use pvt_messaging::Outgoing;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Accounts",
        about: "Registration, sessions, passwords, roles and API keys.",
        routes: vec![
            at(
                "/api/auth/register",
                [post(OPEN_PASSWORD, "register", register::register)
                    .summary("Register an account")
                    .about("The answer does not reveal whether the address has an account; a mail tells its owner.")
                    .stored()
                    .queued()
                    .problems([problem::OVERLOADED])],
            ),
            at(
                "/api/auth/login",
                [post(OPEN_PASSWORD, "login", sessions::login)
                    .summary("Log in")
                    .problems([problem::INVALID_LOGIN, problem::OVERLOADED])
                    .goes_on_in_maintenance()
                    .stored()],
            ),
            at(
                "/api/auth/refresh",
                [post(OPEN, "refresh", sessions::refresh)
                    .summary("Get the next pair of tokens")
                    .about(
                        "A refresh token works once. If it is sent a second time, it may have been stolen: the whole \
                        session ends.",
                    )
                    .problems([problem::SESSION_ENDED])
                    .goes_on_in_maintenance()
                    .stored()],
            ),
            at(
                "/api/auth/logout",
                [post(OPEN, "logout", sessions::logout)
                    .summary("Log out")
                    .answers(StatusCode::NO_CONTENT, "The session has ended, or there was none.")
                    .goes_on_in_maintenance()
                    .stored()],
            ),
            at(
                "/api/auth/change-password",
                [post(ACCOUNT_PASSWORD, "change_password", passwords::change)
                    .summary("Change the password; every other session ends")
                    .answers(StatusCode::OK, "A new session, the only one left.")
                    .problems([problem::OVERLOADED])
                    .stored()],
            ),
            at(
                "/api/auth/forgot-password",
                [post(OPEN_PASSWORD, "forgot_password", passwords::forgot)
                    .summary("Request a mail to reset the password")
                    .about("The answer does not reveal whether the address has an account.")
                    .stored()
                    .queued()],
            ),
            at(
                "/api/auth/reset-password",
                [post(OPEN_PASSWORD, "reset_password", passwords::reset)
                    .summary("Reset the password with a mailed token")
                    .answers(
                        StatusCode::NO_CONTENT,
                        "The password is changed, the token is used up and every session has ended.",
                    )
                    .problems([problem::OVERLOADED])
                    .stored()],
            ),
            at(
                "/api/auth/profile",
                [
                    get(ACCOUNT, "show_profile", profile::show).summary("Show the caller's account").stored(),
                    put(ACCOUNT, "change_profile", profile::change)
                        .summary("Change the caller's name and language")
                        .stored(),
                ],
            ),
            at(
                "/api/auth/users",
                [get(ACCOUNTS_ADMIN, "list_users", users::list).summary("List accounts, oldest first").stored()],
            ),
            at(
                "/api/auth/users/{id}/role",
                [patch(ACCOUNTS_ADMIN, "set_role", users::set_role)
                    .summary("Set an account's role and properties")
                    .about("`properties` is for staff, who need it. No administrator can change their own role.")
                    .stored()],
            ),
            at(
                "/api/auth/api-keys",
                [
                    get(ACCOUNTS_ADMIN, "list_api_keys", api_keys::list)
                        .summary("List API keys by id, revoked ones too")
                        .stored(),
                    post(ACCOUNTS_ADMIN, "create_api_key", api_keys::create)
                        .summary("Create an API key")
                        .about("Without `properties` or `scopes` it has all of its role.")
                        .answers(StatusCode::CREATED, "The key; its text is shown this once.")
                        .stored(),
                ],
            ),
            at(
                "/api/auth/api-keys/{id}",
                [delete(ACCOUNTS_ADMIN, "revoke_api_key", api_keys::revoke)
                    .summary("Revoke an API key")
                    .answers(StatusCode::NO_CONTENT, "It is revoked; instances notice within a minute.")
                    .stored()],
            ),
        ],
    }
}

/// The request is accepted, whatever the address.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Accepted", example = json!({ "status": "accepted" }))]
struct AcceptedView {
    #[schemars(extend("enum" = ["accepted"]))]
    status: &'static str,
}

type Accepted = JsonResponse<202, AcceptedView>;

fn accepted() -> Accepted {
    Accepted::new(&AcceptedView { status: "accepted" })
}

/// Queues a mail about an account.
async fn send_mail(app: &App, context: &RequestContext, user_id: UserId, kind: AccountMailKind) -> Result<(), Problem> {
    let mail = AccountMail { mail_id: Uuid::new_v4(), user_id, kind, alert: None, requested_at: Utc::now().into() };
    let key = app.topology.command_key(ACCOUNT_MAIL, "");
    let message = Outgoing::command(key, mail.mail_id, &mail)
        .map(|message| message.with_correlation_id(user_id.as_uuid()).with_traceparent(context.traceparent()));
    app.publish(message, |_| {}).await
}
