//! Client of the mail sink: arrived mails and fault injection.

use anyhow::{Result, ensure};
use pvt_testkit::Mail;
use serde_json::Value;
use std::net::SocketAddr;

/// More mails than any test sends.
const LIMIT: usize = 20_000;

/// The mail sink of one stack.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    http: reqwest::Client,
    base: String,
}

impl Mailbox {
    pub(crate) fn new(http: reqwest::Client, address: SocketAddr) -> Self {
        Self { http, base: format!("http://{address}/dev/mail") }
    }

    /// The URL that answers once the sink is ready.
    pub(crate) fn ready_url(&self) -> String {
        format!("{}/count", self.base)
    }

    /// All mails, in order of arrival.
    pub(crate) async fn all(&self) -> Result<Vec<Mail>> {
        let mut mails: Vec<Mail> =
            self.http.get(format!("{}.json?limit={LIMIT}", self.base)).send().await?.error_for_status()?.json().await?;
        ensure!(mails.len() < LIMIT, "more mails than this harness reads");
        mails.sort_by_key(|mail| mail.n);
        Ok(mails)
    }

    /// Injects a fault, see `POST /dev/mail/faults` of the sink.
    pub(crate) async fn inject_fault(&self, fault: &Value) -> Result<()> {
        self.http.post(format!("{}/faults", self.base)).json(fault).send().await?.error_for_status()?;
        Ok(())
    }
}
