//! JSON and pages of the mail sink.

use crate::{Sink, address, outgoing_mails};
use lettre::address::Envelope;
use pvt_workers::mail::OutgoingMail;

const HOSTILE: &str = "From: Eve <eve@example.com>\r\nTo: <ada@example.com>\r\nMessage-ID: <m1@pvt.test>\r\nDate: \
    Tue, 1 Dec 2026 12:00:00 +0000\r\n\
Auto-Submitted: auto-generated\r\nSubject: =?utf-8?q?caf=C3=A9_<script>alert(1)</script>?=\r\nMIME-Version: \
1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n\
--c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain <b>text</b>\r\n\
--c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>rich</p><script>alert(2)</script>\r\n--c--\r\n\
--b\r\nContent-Type: text/calendar; method=PUBLISH\r\nContent-Disposition: attachment; \
filename=\"../a.ics\"\r\n\r\nBEGIN:VCALENDAR\r\n--b--\r\n";

async fn sink_with_a_hostile_mail() -> Sink {
    let sink = Sink::start().await;
    let envelope = Envelope::new(Some(address("eve@example.com")), vec![address("ada@example.com")]).unwrap();
    let mail = OutgoingMail { envelope, message: HOSTILE.to_owned(), traceparent: None };
    let outcomes = sink.client().send_all(&[mail]).await;
    assert_eq!(outcomes[0].as_str(), "accepted");
    sink
}

#[tokio::test]
async fn json_contains_parsed_mail() {
    let sink = sink_with_a_hostile_mail().await;
    let mails = sink.json("/dev/mail.json?to=ada@example.com").await;
    let mail = &mails[0];
    assert_eq!(mail["n"], 1);
    assert_eq!(mail["from"], "eve@example.com");
    assert_eq!(mail["to"][0], "ada@example.com");
    assert_eq!(mail["subject"], "café <script>alert(1)</script>");
    assert_eq!(mail["message_id"], "<m1@pvt.test>");
    assert_eq!(mail["date"], "2026-12-01T12:00:00Z");
    assert_eq!(mail["headers"]["Auto-Submitted"], "auto-generated");
    assert_eq!(mail["text"].as_str().unwrap().trim(), "plain <b>text</b>");
    assert!(mail["html"].as_str().unwrap().contains("<p>rich</p>"));
    assert_eq!(mail["attachments"][0]["filename"], "../a.ics");
    assert_eq!(mail["attachments"][0]["content_type"], "text/calendar; method=PUBLISH");
    assert_eq!(mail["attachments"][0]["text"].as_str().unwrap().trim(), "BEGIN:VCALENDAR");
    assert_eq!(sink.json("/dev/mail.json?to=nobody@example.com").await, serde_json::json!([]));
    sink.stop().await;
}

#[tokio::test]
async fn mails_are_listed_newest_first_with_limit_and_count() {
    let sink = Sink::start().await;
    sink.client().send_all(&outgoing_mails(5)).await;
    let mails = sink.json("/dev/mail.json?limit=2").await;
    assert_eq!(mails.as_array().unwrap().iter().map(|mail| mail["n"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 4]);
    assert_eq!(sink.json("/dev/mail/count").await["count"], 5);
    let deleted = reqwest::Client::new().delete(sink.url("/dev/mail.json")).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(sink.json("/dev/mail.json").await, serde_json::json!([]));
    assert_eq!(sink.json("/dev/mail/count").await["count"], 5);
    sink.stop().await;
}

#[tokio::test]
async fn pages_escape_mail_content_and_sandbox_frames() {
    let sink = sink_with_a_hostile_mail().await;
    for path in ["/dev/mail", "/dev/mail?to=%22%3E%3Cscript%3E", "/dev/mail/1"] {
        let page = reqwest::get(sink.url(path)).await.unwrap();
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let html = page.text().await.unwrap();
        assert!(!html.contains("<script"), "{path}: {html}");
    }
    let shown = reqwest::get(sink.url("/dev/mail/1")).await.unwrap().text().await.unwrap();
    assert!(shown.contains("sandbox=\"\"") && shown.contains("café") && shown.contains("plain &#60;b&#62;"), "{shown}");
    let frame = reqwest::get(sink.url("/dev/mail/1/html")).await.unwrap();
    assert!(frame.headers()["content-security-policy"].to_str().unwrap().starts_with("sandbox; default-src 'none'"));
    let file = reqwest::get(sink.url("/dev/mail/1/attachments/0")).await.unwrap();
    assert_eq!(file.headers()["content-disposition"], "attachment; filename=\"a.ics\"");
    assert_eq!(file.headers()["content-type"], "application/octet-stream");
    assert_eq!(file.headers()["x-content-type-options"], "nosniff");
    for missing in ["/dev/mail/2", "/dev/mail/2/html", "/dev/mail/1/attachments/7", "/dev/mail/0"] {
        assert_eq!(reqwest::get(sink.url(missing)).await.unwrap().status(), 404, "{missing}");
    }
    sink.stop().await;
}

#[tokio::test]
async fn foreign_host_names_are_refused() {
    let sink = sink_with_a_hostile_mail().await;
    let request = |host: &str| reqwest::Client::new().get(sink.url("/dev/mail.json")).header("host", host).send();
    assert_eq!(request("evil.example").await.unwrap().status(), 403);
    assert_eq!(request("127.0.0.1.evil.example:80").await.unwrap().status(), 403);
    assert_eq!(request("localhost:8090").await.unwrap().status(), 200);
    sink.stop().await;
}

#[tokio::test]
async fn faults_are_set_by_json_only() {
    let sink = Sink::start().await;
    let post = |kind: &'static str, body: &'static str| {
        reqwest::Client::new().post(sink.url("/dev/mail/faults")).header("content-type", kind).body(body).send()
    };
    assert_eq!(post("text/plain", r#"{"mode":"451"}"#).await.unwrap().status(), 415);
    assert!(post("application/json", r#"{"mode":"explode"}"#).await.unwrap().status().is_client_error());
    assert_eq!(post("application/json", r#"{"mode":"451","next":2}"#).await.unwrap().status(), 200);
    let set = sink.json("/dev/mail/faults").await;
    assert_eq!((set["mode"].as_str(), set["next"].as_u64()), (Some("451"), Some(2)));
    sink.stop().await;
}

#[tokio::test]
async fn only_loopback_addresses_are_accepted() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let local = "127.0.0.1:0".parse().unwrap();
    for (smtp_addr, http_addr) in [(everywhere, local), (local, everywhere)] {
        let options = pvt_mail_sink::SinkOptions { smtp_addr, http_addr, store_dir: None, discard: false };
        assert!(pvt_mail_sink::MailSink::bind(options).await.is_err());
    }
}
