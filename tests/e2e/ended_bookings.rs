//! Bookings that have ended: answer, mail and receipt give one account of what was agreed, charged, paid, returned and
//! is still owed.

use crate::harness::clock::at_night;
use crate::harness::{AcceptedBooking, Expectations, FrontDesk, LONG_TIMEOUT, Stack, StackBuilder};
use crate::payments::{checkout, until};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate, NaiveTime};
use pvt_domain::booking::Status;
use pvt_domain::demo;
use pvt_stripe_simulator::PayOutcome;
use pvt_testkit::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// A booking, what is paid of it, and how it ends.
struct Case {
    name: &'static str,
    /// On the plan that takes a deposit, which is paid.
    prepaid: bool,
    /// Cash that the desk takes at once.
    cash: i64,
    /// Days from the business day until arrival.
    ahead: u64,
    end: (&'static str, fn() -> Value),
}

const CASES: [Case; 6] = [
    Case { name: "free", prepaid: false, cash: 5_000, ahead: 30, end: ("cancel", waived) },
    Case { name: "fee", prepaid: true, cash: 0, ahead: 30, end: ("cancel", plain) },
    Case { name: "fee-unpaid", prepaid: false, cash: 0, ahead: 1, end: ("cancel", plain) },
    Case { name: "fee-waived", prepaid: true, cash: 0, ahead: 1, end: ("cancel", waived) },
    Case { name: "no-show-deposit", prepaid: true, cash: 0, ahead: 0, end: ("no-show", plain) },
    Case { name: "no-show-unpaid", prepaid: false, cash: 0, ahead: 0, end: ("no-show", plain) },
];

fn plain() -> Value {
    json!({})
}

fn waived() -> Value {
    json!({ "waive_fee": true, "reason": "illness" })
}

/// An amount as mails and pages show it.
fn shown(amount: i64) -> String {
    let digits = format!("{}.{:02}", amount / 100, amount % 100);
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let grouped = match whole.len() {
        4.. => format!("{},{}", &whole[..whole.len() - 3], &whole[whole.len() - 3..]),
        _ => whole.to_owned(),
    };
    format!("{grouped}.{fraction} CAD")
}

/// The value of a row of a mail's text; `None` without the row.
fn mail_row(text: &str, label: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("- {label}: ")))?;
    Some(line.replace('\u{a0}', " "))
}

/// The value of a row of the receipt.
fn page_row(html: &str, label: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("<th scope=\"row\">{label}</th><td>"))?;
    rest.split_once("</td>").map(|(value, _)| value.replace('\u{a0}', " "))
}

async fn book(stack: &Stack, desk: &FrontDesk, case: &Case, arrival: NaiveDate) -> Result<AcceptedBooking> {
    let body = json!({ "property_id": demo::PROPERTY_ID, "source": "direct",
        "rate_plan_id": if case.prepaid { "prepaid" } else { "standard" },
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": arrival, "departure": arrival + Days::new(2),
            "guests": 1 }],
        "guest": { "last_name": "Lovelace", "email": format!("{}@example.com", case.name), "locale": "en" } });
    let booked = stack.book(case.name, &body).await?;
    stack.client.wait_for_decision(&booked).await?;
    if case.prepaid {
        let (session, _) = checkout(stack, &booked, case.name).await?;
        stack.stripe()?.pay(&session, PayOutcome::Success)?;
        until(stack, &booked, Status::Confirmed).await?;
    }
    if case.cash > 0 {
        let cash = json!({ "booking_id": booked.id, "method": "cash",
            "amount": { "amount": case.cash, "currency": "CAD" } });
        let taken = desk.record_payment(case.name, &cash).await?;
        ensure!(taken.status == StatusCode::CREATED, "{taken:?}");
    }
    Ok(booked)
}

