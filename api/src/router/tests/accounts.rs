//! Accounts on the real engines: registering, sessions, passwords, roles and keys.

use super::{Answer, Api, demo};
use axum::body::Body;
use axum::http::{Request, header};
use chrono::{TimeDelta, Utc};
use pvt_domain::accounts::{Email, Role, User};
use pvt_domain::messages::{AccountMail, AccountMailKind};
use pvt_service::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::refresh_tokens::Rotation;
use pvt_testkit::{Broker, Namespace};
use serde_json::{Value, json};
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";

/// An audit entry of whatever is done.
fn entry() -> AuditEntry {
    AuditEntry::new(Uuid::new_v4(), Utc::now().into(), "operator", "account.role".to_owned(), "", "")
}

struct TestAccounts {
    api: Api,
    mongo: Mongo,
    broker: Broker,
    // Dropped last: it removes what the others use.
    _namespace: Namespace,
}

impl TestAccounts {
    async fn open() -> Self {
        let namespace = Namespace::new().await.unwrap();
        let mongo = namespace.mongo().await.unwrap();
        let broker = Broker::connect(&namespace).await.unwrap();
        namespace.topology().declare(&broker.channel().await.unwrap()).await.unwrap();
        let api = Api::with(Config::from_pairs(namespace.environment()).unwrap(), [demo::inventory()]).await;
        Self { api, mongo, broker, _namespace: namespace }
    }

