//! Guests are checked in and out, pay and cancel; what is sent twice is done once, and only by those who may.

use super::{PROPERTY, WORKERS, bed_of, book, stored};
use crate::harness::clock::at_noon;
use crate::harness::{AcceptedBooking, Expectations, FrontDesk, Session, Stack, StackBuilder, TestConsole};
use anyhow::{Context, Result, ensure};
use chrono::Days;
use pvt_domain::accounts::Role;
use pvt_domain::booking::Status;
use pvt_testkit::console::hidden_field;
use pvt_testkit::dormitory;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

/// The form of the front desk for this booking that acts at once.
fn direct_form(page: &str, booking: &AcceptedBooking, action: &str) -> Result<Vec<(String, String)>> {
    let form = page.split("<form ").find(|form| form.contains(&format!("/bookings/{}/actions/{action}\"", booking.id)));
    let form = form.with_context(|| format!("no form to {action}: {page}"))?;
    ["key", "rev", "stay", "next"].into_iter().map(|name| Ok((name.to_owned(), hidden_field(form, name)?))).collect()
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn front_desk_acts_by_the_api() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(PROPERTY, 3))?;
    let mut stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = TestConsole::start(&stack).await?;
    let staff = desk.sign_in(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let (x, y) = (book(&stack, "Xylander", today, 1).await?, book(&stack, "Yourcenar", today, 1).await?);

    // A double click acts once; an outdated form does nothing.
    let page = desk.get(&staff, "/front-desk").await?;
    let form = direct_form(&page.text, &x, "check-in")?;
    let path = format!("/bookings/{}/actions/check-in", x.id);
    for _ in 0..2 {
        let answer = desk.post(&staff, &path, &borrowed(&form)).await?;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert!(answer.text.contains("Checked in"), "{}", answer.text);
    }
    let now = stored(&stack, &x).await?;
    assert_eq!((now.status, now.rev), (Status::CheckedIn, 2), "once");
    assert_eq!(now.history[1].actor, format!("staff:{}", staff.user.id).as_str());
    let outdated = [("key", &*Uuid::new_v4().to_string()), ("rev", "1"), ("stay", "0")];
    let refused = desk.post(&staff, &format!("/bookings/{}/actions/check-out", x.id), &outdated).await?;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{}", refused.text);

    others_cannot_act(&stack, &desk, &y).await?;
    another_bed_is_chosen_at_check_in(&stack, &desk, &staff, &y).await?;
    balance_is_settled_before_check_out(&stack, &desk, &staff, &x).await?;
    let z = book(&stack, "Zola", today + Days::new(10), 2).await?;
    cancellation_shows_its_fee(&stack, &desk, &staff, &z).await?;
    form_is_sent_again_once_the_api_is_back(&mut stack, &desk, &staff, &y).await?;
    desk.end().await?;
    stack.end(Expectations::clean()).await
}

