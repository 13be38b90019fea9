//! What is said of accounts, sessions and API keys.

use crate::http::problem;
use crate::openapi::schema::{
    about, choice, email, form, instant, list, list_of, named, object, one_of, page, text, text_of, uuid, whole,
};
use crate::openapi::{Group, Operation, delete, get, patch, post, put};
use axum::http::StatusCode;
use pvt_domain::accounts::{MAX_PASSWORD_CHARS, MAX_PROPERTIES, MIN_PASSWORD_CHARS, Role};
use pvt_domain::intake::MAX_NAME_CHARS;
use pvt_stores::mongo::api_keys::{ApiRole, Scope};
use serde_json::{Value, json};

const SOME_ID: &str = "0195d3c0-7a61-7e55-9f0e-6a7f2a9d1c11";

pub(super) fn group() -> Group {
    let mut operations = sessions();
    operations.extend(passwords());
    operations.extend(people());
    operations.extend(keys());
    Group {
        name: "Accounts",
        about: "Registering, sessions, passwords, roles, API keys.",
        operations,
        schemas: vec![
            ("Account", account()),
            ("Tokens", tokens()),
            ("ApiKey", api_key()),
            ("Accepted", object([("status", one_of(["accepted"]))])),
        ],
    }
}

fn password() -> Value {
    text_of(MIN_PASSWORD_CHARS, MAX_PASSWORD_CHARS)
}

fn name() -> Value {
    text_of(1, MAX_NAME_CHARS)
}

fn locale() -> Value {
    about(text(), "The language of mails: `fr`, `en` or `en-CA`.")
}

fn sessions() -> Vec<Operation> {
    let registration = form([("email", email()), ("password", password()), ("name", name()), ("locale?", locale())]);
    let refresh = || form([("refresh_token", text())]);
    vec![
        post("/api/auth/register", "register", "Opens an account")
            .about("The answer is the same whether the address has an account or not; a mail tells its owner which.")
            .body(
                registration,
                json!({ "email": "ada@example.com", "password": "correct horse battery",
                "name": "Ada Lovelace", "locale": "en" }),
            )
            .answers(StatusCode::ACCEPTED, "A mail is on its way.", named("Accepted"))
            .example(json!({ "status": "accepted" }))
            .stored()
            .queued()
            .hashes(),
        post("/api/auth/login", "login", "Begins a session")
            .body(
                form([("email", text()), ("password", text())]),
                json!({ "email": "guest@pvt.test", "password": "the password" }),
            )
            .answers(StatusCode::OK, "The session's tokens.", named("Tokens"))
            .example(tokens_example())
            .problems([problem::INVALID_LOGIN])
            .stored()
            .hashes(),
        post("/api/auth/refresh", "refresh", "The next pair of tokens")
            .about(
                "A refresh token is good once. When one comes a second time, somebody has a copy, and the whole \
                session ends.",
            )
            .body(refresh(), json!({ "refresh_token": "pvtr_…" }))
            .answers(StatusCode::OK, "The next tokens.", named("Tokens"))
            .problems([problem::SESSION_ENDED])
            .stored(),
        post("/api/auth/logout", "logout", "Ends a session")
            .body(refresh(), json!({ "refresh_token": "pvtr_…" }))
            .answers_nothing(StatusCode::NO_CONTENT, "It has ended, or there was none.")
            .stored(),
    ]
}

fn passwords() -> Vec<Operation> {
    vec![
        post("/api/auth/change-password", "change_password", "A new password; every other session ends")
            .body(
                form([("current_password", text()), ("new_password", password())]),
                json!({ "current_password": "correct horse battery", "new_password": "battery horse correct" }),
            )
            .answers(StatusCode::OK, "A new session, the only one left.", named("Tokens"))
            .stored()
            .hashes(),
        post(
            "/api/auth/forgot-password",
            "forgot_password",
            "Mails a token for a new password, if the address has an account",
        )
        .body(form([("email", email())]), json!({ "email": "ada@example.com" }))
        .answers(StatusCode::ACCEPTED, "Whether there is an account or not.", named("Accepted"))
        .example(json!({ "status": "accepted" }))
        .stored()
        .queued(),
        post("/api/auth/reset-password", "reset_password", "A new password by a mailed token")
            .body(
                form([("token", text()), ("new_password", password())]),
                json!({ "token": "from the mail", "new_password": "battery horse correct" }),
            )
            .answers_nothing(StatusCode::NO_CONTENT, "The password is changed, the token used up, every session ended.")
            .stored()
            .hashes(),
    ]
}

