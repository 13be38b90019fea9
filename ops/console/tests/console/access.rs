//! Signing in, roles, and what is refused to forged requests.

use super::harness::{HERE, Harness, PASSWORD, THERE};
use anyhow::{Context, Result};
use chrono::Utc;
use mongodb::bson::{Document, doc};
use pvt_domain::accounts::Role;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_testkit::Namespace;
use pvt_testkit::console::{cookie, hidden_field, with_form};
use reqwest::{StatusCode, header};
use uuid::Uuid;

const PAGES: [&str; 12] = [
    "/",
    "/queues",
    "/dead-letters",
    "/dead-letters/operations",
    "/bookings",
    "/front-desk",
    "/chart",
    "/payments",
    "/reconciliations",
    "/workers",
    "/schedules",
    "/audit",
];

#[tokio::test]
async fn every_page_needs_a_session() -> Result<()> {
    let harness = Harness::start().await?;
    for path in PAGES {
        let answer = harness.http.get(harness.url(path)).send().await?;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        assert!(answer.headers()[header::LOCATION].to_str()?.starts_with("/login?next=%2F"), "{path}");
        let forged = harness.http.get(harness.url(path)).header(header::COOKIE, "pvt-console=nonsense").send().await?;
        assert_eq!(forged.status(), StatusCode::SEE_OTHER, "{path}");
    }
    let live = harness.http.get(harness.url("/live")).send().await?;
    assert_eq!(live.status(), StatusCode::UNAUTHORIZED);
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    for path in PAGES {
        let (status, page) = harness.get(&admin, path).await?;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
    }
    Ok(())
}

#[tokio::test]
async fn session_begins_with_the_right_password_and_ends_with_sign_out() -> Result<()> {
    let harness = Harness::start().await?;
    let user = harness.user(Role::Admin, &[]).await?;
    // Browsers send no cookie along a link in a mail, but along one of this page.
    let form = harness.http.get(harness.url("/login?next=%2Fqueues%3Fa%3D1")).send().await?.text().await?;
    assert!(form.contains("<a href=\"/queues?a=1\">"), "{form}");
    let wrong = harness.try_sign_in(user.email.as_str(), "wrong horse battery").await?;
    assert_eq!(
        (wrong.status(), cookie(&wrong).is_some_and(|it| it.starts_with("pvt-console="))),
        (StatusCode::UNAUTHORIZED, false)
    );
    let unknown = harness.try_sign_in("unknown@example.com", PASSWORD).await?;
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
    let guest = harness.user(Role::Guest, &[]).await?;
    let refused = harness.try_sign_in(guest.email.as_str(), PASSWORD).await?;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "guests have no access");
    let right = harness.try_sign_in(user.email.as_str(), PASSWORD).await?;
    assert_eq!(right.headers()[header::LOCATION], "/queues");
    let set = right.headers()[header::SET_COOKIE].to_str()?.to_owned();
    assert!(set.starts_with("pvt-console=") && set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    assert!(!set.contains("Secure"), "loopback has no TLS");

    let session = harness.sign_in(Role::Admin, &[]).await?;
    let without = harness.post(&session, "/logout", &[]).await?;
    assert_eq!(without.status(), StatusCode::FORBIDDEN, "another site cannot sign a user out");
    let out = harness.post(&session, "/logout", &[("csrf", &session.csrf)]).await?;
    assert_eq!(out.status(), StatusCode::SEE_OTHER);
    assert_eq!(harness.get(&session, "/").await?.0, StatusCode::SEE_OTHER);
    let late = harness.sign_in(Role::Admin, &[]).await?;
    let changed = doc! { "$set": { "password_hash": "of a password that was changed meanwhile" } };
    let users = harness.database().await?.collection::<Document>("users");
    users.update_one(doc! { "_id": late.user.to_string() }, changed).await?;
    assert_eq!(harness.get(&late, "/").await?.0, StatusCode::SEE_OTHER, "a session of the password of before");
    let disabled = harness.sign_in(Role::Admin, &[]).await?;
    let entry = AuditEntry::new(Uuid::new_v4(), Utc::now().into(), "operator", "account.disable".to_owned(), "", "");
    harness.mongo.users().disable(disabled.user, Utc::now().into(), &entry).await?;
    assert_eq!(harness.get(&disabled, "/").await?.0, StatusCode::SEE_OTHER);
    Ok(())
}

