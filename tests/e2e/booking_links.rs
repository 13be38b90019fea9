//! Links to a booking: what each is good for, whom it is given to, where it must not be found, and when it ends.

use crate::harness::{AcceptedBooking, ApiResponse, Expectations, SHORT_TIMEOUT, Stack, StackBuilder, booked};
use anyhow::{Context, Result, ensure};
use mongodb::bson::doc;
use pvt_domain::ids::BookingId;
use pvt_service::tokens::{Purpose, TokenKeys};
use pvt_stripe_simulator::PayOutcome;
use pvt_testkit::{DORM, booking_body, days_from_now, earlier_booking_token, eventually};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

/// A key of this role with this scope.
async fn key(stack: &Stack, role: &str, scopes: &[&str]) -> Result<String> {
    let mut arguments = vec!["keys", "create", "--role", role, "--json"];
    scopes.iter().for_each(|scope| arguments.extend(["--scope", scope]));
    let made = stack.pvt_json(&arguments).await?;
    Ok(format!("Bearer {}", made["key"].as_str().context("a key")?))
}

/// The token in the newest mail's link to this address.
async fn mailed(stack: &Stack, to: &str, subject: &str, link: &str) -> Result<String> {
    eventually(&format!("a mail to {to} with {link}"), SHORT_TIMEOUT, || async {
        let mails = stack.mailbox.all().await?;
        let mails = mails.into_iter().filter(|mail| mail.to == to && mail.subject.contains(subject));
        let token = |text: &str| {
            let at = text.rfind(link)?;
            let token = text.get(at..)?.split_once("token=")?.1;
            Some(token.split_whitespace().next()?.to_owned())
        };
        Ok(mails.filter_map(|mail| token(&mail.text)).next_back())
    })
    .await
}

/// Sends a request and follows no redirect.
pub(crate) async fn page(stack: &Stack, path: &str, bearer: Option<&str>) -> Result<reqwest::Response> {
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut request = browser.get(format!("{}{path}", stack.client.base()));
    if let Some(bearer) = bearer {
        request = request.header("authorization", bearer);
    }
    Ok(request.send().await?)
}

async fn show(stack: &Stack, booked: &AcceptedBooking, token: &str) -> Result<ApiResponse> {
    stack.client.get(&format!("/api/bookings/{}?token={token}", booked.id)).await
}

/// Changes the guest's address.
async fn change_address(stack: &Stack, booked: &AcceptedBooking, rev: u32, address: &str) -> Result<ApiResponse> {
    let path = format!("/api/bookings/{}?token={}", booked.id, booked.token);
    let tag = format!("\"{rev}\"");
    let headers = [("content-type", "application/json"), ("if-match", &*tag), ("prefer", "wait=30")];
    let body = json!({ "guest": { "email": address } }).to_string();
    stack.client.send(Method::PATCH, &path, &headers, Some(body.into_bytes())).await
}

