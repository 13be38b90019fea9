//! Pages of a dead letter: with one id everywhere, without personal data, and whatever its body is.

use super::dead_letters::{arrival, in_state, message_id, store, submit, with_dead_letters};
use super::harness::{HERE, Harness, PASSWORD};
use anyhow::{Context as _, Result};
use chrono::Utc;
use pvt_domain::accounts::Role;
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::dead_letters::{Arrival, DeadLetterState};
use reqwest::{StatusCode, header};
use uuid::Uuid;

#[tokio::test]
async fn dead_letter_has_one_id_on_every_page_and_is_found_by_both() -> Result<()> {
    let harness = with_dead_letters(2).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let (own, id) = (Uuid::from_u128(1).to_string(), message_id(1));
    let group = arrival(1, "missing field `property_id`").death.group;
    let address = format!("/dead-letters/messages/{id}?queue=reconciliation");
    for list in [format!("/dead-letters/groups/{group}"), "/dead-letters/replay".into(), "/dead-letters/discard".into()]
    {
        let (_, page) = harness.get(&admin, &list).await?;
        assert!(page.contains(&format!("href=\"{address}\"")), "{list}: {page}");
    }
    for path in [&address, &format!("/dead-letters/messages/{id}"), &format!("/dead-letters/messages/{own}")] {
        let (status, page) = harness.get(&admin, path).await?;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(page.contains(&format!("<dt>Id</dt><dd>{id}</dd>")), "{path}: {page}");
        assert!(page.contains(&format!("/audit?subject={id}")), "{path}: {page}");
        let facts = page.split("<p class=\"actions\">").next();
        assert!(facts.is_some_and(|facts| !facts.contains(&own)), "{path} has another id, too: {page}");
    }
    for named in [&own, &id] {
        for action in ["replay", "discard"] {
            let (_, page) = harness.get(&admin, &format!("/dead-letters/{action}?id={named}")).await?;
            assert!(page.contains("exactly these 1<"), "{action} {named}: {page}");
        }
        let found =
            harness.http.get(harness.url(&format!("/bookings?q={named}"))).header(header::COOKIE, &admin.cookie);
        let found = found.send().await?;
        let place = found.headers().get(header::LOCATION).map(|place| place.to_str()).transpose()?;
        assert_eq!(place, Some(format!("/dead-letters/messages/{named}").as_str()), "its booking is not stored");
    }
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let (status, page) = harness.get(&staff, &format!("/bookings?q={id}")).await?;
    assert!(status == StatusCode::OK && page.contains("No booking at your properties matches."), "{page}");
    Ok(())
}

#[tokio::test]
async fn message_that_two_queues_gave_up_is_two_dead_letters() -> Result<()> {
    let harness = Harness::start().await?;
    let first = arrival(1, "missing field `property_id`");
    let mut second = Arrival { id: Uuid::from_u128(2), queue: "emails".to_owned(), ..first.clone() };
    second.death.id = Uuid::from_u128(2 << 32);
    store(&harness.mongo, &[first, second]).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let (id, place) = (message_id(1), "/dead-letters/messages");
    let (status, choice) = harness.get(&admin, &format!("{place}/{id}")).await?;
    assert_eq!(status, StatusCode::OK);
    for own in [1, 2].map(Uuid::from_u128) {
        assert!(choice.contains(&format!("href=\"{place}/{own}\"")), "{choice}");
    }
    let (_, page) = harness.get(&admin, &format!("{place}/{id}?queue=emails")).await?;
    assert!(page.contains("<dt>Queue</dt><dd>emails</dd>"), "{page}");
    let discard = "/dead-letters/discard";
    let (_, both) = harness.get(&admin, &format!("{discard}?id={id}")).await?;
    let filled = [("reason", "sent by hand"), ("password", PASSWORD)];
    let done = submit(&harness, &admin, &both, discard, &filled).await?.text().await?;
    assert!(done.contains("<p>2 discarded"), "{done}");
    assert_eq!(harness.mongo.audit_log().list(Some(&id), None, 5).await?.len(), 2, "an entry for each");
    Ok(())
}