#[tokio::test]
async fn cookies_are_secure_and_bound_to_the_host_over_tls() -> Result<()> {
    let settings = [
        ("PVT_CONSOLE_URL", "https://console.example.com"),
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_own"),
    ];
    let harness = Harness::with(Namespace::new().await?, &settings).await?;
    let other = harness.http.get(harness.url("/login")).send().await?;
    assert_eq!(other.status(), StatusCode::MISDIRECTED_REQUEST);
    let form = harness.http.get(harness.url("/login")).header(header::HOST, "console.example.com").send().await?;
    let set = form.headers()[header::SET_COOKIE].to_str()?.to_owned();
    assert!(set.starts_with("__Host-pvt-console-sign-in=") && set.ends_with("; Secure"), "{set}");
    assert!(form.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
    Ok(())
}

#[tokio::test]
async fn passwords_are_tried_a_few_times_only() -> Result<()> {
    let settings = [("PVT_RATE_AUTH", "2/15m"), ("PVT_TRUSTED_PROXIES", "127.0.0.1")];
    let harness = Harness::with(Namespace::new().await?, &settings).await?;
    let form = harness.http.get(harness.url("/login")).send().await?;
    let (cookie, page) = (cookie(&form).context("a cookie")?, form.text().await?);
    let token = hidden_field(&page, "csrf")?;
    let attempt = async |from: &'static str, token: &str| {
        let request = harness.http.post(harness.url("/login")).header("x-forwarded-for", from);
        let fields = [("email", "ada@example.com"), ("password", "wrong horse battery"), ("csrf", token)];
        with_form(request.header(header::COOKIE, &cookie), &fields).send().await
    };
    for _ in 0..5 {
        assert_eq!(
            attempt("203.0.113.7", "of another site").await?.status(),
            StatusCode::FORBIDDEN,
            "it does not count"
        );
    }
    for _ in 0..2 {
        assert_eq!(attempt("203.0.113.7", &token).await?.status(), StatusCode::UNAUTHORIZED);
    }
    let third = attempt("203.0.113.7", &token).await?;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(third.headers().contains_key(header::RETRY_AFTER));
    let other = attempt("203.0.113.8", &token).await?;
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED, "another address is another caller");
    Ok(())
}

#[tokio::test]
async fn every_answer_carries_the_policy() -> Result<()> {
    let harness = Harness::start().await?;
    for path in ["/", "/login", "/nowhere", "/assets/live.js", "/live"] {
        let answer = harness.http.get(harness.url(path)).send().await?;
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str()?.to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
    }
    let rebound = harness.http.get(harness.url("/login")).header(header::HOST, "evil.example.com").send().await?;
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    for probe in ["/livez", "/readyz"] {
        assert_eq!(harness.http.get(harness.url(probe)).send().await?.status(), StatusCode::OK, "{probe}");
    }
    assert_eq!(harness.http.get(harness.url("/metrics")).send().await?.status(), StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn staff_see_nothing_of_other_properties() -> Result<()> {
    let harness = Harness::start().await?;
    let today = Utc::now().date_naive();
    let (here, there) = (harness.book(HERE, "confirmed", today).await?, harness.book(THERE, "confirmed", today).await?);
    harness.dispute(&there).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let elsewhere = [
        format!("/bookings/{}", there.id),
        format!("/front-desk?property={THERE}"),
        format!("/chart?property={THERE}"),
        "/bookings/nonsense".to_owned(),
    ];
    for path in elsewhere {
        let (status, page) = harness.get(&staff, &path).await?;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(!page.contains(&there.reference), "{path}");
    }
    assert_eq!(harness.get(&staff, "/audit").await?.0, StatusCode::FORBIDDEN);
    for sought in
        [there.reference.clone(), there.id.to_string(), there.history[0].event_id.to_string(), "dp_1".to_owned()]
    {
        let (_, page) = harness.get(&staff, &format!("/bookings?q={sought}")).await?;
        assert!(page.contains("No booking at your properties matches."), "{sought}");
    }
    let (_, by_address) = harness.get(&staff, "/bookings?q=ada@example.com").await?;
    assert!(!by_address.contains(&there.reference), "one booking leads to its timeline");
    assert!(harness.get(&staff, "/payments").await?.1.contains("No payments need attention."));
    assert!(harness.get(&staff, "/").await?.1.contains("No payments need attention."));
    assert_eq!(harness.get(&staff, &format!("/bookings/{}", here.id)).await?.0, StatusCode::OK);
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    assert!(harness.get(&admin, "/payments").await?.1.contains(&there.reference));
    assert_eq!(harness.get(&admin, &format!("/bookings/{}", there.id)).await?.0, StatusCode::OK);
    Ok(())
}
