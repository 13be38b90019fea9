//! Payments over HTTP, as guests and staff use them: payment pages, lists, refunds, cash, receipts.

use crate::harness::{ApiResponse, Expectations, SHORT_TIMEOUT, Stack, StackBuilder};
use anyhow::{Context, Result};
use pvt_stripe_simulator::PayOutcome;
use pvt_testkit::{booking_body, days_from_now, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn get(stack: &Stack, bearer: &str, path: &str) -> Result<ApiResponse> {
    stack.client.send(Method::GET, path, &[("authorization", &format!("Bearer {bearer}"))], None).await
}

async fn post(stack: &Stack, bearer: &str, key: &str, path: &str, body: &Value) -> Result<ApiResponse> {
    stack.client.post(path, &[("authorization", &format!("Bearer {bearer}")), ("idempotency-key", key)], body).await
}

async fn page(stack: &Stack, path: &str) -> Result<reqwest::Response> {
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    Ok(browser.get(format!("{}{path}", stack.client.base())).send().await?)
}

#[tokio::test]
async fn payments_are_listed_refunded_and_recorded() -> Result<()> {
    let mut stack = StackBuilder::new().paid_online().start().await?;
    let key = |role: &'static str| {
        let stack = &stack;
        async move {
            let made = stack.pvt_json(&["keys", "create", "--role", role, "--json"]).await?;
            Ok::<_, anyhow::Error>(made["key"].as_str().context("a key")?.to_owned())
        }
    };
    let (staff, admin, stranger) = (key("staff").await?, key("admin").await?, key("client").await?);
    let mut body = booking_body("private-double", days_from_now(60), 2, 2);
    body["rate_plan_id"] = json!("prepaid");
    body["guest"]["locale"] = json!("fr");
    let booked = stack.book("1", &body).await?;
    let held = stack.client.wait_for_decision(&booked).await?;
    let due = held["payment"]["payable"]["amount"].as_i64().context("payable")?;
    let (pay, query) = (
        held["links"]["pay"].as_str().context("a link")?.to_owned(),
        format!("booking_id={}&token={}", booked.id, booked.token),
    );
    let dry = stack
        .client
        .send(
            Method::POST,
            &format!("/api/bookings/{}/cancel?dry_run=true&token={}", booked.id, booked.token),
            &[],
            None,
        )
        .await?;
    assert_eq!((&dry.body["fee"]["amount"], &dry.body["refund"]["amount"]), (&json!(0), &json!(0)), "{dry:?}");

    let first = page(&stack, &pay).await?;
    assert_eq!(first.status(), StatusCode::SEE_OTHER);
    let url = first.headers()["location"].to_str()?.to_owned();
    assert_eq!(page(&stack, &pay).await?.headers()["location"], url.as_str(), "the same session while it is open");
    let session = url.rsplit('/').next().context("a session")?.to_owned();
    let mine = stack
        .client
        .post(
            "/api/payments/checkout",
            &[("idempotency-key", "c")],
            &json!({ "booking_id": booked.id, "token": booked.token }),
        )
        .await?;
    assert_eq!((mine.status, mine.text("/url")), (StatusCode::CREATED, url.as_str()), "{mine:?}");
    let again = stack
        .client
        .post(
            "/api/payments/checkout",
            &[("idempotency-key", "c")],
            &json!({ "booking_id": booked.id, "token": booked.token }),
        )
        .await?;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, "true"), "{again:?}");
    let reused = stack
        .client
        .post(
            "/api/payments/checkout",
            &[("idempotency-key", "c")],
            &json!({ "booking_id": booked.id, "token": booked.token, "cancel_url": stack.client.base() }),
        )
        .await?;
    assert!(matches!(reused.problem()?, "idempotency_key_reused" | "validation_failed"), "{reused:?}");
    let open = stack.client.get(&format!("/api/payments/{}?{query}", mine.text("/id"))).await?;
    assert_eq!((open.text("/status"), open.text("/checkout_url")), ("open", url.as_str()), "{open:?}");
    let intent = stack
        .client
        .post(
            "/api/payments/create-intent",
            &[("idempotency-key", "i")],
            &json!({ "booking_id": booked.id, "token": booked.token }),
        )
        .await?;
    assert_eq!(intent.status, StatusCode::CREATED, "{intent:?}");
    assert!(intent.text("/client_secret").contains("_secret_"), "{intent:?}");

    // Stripe redirects the guest before its webhook arrives: the page waits for it.
    let back = stack.stripe()?.object(&session).context("the session")?["success_url"]
        .as_str()
        .context("an address")?
        .to_owned();
    let back = back.get(back.find("/api/").context("a path")?..).context("a path")?.to_owned();
    let pending_page = page(&stack, &back.replace("wait=10s", "wait=1ms")).await?.text().await?;
    assert!(pending_page.contains("pas encore confirmé"), "{pending_page}");
    let waiting = page(&stack, &back);
    let paying = async { stack.stripe()?.pay(&session, PayOutcome::Success).map_err(anyhow::Error::from) };
    let (return_page, paid) = tokio::join!(waiting, paying);
    paid?;
    let html = return_page?.text().await?;
    assert!(html.contains("nous avons reçu votre paiement") && !html.contains("pas encore confirmé"), "{html}");
    eventually("it is paid", SHORT_TIMEOUT, || async {
        Ok((stack.client.wait_for_decision(&booked).await?["payment"]["status"] == "paid").then_some(()))
    })
    .await?;
    let over = page(&stack, &pay).await?;
    assert_eq!(
        (over.status(), over.headers()["location"].to_str()?.contains("/receipt?token=")),
        (StatusCode::SEE_OTHER, true)
    );
    let nothing = stack
        .client
        .post(
            "/api/payments/checkout",
            &[("idempotency-key", "d")],
            &json!({ "booking_id": booked.id, "token": booked.token }),
        )
        .await?;
    assert_eq!(nothing.problem()?, "nothing_due");
    let receipt = page(&stack, over.headers()["location"].to_str()?).await?;
    assert_eq!(receipt.headers()["content-language"], "fr");
    let html = receipt.text().await?;
    assert!(html.contains("Reçu") && html.contains("Paiement (carte)"), "{html}");

    let id = mine.text("/id").to_owned();
    let refund =
        |amount: i64| json!({ "amount": { "amount": amount, "currency": "CAD" }, "reason": "the shower was cold" });
    let path = format!("/api/payments/{id}/refund");
    let too_much = post(&stack, &staff, "r0", &path, &refund(due + 1)).await?;
    assert_eq!(too_much.problem()?, "too_much", "{too_much:?}");
    for _ in 0..2 {
        let refunded = post(&stack, &staff, "r1", &path, &refund(700)).await?;
        assert_eq!((refunded.status, refunded.text("/status")), (StatusCode::OK, "partially_refunded"), "{refunded:?}");
        assert_eq!(refunded.body["refunded"]["amount"], 700, "once");
    }
    let other = post(&stack, &staff, "r1", &path, &refund(701)).await?;
    assert_eq!(other.problem()?, "idempotency_key_reused");
    let elsewhere =
        post(&stack, &staff, "r1", &format!("/api/payments/{}/refund", intent.text("/id")), &refund(700)).await?;
    assert_eq!(elsewhere.problem()?, "idempotency_key_reused", "the same body for another payment is another request");
    assert_eq!(post(&stack, &stranger, "r2", &path, &refund(1)).await?.status, StatusCode::FORBIDDEN);
    let cash = json!({ "booking_id": booked.id, "method": "cash", "amount": { "amount": 700, "currency": "CAD" },
        "note": "at the desk" });
    let recorded = post(&stack, &staff, "cash", "/api/payments/record", &cash).await?;
    assert_eq!((recorded.status, recorded.text("/channel")), (StatusCode::CREATED, "cash"), "{recorded:?}");
    assert_eq!(
        post(&stack, &staff, "r3", &format!("/api/payments/{}/refund", recorded.text("/id")), &refund(1))
            .await?
            .problem()?,
        "not_refundable"
    );

    let record = |amount: i64| {
        json!({ "booking_id": booked.id, "method": "cash",
        "amount": { "amount": amount, "currency": "CAD" }, "note": "at the desk" })
    };
    let slip = post(&stack, &staff, "slip", "/api/payments/record", &record(-due - 1)).await?;
    assert_eq!(slip.problem()?, "too_much", "more than was ever captured: {slip:?}");
    // An instance that has seen neither key reads the ledger.
    stack.program("api")?.stop().await?;
    stack.restart("api").await?;
    assert_eq!(
        post(&stack, &staff, "cash", "/api/payments/record", &cash).await?.status,
        StatusCode::CREATED,
        "the same again"
    );
    stack.program("api")?.stop().await?;
    stack.restart("api").await?;
    assert_eq!(post(&stack, &staff, "r1", &path, &refund(701)).await?.problem()?, "idempotency_key_reused");
    assert_eq!(
        post(&stack, &staff, "cash", "/api/payments/record", &record(701)).await?.problem()?,
        "idempotency_key_reused"
    );

    let list = get(&stack, &staff, &format!("/api/payments?booking_id={}&limit=1", booked.id)).await?;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1), "{list:?}");
    let mut seen = vec![list.text("/items/0/id").to_owned()];
    let mut cursor = list.text("/next_cursor").to_owned();
    while !cursor.is_empty() {
        let next =
            get(&stack, &staff, &format!("/api/payments?booking_id={}&limit=1&cursor={cursor}", booked.id)).await?;
        seen.extend(
            next.body["items"]
                .as_array()
                .context("items")?
                .iter()
                .map(|item| item["id"].as_str().unwrap_or_default().to_owned()),
        );
        cursor = next.text("/next_cursor").to_owned();
    }
    seen.sort();
    let whole = get(&stack, &staff, "/api/payments").await?;
    assert_eq!(whole.body["items"].as_array().map(Vec::len), Some(seen.len()), "{whole:?} {seen:?}");
    seen.dedup();
    assert_eq!(seen.len(), whole.body["items"].as_array().map_or(0, Vec::len));
    assert_eq!(get(&stack, &stranger, "/api/payments").await?.body["items"], json!([]));
    assert_eq!(get(&stack, &stranger, &format!("/api/payments/{id}")).await?.status, StatusCode::NOT_FOUND);
    let (from, until) = (days_from_now(0), days_from_now(3));
    let days = chrono::Days::new(30);
    let path = format!("/api/payments/analytics?property_id=pvt-montreal&from={}&until={until}", from - days);
    let sums = get(&stack, &staff, &path).await?;
    assert_eq!(
        (&sums.body["total"]["captured"]["amount"], &sums.body["total"]["refunded"]["amount"]),
        (&json!(due + 700), &json!(700)),
        "{sums:?}"
    );
    let disputes = get(&stack, &admin, "/api/disputes").await?;
    assert_eq!(disputes.body, json!({ "items": [] }));
    stack.end(Expectations::clean()).await
}