    async fn call(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Answer {
        self.call_if(method, path, token, None, body).await
    }

    async fn call_if(&self, method: &str, path: &str, token: Option<&str>, etag: Option<&str>, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        let request = token
            .into_iter()
            .fold(request, |request, token| request.header(header::AUTHORIZATION, format!("Bearer {token}")));
        let request = etag.into_iter().fold(request, |request, etag| request.header(header::IF_MATCH, etag));
        self.api.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn register(&self, email: &str) -> Answer {
        self.call(
            "POST",
            "/api/auth/register",
            None,
            &json!({ "email": email, "password": PASSWORD, "name": "Ada Lovelace", "locale": "fr" }),
        )
        .await
    }

    async fn login(&self, email: &str, password: &str) -> Answer {
        self.call("POST", "/api/auth/login", None, &json!({ "email": email, "password": password })).await
    }

    /// A registered account that has logged in, and its tokens.
    async fn account(&self, email: &str) -> Value {
        assert_eq!(self.register(email).await.status.as_u16(), 202);
        let answer = self.login(email, PASSWORD).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
        answer.body
    }

    async fn admin(&self) -> String {
        self.account("admin@example.com").await;
        let user = self.user("admin@example.com").await;
        self.mongo.users().set_role(user.id, user.rev, (Role::Admin, &[]), &entry()).await.unwrap();
        text(&self.login("admin@example.com", PASSWORD).await.body, "access_token")
    }

    async fn user(&self, email: &str) -> User {
        self.mongo.users().find_by_email(&Email::parse(email).unwrap()).await.unwrap().unwrap()
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.call("POST", "/api/auth/refresh", None, &json!({ "refresh_token": token })).await
    }

    async fn mails(&self) -> Vec<AccountMail> {
        let letters = self.broker.peek("emails", 20).await.unwrap();
        letters
            .iter()
            .filter(|message| message.kind == "account.mail.v1")
            .map(|message| serde_json::from_slice(&message.body).unwrap())
            .collect()
    }
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned()
}

#[tokio::test]
async fn registration_does_not_reveal_accounts() {
    let accounts = TestAccounts::open().await;
    let first = accounts.register("Ada@Example.com").await;
    let again = accounts.register("ada@example.com").await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(first.status.as_u16(), 202);
    let mails = accounts.mails().await;
    let ada = accounts.user("ada@example.com").await;
    assert_eq!(
        mails.iter().map(|mail| mail.kind).collect::<Vec<_>>(),
        [AccountMailKind::Welcome, AccountMailKind::AlreadyRegistered]
    );
    assert!(mails.iter().all(|mail| mail.user_id == ada.id));
    assert_eq!((ada.role, ada.locale.as_deref(), ada.rev), (Role::Guest, Some("fr"), 1));
    let escalation = json!({ "email": "eve@example.com", "password": PASSWORD, "name": "Eve", "role": "admin" });
    assert_eq!(accounts.call("POST", "/api/auth/register", None, &escalation).await.code(), "validation_failed");
}

#[tokio::test]
async fn failed_login_has_one_response() {
    let accounts = TestAccounts::open().await;
    accounts.account("ada@example.com").await;
    let wrong = accounts.login("ada@example.com", "wrong horse battery").await;
    assert_eq!((wrong.status.as_u16(), wrong.code()), (401, "invalid_login"));
    let disabled = accounts.user("ada@example.com").await.id;
    accounts.mongo.users().disable(disabled, Utc::now().into(), &entry()).await.unwrap();
    for (email, password) in
        [("nobody@example.com", PASSWORD), ("ada@example.com", PASSWORD), ("not an address", PASSWORD)]
    {
        let other = accounts.login(email, password).await;
        assert_eq!(
            (other.status, other.code(), &other.body["detail"]),
            (wrong.status, "invalid_login", &wrong.body["detail"]),
            "{email}"
        );
    }
}

#[tokio::test]
async fn reused_refresh_token_ends_the_session() {
    let accounts = TestAccounts::open().await;
    let session = accounts.account("ada@example.com").await;
    let other = text(&accounts.login("ada@example.com", PASSWORD).await.body, "refresh_token");
    let first = text(&session, "refresh_token");
    let second = accounts.refresh(&first).await;
    assert_eq!(second.status.as_u16(), 200, "{}", second.body);
    let second = text(&second.body, "refresh_token");
    assert_ne!(first, second);
    let stolen = accounts.refresh(&first).await;
    assert_eq!((stolen.status.as_u16(), stolen.code()), (401, "session_ended"));
    assert_eq!(accounts.refresh(&second).await.code(), "session_ended", "the thief's and the owner's alike");
    assert_eq!(accounts.refresh(&other).await.status.as_u16(), 200, "another session goes on");
    let access = accounts.call("GET", "/api/auth/profile", Some(&second), &Value::Null).await;
    assert_eq!(access.code(), "unauthenticated", "a refresh token opens nothing");
    assert_eq!(
        accounts.refresh(&text(&session, "access_token")).await.code(),
        "session_ended",
        "nor does an access token refresh"
    );
}

#[tokio::test]
async fn concurrent_token_rotation_has_one_winner() {
    let accounts = TestAccounts::open().await;
    let user = {
        accounts.account("ada@example.com").await;
        accounts.user("ada@example.com").await
    };
    let token = accounts.mongo.refresh_tokens().begin_session(user.id, Utc::now().into()).await.unwrap();
    let rotations = futures_util::future::join_all(
        (0..8).map(|_| accounts.mongo.refresh_tokens().rotate(&token, Utc::now().into())),
    )
    .await;
    let rotations: Vec<Rotation> = rotations.into_iter().map(Result::unwrap).collect();
    let won: Vec<&String> = rotations
        .iter()
        .filter_map(|rotation| if let Rotation::Rotated { token, .. } = rotation { Some(token) } else { None })
        .collect();
    assert_eq!(
        (won.len(), rotations.iter().filter(|rotation| matches!(rotation, Rotation::Reused { .. })).count()),
        (1, 1)
    );
    assert_eq!(
        accounts.mongo.refresh_tokens().rotate(won[0], Utc::now().into()).await.unwrap(),
        Rotation::Unknown,
        "the session has ended"
    );
}

#[tokio::test]
async fn sessions_expire_and_can_be_ended() {
    let accounts = TestAccounts::open().await;
    let session = accounts.account("ada@example.com").await;
    let user = accounts.user("ada@example.com").await;
    let old =
        accounts.mongo.refresh_tokens().begin_session(user.id, (Utc::now() - TimeDelta::days(8)).into()).await.unwrap();
    assert_eq!(accounts.refresh(&old).await.code(), "session_ended");
    let token = text(&session, "refresh_token");
    for body in [&token, "nonsense"] {
        assert_eq!(
            accounts.call("POST", "/api/auth/logout", None, &json!({ "refresh_token": body })).await.status.as_u16(),
            204
        );
    }
    assert_eq!(accounts.refresh(&token).await.code(), "session_ended");
    let session = text(&accounts.login("ada@example.com", PASSWORD).await.body, "refresh_token");
    accounts.mongo.users().disable(user.id, Utc::now().into(), &entry()).await.unwrap();
    assert_eq!(accounts.refresh(&session).await.code(), "session_ended", "no session goes on in a disabled account");
}

#[tokio::test]
async fn password_change_ends_other_sessions() {
    let accounts = TestAccounts::open().await;
    let session = accounts.account("ada@example.com").await;
    let (access, refresh) = (text(&session, "access_token"), text(&session, "refresh_token"));
    let change = async |current: &str, new: &str| {
        accounts
            .call(
                "POST",
                "/api/auth/change-password",
                Some(&access),
                &json!({ "current_password": current, "new_password": new }),
            )
            .await
    };
    assert_eq!(change("wrong horse battery", "another horse battery").await.pointers(), ["/current_password"]);
    assert_eq!(change(PASSWORD, "ADA@example.com").await.pointers(), ["/new_password"]);
    let changed = change(PASSWORD, "another horse battery").await;
    assert_eq!(changed.status.as_u16(), 200, "{}", changed.body);
    assert_eq!(accounts.refresh(&refresh).await.code(), "session_ended");
    assert_eq!(accounts.refresh(&text(&changed.body, "refresh_token")).await.status.as_u16(), 200);
    assert_eq!(accounts.login("ada@example.com", PASSWORD).await.code(), "invalid_login");
}

#[tokio::test]
async fn reset_token_works_once() {
    let accounts = TestAccounts::open().await;
    let session = accounts.account("ada@example.com").await;
    let user = accounts.user("ada@example.com").await;
    let forgot =
        async |email: &str| accounts.call("POST", "/api/auth/forgot-password", None, &json!({ "email": email })).await;
    let (known, unknown) = (forgot("ada@example.com").await, forgot("nobody@example.com").await);
    assert_eq!((known.status.as_u16(), known.status, &known.body), (202, unknown.status, &unknown.body));
    let resets: Vec<AccountMail> =
        accounts.mails().await.into_iter().filter(|mail| mail.kind == AccountMailKind::PasswordReset).collect();
    assert_eq!(
        (resets.len(), resets[0].user_id == user.id, resets[1].user_id == user.id),
        (2, true, false),
        "an unknown address causes the same work"
    );

    let now = Utc::now();
    let reset = async |token: &str, password: &str| {
        accounts
            .call("POST", "/api/auth/reset-password", None, &json!({ "token": token, "new_password": password }))
            .await
    };
    let first = accounts.mongo.password_resets().create(resets[0].mail_id, user.id, now.into()).await.unwrap();
    let second_try = accounts.mongo.password_resets().create(resets[0].mail_id, user.id, now.into()).await.unwrap();
    let other_mail = accounts.mongo.password_resets().create(Uuid::from_u128(1), user.id, now.into()).await.unwrap();
    let late = accounts
        .mongo
        .password_resets()
        .create(Uuid::from_u128(2), user.id, (now - TimeDelta::minutes(61)).into())
        .await
        .unwrap();
    for bad in [&first, &late, "nonsense", ""] {
        assert_eq!(reset(bad, "another horse battery").await.pointers(), ["/token"], "{bad}");
    }
    assert_eq!(
        reset(&second_try, "ada@example.com").await.pointers(),
        ["/new_password"],
        "and the token is good still"
    );
    assert_eq!(reset(&second_try, "another horse battery").await.status.as_u16(), 204);
    assert_eq!(reset(&second_try, "a third horse battery").await.pointers(), ["/token"]);
    assert_eq!(
        reset(&other_mail, "a third horse battery").await.pointers(),
        ["/token"],
        "one reset makes the others void"
    );
    assert_eq!(accounts.refresh(&text(&session, "refresh_token")).await.code(), "session_ended");
    assert_eq!(accounts.login("ada@example.com", "another horse battery").await.status.as_u16(), 200);
}

#[tokio::test]
async fn profile_update_requires_current_revision() {
    let accounts = TestAccounts::open().await;
    let session = accounts.account("ada@example.com").await;
    let access = text(&session, "access_token");
    let shown = accounts.call("GET", "/api/auth/profile", Some(&access), &Value::Null).await;
    assert_eq!((shown.headers[header::ETAG].to_str().unwrap(), &shown.body), ("\"1\"", &session["user"]));
    assert!(!shown.body.to_string().contains("argon2"), "{}", shown.body);
    let change = async |etag: Option<&str>, body: Value| {
        accounts.call_if("PUT", "/api/auth/profile", Some(&access), etag, &body).await
    };
    assert_eq!(change(None, json!({ "name": "Ada" })).await.code(), "precondition_required");
    let changed = change(Some("\"1\""), json!({ "name": "Countess" })).await;
    assert_eq!(
        (changed.body["name"].as_str(), changed.body["rev"].as_u64(), changed.body.get("locale")),
        (Some("Countess"), Some(2), None)
    );
    assert_eq!(change(Some("\"1\""), json!({ "name": "Ada" })).await.code(), "precondition_failed");
    assert_eq!(change(Some("\"2\""), json!({ "name": "Ada", "role": "admin" })).await.pointers(), ["/role"]);
}

#[tokio::test]
async fn admins_list_accounts_and_assign_roles() {
    let accounts = TestAccounts::open().await;
    let (ada, admin) = (accounts.account("ada@example.com").await, accounts.admin().await);
    let page = accounts.call("GET", "/api/auth/users?limit=1", Some(&admin), &Value::Null).await;
    assert_eq!(
        (page.body["items"][0]["email"].as_str(), page.headers.contains_key(header::LINK)),
        (Some("ada@example.com"), true),
        "{}",
        page.body
    );
    let next = format!("/api/auth/users?limit=1&cursor={}", text(&page.body, "next_cursor"));
    let next = accounts.call("GET", &next, Some(&admin), &Value::Null).await;
    assert_eq!(
        (next.body["items"][0]["email"].as_str(), next.body.get("next_cursor")),
        (Some("admin@example.com"), None)
    );

    let of = |user: &Value| format!("/api/auth/users/{}/role", text(user, "id"));
    let staff = json!({ "role": "staff", "properties": ["pvt-montreal"] });
    let changed = accounts.call_if("PATCH", &of(&ada["user"]), Some(&admin), Some("\"1\""), &staff).await;
    assert_eq!(
        (changed.body["role"].as_str(), changed.body["rev"].as_u64()),
        (Some("staff"), Some(2)),
        "{}",
        changed.body
    );
    assert_eq!(
        accounts.call_if("PATCH", &of(&ada["user"]), Some(&admin), Some("\"1\""), &staff).await.code(),
        "precondition_failed"
    );
    assert_eq!(
        accounts.call_if("PATCH", &of(&next.body["items"][0]), Some(&admin), Some("\"2\""), &staff).await.code(),
        "forbidden"
    );
    let unknown = format!("/api/auth/users/{}/role", Uuid::nil());
    assert_eq!(accounts.call_if("PATCH", &unknown, Some(&admin), Some("\"1\""), &staff).await.code(), "not_found");
    let refreshed = accounts.refresh(&text(&ada, "refresh_token")).await;
    let claims = accounts.api.app.access_tokens.verify(&text(&refreshed.body, "access_token")).unwrap();
    assert_eq!(
        (claims.role, claims.properties),
        (Role::Staff, vec!["pvt-montreal".into()]),
        "the next token has the new role"
    );
}

#[tokio::test]
async fn api_key_is_shown_once_and_revocable() {
    let accounts = TestAccounts::open().await;
    let admin = accounts.admin().await;
    let new = json!({ "role": "admin", "name": "app", "scopes": ["accounts:write"] });
    let made = accounts.call("POST", "/api/auth/api-keys", Some(&admin), &new).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let (id, key) = (text(&made.body, "id"), text(&made.body, "key"));
    let listed = accounts.call("GET", "/api/auth/api-keys", Some(&key), &Value::Null).await;
    assert_eq!(
        (listed.body["items"][0]["scopes"].clone(), listed.body["items"][0].get("key")),
        (json!(["accounts:write"]), None),
        "{}",
        listed.body
    );
    assert!(!listed.body.to_string().contains("hash"));
    let narrow = accounts
        .call(
            "POST",
            "/api/auth/api-keys",
            Some(&admin),
            &json!({ "role": "admin", "name": "reader", "scopes": ["bookings:read"] }),
        )
        .await;
    assert_eq!(
        accounts.call("GET", "/api/auth/users", Some(&text(&narrow.body, "key")), &Value::Null).await.code(),
        "forbidden"
    );
    assert_eq!(
        accounts.call("GET", "/api/auth/profile", Some(&key), &Value::Null).await.code(),
        "forbidden",
        "a key has no profile"
    );
    let revoke = format!("/api/auth/api-keys/{}", text(&narrow.body, "id"));
    assert_eq!(accounts.call("DELETE", &revoke, Some(&admin), &Value::Null).await.status.as_u16(), 204);
    assert_eq!(accounts.call("DELETE", &revoke, Some(&admin), &Value::Null).await.code(), "not_found");
    assert!(accounts.mongo.api_keys().find(&id).await.unwrap().unwrap().revoked_at.is_none());
}
