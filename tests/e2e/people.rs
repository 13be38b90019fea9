//! Guests as they are: one name, numbers and addresses as people write them, and bookings without an address.

use crate::harness::{ApiResponse, Expectations, Stack, StackBuilder, booked};
use anyhow::{Context, Result, ensure};
use pvt_testkit::{DORM, booking_body, days_from_now};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn staff_key(stack: &Stack) -> Result<String> {
    let key = stack.pvt_json(&["keys", "create", "--role", "staff", "--json"]).await?;
    Ok(format!("Bearer {}", key["key"].as_str().context("a key")?))
}

async fn book_as(stack: &Stack, bearer: &str, key: &str, body: &Value) -> Result<ApiResponse> {
    let headers = [("authorization", bearer), ("idempotency-key", key), ("prefer", "wait=30")];
    let answer = stack.client.post("/api/bookings", &headers, body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    stack.record_accepted(booked(&answer)?.id);
    Ok(answer)
}

async fn read_as(stack: &Stack, bearer: &str, path: &str) -> Result<ApiResponse> {
    stack.client.send(Method::GET, path, &[("authorization", bearer)], None).await
}

#[tokio::test]
async fn guest_with_one_name_is_found_and_mailed_whatever_the_spelling() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let staff = staff_key(&stack).await?;
    let mut body = booking_body(DORM, days_from_now(15), 2, 1);
    body["guest"] = json!({ "last_name": " Suharto\u{202e} ", "email": "Suharto@B\u{fc}cher.example",
        "phone": "001 (514) 555-0100 ext. 12", "locale": "fra-CA" });
    let ours = stack.book("one", &body).await?;
    let shown = stack.client.wait_for_decision(&ours).await?;
    assert_eq!(
        shown["guest"],
        json!({ "first_name": "", "last_name": "Suharto", "receives_mails": true,
            "email": "suharto@xn--bcher-kva.example", "phone": "+15145550100;ext=12", "locale": "fra-CA" })
    );
    for spelled in ["suharto@b%C3%BCcher.example", "SUHARTO@xn--bcher-kva.example"] {
        let found = read_as(&stack, &staff, &format!("/api/bookings?email={spelled}")).await?;
        assert_eq!(found.text("/items/0/id"), ours.id.to_string(), "{spelled}: {found:?}");
    }
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    let mails = stack.mailbox.all().await?;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "suharto@xn--bcher-kva.example"));
    assert!(mails[0].text.starts_with("Bonjour Suharto,"), "{}", mails[0].text);
    stack.end(expectations).await
}

#[tokio::test]
async fn staff_book_without_an_address_and_no_mail_is_sent() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let staff = staff_key(&stack).await?;
    let mut body = booking_body(DORM, days_from_now(15), 2, 1);
    body["guest"] = json!({ "first_name": "Ada", "phone": "+1 514 555 0100" });
    let refused = stack.client.request_booking("k", &body).await?;
    assert_eq!((refused.problem()?, refused.text("/errors/0/pointer")), ("validation_failed", "/guest/email"));

    let made = book_as(&stack, &staff, "k", &body).await?;
    assert_eq!((&made.body["guest"]["receives_mails"], made.text("/guest/email")), (&json!(false), ""));
    let ask = json!({ "booking_id": made.text("/id"), "kind": "booking_confirmed" });
    let headers = [("authorization", staff.as_str()), ("idempotency-key", "n")];
    let answer = stack.client.post("/api/notifications", &headers, &ask).await?;
    assert_eq!((answer.problem()?, answer.text("/errors/0/code")), ("validation_failed", "no_address"));
    let path = format!("/api/bookings/{}/cancel", made.text("/id"));
    let cancelled = stack.client.post(&path, &headers, &json!({})).await?;
    assert_eq!(cancelled.text("/status"), "cancelled", "{cancelled:?}");
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    let records = stack.stores.records().await?;
    assert_eq!((stack.mailbox.all().await?.len(), records.notifications.len()), (0, 0), "none is even planned");
    stack.end(expectations).await
}

#[tokio::test]
async fn notes_with_dates_phones_and_accounts_pass_and_cards_do_not() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let staff = staff_key(&stack).await?;
    let made = book_as(&stack, &staff, "k", &booking_body(DORM, days_from_now(15), 2, 1)).await?;
    let headers = [("authorization", staff.as_str())];
    let revoke = |note: &str| {
        let (stack, headers, note) = (&stack, &headers, json!({ "reason": note }));
        let path = format!("/api/bookings/{}/revoke-links", made.text("/id"));
        async move { stack.client.post(&path, headers, &note).await }
    };
    for note in [
        "from 2027-01-10 15:30 to 2027-01-13 11:00",
        "call +49 151 2345 6789 or 0033 6 12 34 56 78",
        "refund to DE89 3704 0044 0532 0130 00",
        "voucher 4006381333931, Booking.com 4012345678",
    ] {
        let answer = revoke(note).await?;
        assert_eq!(answer.status, StatusCode::OK, "{note}: {answer:?}");
    }
    for note in ["card 4242 4242 4242 4242", "٤٢٤٢ ٤٢٤٢ ٤٢٤٢ ٤٢٤٢", "3782-822463-10005"] {
        assert_eq!(revoke(note).await?.problem()?, "card_number_refused", "{note}");
    }
    stack.end(Expectations::clean()).await
}