#[tokio::test]
async fn answer_mail_and_receipt_of_ended_bookings_agree() -> Result<()> {
    let (mut inventory, today) = at_night(demo::inventory())?;
    inventory.property.same_day_until = NaiveTime::from_hms_opt(4, 0, 0).context("a time")?;
    let stack = StackBuilder::new().selling([inventory]).paid_online().start().await?;
    let (desk, admin) = (FrontDesk::of(&stack).await?, FrontDesk::with_role(&stack, "admin").await?);
    let mut made = Vec::new();
    for case in &CASES {
        made.push(book(&stack, &desk, case, today + Days::new(case.ahead)).await.context(case.name)?);
    }
    // The day ends: those who were to come today have not.
    admin.close_day(demo::PROPERTY_ID).await?;
    for (case, booked) in CASES.iter().zip(&made) {
        desk.succeed(booked, case.end.0, &(case.end.1)()).await.context(case.name)?;
    }
    stack.wait_until_quiet(&Expectations::clean()).await?;
    for (case, booked) in CASES.iter().zip(&made) {
        agree(&stack, case, booked).await.context(case.name)?;
    }
    stack.end(Expectations::clean()).await
}

/// Compares what the three say.
async fn agree(stack: &Stack, case: &Case, booked: &AcceptedBooking) -> Result<()> {
    let path = format!("/api/bookings/{}", booked.id);
    let answer = stack.client.get(&format!("{path}?token={}", booked.token)).await?;
    let money = |pointer: &str| answer.body.pointer(pointer).and_then(|money| money["amount"].as_i64()).unwrap_or(0);
    let (agreed, fee, due) = (money("/price/total"), money("/cancellation_fee"), money("/payment/due"));
    let (net, refunded, to_refund) = (money("/payment/paid"), money("/payment/refunded"), money("/payment/refund_due"));
    ensure!(agreed > 0 && answer.body.get("cancellation_fee").is_some(), "{answer:?}");
    ensure!(due == (fee - net).max(0), "what is not paid of the fee is owed: {answer:?}");
    ensure!(net - to_refund == fee - due, "what is kept is the fee, as far as it is paid: {answer:?}");
    let expects_fee = case.end.1().get("waive_fee").is_none();
    ensure!((fee > 0) == expects_fee, "{answer:?}");
    let status = answer.text("/payment/status");
    ensure!((status == "fee_owed") == (due > 0 && net + refunded == 0), "{status} with {due} due");

    let page = stack.client.get(&format!("{path}/receipt?token={}", booked.token)).await?;
    let html = page.body.as_str().context("a page")?;
    let is_no_show = case.end.0 == "no-show";
    let fee_label = if is_no_show { "No-show fee" } else { "Cancellation fee" };
    for (label, amount) in [("Agreed price", agreed), (fee_label, fee), ("Balance due", due)] {
        let found = page_row(html, label);
        ensure!(found == Some(shown(amount)), "{label}: {found:?} on the receipt, {amount} in {answer:?}");
    }
    let manual = page_row(html, "Still to be refunded at the front desk or by arrangement");
    ensure!(manual == (to_refund > 0).then(|| shown(to_refund)), "{manual:?}, {to_refund} in {answer:?}");

    let title = if is_no_show { "We missed you" } else { "Your booking has been cancelled" };
    let address = format!("{}@example.com", case.name);
    let mail = eventually("the mail about the end", LONG_TIMEOUT, async || {
        let all = stack.mailbox.all().await?;
        Ok(all.into_iter().find(|mail| mail.to == address && mail.subject.starts_with(title)))
    })
    .await?;
    for (label, amount) in [("Agreed price", agreed), (fee_label, fee), ("Paid", net + refunded)] {
        let found = mail_row(&mail.text, label);
        ensure!(found == Some(shown(amount)), "{label}: {found:?} in the mail, {amount} in {answer:?}");
    }
    let open = mail_row(&mail.text, "Fee still to be paid");
    ensure!(open == (due > 0).then(|| shown(due)), "{open:?} in the mail, {due} in {answer:?}");
    // The mail tells the whole refund, made or not; staff return what was paid in cash.
    let refund = mail_row(&mail.text, "Refund");
    let by_hand = mail_row(&mail.text, "Refund at the front desk or by arrangement");
    let expected = match to_refund {
        0 => (Some(shown(refunded)), None),
        by_hand => (None, Some(shown(by_hand))),
    };
    ensure!((refund, by_hand) == expected, "{expected:?}: {}", mail.text);
    Ok(())
}