#[tokio::test]
async fn links_do_what_they_are_for_and_leak_nowhere() -> Result<()> {
    let mut stack = StackBuilder::new().paid_online().start().await?;
    let (cashier, staff) = (key(&stack, "staff", &["payments:write"]).await?, key(&stack, "staff", &[]).await?);
    let mut body = booking_body("private-double", days_from_now(60), 2, 2);
    body["rate_plan_id"] = json!("prepaid");
    body["guest"]["phone"] = json!("+15145550199");
    let booked = stack.book("1", &body).await?;
    let held = stack.client.wait_for_decision(&booked).await?;
    assert_eq!(held["guest"]["email"], "ada@example.com", "the answer to the request may do everything");

    // The link that is mailed for paying shows the booking without contact data, and changes nothing.
    let view = mailed(&stack, "ada@example.com", "", "/pay?token=").await?;
    assert_ne!(view, booked.token);
    let seen = show(&stack, &booked, &view).await?;
    assert_eq!((seen.status, seen.text("/guest/first_name")), (StatusCode::OK, "Ada"), "{seen:?}");
    for contact in ["ada@example.com", "+15145550199"] {
        assert!(!seen.body.to_string().contains(contact), "{seen:?}");
    }
    let (address, tag) = (format!("/api/bookings/{}?token={view}", booked.id), [("if-match", "\"1\"")]);
    for (method, path) in [
        (Method::PATCH, address.clone()),
        (Method::PUT, address.clone()),
        (Method::DELETE, address.clone()),
        (Method::POST, format!("/api/bookings/{}/cancel?token={view}", booked.id)),
    ] {
        let refused = stack.client.send(method.clone(), &path, &tag, Some(b"{}".to_vec())).await?;
        assert_eq!(refused.problem()?, "forbidden", "{method} {refused:?}");
    }
    let manage = mailed(&stack, "ada@example.com", "", &format!("/bookings/{}#token=", booked.id)).await?;
    let dry = format!("/api/bookings/{}?dry_run=true&token={manage}", booked.id);
    assert_eq!(stack.client.send(Method::DELETE, &dry, &[], None).await?.status, StatusCode::OK);

    // Stripe is given addresses without any token, and none is accepted for it.
    let pay = page(&stack, &format!("/api/bookings/{}/pay?token={view}", booked.id), None).await?;
    assert_eq!(pay.status(), StatusCode::SEE_OTHER);
    let session = pay.headers()["location"].to_str()?.rsplit('/').next().context("a session")?.to_owned();
    let at_stripe = stack.stripe()?.object(&session).context("the session")?;
    let back = at_stripe["success_url"].as_str().context("an address")?.to_owned();
    let site = stack.config()?.public_url;
    let offered = json!({ "booking_id": booked.id, "token": booked.token,
        "success_url": format!("{site}thanks?b={view}"),
        "cancel_url": format!("{site}thanks#{}", booked.token) });
    let refused = stack.client.post("/api/payments/checkout", &[("idempotency-key", "own")], &offered).await?;
    let codes: Vec<&str> =
        refused.body["errors"].as_array().context("errors")?.iter().filter_map(|it| it["code"].as_str()).collect();
    assert_eq!(codes, ["token_in_url", "token_in_url"], "{refused:?}");
    let left = page(
        &stack,
        back.get(back.find("/api/").context("a path")?..back.find('?').context("a query")?).context("a path")?,
        None,
    )
    .await?;
    assert_eq!(left.status(), StatusCode::OK);
    let left = left.text().await?;
    assert!(left.contains("not completed") && !left.contains("token=") && !left.contains("Ada"), "{left}");
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    eventually("it is paid", SHORT_TIMEOUT, || async {
        Ok((stack.client.wait_for_decision(&booked).await?["status"] == "confirmed").then_some(()))
    })
    .await?;

    // Visitors without a token are given none.
    let over = page(&stack, &format!("/api/bookings/{}/pay", booked.id), Some(&cashier)).await?;
    let location = over.headers()["location"].to_str()?.to_owned();
    assert_eq!((over.status(), location.contains("token")), (StatusCode::SEE_OTHER, false), "{location}");
    let over = page(&stack, &format!("/api/bookings/{}/pay?token={view}", booked.id), None).await?;
    assert!(over.headers()["location"].to_str()?.ends_with(&format!("/receipt?token={view}")), "{over:?}");
    let mut walk_in = booking_body(DORM, days_from_now(30), 1, 1);
    walk_in["guest"]["email"] = json!("grace@example.com");
    let headers = [("authorization", &*staff), ("idempotency-key", "walk-in"), ("prefer", "wait=30")];
    let made = stack.client.post("/api/bookings", &headers, &walk_in).await?;
    ensure!(made.status == StatusCode::CREATED, "{made:?}");
    stack.record_accepted(made.text("/id").parse()?);
    assert!(!format!("{:?} {}", made.headers, made.body).contains("token"), "{made:?}");

    // Nothing that is kept holds a token.
    let config = stack.config()?;
    let keys = TokenKeys::derive(&config.jwt_secret, None)?;
    let id = BookingId::from_uuid(booked.id);
    let mut kept = at_stripe.to_string();
    for collection in ["bookings", "payments", "stripe_events", "notifications", "audit"] {
        let documents = stack.stores.all::<Value>(collection).await?;
        kept.extend(documents.iter().map(|document| format!("{document}\n")));
    }
    assert!(kept.contains(&session), "what is kept was looked at");
    for program in ["api", "workers"] {
        kept.push_str(&stack.program(program)?.log());
    }
    let holding: Vec<&str> = kept.lines().filter(|line| keys.occurs_in(id, line)).collect();
    assert!(holding.is_empty(), "{holding:?}");
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn links_end_when_they_are_revoked_and_with_the_address_and_the_stay() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let staff = key(&stack, "staff", &[]).await?;
    let body = booking_body(DORM, days_from_now(60), 2, 1);
    let answer = stack.client.request_booking_and_wait("1", &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let mut booked = booked(&answer)?;
    stack.record_accepted(booked.id);
    let path = format!("/api/bookings/{}/revoke-links", booked.id);
    let secret = stack.config()?.jwt_secret;
    let earlier = earlier_booking_token(secret.expose_secret(), booked.id);
    for token in [&booked.token, &earlier] {
        assert_eq!(show(&stack, &booked, token).await?.status, StatusCode::OK);
    }
    assert_eq!(stack.client.post(&path, &[], &json!({})).await?.status, StatusCode::UNAUTHORIZED);

    // Another address ends the links of the one before; who changed it goes on with the links of the answer.
    let changed = change_address(&stack, &booked, 1, "grace@example.com").await?;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let next = changed.text("/links/self").split_once("token=").context("a token")?.1.to_owned();
    for token in [&booked.token, &earlier] {
        assert_eq!(show(&stack, &booked, token).await?.problem()?, "not_found");
    }
    let repeated = stack.client.request_booking_and_wait("1", &body).await?;
    assert_eq!(repeated.problem()?, "not_found", "the request opens what its token opens: {repeated:?}");
    booked.token = next;
    assert_eq!(show(&stack, &booked, &booked.token).await?.text("/guest/email"), "grace@example.com");
    let mailed_to_new = mailed(&stack, "grace@example.com", "", "#token=").await?;
    assert_eq!(show(&stack, &booked, &mailed_to_new).await?.status, StatusCode::OK);

    // Staff revoke, once for each key.
    let headers = [("authorization", &*staff), ("idempotency-key", "revoke"), ("prefer", "wait=30")];
    for _ in 0..2 {
        let revoked = stack.client.post(&path, &headers, &json!({ "reason": "forwarded" })).await?;
        assert_eq!((revoked.status, &revoked.body["rev"]), (StatusCode::OK, &json!(3)), "{revoked:?}");
        assert!(!revoked.body.to_string().contains("token"), "{revoked:?}");
    }
    for token in [&booked.token, &mailed_to_new, &earlier] {
        assert_eq!(show(&stack, &booked, token).await?.problem()?, "not_found");
        let cancel = format!("/api/bookings/{}?token={token}", booked.id);
        assert_eq!(stack.client.send(Method::DELETE, &cancel, &[], None).await?.problem()?, "not_found");
    }
    let history = format!("/api/bookings/{}/history", booked.id);
    let history = stack.client.send(Method::GET, &history, &[("authorization", &staff)], None).await?;
    assert_eq!(
        (
            history.text("/items/2/action"),
            history.text("/items/2/reason"),
            &history.body["items"][2]["changes"]["links_revoked"]
        ),
        ("revoke_links", "forwarded", &json!(true)),
        "{history:?}"
    );

    // The next mail brings links that work, until two weeks after departure.
    let resend = json!({ "booking_id": booked.id, "kind": "booking_modified" });
    let headers = [("authorization", &*staff), ("idempotency-key", "resend")];
    assert_eq!(stack.client.post("/api/notifications", &headers, &resend).await?.status, StatusCode::ACCEPTED);
    let working = eventually("a mail with the next links", SHORT_TIMEOUT, || async {
        let token = mailed(&stack, "grace@example.com", "", "#token=").await?;
        Ok((show(&stack, &booked, &token).await?.status == StatusCode::OK).then_some(token))
    })
    .await?;
    let id = booked.id.to_string();
    let departure = |day: chrono::NaiveDate| doc! { "stays.0.departure": day.to_string() };
    let today = chrono::Utc::now().date_naive();
    let stays = show(&stack, &booked, &working).await?.text("/stays/0/departure").to_owned();
    stack.stores.set("bookings", &id, departure(today - chrono::Days::new(15))).await?;
    assert_eq!(show(&stack, &booked, &working).await?.problem()?, "not_found");
    stack.stores.set("bookings", &id, departure(today - chrono::Days::new(14))).await?;
    assert_eq!(show(&stack, &booked, &working).await?.status, StatusCode::OK);
    stack.stores.set("bookings", &id, departure(stays.parse()?)).await?;
    // A resent mail is a second one of its kind.
    stack.end(Expectations::clean().without_mails()).await
}

#[tokio::test]
async fn clients_are_given_the_token_apart_from_their_links() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let client = key(&stack, "client", &[]).await?;
    let headers = [("authorization", &*client), ("idempotency-key", "1"), ("prefer", "wait=30")];
    let made = stack.client.post("/api/bookings", &headers, &booking_body(DORM, days_from_now(60), 2, 1)).await?;
    ensure!(made.status == StatusCode::CREATED, "{made:?}");
    let booked = booked(&made)?;
    stack.record_accepted(booked.id);
    let own = format!("/api/bookings/{}", booked.id);
    assert_eq!((made.header("location"), made.text("/links/self")), (&*own, &*own), "its key opens them");
    let keys = TokenKeys::derive(&stack.config()?.jwt_secret, None)?;
    let claims = keys.verify(BookingId::from_uuid(booked.id), &booked.token).context("a token")?;
    assert_eq!((claims.purpose, claims.epoch), (Purpose::Manage, 0), "the guest's app needs it");
    assert_eq!(show(&stack, &booked, &booked.token).await?.status, StatusCode::OK);
    stack.end(Expectations::clean()).await
}
