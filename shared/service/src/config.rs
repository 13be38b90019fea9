//! The configuration of a process: environment variables over compiled-in defaults, checked as a whole.
//!
//! Reading never stops at the first error: the operator gets the whole list. Secrets are wrapped, so that printing a
//! [`Config`] shows none of them.

mod checks;
mod error;
mod limits;
mod reader;
mod source;
mod traces;
mod variables;

pub use error::{ConfigError, Fault};
pub use limits::{Network, Rate};
pub use source::Origin;
pub use traces::{TraceSampler, TraceSettings};
pub use variables::{Kind, VARIABLES, Variable, env_example};

use checks::Check;
use reader::{Reader, fault};
use secrecy::{ExposeSecret, SecretString};
use source::Source;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use url::Url;

/// Most partitions of the booking queue; each costs two quorum queues.
const MAX_PARTITIONS: u16 = 256;
const MAX_RETRY_DIVISOR: u32 = 10_000;
const MAX_SHUTDOWN_DELAY_SECS: u64 = 60;
/// Where the API answers operators unless it is set: beside the address of workers, as both may run on one machine.
const API_METRICS_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8093);

/// What kind of system this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// One machine, known secrets, no TLS.
    Development,
    /// Guests' data.
    Production,
}

impl Environment {
    /// As `PVT_ENV` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }

    fn parse(text: &str) -> Check<Self> {
        match text {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            _ => Err("must be `development` or `production`".to_owned()),
        }
    }
}

/// A setting as resolved, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// Its value with secrets masked.
    pub shown: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The configuration of the processes. Each field is the variable of the same name, described in [`VARIABLES`].
