//! SMTP client of the workers against the mail sink under every injected fault, and the pages of the sink.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "mail_sink/faults.rs"]
mod faults;
#[path = "mail_sink/page.rs"]
mod page;
#[path = "mail_sink/restart.rs"]
mod restart;
#[path = "mail_sink/servers.rs"]
mod servers;

use lettre::Address;
use lettre::address::Envelope;
use pvt_mail_sink::{MailSink, MailStore, SinkOptions};
use pvt_workers::mail::OutgoingMail;
use pvt_workers::mail::smtp::{DeliveryOutcome, SmtpClient, SmtpLimits};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bounds that are reached within a test.
const LIMITS: SmtpLimits = SmtpLimits {
    connections: 4,
    connect_timeout: Duration::from_secs(2),
    reply_timeout: Duration::from_millis(500),
    accept_timeout: Duration::from_secs(2),
    batch_budget: Duration::from_secs(5),
    idle_limit: Duration::from_secs(60),
};

/// A sink that ends with the test.
struct Sink {
    smtp: SocketAddr,
    http: SocketAddr,
    store: Arc<MailStore>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Sink {
    async fn start() -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap()).await
    }

    async fn start_on(smtp_addr: SocketAddr) -> Self {
        let http_addr = "127.0.0.1:0".parse().unwrap();
        let sink = MailSink::bind(SinkOptions { smtp_addr, http_addr, store_dir: None, discard: false }).await.unwrap();
        let (smtp, http, store, stop) =
            (sink.smtp_addr().unwrap(), sink.http_addr().unwrap(), sink.store(), CancellationToken::new());
        let served = tokio::spawn(sink.serve(stop.clone()));
        Self { smtp, http, store, stop, served }
    }

    fn client(&self) -> SmtpClient {
        client_of(self.smtp)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    async fn fault(&self, body: &str) {
        let request = reqwest::Client::new()
            .post(self.url("/dev/mail/faults"))
            .header("content-type", "application/json")
            .body(body.to_owned());
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&reqwest::get(self.url(path)).await.unwrap().bytes().await.unwrap()).unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
    }
}

fn client_of(smtp: SocketAddr) -> SmtpClient {
    SmtpClient::new(format!("smtp://{smtp}").parse().unwrap(), "pvt.test", LIMITS).unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn outgoing_mail(to: &str) -> OutgoingMail {
    let message = format!(
        "From: <bookings@pvt.test>\r\nTo: <{to}>\r\nMessage-ID: <{to}>\r\nSubject: for \
            {to}\r\n\r\n.hello\r\n..\r\n.\r\n"
    );
    let envelope = Envelope::new(Some(address("bookings@pvt.test")), vec![address(to)]).unwrap();
    OutgoingMail { envelope, message, traceparent: None }
}

fn outgoing_mails(count: usize) -> Vec<OutgoingMail> {
    (0..count).map(|number| outgoing_mail(&format!("guest-{number}@example.com"))).collect()
}

fn count(outcomes: &[DeliveryOutcome], name: &str) -> usize {
    outcomes.iter().filter(|outcome| outcome.as_str() == name).count()
}
