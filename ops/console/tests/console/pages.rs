//! Contents of the pages, and what they show while a source is down.

use super::harness::{FOLLOW_LIMIT, HERE, Harness};
use anyhow::{Context, Result};
use chrono::{Days, Utc};
use pvt_domain::accounts::Role;
use pvt_domain::booking::Booking;
use pvt_domain::business_day::business_date;
use pvt_domain::ids::BedId;
use pvt_domain::inventory::Room;
use pvt_testkit::{Namespace, SlowLink, eventually};
use reqwest::{StatusCode, header};
use std::time::Duration;
use url::form_urlencoded;

#[tokio::test]
async fn bookings_are_found_by_whatever_names_them() -> Result<()> {
    let harness = Harness::start().await?;
    let today = Utc::now().date_naive();
    let booking = harness.book(HERE, "confirmed", today).await?;
    harness.dispute(&booking).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let names = [
        booking.reference.to_lowercase(),
        booking.id.to_string(),
        "Ada@Example.com".to_owned(),
        booking.history[0].command_id.to_string(),
        booking.history[0].event_id.to_string(),
        "dp_1".to_owned(),
    ];
    for name in names {
        let sought: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let request = harness.http.get(harness.url(&format!("/bookings?q={sought}")));
        let answer = request.header(header::COOKIE, &staff.cookie).send().await?;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{name}");
        assert_eq!(answer.headers()[header::LOCATION].to_str()?, format!("/bookings/{}", booking.id), "{name}");
    }
    let (_, page) = harness.get(&staff, &format!("/bookings/{}", booking.id)).await?;
    for shown in ["Ada Lovelace", "requested → confirmed, by guest", "needs staff attention: dispute_open", "84.00 CAD"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let other = harness.book(HERE, "cancelled", today).await?;
    let (status, list) = harness.get(&staff, "/bookings?q=ada@example.com").await?;
    assert_eq!(status, StatusCode::OK);
    assert!(list.contains(&booking.reference) && list.contains(&other.reference));
    assert!(harness.get(&staff, "/bookings?q=%3Cscript%3E").await?.1.contains("&#60;script&#62;"), "escaped");
    Ok(())
}

#[tokio::test]
async fn front_desk_and_chart_show_the_day() -> Result<()> {
    let harness = Harness::start().await?;
    let inventory = super::harness::inventory(HERE);
    let today = business_date(&inventory.property, Utc::now().into());
    let yesterday = today.checked_sub_days(Days::new(1)).context("a day before")?;
    let arriving = harness.book(HERE, "confirmed", today).await?;
    let staying = harness.book(HERE, "checked_in", yesterday).await?;
    let leaving = harness.book(HERE, "checked_in", today.checked_sub_days(Days::new(2)).context("two days")?).await?;
    let (arrived, left) = (harness.book(HERE, "checked_in", today).await?, leaving.stays[0].arrival);
    let left = harness.book(HERE, "checked_out", left).await?;
    let overstaying =
        harness.book(HERE, "checked_in", today.checked_sub_days(Days::new(5)).context("five days")?).await?;
    let missing = harness.book(HERE, "confirmed", yesterday).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let (_, page) = harness.get(&staff, "/front-desk").await?;
    let sections: Vec<&str> = page.split("<section>").skip(1).collect();
    let expected = [
        ("Overdue: 2<", &overstaying),
        ("Arrivals: 1 to arrive, 1 arrived<", &arriving),
        ("Departures: 1 to leave, 1 left<", &leaving),
        ("Staying tonight: 2<", &staying),
    ];
    assert_eq!(sections.len(), expected.len(), "{page}");
    for (section, (title, booking)) in sections.iter().zip(expected) {
        assert!(section.contains(title) && section.contains(&booking.reference), "{title}: {section}");
    }
    // Those who are still to come, or to leave, are the first.
    for (section, first, last) in [(sections[1], &arriving, &arrived), (sections[2], &leaving, &left)] {
        assert!(section.find(&first.reference) < section.find(&last.reference), "{section}");
    }
    assert!(sections[0].contains(&missing.reference), "expected since yesterday: {}", sections[0]);
    let direct = |section: &str, action: &str| section.matches(&format!("/actions/{action}\" method=\"post\"")).count();
    assert_eq!((direct(sections[1], "check-in"), direct(sections[1], "check-out")), (1, 0), "{}", sections[1]);
    assert!(sections[2].contains("/actions/check-out\" method=\"post\""), "{}", sections[2]);
    assert!(sections[1].contains("84.00 CAD due") && sections[1].contains("beds made"), "{}", sections[1]);
    let (_, chart) = harness.get(&staff, "/chart?nights=30").await?;
    assert!(chart.contains("nights-30") && chart.contains("today-column today-3"), "two nights before today");
    assert!(chart.contains(&format!("confirmed from-3 for-2\" href=\"/bookings/{}\"", arriving.id)), "{chart}");
    assert!(chart.contains(&format!("data-move=\"{}/0/{}\"", arriving.id, arriving.stays[0].assigned_beds[0])));
    assert!(chart.contains(&format!("checked-in from-1 for-2\" href=\"/bookings/{}\"", leaving.id)), "{chart}");
    assert_eq!(harness.get(&staff, "/chart?nights=15").await?.0, StatusCode::BAD_REQUEST);
    assert_eq!(harness.get(&staff, "/chart?from=tomorrow").await?.0, StatusCode::BAD_REQUEST);
    Ok(())
}

/// Four hundred beds, each with thirteen stays of a week.
#[tokio::test]
async fn chart_of_a_large_property_shows_every_stay() -> Result<()> {
    let harness = Harness::start().await?;
    let mut inventory = super::harness::inventory(HERE);
    let beds: Vec<BedId> = (0..400).map(|bed| BedId::from(format!("big-{bed}").as_str())).collect();
    inventory.rooms = vec![Room::new("big", "dorm-6-mixed", beds.clone())];
    harness.mongo.inventories().save(&inventory).await?;
    let today = business_date(&inventory.property, Utc::now().into());
    let weeks = |bed: &BedId| {
        let stays = (0..13).map(|week| {
            let mut booking = super::harness::booking(HERE, "confirmed", today + Days::new(7 * week));
            booking.stays[0].departure = booking.stays[0].arrival + Days::new(7);
            booking.stays[0].assigned_beds = vec![bed.clone()];
            booking
        });
        stays.collect::<Vec<_>>()
    };
    let bookings: Vec<Booking> = beds.iter().flat_map(weeks).collect();
    harness.database().await?.collection::<Booking>("bookings").insert_many(&bookings).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let (status, page) = harness.get(&staff, "/chart?nights=92").await?;
    assert_eq!((status, page.matches("data-move=").count()), (StatusCode::OK, bookings.len()));
    Ok(())
}

#[tokio::test]
async fn balance_of_a_booking_is_shown_once_in_each_list() -> Result<()> {
    let harness = Harness::start().await?;
    let inventory = super::harness::inventory(HERE);
    let today = business_date(&inventory.property, Utc::now().into());
    let mut booking = super::harness::booking(HERE, "confirmed", today);
    let mut second = booking.stays[0].clone();
    second.assigned_beds = vec![inventory.rooms[0].beds[1].clone()];
    booking.stays.push(second);
    harness.database().await?.collection::<Booking>("bookings").insert_one(&booking).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let (_, page) = harness.get(&staff, "/front-desk").await?;
    let count = |text: &str| page.matches(text).count();
    assert_eq!((count(&booking.reference), count("CAD due"), count("same booking")), (2, 1, 1), "{page}");
    Ok(())
}

#[tokio::test]
async fn broker_that_is_down_has_no_figures() -> Result<()> {
    let settings = [("RABBITMQ_MANAGEMENT_URL", "http://guest:guest@127.0.0.1:1")];
    let harness = Harness::with(Namespace::new().await?, &settings).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let page = eventually("the outage on the page", FOLLOW_LIMIT, async || {
        let (_, page) = harness.get(&staff, "/queues").await?;
        Ok(page.contains("down since").then_some(page))
    })
    .await?;
    assert!(page.contains("data-live=\"queue.emails.ready\">?<"), "{page}");
    assert!(harness.get(&staff, "/").await?.1.contains("data-live=\"source.management\">down since"));
    Ok(())
}

#[tokio::test]
async fn session_goes_on_while_mongodb_is_down() -> Result<()> {
    let namespace = Namespace::new().await?;
    let uri = namespace.mongodb_uri();
    let host = uri.trim_start_matches("mongodb://").split('/').next().unwrap_or_default().to_owned();
    let link = SlowLink::start(&host, Duration::ZERO).await?;
    let (base, _) = uri.split_once('?').unwrap_or((&uri, ""));
    let linked = format!("{}?directConnection=true", base.replace(&host, link.address()));
    let harness = Harness::with(namespace, &[("MONGODB_URI", &linked)]).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let address = link.address().to_owned();
    drop(link);
    let page = eventually("the outage on the page", FOLLOW_LIMIT, async || {
        let (status, page) = harness.get(&staff, "/").await?;
        Ok((status == StatusCode::OK && page.contains("data-live=\"source.mongodb\">down since")).then_some(page))
    })
    .await?;
    assert!(page.contains("Whether payments need attention is not known: MongoDB is down since"), "{page}");
    let (status, payments) = harness.get(&staff, "/payments").await?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(payments.contains("MongoDB is down since") && payments.contains("Nothing older is shown"), "{payments}");
    let unknown = harness.http.get(harness.url("/")).header(header::COOKIE, format!("pvt-console={}", "a".repeat(64)));
    let refused = unknown.send().await?;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "only sessions that were known go on");
    let text = refused.text().await?;
    assert!(text.contains("MongoDB is down") && !text.contains(&address), "strangers do not learn why: {text}");
    let sign_in = harness.try_sign_in("ada@example.com", "wrong horse battery").await?;
    assert_eq!(sign_in.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!sign_in.text().await?.contains(&address), "strangers do not learn why");
    let change = harness.post(&staff, "/queues/pause", &[("csrf", &staff.csrf)]).await?;
    assert_eq!(change.status(), StatusCode::SERVICE_UNAVAILABLE, "a role that is only remembered changes nothing");
    let out = harness.post(&staff, "/logout", &[("csrf", &staff.csrf)]).await?;
    let removed = out.headers()[header::SET_COOKIE].to_str()?;
    assert!(out.status() == StatusCode::SEE_OTHER && removed.contains("Max-Age=0"), "{removed}");
    assert_eq!(harness.get(&staff, "/").await?.0, StatusCode::SERVICE_UNAVAILABLE, "it is not remembered any more");
    Ok(())
}