#[tokio::test]
async fn two_bodies_under_one_id_are_discarded_one_by_one() -> Result<()> {
    let harness = Harness::start().await?;
    let first = arrival(1, "missing field `property_id`");
    let mut second = Arrival { message_id: first.message_id, ..arrival(2, "missing field `property_id`") };
    second.message.body = b"{}".to_vec();
    store(&harness.mongo, &[first, second]).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let (id, own) = (message_id(1), Uuid::from_u128(1));
    let (_, choice) = harness.get(&admin, &format!("/dead-letters/messages/{id}?queue=reconciliation")).await?;
    assert_eq!(choice.matches("href=\"/dead-letters/messages/").count(), 2, "{choice}");
    let (_, page) = harness.get(&admin, &format!("/dead-letters/messages/{own}")).await?;
    for action in ["replay", "discard"] {
        let link =
            page.split(&format!("href=\"/dead-letters/{action}?")).nth(1).and_then(|rest| rest.split('"').next());
        let query = link.context("a link")?;
        let (_, review) = harness.get(&admin, &format!("/dead-letters/{action}?{query}")).await?;
        assert!(review.contains("exactly these 1<"), "{action}: {review}");
        if action == "discard" {
            let filled = [("reason", "sent by hand"), ("password", PASSWORD)];
            let done = submit(&harness, &admin, &review, "/dead-letters/discard", &filled).await?.text().await?;
            assert!(done.contains("<p>1 discarded"), "{done}");
        }
    }
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [2]);
    let audited = harness.mongo.audit_log().list(Some(&id), None, 5).await?;
    assert!(audited.len() == 1 && audited[0].detail.contains(&own.to_string()), "which of the two: {audited:?}");
    Ok(())
}

/// Earlier versions named a dead letter in the audit by its own id.
#[tokio::test]
async fn audit_of_a_dead_letter_leads_to_entries_of_earlier_versions() -> Result<()> {
    let harness = with_dead_letters(1).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let own = Uuid::from_u128(1).to_string();
    let action = "dead_letter.unmask".to_owned();
    let entry = AuditEntry::new(Uuid::now_v7(), Utc::now().into(), "operator", action, &own, "read before the upgrade");
    harness.mongo.audit_log().append(&entry).await?;
    let (_, page) = harness.get(&admin, &format!("/dead-letters/messages/{own}")).await?;
    let mut found = String::new();
    for link in page.split("href=\"/audit?subject=").skip(1) {
        let subject = link.split('"').next().context("a link")?;
        found += &harness.get(&admin, &format!("/audit?subject={subject}")).await?.1;
    }
    assert!(found.contains("read before the upgrade"), "{found}");
    Ok(())
}

#[tokio::test]
async fn errors_and_headers_are_masked_like_bodies() -> Result<()> {
    let harness = Harness::start().await?;
    let error = "no mail to \"Ada Lovelace\" at ada@example.com";
    let mut personal = arrival(1, error);
    personal.message.headers = vec![
        ("error-class".to_owned(), "invalid_body".to_owned()),
        ("error-message".to_owned(), error.to_owned()),
        ("guest".to_owned(), "Lovelace".to_owned()),
    ];
    personal.death.class = "Lovelace ada@example.com".to_owned();
    personal.death.worker = Some("Ada Lovelace".to_owned());
    personal.death.first_failed_at = Some("when Lovelace came".to_owned());
    personal.kind = "ada@example.com".to_owned();
    personal.message.reply_to = Some("ada@example.com".to_owned());
    personal.message.actor = Some("Ada Lovelace".into());
    let group = personal.death.group.clone();
    store(&harness.mongo, &[personal]).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let place = format!("/dead-letters/messages/{}", Uuid::from_u128(1));
    let mut pages = vec!["/dead-letters".to_owned(), format!("/dead-letters/groups/{group}"), place.clone()];
    pages.extend(["replay", "discard"].map(|action| format!("/dead-letters/{action}")));
    for path in &pages {
        let (_, page) = harness.get(&admin, path).await?;
        assert!(!page.contains("Lovelace") && !page.contains("ada@example"), "{path}: {page}");
    }
    let (_, page) = harness.get(&admin, &place).await?;
    assert!(page.contains("no mail to &#34;masked&#34; at masked"), "its cause is shown: {page}");
    let filled = [("reason", "which guest"), ("password", PASSWORD)];
    let whole = submit(&harness, &admin, &page, &format!("{place}/whole"), &filled).await?.text().await?;
    assert!(whole.contains("<dd>Lovelace</dd>") && whole.contains("at ada@example.com"), "{whole}");
    Ok(())
}