/// Staff of another property and forged forms change nothing.
async fn others_cannot_act(stack: &Stack, desk: &TestConsole, booking: &AcceptedBooking) -> Result<()> {
    let elsewhere = desk.sign_in(stack, Role::Staff, "Of another property", &["elsewhere"]).await?;
    let own = desk.sign_in(stack, Role::Staff, "Alan Turing", &[PROPERTY]).await?;
    let key = Uuid::new_v4().to_string();
    let fields = [("key", key.as_str()), ("rev", "1"), ("stay", "0"), ("amount", "1"), ("method", "cash")];
    let step = json!({ "booking": booking.id, "rev": 1, "assignments": [{ "id": 0, "beds": ["r-3"] }] }).to_string();
    let plan = [("key", key.as_str()), ("property", PROPERTY), ("step", step.as_str()), ("reason", "mine")];
    for action in
        ["check-in", "check-out", "no-show", "reinstate", "bring-back", "confirm", "cancel", "payment", "room"]
    {
        let path = format!("/bookings/{}/actions/{action}", booking.id);
        assert_eq!(desk.post(&elsewhere, &path, &fields).await?.status, StatusCode::NOT_FOUND, "{action}");
        assert_eq!(desk.get(&elsewhere, &path).await?.status, StatusCode::NOT_FOUND, "{action}");
        let forged = desk.send(&own.cookie, &path, &fields).await?;
        assert_eq!(forged.status(), StatusCode::FORBIDDEN, "{action} without the token of the form");
        assert_eq!(desk.send("", &path, &fields).await?.status(), StatusCode::SEE_OTHER, "{action} signed out");
    }
    assert_eq!(desk.post(&elsewhere, "/chart/plan", &plan).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(desk.send(&own.cookie, "/chart/plan", &plan).await?.status(), StatusCode::FORBIDDEN);
    // A plan of their own property with a booking of another one: the API refuses it.
    let stranger = desk.sign_in(stack, Role::Staff, "Of the annex", &["annex"]).await?;
    let mut annex = dormitory("annex", 1);
    annex.property.name = "Annex".to_owned();
    stack.mongo.inventories().save(&annex).await?;
    let smuggled = [("key", key.as_str()), ("property", "annex"), ("step", step.as_str()), ("reason", "mine")];
    let refused = desk.post(&stranger, "/chart/plan", &smuggled).await?;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
    assert!(!refused.text.contains("Yourcenar"), "{}", refused.text);
    assert_eq!(stored(stack, booking).await?.rev, 1, "nothing has changed");
    Ok(())
}

async fn another_bed_is_chosen_at_check_in(
    stack: &Stack,
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
) -> Result<()> {
    let bed = bed_of(&stored(stack, booking).await?).to_owned();
    let front = FrontDesk::of(stack).await?;
    let path = format!("/api/beds/{bed}?property_id={PROPERTY}");
    let dirty = front.send(Method::PATCH, &path, None, &json!({ "cleanliness": "dirty" })).await?;
    ensure!(dirty.status == StatusCode::OK, "{dirty:?}");
    let refused = desk.act(staff, booking, "check-in", &[("stay", "0"), ("reason", "came by <train>")]).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    for shown in [format!("Bed {bed} is not clean; clean and free: r-3"), "came by &#60;train&#62;".to_owned()] {
        assert!(refused.text.contains(&shown), "{shown}: {}", refused.text);
    }
    let fields = [("stay", "0"), ("bed-0-0", "r-3"), ("reason", "came by train")];
    let done = desk.act(staff, booking, "check-in", &fields).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let now = stored(stack, booking).await?;
    assert_eq!((now.status, bed_of(&now)), (Status::CheckedIn, "r-3"));
    Ok(())
}

async fn balance_is_settled_before_check_out(
    stack: &Stack,
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
) -> Result<()> {
    let refused = desk.act(staff, booking, "check-out", &[("stay", "0")]).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("Leave the balance open"), "{}", refused.text);
    let due = stored(stack, booking).await?.outstanding();
    let amount = format!("{}.{:02}", due / 100, due % 100);
    let path = format!("/bookings/{}/actions/payment", booking.id);
    let form = desk.get(staff, &path).await?;
    assert!(form.text.contains(&format!("name=\"amount\" value=\"{amount}\"")), "what is due is filled in");
    let unread = desk.act(staff, booking, "payment", &[("method", "cash"), ("amount", "12 dollars")]).await?;
    assert_eq!(unread.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unread.text.contains("value=\"12 dollars\""), "what was typed is kept: {}", unread.text);
    let paid = desk.act(staff, booking, "payment", &[("method", "cash"), ("amount", &amount), ("note", "")]).await?;
    assert_eq!(paid.status, StatusCode::OK, "{}", paid.text);
    assert!(paid.text.contains("<dt>Due</dt><dd>0.00 CAD</dd>"), "{}", paid.text);
    let done = desk.act(staff, booking, "check-out", &[("stay", "0")]).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(stored(stack, booking).await?.status, Status::CheckedOut);
    Ok(())
}

async fn cancellation_shows_its_fee(
    stack: &Stack,
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
) -> Result<()> {
    let form = desk.get(staff, &format!("/bookings/{}/actions/cancel", booking.id)).await?;
    assert!(form.text.contains("Fee: ") && form.text.contains("Refund: 0.00 CAD"), "{}", form.text);
    assert_eq!(stored(stack, booking).await?.rev, 1, "it was only asked");
    let done = desk.act(staff, booking, "cancel", &[("reason", "plans changed")]).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let fee = stored(stack, booking).await?.cancellation_fee.context("a fee")?;
    ensure!(fee > 0, "the policy has a fee");
    let owed = format!("{}.{:02} CAD", fee / 100, fee % 100);
    let page = desk.get(staff, &format!("/bookings/{}", booking.id)).await?;
    assert!(page.text.contains(&format!("<dt>Due</dt><dd>{owed}</dd>")), "{}", page.text);
    assert!(page.text.contains(&format!("{owed} of the fee is owed")), "{}", page.text);
    assert!(page.text.contains(&format!("by Grace Hopper ({})", staff.user.email.as_str())), "{}", page.text);
    let traced = stack.pvt(&["trace", &booking.id.to_string()]).await?;
    assert!(String::from_utf8_lossy(&traced.stderr).contains(&format!("{owed} of the fee is owed")), "{traced:?}");
    let by = format!("by Grace Hopper ({})", staff.user.email.as_str());
    assert!(String::from_utf8_lossy(&traced.stdout).contains(&by), "{traced:?}");
    Ok(())
}

async fn form_is_sent_again_once_the_api_is_back(
    stack: &mut Stack,
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
) -> Result<()> {
    let path = format!("/bookings/{}/actions/check-out", booking.id);
    let form = desk.get(staff, &path).await?;
    let (key, rev) = (hidden_field(&form.text, "key")?, hidden_field(&form.text, "rev")?);
    let fields = [
        ("key", key.as_str()),
        ("rev", rev.as_str()),
        ("stay", "0"),
        ("allow_open_balance", "yes"),
        ("reason", "pays by invoice"),
    ];
    stack.program("api")?.stop().await?;
    let silent = desk.post(staff, &path, &fields).await?;
    assert_eq!(silent.status, StatusCode::SERVICE_UNAVAILABLE, "{}", silent.text);
    for kept in ["cannot be reached", "value=\"pays by invoice\"", &format!("name=\"key\" value=\"{key}\"")] {
        assert!(silent.text.contains(kept), "{kept}: {}", silent.text);
    }
    stack.restart("api").await?;
    let done = desk.post(staff, &path, &fields).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(stored(stack, booking).await?.status, Status::CheckedOut);
    Ok(())
}