#[derive(Debug, Clone)]
pub struct Config {
    /// `PVT_ENV`.
    pub environment: Environment,
    /// `AMQP_URL`.
    pub amqp_url: SecretString,
    /// `RABBITMQ_MANAGEMENT_URL`.
    pub rabbitmq_management_url: SecretString,
    /// `MONGODB_URI`.
    pub mongodb_uri: SecretString,
    /// `DATABASE_URL`.
    pub database_url: SecretString,
    /// `DATABASE_DIRECT_URL`.
    pub database_direct_url: Option<SecretString>,
    /// `SMTP_URL`.
    pub smtp_url: SecretString,
    /// `MAIL_FROM`.
    pub mail_from: String,
    /// `STRIPE_WEBHOOK_SECRETS`, newest first, never empty.
    pub stripe_webhook_secrets: Vec<SecretString>,
    /// `STRIPE_SECRET_KEY`; without it Stripe is not asked for anything.
    pub stripe_secret_key: Option<SecretString>,
    /// `STRIPE_API_BASE`.
    pub stripe_api_base: Url,
    /// `STRIPE_API_VERSION`.
    pub stripe_api_version: String,
    /// `JWT_SECRET`.
    pub jwt_secret: SecretString,
    /// `JWT_PREVIOUS_SECRET`; what was signed with it is still accepted.
    pub jwt_previous_secret: Option<SecretString>,
    /// `PUBLIC_URL`.
    pub public_url: Url,
    /// `PVT_HTTP_ADDR`.
    pub http_addr: SocketAddr,
    /// `PVT_SHUTDOWN_DELAY`.
    pub shutdown_delay: Duration,
    /// `PVT_TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<Network>,
    /// `PVT_CORS_ORIGINS`.
    pub cors_origins: Vec<String>,
    /// `PVT_RATE_GENERAL`; `None` limits nothing.
    pub rate_general: Option<Rate>,
    /// `PVT_RATE_AUTH`.
    pub rate_auth: Option<Rate>,
    /// `PVT_RATE_BOOKING`.
    pub rate_booking: Option<Rate>,
    /// `PVT_RATE_CLIENT`.
    pub rate_client: Option<Rate>,
    /// `PVT_OPS_ADDR`.
    pub ops_addr: SocketAddr,
    /// `PVT_CONSOLE_ADDR`.
    pub console_addr: SocketAddr,
    /// `PVT_CONSOLE_URL`.
    pub console_url: Url,
    /// `PVT_CONSOLE_API_URL`.
    pub console_api_url: Url,
    /// `PVT_CONSOLE_METRICS_ADDR`.
    pub console_metrics_addr: SocketAddr,
    /// `PVT_METRICS_ADDR`, of a worker process.
    pub metrics_addr: SocketAddr,
    /// `PVT_METRICS_ADDR`, of the API.
    pub api_metrics_addr: SocketAddr,
    /// `PVT_API_METRICS_URL`; without it, [`Config::api_metrics_addr`].
    pub api_metrics_url: Url,
    /// `PVT_SCHEDULES`, a JSON object; the scheduler knows what may be in it.
    pub schedules: String,
    /// `PVT_LOG`.
    pub log: String,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` and what belongs to it; `None` exports no spans.
    pub traces: Option<TraceSettings>,
    /// `PVT_QUEUE_PREFIX`.
    pub queue_prefix: String,
    /// `PVT_PARTITIONS`.
    pub partitions: u16,
    /// `PVT_RETRY_DIVISOR`.
    pub retry_divisor: u32,
    settings: Vec<Setting>,
}

impl Config {
    /// Whether Stripe's events are about real money, as far as the key or, without one, the environment says.
    pub fn stripe_livemode(&self) -> Option<bool> {
        let Some(key) = &self.stripe_secret_key else { return Some(self.environment == Environment::Production) };
        match key.expose_secret().split('_').nth(1) {
            Some("live") => Some(true),
            Some("test") => Some(false),
            _ => None,
        }
    }

    /// From the process environment and `.env`.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_env() -> Result<Self, ConfigError> {
        let source =
            Source::process().map_err(|problem| ConfigError { faults: vec![fault(&variables::PVT_ENV, problem)] })?;
        Self::read(&source)
    }

    /// As [`Config::from_env`], with these values for what neither the environment nor `.env` sets.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_env_over(defaults: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut source =
            Source::process().map_err(|problem| ConfigError { faults: vec![fault(&variables::PVT_ENV, problem)] })?;
        source.fill(defaults);
        Self::read(&source)
    }

    /// As [`Config::from_env_over`], with `fixed` in place of whatever is set.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_env_between(
        defaults: impl IntoIterator<Item = (String, String)>,
        fixed: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut source =
            Source::process().map_err(|problem| ConfigError { faults: vec![fault(&variables::PVT_ENV, problem)] })?;
        source.replace(fixed);
        source.fill(defaults);
        Self::read(&source)
    }

    /// From these variables alone: for tests, and for processes that start others.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, ConfigError> {
        Self::read(&Source::new(pairs.into_iter().map(|(name, value)| (name.into(), value.into()))))
    }

    /// Whether only this machine can reach the system: it listens on loopback, and its public URLs are loopback.
    pub fn is_local(&self) -> bool {
        let addresses = [Some(self.http_addr), Some(self.console_addr)];
        exposure(addresses, [Some(&self.public_url), Some(&self.console_url)]).is_none()
    }

    /// Every setting with its origin, secrets masked, in the order of [`VARIABLES`].
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    fn read(source: &Source) -> Result<Self, ConfigError> {
        let mut reader = Reader { source, production: false, faults: Vec::new(), settings: Vec::new() };
        let environment = reader.take(&variables::PVT_ENV, |text, _| Environment::parse(text));
        reader.production = environment == Some(Environment::Production);
        let amqp_url = reader.secret(&variables::AMQP_URL, checks::amqp);
        let rabbitmq_management_url = reader.management();
        let mongodb_uri = reader.secret(&variables::MONGODB_URI, checks::mongodb);
        let database_url = reader.secret(&variables::DATABASE_URL, checks::postgres);
        let database_direct_url = reader.secret(&variables::DATABASE_DIRECT_URL, checks::postgres);
        let smtp_url = reader.secret(&variables::SMTP_URL, checks::smtp);
        let mail_from = reader.take(&variables::MAIL_FROM, |text, _| checks::mailbox(text));
        let stripe_webhook_secrets =
            reader.take(&variables::STRIPE_WEBHOOK_SECRETS, |text, _| checks::webhook_secrets(text));
        let stripe_secret_key = reader.secret(&variables::STRIPE_SECRET_KEY, checks::stripe_key);
        let stripe_api_base = reader.take(&variables::STRIPE_API_BASE, checks::public_url);
        let stripe_api_version = reader.take(&variables::STRIPE_API_VERSION, |text, _| checks::stripe_version(text));
        let jwt_secret = reader.secret(&variables::JWT_SECRET, |text, _| checks::signing_secret(text));
        let jwt_previous_secret =
            reader.secret(&variables::JWT_PREVIOUS_SECRET, |text, _| checks::signing_secret(text));
        let public_url = reader.take(&variables::PUBLIC_URL, checks::public_url);
        let http_addr = reader.take(&variables::PVT_HTTP_ADDR, |text, _| checks::address(text));
        let shutdown_delay = reader.take(&variables::PVT_SHUTDOWN_DELAY, |text, _| {
            checks::number(text, 0, MAX_SHUTDOWN_DELAY_SECS).map(Duration::from_secs)
        });
        let trusted_proxies = reader.take(&variables::PVT_TRUSTED_PROXIES, |text, _| limits::networks(text));
        let cors_origins = reader.take(&variables::PVT_CORS_ORIGINS, |text, _| limits::origins(text));
        let rate_general = reader.take(&variables::PVT_RATE_GENERAL, |text, _| limits::rate(text));
        let rate_auth = reader.take(&variables::PVT_RATE_AUTH, |text, _| limits::rate(text));
        let rate_booking = reader.take(&variables::PVT_RATE_BOOKING, |text, _| limits::rate(text));
        let rate_client = reader.take(&variables::PVT_RATE_CLIENT, |text, _| limits::rate(text));
        let ops_addr = reader.take(&variables::PVT_OPS_ADDR, |text, _| checks::address(text));
        let console_addr = reader.take(&variables::PVT_CONSOLE_ADDR, |text, _| checks::address(text));
        let console_url = reader.console_url(console_addr);
        let console_api_url = reader.console_api_url(http_addr, public_url.as_ref());
        let console_metrics_addr = reader.take(&variables::PVT_CONSOLE_METRICS_ADDR, |text, _| checks::address(text));
        let metrics_addr = reader.take(&variables::PVT_METRICS_ADDR, |text, _| checks::address(text));
        // API and workers of one machine share a file of settings; only an address that is set is meant for the API.
        let is_set = matches!(source.find(&variables::PVT_METRICS_ADDR), Ok(Some(_)));
        let api_metrics_addr = if is_set { metrics_addr } else { Some(API_METRICS_ADDR) };
        let api_metrics_url = reader
            .take(&variables::PVT_API_METRICS_URL, |text, _| checks::internal_url(text))
            .or_else(|| Url::parse(&format!("http://{}", api_metrics_addr?)).ok());
        let schedules = reader.take(&variables::PVT_SCHEDULES, |text, _| checks::json_object(text));
        let log =
            reader.take(&variables::PVT_LOG, |text, _| crate::telemetry::check_filter(text).map(|()| text.to_owned()));
        let traces = traces::read(&mut reader);
        let queue_prefix = reader.take(&variables::PVT_QUEUE_PREFIX, |text, _| checks::queue_prefix(text));
        let partitions = reader.take(&variables::PVT_PARTITIONS, |text, _| checks::number(text, 1, MAX_PARTITIONS));
        let retry_divisor =
            reader.take(&variables::PVT_RETRY_DIVISOR, |text, _| checks::number(text, 1, MAX_RETRY_DIVISOR));
        let exposed_by = exposure([http_addr, console_addr], [public_url.as_ref(), console_url.as_ref()]);
        reader.refuse_published_secrets(
            exposed_by.as_deref(),
            jwt_secret.as_ref(),
            jwt_previous_secret.as_ref(),
            stripe_webhook_secrets.as_deref().unwrap_or_default(),
        );
        let Reader { faults, settings, .. } = reader;
        // A value is missing only together with a fault that says why.
        let whole = || {
            Some(Self {
                environment: environment?,
                amqp_url: amqp_url?,
                rabbitmq_management_url: rabbitmq_management_url?,
                mongodb_uri: mongodb_uri?,
                database_url: database_url?,
                database_direct_url,
                smtp_url: smtp_url?,
                mail_from: mail_from?,
                stripe_webhook_secrets: stripe_webhook_secrets?.into_iter().map(SecretString::from).collect(),
                stripe_secret_key,
                stripe_api_base: stripe_api_base?,
                stripe_api_version: stripe_api_version?,
                jwt_secret: jwt_secret?,
                jwt_previous_secret,
                public_url: public_url?,
                http_addr: http_addr?,
                shutdown_delay: shutdown_delay?,
                trusted_proxies: trusted_proxies?,
                cors_origins: cors_origins?,
                rate_general: rate_general?,
                rate_auth: rate_auth?,
                rate_booking: rate_booking?,
                rate_client: rate_client?,
                ops_addr: ops_addr?,
                console_addr: console_addr?,
                console_url: console_url?,
                console_api_url: console_api_url?,
                console_metrics_addr: console_metrics_addr?,
                metrics_addr: metrics_addr?,
                api_metrics_addr: api_metrics_addr?,
                api_metrics_url: api_metrics_url?,
                schedules: schedules?,
                log: log?,
                traces,
                queue_prefix: queue_prefix?,
                partitions: partitions?,
                retry_divisor: retry_divisor?,
                settings,
            })
        };
        match whole() {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError { faults }),
        }
    }
}

/// The settings by which the system can be reached from other machines.
fn exposure(addresses: [Option<SocketAddr>; 2], urls: [Option<&Url>; 2]) -> Option<String> {
    let listens = |address: SocketAddr| !address.ip().is_loopback();
    let is_public = |url: &Url| !checks::is_loopback(url.host_str().unwrap_or_default());
    let addresses =
        ["PVT_HTTP_ADDR", "PVT_CONSOLE_ADDR"].into_iter().zip(addresses.map(|one| one.is_some_and(listens)));
    let urls = ["PUBLIC_URL", "PVT_CONSOLE_URL"].into_iter().zip(urls.map(|one| one.is_some_and(is_public)));
    let exposed: Vec<&str> =
        addresses.chain(urls).filter(|(_, is_exposed)| *is_exposed).map(|(name, _)| name).collect();
    match exposed.as_slice() {
        [] => None,
        [one] => Some(format!("{one} is")),
        [first @ .., last] => Some(format!("{} and {last} are", first.join(", "))),
    }
}

#[cfg(test)]
mod tests;
