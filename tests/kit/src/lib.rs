//! Test kit: running engines, namespaces on them, sample requests, records of the stores, invariants, and a browser.
//!
//! A dev-dependency only. A missing engine is installed or reported as an error; no test is ever skipped.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod broker;
mod calendar;
mod chromium;
pub mod console;
mod fingerprints;
mod invariants;
mod mails;
mod namespace;
mod records;
mod requests;
mod slow_link;
mod stripe;
mod test_topology;
mod tokens;

pub use broker::{Broker, QueuedMessage, properties, properties_that_fill_a_frame};
pub use calendar::{CalendarEvent, GuestCalendar};
pub use chromium::{Chromium, SCREENS};
pub use fingerprints::earlier_fingerprint;
pub use invariants::{Expected, leaks, violations};
pub use lapin::BasicProperties;
pub use lapin::types::{AMQPValue, FieldTable};
pub use mails::Mail;
pub use mongodb::bson::doc;
pub use namespace::Namespace;
pub use pvt_local_engines::{EngineKind, EphemeralInstance, LocalEngine, Urls};
pub use records::{MartBedNight, MartBooking, MartPayment, Records, Stores};
pub use requests::{DORM, booking_body, days_from_now, dormitory};
pub use slow_link::SlowLink;
pub use stripe::stripe_signature;
pub use test_topology::{BrokerUrls, TestTopology, broker_urls};
pub use tokens::earlier_booking_token;

use anyhow::{Context, Result};
use pvt_local_engines::{Instance, PortPlan};
use std::future::Future;
use std::io::Write;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Name of the instance that all tests share. It keeps running between test runs, so that the next one starts at once.
pub const INSTANCE: &str = "test";

/// Pause between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// URLs of the shared engines, which are installed and started on first use. URLs in the environment take precedence.
///
/// # Errors
/// When an engine can be neither found nor started; the error says what to do.
pub async fn engines() -> Result<&'static Urls> {
    static ENGINES: OnceCell<Urls> = OnceCell::const_new();
    ENGINES.get_or_try_init(start).await
}

async fn start() -> Result<Urls> {
    let instance = Instance::open(INSTANCE, PortPlan::Free)?;
    let ours = Urls::from_env();
    // Test runners capture the stderr of each test; on a first run this explains the wait.
    let progress = |line: &str| drop(writeln!(std::io::stderr(), "engines: {line}"));
    let urls =
        instance.ensure(&ours.missing(), &progress).await.context("the engines for the tests cannot be started")?;
    Ok(urls.overridden_by(ours))
}

/// Waits until `probe` finds something, polling every few milliseconds.
///
/// # Errors
/// When it finds nothing within `limit`; the error names `what`.
pub async fn eventually<T, F, Fut>(what: &str, limit: Duration, mut probe: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let deadline = tokio::time::Instant::now() + limit;
    let mut last = None;
    while tokio::time::Instant::now() < deadline {
        match probe().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => last = None,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("nothing was found")))
        .with_context(|| format!("{what}: not within {limit:?}"))
}
