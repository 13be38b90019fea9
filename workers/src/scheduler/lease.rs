//! The scheduler's lease, renewed by a task of its own: however long a fire takes, the lease does not expire under it.

use chrono::{DateTime, TimeDelta, Utc};
use pvt_service::periodic::Turns;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::schedules::Leadership;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long a silent leader keeps the lease.
const LEASE: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// A leader does not fire in the last part of its lease, so that it has stopped when another one starts.
const LEASE_MARGIN: Duration = Duration::from_secs(3);

/// A lease as of its last renewal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) token: i64,
    /// The server's clock when the lease was last renewed.
    server_time: DateTime<Utc>,
    /// Our clock just before.
    renewed_at: Instant,
}

impl Lease {
    /// Whether it is still valid.
    pub(super) fn holds(&self) -> bool {
        self.renewed_at.elapsed() + LEASE_MARGIN < LEASE
    }

    /// The time by the server's clock, so that no process fires early or late because its own clock is wrong.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.server_time + TimeDelta::from_std(self.renewed_at.elapsed()).unwrap_or(TimeDelta::zero())
    }
}

/// Acquires the lease when it is free, and renews it until `stop`.
pub(super) async fn keep(mongo: Mongo, holder: String, current: watch::Sender<Option<Lease>>, stop: CancellationToken) {
    let mut renewals = Turns::new(RENEW_EVERY, &stop);
    while renewals.next().await {
        let before = *current.borrow();
        let lease = renew(&mongo, &holder, before).await;
        metrics::gauge!("pvt_scheduler_leader").set(if lease.is_some() { 1.0 } else { 0.0 });
        current.send_replace(lease);
    }
}

/// While MongoDB is unreachable the old lease is kept until it expires.
async fn renew(mongo: &Mongo, holder: &str, before: Option<Lease>) -> Option<Lease> {
    let renewed_at = Instant::now();
    match timeout(RENEW_EVERY, mongo.schedules().lead(holder, LEASE)).await {
        Ok(Ok(Some(Leadership { token, server_time }))) => {
            if before.is_none_or(|before| before.token != token) {
                tracing::info!(token, "scheduler lease acquired");
            }
            Some(Lease { token, server_time: server_time.as_datetime(), renewed_at })
        }
        Ok(Ok(None)) => {
            if before.is_some() {
                tracing::warn!("scheduler lease lost to another process");
            }
            None
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "scheduler lease could not be renewed");
            before.filter(Lease::holds)
        }
        Err(_) => {
            tracing::warn!("renewing the scheduler lease timed out");
            before.filter(Lease::holds)
        }
    }
}
