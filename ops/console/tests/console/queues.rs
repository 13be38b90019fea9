//! Pausing and resuming queues: by administrators, from their own pages, with a reason, and never otherwise.

use super::harness::{FOLLOW_LIMIT, HERE, Harness};
use anyhow::Result;
use pvt_domain::accounts::Role;
use pvt_domain::actor::Actor;
use pvt_operations::queue_pauses;
use pvt_testkit::console::with_form;
use pvt_testkit::eventually;
use reqwest::{StatusCode, header};

#[tokio::test]
async fn staff_cannot_change_queues_even_by_hand() -> Result<()> {
    let harness = Harness::start().await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let (status, page) = harness.get(&staff, "/queues").await?;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("emails") && !page.contains("/queues/pause"), "staff see queues, and no form");
    for path in ["/queues/pause", "/queues/resume"] {
        let answer = harness.post(&staff, path, &fields(&staff.csrf)).await?;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    assert!(harness.mongo.queue_pauses().list().await?.is_empty());
    Ok(())
}

/// A form that pauses a queue.
fn fields(csrf: &str) -> [(&str, &str); 3] {
    [("csrf", csrf), ("queue", "emails"), ("reason", "mine")]
}

#[tokio::test]
async fn forged_forms_change_nothing() -> Result<()> {
    let harness = Harness::start().await?;
    let (admin, other) = (harness.sign_in(Role::Admin, &[]).await?, harness.sign_in(Role::Admin, &[]).await?);
    for csrf in ["", "nonsense", other.csrf.as_str()] {
        let answer = harness.post(&admin, "/queues/pause", &fields(csrf)).await?;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{csrf}");
    }
    for (name, value) in [("origin", "https://evil.example.com"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
    {
        let request = harness.http.post(harness.url("/queues/pause")).header(header::COOKIE, &admin.cookie);
        let answer = with_form(request.header(name, value), &fields(&admin.csrf)).send().await?;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let anonymous = with_form(harness.http.post(harness.url("/queues/pause")), &fields(&admin.csrf)).send().await?;
    assert_eq!(anonymous.status(), StatusCode::SEE_OTHER);
    assert_eq!(anonymous.headers()[header::LOCATION], "/login?next=%2F", "the form's own path answers no GET");
    assert!(harness.mongo.queue_pauses().list().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn administrator_pauses_and_resumes_with_a_reason() -> Result<()> {
    let harness = Harness::start().await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let send = async |path: &str, queue: &str, reason: &str| {
        let fields = [("csrf", admin.csrf.as_str()), ("queue", queue), ("reason", reason)];
        anyhow::Ok(harness.post(&admin, path, &fields).await?.status())
    };
    assert_eq!(send("/queues/pause", "emails", "  ").await?, StatusCode::BAD_REQUEST, "without a reason");
    assert_eq!(send("/queues/pause", "carrier-pigeons", "why").await?, StatusCode::NOT_FOUND);
    assert_eq!(send("/queues/resume", "emails", "why").await?, StatusCode::CONFLICT, "it is not paused");
    assert_eq!(send("/queues/pause", "emails", "the <provider> is moving").await?, StatusCode::SEE_OTHER);
    let pauses = harness.mongo.queue_pauses().list().await?;
    let actor = format!("staff:{}", admin.user);
    assert_eq!((pauses.len(), pauses[0].queue.as_str(), pauses[0].actor.as_str()), (1, "emails", actor.as_str()));
    let (_, page) = harness.get(&admin, "/queues").await?;
    let name = format!("Test admin ({}@example.com)", admin.user.as_uuid().simple());
    assert!(page.contains(&format!("by {name}: the &#60;provider&#62; is moving")), "{page}");
    let again = [("csrf", admin.csrf.as_str()), ("queue", "emails"), ("reason", "for me, too")];
    let refused = harness.post(&admin, "/queues/pause", &again).await?;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let text = refused.text().await?;
    assert!(text.contains(&format!("by {name}: the &#60;provider&#62; is moving")), "whose pause stands: {text}");
    assert_eq!(send("/queues/pause", "bookings", "all").await?, StatusCode::SEE_OTHER);
    assert_eq!(send("/queues/resume", "bookings.0", "one").await?, StatusCode::CONFLICT, "its family is paused");
    for queue in ["bookings", "emails"] {
        assert_eq!(send("/queues/resume", queue, "it has moved").await?, StatusCode::SEE_OTHER);
    }
    assert!(harness.mongo.queue_pauses().list().await?.is_empty());
    let audit = harness.mongo.audit_log().list(Some("emails"), None, 10).await?;
    let recorded: Vec<_> =
        audit.iter().map(|entry| (entry.action.as_str(), entry.actor.as_str(), entry.detail.as_str())).collect();
    assert_eq!(
        recorded,
        [("queue.resume", actor.as_str(), "it has moved"), ("queue.pause", actor.as_str(), "the <provider> is moving")]
    );
    assert!(harness.get(&admin, "/audit?subject=emails").await?.1.contains("queue.resume"));
    Ok(())
}

#[tokio::test]
async fn account_that_cannot_be_read_hides_no_pause() -> Result<()> {
    let harness = Harness::start().await?;
    let (reader, user) = (harness.sign_in(Role::Staff, &[HERE]).await?, harness.user(Role::Staff, &[HERE]).await?);
    let users = harness.database().await?.collection::<mongodb::bson::Document>("users");
    let of_later_version = mongodb::bson::doc! { "$set": { "role": "auditor" } };
    let changed = users.update_one(mongodb::bson::doc! { "email": user.email.as_str() }, of_later_version).await?;
    assert_eq!(changed.modified_count, 1);
    let (actor, topology) = (Actor::staff(user.id), harness.namespace.topology());
    queue_pauses::pause(&harness.mongo, &topology, "emails", &actor, "it moves").await?;
    let shown = async || {
        let page = harness.get(&reader, "/queues").await?.1;
        Ok(page.contains(&format!("by {actor}: it moves")).then_some(()))
    };
    eventually("the pause is shown with the id", FOLLOW_LIMIT, shown).await
}