fn people() -> Vec<Operation> {
    let properties = || list_of(text(), 0, MAX_PROPERTIES);
    vec![
        get("/api/auth/profile", "show_profile", "One's own account")
            .answers(StatusCode::OK, "The account.", named("Account"))
            .example(account_example())
            .header("ETag")
            .stored(),
        put("/api/auth/profile", "change_profile", "Changes one's own name and language")
            .body(form([("name", name()), ("locale?", locale())]), json!({ "name": "Ada King", "locale": "fr" }))
            .answers(StatusCode::OK, "The account as it is now.", named("Account"))
            .header("ETag")
            .if_match()
            .stored(),
        get("/api/auth/users", "list_users", "Accounts, oldest first")
            .answers(StatusCode::OK, "A page of them.", page(named("Account")))
            .example(json!({ "items": [account_example()] }))
            .paged()
            .stored(),
        patch("/api/auth/users/{id}/role", "set_role", "Says what an account may do, and where")
            .about("`properties` is for staff, who need it. Nobody changes their own role.")
            .body(
                form([("role", choice(&Role::ALL)), ("properties?", properties())]),
                json!({ "role": "staff", "properties": ["pvt-montreal"] }),
            )
            .answers(StatusCode::OK, "The account as it is now.", named("Account"))
            .header("ETag")
            .if_match()
            .stored(),
    ]
}

fn keys() -> Vec<Operation> {
    let scopes = list_of(choice(&Scope::ALL), 0, Scope::ALL.len());
    let wanted = form([
        ("role", choice(&ApiRole::ALL)),
        ("name", name()),
        ("properties?", list_of(text(), 0, MAX_PROPERTIES)),
        ("scopes?", scopes),
    ]);
    vec![
        get("/api/auth/api-keys", "list_api_keys", "API keys by id, void ones too")
            .answers(StatusCode::OK, "A page of them.", page(named("ApiKey")))
            .paged()
            .stored(),
        post("/api/auth/api-keys", "create_api_key", "Makes an API key")
            .about("Without `properties` or `scopes` it has all of its role.")
            .body(
                wanted,
                json!({ "role": "client", "name": "Booking site",
                "scopes": ["bookings:read", "bookings:write"] }),
            )
            .answers(StatusCode::CREATED, "The key; its text is shown this once.", named("ApiKey"))
            .example(json!({
                "id": "a1b2c3d4e5f6", "name": "Booking site", "role": "client",
                "scopes": ["bookings:read", "bookings:write"],
                "created_at": "2026-12-01T12:00:00.000Z", "key": "pvt_a1b2c3d4e5f6_…",
            }))
            .stored(),
        delete("/api/auth/api-keys/{id}", "revoke_api_key", "Makes a key void")
            .answers_nothing(StatusCode::NO_CONTENT, "It is void; instances notice within a minute.")
            .stored(),
    ]
}

fn account() -> Value {
    object([
        ("id", uuid()),
        ("email", text()),
        ("name", text()),
        ("role", choice(&Role::ALL)),
        ("properties", about(list(text()), "Where staff work.")),
        ("locale?", text()),
        ("rev", whole(1)),
        ("created_at", instant()),
        ("disabled_at?", instant()),
    ])
}

fn tokens() -> Value {
    object([
        ("access_token", text()),
        ("token_type", one_of(["Bearer"])),
        ("expires_in", about(whole(1), "Of the access token, in seconds.")),
        ("refresh_token", about(text(), "Good once.")),
        ("refresh_expires_in", about(whole(1), "In seconds.")),
        ("user", named("Account")),
    ])
}

fn api_key() -> Value {
    object([
        ("id", text()),
        ("name", text()),
        ("role", choice(&ApiRole::ALL)),
        ("properties?", about(list(text()), "Missing: all of them.")),
        ("scopes?", about(list(choice(&Scope::ALL)), "Missing: all of them.")),
        ("created_at", instant()),
        ("revoked_at?", instant()),
        ("key?", about(text(), "The whole key, when it is new.")),
    ])
}

fn account_example() -> Value {
    json!({
        "id": SOME_ID, "email": "ada@example.com", "name": "Ada Lovelace", "role": "guest", "properties": [],
        "locale": "en", "rev": 1,
        "created_at": "2026-12-01T12:00:00.000Z",
    })
}

fn tokens_example() -> Value {
    json!({
        "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.…", "token_type": "Bearer", "expires_in": 900,
        "refresh_token": "pvtr_…", "refresh_expires_in": 604_800, "user": account_example(),
    })
}
