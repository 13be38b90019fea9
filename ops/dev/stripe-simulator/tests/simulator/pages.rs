//! Pages in a browser without scripts.

use crate::harness::{Harness, session_form};

async fn press(harness: &Harness, path: &str, form: &str) -> (u16, String, String) {
    let request = harness
        .http
        .post(format!("{}{path}", harness.base))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    let answer = request.send().await.unwrap();
    let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), location, answer.text().await.unwrap())
}

async fn see(harness: &Harness, path: &str) -> (u16, String) {
    let answer = harness.http.get(format!("{}{path}", harness.base)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn guest_pays_on_page_and_returns() {
    let harness = Harness::start().await;
    let id = harness.session("b-1").await;
    let path = format!("/pay/{id}");
    let answer = harness.http.get(format!("{}{path}", harness.base)).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("form-action 'self' http://127.0.0.1:1"), "a browser must be let back: {policy}");
    let html = answer.text().await.unwrap();
    for part in ["120.00 CAD", "Two nights", "ada@example.com", "Card declined", "settles later", "Cancel"] {
        assert!(html.contains(part), "{part} is not on {html}");
    }
    assert_eq!(press(&harness, &path, "action=cancel").await.1, "http://127.0.0.1:1/cancelled");
    assert_eq!(press(&harness, &path, "action=decline").await.1, path);
    assert!(see(&harness, &path).await.1.contains("Your card was declined."));
    let (status, location, _) = press(&harness, &path, "action=pay").await;
    assert_eq!((status, location), (303, format!("http://127.0.0.1:1/done?session={id}")));
    assert!(see(&harness, &path).await.1.contains("this is paid"));
    assert_eq!(press(&harness, &path, "action=pay").await.0, 400);
    assert_eq!(harness.control.total().charges, 1);
    let charge = harness.get("/v1/charges", &[]).await.ok()["data"][0]["receipt_url"].as_str().unwrap().to_owned();
    assert!(see(&harness, charge.strip_prefix(&harness.base).unwrap()).await.1.contains("120.00 CAD paid"));
}

#[tokio::test]
async fn pages_escape_request_content() {
    let harness = Harness::start().await;
    let mut form = session_form("b-1");
    form.retain(|(name, _)| !name.ends_with("[name]"));
    form.push(("line_items[0][price_data][product_data][name]", "<script>alert(1)</script>"));
    let id = harness.post("/v1/checkout/sessions", &form).await.ok()["id"].as_str().unwrap().to_owned();
    for path in [format!("/pay/{id}"), "/".to_owned()] {
        let (status, html) = see(&harness, &path).await;
        assert!(status == 200 && !html.contains("<script") && html.contains("&#60;script"), "{html}");
    }
    assert_eq!(see(&harness, "/pay/cs_test_none").await.0, 404);
    harness.post(&format!("/v1/checkout/sessions/{id}/expire"), &[]).await.ok();
    assert!(see(&harness, &format!("/pay/{id}")).await.1.contains("has expired"));
}

#[tokio::test]
async fn cross_site_requests_are_refused() {
    let harness = Harness::start().await;
    let named = harness.http.get(&harness.base).header("host", "evil.example").send().await.unwrap();
    assert_eq!(named.status(), 403);
    let sent = harness
        .http
        .post(&harness.base)
        .header("sec-fetch-site", "cross-site")
        .body("action=refund&id=pi_x")
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 403);
}

#[tokio::test]
async fn dashboard_acts_for_banks_and_staff() {
    let harness = Harness::start().await;
    let id = harness.session("b-1").await;
    press(&harness, &format!("/pay/{id}"), "action=bank").await;
    let intent = harness.control.object(&id).unwrap()["payment_intent"].as_str().unwrap().to_owned();
    for action in ["async_ok", "refund_half", "dispute"] {
        let (status, location, html) = press(&harness, "/", &format!("action={action}&id={intent}")).await;
        assert_eq!((status, location.as_str()), (303, "/"), "{action}: {html}");
    }
    let total = harness.control.total();
    assert_eq!((total.charges, total.refunded_amount, total.disputes), (1, 6_000, 1));
    assert_eq!(press(&harness, "/", &format!("action=refund&id={intent}")).await.0, 400);
    let (_, html) = see(&harness, "/").await;
    assert!(html.contains("charge.dispute.created") && html.contains("needs response") && html.contains(&intent));
}

#[tokio::test]
async fn app_confirms_payment_with_client_secret() {
    let harness = Harness::start().await;
    let intent = harness.post("/v1/payment_intents", &[("amount", "5000"), ("currency", "cad")]).await.ok();
    let (id, secret) = (intent["id"].as_str().unwrap(), intent["client_secret"].as_str().unwrap());
    assert_eq!(see(&harness, &format!("/pay/intent/{id}?client_secret=wrong")).await.0, 404);
    assert!(see(&harness, &format!("/pay/intent/{id}?client_secret={secret}")).await.1.contains("50.00 CAD"));
    let path = format!("/pay/intent/{id}/confirm");
    assert_eq!(press(&harness, &path, "action=pay&client_secret=wrong").await.0, 404);
    assert_eq!(press(&harness, &path, &format!("action=pay&client_secret={secret}")).await.0, 303);
    assert_eq!(harness.control.object(id).unwrap()["status"], "succeeded");
}
