//! The mail sink's side: what arrived, and how it is to misbehave.

use anyhow::{Result, ensure};
use pvt_testkit::Mail;
use serde_json::Value;
use std::net::SocketAddr;

/// More than any test sends.
const LIMIT: usize = 20_000;

/// Asks a mail sink.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    http: reqwest::Client,
    base: String,
}

impl Mailbox {
    pub(crate) fn new(http: reqwest::Client, address: SocketAddr) -> Self {
        Self { http, base: format!("http://{address}/dev/mail") }
    }

    /// Where the sink says that it is there.
    pub(crate) fn ready_url(&self) -> String {
        format!("{}/count", self.base)
    }

    /// Everything that arrived, in the order of arrival.
    pub(crate) async fn all(&self) -> Result<Vec<Mail>> {
        let mut mails: Vec<Mail> =
            self.http.get(format!("{}.json?limit={LIMIT}", self.base)).send().await?.error_for_status()?.json().await?;
        ensure!(mails.len() < LIMIT, "more mails than this harness reads");
        mails.sort_by_key(|mail| mail.n);
        Ok(mails)
    }

    /// Makes it fail: see the sink's `/dev/mail/faults`.
    pub(crate) async fn inject_fault(&self, fault: &Value) -> Result<()> {
        self.http.post(format!("{}/faults", self.base)).json(fault).send().await?.error_for_status()?;
        Ok(())
    }
}
