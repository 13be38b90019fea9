//! Guests are moved to beds of another room type, as a courtesy or for its price.

use super::{PROPERTY, WORKERS, bed_of, book, stored};
use crate::harness::clock::at_noon;
use crate::harness::{AcceptedBooking, Expectations, Page, Session, StackBuilder, TestConsole};
use anyhow::Result;
use pvt_domain::accounts::Role;
use pvt_domain::booking::Status;
use pvt_domain::demo;
use pvt_testkit::console::hidden_field;
use reqwest::StatusCode;

/// Sends the form that shows what a choice would lead to.
async fn confirm(
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
    (to, price): (&str, &str),
) -> Result<Page> {
    let path = format!("/bookings/{}/actions/room", booking.id);
    let page = desk.get(staff, &format!("{path}?stay=0&to={to}&price={price}")).await?;
    let (key, rev) = (hidden_field(&page.text, "key")?, hidden_field(&page.text, "rev")?);
    let fields = [
        ("key", key.as_str()),
        ("rev", rev.as_str()),
        ("stay", "0"),
        ("to", to),
        ("price", price),
        ("reason", "the roof leaks"),
    ];
    let done = desk.post(staff, &path, &fields).await?;
    let again = desk.post(staff, &path, &fields).await?;
    assert_eq!((done.status, again.status), (StatusCode::OK, StatusCode::OK), "{}\n{}", done.text, again.text);
    Ok(page)
}

#[tokio::test]
async fn guests_move_to_another_room_type() -> Result<()> {
    let (inventory, today) = at_noon(demo::inventory())?;
    let stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = TestConsole::start(&stack).await?;
    let staff = desk.sign_in(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let (x, y) = (book(&stack, "Xylander", today, 2).await?, book(&stack, "Yourcenar", today, 2).await?);
    let path = format!("/bookings/{}/actions/room", x.id);

    // One bed of a private room is the whole room; nothing is done yet.
    let choose = desk.get(&staff, &format!("{path}?stay=0&to=pda-2")).await?;
    assert!(choose.text.contains("<option value=\"pda-1,pda-2\" selected>"), "{}", choose.text);
    assert!(!choose.text.contains("name=\"key\""), "there is nothing to send before the price is chosen");
    let before = stored(&stack, &x).await?;
    let agreed = before.price.as_ref().map(|price| price.total);
    let courtesy = confirm(&desk, &staff, &x, ("pda-1,pda-2", "keep")).await?;
    assert!(courtesy.text.contains(", as now</p>"), "{}", courtesy.text);
    let now = stored(&stack, &x).await?;
    assert_eq!((now.stays[0].room_type_id.as_str(), now.stays[0].assigned_beds.len()), ("private-double", 2));
    assert_eq!((now.price.as_ref().map(|price| price.total), now.rev), (agreed, 2), "once, and as agreed");

    // Another booking cannot be moved there, which is said before anything is sent.
    let taken = desk.get(&staff, &format!("/bookings/{}/actions/room?to=pda-1&price=new", y.id)).await?;
    assert!(taken.text.contains("Taken on some of these nights: pda-1, pda-2."), "{}", taken.text);
    assert!(!taken.text.contains("name=\"key\""), "{}", taken.text);

    // In house, and for the price of the other room type.
    let arrived = desk.act(&staff, &y, "check-in", &[("stay", "0")]).await?;
    assert_eq!(arrived.status, StatusCode::OK, "{}", arrived.text);
    let priced = confirm(&desk, &staff, &y, ("d8a-3", "new")).await?;
    assert!(priced.text.contains(" instead of ") && priced.text.contains("Due afterwards: "), "{}", priced.text);
    let now = stored(&stack, &y).await?;
    assert_eq!((now.status, bed_of(&now), now.rev), (Status::CheckedIn, "d8a-3", 3));
    assert!(now.price.as_ref().map(|price| price.total) < agreed, "a bed of the larger dorm is cheaper");
    assert_eq!(now.history[2].reason.as_deref(), Some("the roof leaks"));
    desk.end().await?;
    stack.end(Expectations::clean()).await
}