#[tokio::test]
async fn body_of_any_kind_has_a_page() -> Result<()> {
    let harness = Harness::start().await?;
    let with_body = |number, body: Vec<u8>| {
        let mut arrival = arrival(number, "not JSON");
        arrival.message.body = body;
        arrival
    };
    let large = [b"\"".as_slice(), &vec![b'<'; 600 * 1024], b"\""].concat();
    let deep = [vec![b'['; 120], vec![b"1".as_slice(); 32_000].join(&b','), vec![b']'; 120]].concat();
    let letters = [(1, large), (2, vec![0xff, 0xfe, b'A', 0]), (3, Vec::new()), (4, deep.clone())];
    store(&harness.mongo, &letters.map(|(number, body)| with_body(number, body))).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let page = async |number: u128| {
        let place = format!("/dead-letters/messages/{}", Uuid::from_u128(number));
        let (status, page) = harness.get(&admin, &place).await?;
        assert_eq!(status, StatusCode::OK, "{page}");
        anyhow::Ok((place, page))
    };
    let (_, large) = page(1).await?;
    let edit = format!("<code>pvt dead edit {}</code>", Uuid::from_u128(1));
    assert!(large.len() < 64 * 1024 && large.contains("614402 bytes") && large.contains(&edit), "{}", large.len());
    assert!(!large.contains("/whole\""), "a form could not hold it");
    for number in [2, 3] {
        let (place, masked) = page(number).await?;
        assert!(masked.contains("aria-label=\"Body\">&#34;masked&#34;</pre>"), "{masked}");
        let filled = [("reason", "which guest"), ("password", PASSWORD)];
        let whole = submit(&harness, &admin, &masked, &format!("{place}/whole"), &filled).await?;
        assert_eq!(whole.status(), StatusCode::OK);
    }
    let (place, masked) = page(4).await?;
    assert!(masked.len() < 1024 * 1024, "in lines it would be mostly blanks: {}", masked.len());
    let filled = [("reason", "how deep"), ("password", PASSWORD)];
    let opened = submit(&harness, &admin, &masked, &format!("{place}/whole"), &filled).await?.text().await?;
    let body = String::from_utf8(deep)?;
    assert!(opened.contains(&body), "{}", opened.len());
    let written = [("reason", "too deep"), ("body", body.as_str())];
    let reviewed = submit(&harness, &admin, &opened, &format!("{place}/review"), &written).await?;
    assert_eq!(reviewed.status(), StatusCode::UNPROCESSABLE_ENTITY, "its form holds it");
    Ok(())
}

#[tokio::test]
async fn dead_letter_and_booking_of_a_guest_name_staff_and_not_the_guest() -> Result<()> {
    let harness = Harness::start().await?;
    let (admin, staff) = (harness.sign_in(Role::Admin, &[]).await?, harness.sign_in(Role::Staff, &[HERE]).await?);
    let guest = harness.user(Role::Guest, &[]).await?;
    let booking = harness.book(HERE, "held", Utc::now().date_naive()).await?;
    let rows = harness.database().await?.collection::<Booking>("bookings");
    let by_guest = mongodb::bson::doc! { "$set": { "history.0.actor": Actor::user(guest.id).to_string() } };
    let changed = rows.update_one(mongodb::bson::doc! { "reference": &booking.reference }, by_guest).await?;
    assert_eq!(changed.modified_count, 1);
    let mut dead = arrival(1, "missing field `property_id`");
    dead.booking_id = Some(booking.id);
    dead.message.actor = Some(Actor::user(guest.id).to_string());
    store(&harness.mongo, &[dead]).await?;
    let (path, about) = (format!("/dead-letters/messages/{}", Uuid::from_u128(1)), format!("/bookings/{}", booking.id));
    let (page, timeline) = (harness.get(&admin, &path).await?.1, harness.get(&admin, &about).await?.1);
    assert!(timeline.contains(&format!("href=\"{path}\"")) && !timeline.contains("pvt dead"), "{timeline}");
    let of_staff = harness.get(&staff, &about).await?.1;
    assert!(
        of_staff.contains("is a dead letter of reconciliation") && !of_staff.contains("/dead-letters"),
        "{of_staff}"
    );

    let review = harness.get(&admin, &format!("/dead-letters/discard?id={}", message_id(1))).await?.1;
    let filled = [("reason", "of no use"), ("password", PASSWORD)];
    assert_eq!(submit(&harness, &admin, &review, "/dead-letters/discard", &filled).await?.status(), StatusCode::OK);
    let discarded = harness.get(&admin, &path).await?.1;
    let by = format!("discarded by Test admin ({}@example.com): of no use", admin.user.as_uuid().simple());
    assert!(discarded.contains(&by), "{discarded}");
    for page in [page, discarded, timeline, of_staff] {
        assert!(page.contains(&format!("user:{}", guest.id)) && !page.contains(guest.email.as_str()), "{page}");
    }
    Ok(())
}
