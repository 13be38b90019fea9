//! The client of the exporter: it trusts a configured authority, and keeps the cause of what fails.

use super::Account;
use crate::config::TraceSettings;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy;
use std::error::Error;
use std::sync::Arc;

/// A client whose failures the account of the export learns: of a failed connection, the exporter's own errors say no
/// more than that the network failed.
#[derive(Debug)]
pub(super) struct CollectorClient {
    inner: Client,
    account: Arc<Account>,
}

impl CollectorClient {
    pub(super) fn new(settings: &TraceSettings, account: Arc<Account>) -> Result<Self, String> {
        Ok(Self { inner: client(settings)?, account })
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.inner.send_bytes(request).await;
        self.account.note_cause(sent.as_ref().err().map(|error| with_sources(&**error)));
        sent
    }
}

/// An error and what caused it, each once.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        source = cause.source();
    }
    words
}

/// A client of its own: it trusts the configured authority, too.
pub(super) fn client(settings: &TraceSettings) -> Result<Client, String> {
    // A redirection would carry the headers, which may be credentials, to another host.
    let mut builder = Client::builder().timeout(settings.timeout).redirect(Policy::none());
    if let Some(path) = &settings.certificate {
        let pem = std::fs::read(path)
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE {}: {error}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE {}: {error}", path.display()))?;
        builder = certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate);
    }
    // A blocking client has a runtime of its own, which must not be made within another.
    let built = std::thread::spawn(move || builder.build()).join();
    built.map_err(|_| "its client panicked".to_owned())?.map_err(|error| error.to_string())
}
