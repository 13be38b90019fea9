//! User accounts: registration, password reset, and access to bookings by owner, staff and strangers.

use crate::harness::{ApiResponse, Expectations, SHORT_TIMEOUT, Stack, StackBuilder};
use anyhow::{Context, Result, ensure};
use pvt_testkit::{DORM, Mail, booking_body, days_from_now, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

/// The newest mail to this address with this subject.
async fn mail(stack: &Stack, to: &str, subject: &str) -> Result<Mail> {
    eventually(&format!("a mail `{subject}` to {to}"), SHORT_TIMEOUT, || async {
        Ok(stack
            .mailbox
            .all()
            .await?
            .into_iter()
            .filter(|mail| mail.to == to && mail.subject == subject)
            .max_by_key(|mail| mail.n))
    })
    .await
}

async fn post(stack: &Stack, path: &str, body: &Value) -> Result<ApiResponse> {
    stack.client.post(path, &[], body).await
}

async fn login(stack: &Stack, email: &str, password: &str) -> Result<String> {
    let answer = post(stack, "/api/auth/login", &json!({ "email": email, "password": password })).await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    Ok(answer.text("/access_token").to_owned())
}

async fn register(stack: &Stack, email: &str, locale: &str) -> Result<()> {
    let answer = post(
        stack,
        "/api/auth/register",
        &json!({ "email": email, "password": PASSWORD, "name": "Ada", "locale": locale }),
    )
    .await?;
    ensure!(answer.status == StatusCode::ACCEPTED, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn password_reset_requires_the_mailed_token() -> Result<()> {
    let mut stack = StackBuilder::new().start().await?;
    register(&stack, "ada@example.com", "en").await?;
    register(&stack, "marie@example.com", "fr").await?;
    register(&stack, "ada@example.com", "en").await?;
    let welcome = mail(&stack, "marie@example.com", "Bienvenue").await?;
    assert!(welcome.text.contains("Bonjour Ada,") && welcome.html.contains("lang=\"fr\""), "{welcome:?}");
    mail(&stack, "ada@example.com", "Welcome").await?;
    mail(&stack, "ada@example.com", "You already have an account").await?;

    for email in ["ada@example.com", "nobody@example.com"] {
        let answer = post(&stack, "/api/auth/forgot-password", &json!({ "email": email })).await?;
        assert_eq!((answer.status, &answer.body), (StatusCode::ACCEPTED, &json!({ "status": "accepted" })));
    }
    let reset = mail(&stack, "ada@example.com", "Reset your password").await?;
    let token = reset
        .text
        .lines()
        .find(|line| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .context("no token")?
        .to_owned();
    assert!(reset.html.contains(&format!("/reset-password#token={token}")), "{reset:?}");
    let choose = json!({ "token": token, "new_password": "another horse battery" });
    assert_eq!(post(&stack, "/api/auth/reset-password", &choose).await?.status, StatusCode::NO_CONTENT);
    assert_eq!(post(&stack, "/api/auth/reset-password", &choose).await?.problem()?, "validation_failed");
    let old = post(&stack, "/api/auth/login", &json!({ "email": "ada@example.com", "password": PASSWORD })).await?;
    assert_eq!(old.problem()?, "invalid_login");
    login(&stack, "Ada@Example.com", "another horse battery").await?;
    assert!(
        stack.mailbox.all().await?.iter().all(|mail| mail.to != "nobody@example.com"),
        "an address without an account gets no mail"
    );

    let secrets = [token.as_str(), PASSWORD, "another horse battery", "ada@example.com", "argon2"];
    for name in ["api", "workers"] {
        let log = stack.program(name)?.log();
        assert!(!log.is_empty());
        assert_eq!(secrets.iter().find(|secret| log.contains(**secret)), None, "in the log of {name}");
    }
    let rows: Vec<Value> = stack.stores.all("account_mails").await?;
    assert_eq!(rows.len(), 4);
    assert!(
        rows.iter().all(|row| row["status"] == "sent") && !json!(rows).to_string().contains("example.com"),
        "{rows:?}"
    );
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn bookings_are_visible_to_owner_and_property_staff_only() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let seeded = stack.pvt(&["seed", "--days", "0"]).await?;
    ensure!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
    register(&stack, "ada@example.com", "en").await?;
    let created = stack.pvt(&["users", "create", "québec@example.com", "--role", "staff"]).await?;
    assert!(!created.status.success(), "neither an address nor a property");
    let created =
        stack.pvt(&["users", "create", "quebec@example.com", "--role", "staff", "--property", "pvt-quebec"]).await?;
    let quebec = String::from_utf8(created.stdout)?;
    let ada = login(&stack, "ada@example.com", PASSWORD).await?;
    let staff = login(&stack, "staff@pvt.test", "staff-of-the-demo").await?;
    let strangers = [
        login(&stack, "guest@pvt.test", "guest-of-the-demo").await?,
        login(&stack, "quebec@example.com", quebec.trim()).await?,
    ];

    let bearer = |token: &str| format!("Bearer {token}");
    let headers = [("idempotency-key", "mine"), ("prefer", "wait=30"), ("authorization", &*bearer(&ada))];
    let booked = stack.client.post("/api/bookings", &headers, &booking_body(DORM, days_from_now(30), 2, 1)).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{booked:?}");
    stack.record_accepted(booked.text("/id").parse()?);
    let path = format!("/api/bookings/{}", booked.text("/id"));
    let read =
        async |token: &str| stack.client.send(Method::GET, &path, &[("authorization", &bearer(token))], None).await;
    for token in [&ada, &staff] {
        assert_eq!(read(token).await?.text("/status"), "confirmed");
    }
    for token in &strangers {
        assert_eq!(read(token).await?.problem()?, "not_found");
        let cancel = stack.client.send(Method::DELETE, &path, &[("authorization", &bearer(token))], None).await?;
        assert_eq!(cancel.problem()?, "not_found");
    }
    assert_eq!(stack.client.get(&path).await?.problem()?, "not_found");
    let cancelled = stack
        .client
        .send(Method::DELETE, &path, &[("authorization", &bearer(&ada)), ("prefer", "wait=30")], None)
        .await?;
    assert_eq!((cancelled.status, cancelled.text("/status")), (StatusCode::OK, "cancelled"), "{cancelled:?}");

    let dismissed = stack.pvt(&["users", "set-role", "quebec@example.com", "guest"]).await?;
    assert!(dismissed.status.success(), "{dismissed:?}");
    let disabled = stack.pvt(&["users", "disable", "ada@example.com"]).await?;
    assert!(disabled.status.success());
    assert!(login(&stack, "ada@example.com", PASSWORD).await.is_err());
    let listed = stack.pvt_json(&["users", "list", "--json"]).await?;
    let dismissed = listed.as_array().into_iter().flatten().find(|user| user["email"] == "quebec@example.com");
    assert_eq!(dismissed.map(|user| &user["role"]), Some(&json!("guest")), "{listed}");
    let disabled: Vec<&Value> =
        listed.as_array().into_iter().flatten().filter(|user| !user["disabled_at"].is_null()).collect();
    assert_eq!(
        (listed.as_array().map(Vec::len), disabled.len(), &disabled[0]["email"]),
        (Some(5), 1, &json!("ada@example.com"))
    );
    stack.end(Expectations::clean()).await
}
