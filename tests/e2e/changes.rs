//! Guests' changes: what they give up costs what cancelling it costs, what they add is held until it is paid, and there
//! is an end to them.

use crate::harness::clock::at_noon;
use crate::harness::{AcceptedBooking, ApiResponse, Expectations, FrontDesk, LONG_TIMEOUT, Stack, StackBuilder};
use crate::payments::{FREQUENT_EXPIRY, PRIVATE, checkout, hold, mails, paid, prepaid, start, until};
use anyhow::{Context, Result, bail};
use chrono::{Days, NaiveDate};
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::demo;
use pvt_domain::ids::BookingId;
use pvt_stripe_simulator::PayOutcome;
use pvt_testkit::{DORM, GuestCalendar, booking_body, days_from_now, doc, dormitory, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn stored(stack: &Stack, booked: &AcceptedBooking) -> Result<Booking> {
    stack.mongo.bookings().find(BookingId::from_uuid(booked.id)).await?.context("the booking is stored")
}

/// `PATCH` by the guest, at the booking's present revision.
async fn patch(stack: &Stack, booked: &AcceptedBooking, query: &str, body: &Value) -> Result<ApiResponse> {
    let rev = format!("\"{}\"", stored(stack, booked).await?.rev);
    let headers = [("content-type", "application/json"), ("if-match", rev.as_str()), ("prefer", "wait=30")];
    let path = format!("/api/bookings/{}?token={}{query}", booked.id, booked.token);
    stack.client.send(Method::PATCH, &path, &headers, Some(body.to_string().into_bytes())).await
}

fn amount(answer: &ApiResponse, pointer: &str) -> i64 {
    answer.body.pointer(pointer).and_then(|money| money["amount"].as_i64()).unwrap_or_default()
}

/// Waits until a search finds this many private rooms for these nights.
async fn wait_for_rooms(stack: &Stack, arrival: NaiveDate, departure: NaiveDate, rooms: u64) -> Result<()> {
    let path = format!("/api/rooms/search?arrival={arrival}&departure={departure}&guests=2&room_type_id={PRIVATE}");
    eventually(&format!("{rooms} rooms are free"), LONG_TIMEOUT, || async {
        let found = stack.client.get(&path).await?;
        let types = found.body["items"][0]["room_types"].as_array().context("no room types")?.clone();
        let private = types.iter().find(|found| found["room_type_id"] == PRIVATE).context("no private rooms")?;
        if private["units_left"] == rooms { Ok(Some(())) } else { bail!("{private}") }
    })
    .await
}

#[tokio::test]
async fn changing_before_cancelling_keeps_the_fee() -> Result<()> {
    let stack = start().await?;
    // Tomorrow: most of the price, or all of it, is due as a fee.
    let (booked, ..) = paid(&stack, "1", days_from_now(1)).await?;
    let cancel = format!("/api/bookings/{}?token={}&dry_run=true", booked.id, booked.token);
    let at_once = amount(&stack.client.send(Method::DELETE, &cancel, &[], None).await?, "/fee");
    let captured = stored(&stack, &booked).await?.payment.ledger().captured;
    assert!(at_once >= captured / 2 && at_once > 0, "{at_once} of {captured}");
    let far = days_from_now(90);
    let body = json!({ "stays": [{ "room_type_id": DORM, "arrival": far, "departure": far + Days::new(1),
        "guests": 1 }] });
    let shown = patch(&stack, &booked, "&dry_run=true", &body).await?;
    assert_eq!((shown.status, shown.body["dry_run"].as_bool()), (StatusCode::OK, Some(true)), "{shown:?}");
    assert!(amount(&shown, "/fee") > 0, "{shown:?}");
    assert_eq!(amount(&shown, "/fee"), amount(&shown, "/change_fee"), "the first change has all fees: {shown:?}");
    assert_eq!(stored(&stack, &booked).await?.rev, 2, "a preview changes nothing");
    let changed = patch(&stack, &booked, "", &body).await?;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(amount(&changed, "/payment/change_fee"), amount(&shown, "/change_fee"), "{changed:?}");
    assert_eq!(amount(&changed, "/price/total"), amount(&shown, "/price/total"));
    let cancelled = stack.client.cancel(&booked).await?;
    assert_eq!(cancelled.status, StatusCode::OK, "{cancelled:?}");
    assert!(amount(&cancelled, "/cancellation_fee") >= at_once, "{at_once} at once, then {cancelled:?}");
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let ledger = stored(&stack, &booked).await?.payment.ledger();
    assert!(ledger.kept() >= at_once && ledger.captured == captured, "{ledger:?}");
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn addition_is_held_until_paid_despite_aborts() -> Result<()> {
    let processes: [(&str, &[&str]); 4] = [
        ("confirmations", &["confirmations"]),
        ("standby", &["confirmations"]),
        ("payments", &["payments"]),
        ("others", &["analytics", "emails", "reconciliation", "scheduler"]),
    ];
    let builder = StackBuilder::new().paid_online().with(FREQUENT_EXPIRY.0, FREQUENT_EXPIRY.1);
    let mut stack = builder.workers(&processes).start().await?;
    for (round, point) in
        ["before_commit", "after_commit_before_publish", "after_publish_before_ack"].iter().enumerate()
    {
        let arrival = days_from_now(60 + 20 * u64::try_from(round)?);
        let (booked, ..) = paid(&stack, point, arrival).await?;
        let before = stored(&stack, &booked).await?;
        // The process that decides the change aborts; the other one takes over.
        abort_next(&mut stack, point).await?;
        let body = json!({ "stays": [{ "departure": arrival + Days::new(5) }] });
        let held = patch(&stack, &booked, "", &body).await?;
        stack.program("confirmations")?.wait_for_abort().await?;
        assert_eq!(held.status, StatusCode::OK, "{held:?}");
        let payable = amount(&held, "/payment/payable");
        assert_eq!(
            payable,
            amount(&held, "/pending_change/price/total") - before.payment.ledger().captured,
            "{held:?}"
        );
        assert!(payable > 0 && held.text("/payment/expires_at") > held.text("/updated_at"), "{held:?}");
        let now = stored(&stack, &booked).await?;
        assert_eq!((now.status, &now.stays, &now.price), (Status::Confirmed, &before.stays, &before.price));
        // What the aborted process has not acknowledged is delivered again: to the other one, not to the next to abort.
        stack.wait_until_quiet(&Expectations::clean()).await?;
        // So does the one that applies its payment.
        abort_next(&mut stack, point).await?;
        let (session, _) = checkout(&stack, &booked, &format!("change {point}")).await?;
        stack.stripe()?.pay(&session, PayOutcome::Success)?;
        stack.program("confirmations")?.wait_for_abort().await?;
        let paid = eventually("the change takes effect", LONG_TIMEOUT, || async {
            let booking = stored(&stack, &booked).await?;
            Ok(booking.pending_change.is_none().then_some(booking))
        });
        let paid = paid.await?;
        assert_eq!((paid.stays[0].departure, paid.balance()), (arrival + Days::new(5), 0));
        stack.restart("confirmations").await?;
        stack.wait_until_quiet(&Expectations::clean()).await?;
        let mailed = mails(&stack, &booked).await?;
        for kind in ["change_payment_link", "booking_modified"] {
            assert_eq!(mailed.iter().filter(|mail| *mail == kind).count(), 1, "{kind}: {mailed:?}");
        }
        assert_eq!(stack.stripe()?.effects_of_booking(&booked.id.to_string()).refunds, 0);
    }
    stack.end(Expectations::clean()).await
}

/// Starts the deciding process so that it aborts at this point, and then the one that takes over.
async fn abort_next(stack: &mut Stack, point: &str) -> Result<()> {
    if stack.program("confirmations")?.is_running()? {
        stack.program("confirmations")?.stop().await?;
    }
    stack.program("standby")?.stop().await?;
    stack.start_with_fault_point("confirmations", point).await?;
    stack.ready("confirmations").await?;
    stack.restart("standby").await
}

#[tokio::test]
async fn unpaid_addition_is_released() -> Result<()> {
    let stack = start().await?;
    let arrival = days_from_now(60);
    let (booked, ..) = paid(&stack, "1", arrival).await?;
    let before = stored(&stack, &booked).await?;
    let (own_end, changed_end) = (before.stays[0].departure, arrival + Days::new(4));
    wait_for_rooms(&stack, own_end, changed_end, 4).await?;
    let held = patch(&stack, &booked, "", &json!({ "stays": [{ "departure": changed_end }] })).await?;
    assert!(amount(&held, "/payment/payable") > 0, "{held:?}");
    wait_for_rooms(&stack, own_end, changed_end, 3).await?;
    let other = patch(&stack, &booked, "&dry_run=true", &json!({ "guest": { "first_name": "Ada" } })).await?;
    let own_price = before.price.as_ref().context("a price")?.total;
    assert_eq!((amount(&other, "/price/total"), other.body.get("payable")), (own_price, None), "{other:?}");
    let (session, _) = checkout(&stack, &booked, "change").await?;
    let overdue = doc! { "pending_change.expires_at": "2026-01-01T00:00:00.000Z" };
    stack.stores.set("bookings", &booked.id.to_string(), overdue).await?;
    let released = eventually("the addition is released", LONG_TIMEOUT, || async {
        let booking = stored(&stack, &booked).await?;
        Ok(booking.pending_change.is_none().then_some(booking))
    });
    let released = released.await?;
    wait_for_rooms(&stack, own_end, changed_end, 4).await?;
    assert_eq!((released.status, &released.stays, &released.price), (Status::Confirmed, &before.stays, &before.price));
    assert_eq!(released.history.last().map(|entry| entry.action), Some(Action::ReleaseChange));
    let object = stack.stripe()?.object(&session).context("the session")?;
    assert_eq!(object["status"], "expired", "closed at Stripe before the beds were released");
    eventually("the guest is mailed about it", LONG_TIMEOUT, || async {
        Ok(mails(&stack, &booked).await?.contains(&"change_released".to_owned()).then_some(()))
    })
    .await?;
    // The guest can still change, and a booking without a change can be held beside it.
    let again = patch(&stack, &booked, "", &json!({ "stays": [{ "departure": arrival + Days::new(3) }] })).await?;
    assert!(amount(&again, "/payment/payable") > 0, "{again:?}");
    let (session, _) = checkout(&stack, &booked, "again").await?;
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    eventually("the second change takes effect", LONG_TIMEOUT, || async {
        Ok((stored(&stack, &booked).await?.stays[0].departure == arrival + Days::new(3)).then_some(()))
    })
    .await?;
    hold(&stack, "2", &prepaid(arrival, 2)).await?;
    until(&stack, &booked, Status::Confirmed).await?;
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn staff_of_another_property_change_bookings_as_guests() -> Result<()> {
    let stack = start().await?;
    let made = stack.pvt_json(&["keys", "create", "--role", "staff", "--property", "elsewhere", "--json"]).await?;
    let staff_elsewhere = format!("Bearer {}", made["key"].as_str().context("a key")?);
    let (booked, ..) = paid(&stack, "1", days_from_now(1)).await?;
    let far = days_from_now(90);
    let stays = json!([{ "room_type_id": DORM, "arrival": far, "departure": far + Days::new(1), "guests": 1 }]);
    let body = json!({ "stays": stays }).to_string().into_bytes();
    let path = format!("/api/bookings/{}?token={}", booked.id, booked.token);
    let rev = format!("\"{}\"", stored(&stack, &booked).await?.rev);
    let headers = [
        ("authorization", staff_elsewhere.as_str()),
        ("content-type", "application/json"),
        ("if-match", &rev),
        ("prefer", "wait=30"),
    ];
    let shown = stack.client.send(Method::PATCH, &format!("{path}&dry_run=true"), &headers, Some(body.clone())).await?;
    assert!(amount(&shown, "/fee") > 0, "{shown:?}");
    let changed = stack.client.send(Method::PATCH, &path, &headers, Some(body)).await?;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(amount(&changed, "/payment/change_fee"), amount(&shown, "/change_fee"), "{changed:?}");
    let actor = stored(&stack, &booked).await?.history.last().map(|entry| entry.actor.to_string());
    assert!(actor.as_deref().is_some_and(|actor| actor.starts_with("client:")), "{actor:?}");
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn quick_changes_are_mailed_as_one_difference() -> Result<()> {
    let processes: [(&str, &[&str]); 3] =
        [("confirmations", &["confirmations"]), ("mails", &["emails"]), ("others", &["analytics"])];
    let mut stack = StackBuilder::new().workers(&processes).start().await?;
    let arrival = days_from_now(60);
    let mut body = booking_body(DORM, arrival, 2, 1);
    let email = body.pointer("/guest/email").and_then(Value::as_str).context("an address")?.to_owned();
    let later = json!({ "room_type_id": DORM, "arrival": arrival + Days::new(10),
        "departure": arrival + Days::new(12), "guests": 1 });
    body["stays"].as_array_mut().context("stays")?.push(later);
    let booked = stack.book("two stays", &body).await?;
    stack.client.wait_for_decision(&booked).await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let before = stored(&stack, &booked).await?;
    // Both changes are decided before any of them is mailed.
    stack.program("mails")?.stop().await?;
    let stay = |nights: u64| {
        json!({ "stays": [{ "room_type_id": DORM, "arrival": arrival, "departure": arrival + Days::new(nights),
        "guests": 1 }] })
    };
    for nights in [3, 5] {
        let changed = patch(&stack, &booked, "", &stay(nights)).await?;
        assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    }
    let after = stored(&stack, &booked).await?;
    let between = after.state_at(before.rev + 1);
    stack.restart("mails").await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let mails = stack.mailbox.all().await?;
    let mails: Vec<_> = mails.iter().filter(|mail| mail.to == email).collect();
    assert_eq!(mails.len(), 2, "the confirmation and one mail about both changes");
    let total = |price: &Option<pvt_domain::pricing::Price>| {
        price.as_ref().map(|price| format!("{}.{:02}", price.total / 100, price.total % 100)).unwrap_or_default()
    };
    let text = mails[1].text.replace('\u{a0}', " ");
    let difference = format!("{} CAD → {} CAD", total(&before.price), total(&after.price));
    assert!(text.contains(&difference), "no {difference} in\n{text}");
    assert!(!text.contains(&total(&between.price)), "{} was never mailed\n{text}", total(&between.price));
    let mut calendar = GuestCalendar::default();
    calendar.import(&mails[0].calendar);
    assert_eq!(calendar.shown().len(), 2);
    // The second mail was lost on the way to the calendar; the file that the API serves brings the same.
    let path = format!("/api/bookings/{}/calendar.ics?token={}", booked.id, booked.token);
    let mut downloaded = calendar.clone();
    let file = stack.client.http().get(format!("{}{path}", stack.client.base())).send().await?.error_for_status()?;
    downloaded.import(&file.text().await?);
    calendar.import(&mails[1].calendar);
    for calendar in [&calendar, &downloaded] {
        assert_eq!(calendar.shown().into_keys().collect::<Vec<_>>(), [booked.id.to_string()]);
    }
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn guests_change_a_booking_a_hundred_times_and_staff_go_on() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(demo::PROPERTY_ID, 2))?;
    let stack = StackBuilder::new().selling([inventory]).start().await?;
    let desk = FrontDesk::of(&stack).await?;
    let booked = stack.book("restless", &booking_body(DORM, today, 1, 1)).await?;
    stack.client.wait_for_decision(&booked).await?;
    let path = format!("/api/bookings/{}", booked.id);
    let phone = |number: u64| json!({ "guest": { "phone": format!("+1514555{number:04}") } });
    let by_guest = async |rev: u64, change: &Value| {
        let tag = format!("\"{rev}\"");
        let headers = [("content-type", "application/json"), ("if-match", &tag), ("prefer", "wait=30")];
        let path = format!("{path}?token={}", booked.token);
        stack.client.send(Method::PATCH, &path, &headers, Some(change.to_string().into_bytes())).await
    };
    for rev in 1..=100 {
        let changed = by_guest(rev, &phone(rev)).await?;
        assert_eq!((changed.status, &changed.body["rev"]), (StatusCode::OK, &json!(rev + 1)), "{changed:?}");
    }
    let refused = by_guest(101, &phone(101)).await?;
    assert_eq!((refused.status, refused.problem()?), (StatusCode::CONFLICT, "too_many_changes"), "{refused:?}");
    assert!(refused.text("/detail").contains("Ask the property"), "{refused:?}");
    let guests = by_guest(101, &json!({ "stays": [{ "guests": 2 }] })).await?;
    assert_eq!(guests.problem()?, "too_many_changes", "of any kind");
    let shown = stack.client.wait_for_decision(&booked).await?;
    assert_eq!((&shown["rev"], &shown["guest"]["phone"]), (&json!(101), &json!("+15145550100")));

    let by_staff = desk.send(Method::PATCH, &path, Some(101), &json!({ "stays": [{ "guests": 2 }] })).await?;
    assert_eq!((by_staff.status, &by_staff.body["rev"]), (StatusCode::OK, &json!(102)), "{by_staff:?}");
    let again = by_guest(102, &phone(102)).await?;
    assert_eq!(again.problem()?, "too_many_changes", "what staff change gives guests no more");
    desk.succeed(&booked, "checkin", &json!({})).await?;
    let out = json!({ "allow_open_balance": true, "reason": "an invoice will be sent" });
    assert_eq!(desk.succeed(&booked, "checkout", &out).await?.text("/status"), "checked_out");
    stack.end(Expectations::clean()).await
}
