//! Maintenance as this instance knows it: whether changes are accepted.
//!
//! It is read from MongoDB every second. While MongoDB cannot be read, what was read last stands; an instance that has
//! read nothing yet is not ready and accepts no changes.

use crate::http::metrics::MAINTENANCE;
use crate::http::problem::{self, Problem};
use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use pvt_service::health::Finding;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::maintenance::Maintenance;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const READ_INTERVAL: Duration = Duration::from_secs(1);
/// For one reading. One that takes longer is left to its end.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// `Retry-After` of an instance that has read nothing yet, in seconds.
const NOT_READY_SECS: u32 = 2;
/// `Retry-After` in a maintenance without an expected end, and the least of all, in seconds.
const RETRY_SECS: u32 = 60;
/// The longest `Retry-After`, in seconds: a maintenance may end sooner than expected.
const MAX_RETRY_SECS: u32 = 15 * 60;

/// What was read last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Nothing,
    Off,
    On(Maintenance),
}

/// The handle to what is known. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct MaintenanceWatch(Arc<ArcSwap<Known>>);

impl MaintenanceWatch {
    /// Reads MongoDB now and every second until `stop`.
    pub(crate) fn start(mongo: Mongo, stop: CancellationToken) -> Self {
        let watch = Self(Arc::new(ArcSwap::from_pointee(Known::Nothing)));
        tokio::spawn(stop.run_until_cancelled_owned(watch.clone().follow(mongo)));
        watch
    }

    /// A watch that knows this and never reads MongoDB.
    #[cfg(test)]
    pub(crate) fn of(maintenance: Option<Maintenance>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(maintenance.map_or(Known::Off, Known::On))))
    }

    async fn follow(self, mongo: Mongo) {
        let gauge = metrics::gauge!(MAINTENANCE);
        gauge.set(f64::NAN);
        let mut turns = interval(READ_INTERVAL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_readable = true;
        loop {
            turns.tick().await;
            match self.take(read(&mongo).await) {
                Ok(()) => {
                    was_readable = true;
                    gauge.set(if self.current().is_some() { 1.0 } else { 0.0 });
                }
                Err(error) if was_readable => {
                    was_readable = false;
                    warn!(%error, "whether maintenance is on cannot be read, keeping what is known");
                }
                Err(_) => {}
            }
        }
    }

    /// Takes over what was read; a reading that failed leaves what was read before.
    fn take(&self, reading: Result<Option<Maintenance>, String>) -> Result<(), String> {
        self.learn(reading?.map_or(Known::Off, Known::On));
        Ok(())
    }

    fn learn(&self, read: Known) {
        let before = self.0.load();
        if **before == read {
            return;
        }
        match &read {
            Known::On(Maintenance { reason, actor, .. }) => {
                info!(%actor, reason, "maintenance: changes are refused");
            }
            Known::Off if matches!(**before, Known::On(_)) => info!("maintenance has ended: changes are accepted"),
            Known::Off | Known::Nothing => {}
        }
        self.0.store(Arc::new(read));
    }

    /// The maintenance that is on.
    pub(crate) fn current(&self) -> Option<Maintenance> {
        match &**self.0.load() {
            Known::On(maintenance) => Some(maintenance.clone()),
            Known::Off | Known::Nothing => None,
        }
    }

    /// Whether a change may be accepted now.
    ///
    /// # Errors
    /// 503 with `Retry-After` in a maintenance, and while it is not known whether there is one.
    pub(crate) fn allow_change(&self) -> Result<(), Problem> {
        match &**self.0.load() {
            Known::Off => Ok(()),
            Known::On(maintenance) => {
                let seconds = retry_after(maintenance, Utc::now());
                Err(Problem::from(problem::MAINTENANCE).retry_after(seconds))
            }
            Known::Nothing => Err(Problem::from(problem::NOT_READY).retry_after(NOT_READY_SECS)),
        }
    }

    /// For health: an instance is ready once it knows, and degraded in a maintenance.
    pub(crate) fn finding(&self) -> Finding {
        match &**self.0.load() {
            Known::Off => Finding::Up(None),
            Known::On(Maintenance { since, actor, reason, .. }) => {
                Finding::Degraded(format!("changes are refused since {since} by {actor}: {reason}"))
            }
            Known::Nothing => Finding::Down("not read yet".to_owned()),
        }
    }
}

/// Spawned, because a driver's future that is dropped half-way can leave its session in disorder.
async fn read(mongo: &Mongo) -> Result<Option<Maintenance>, String> {
    let mongo = mongo.clone();
    let reading = tokio::spawn(async move { mongo.maintenance().find().await });
    match timeout(READ_LIMIT, reading).await {
        Ok(Ok(found)) => found.map_err(|error| error.to_string()),
        Ok(Err(panic)) => Err(panic.to_string()),
        Err(_) => Err(format!("no answer within {READ_LIMIT:?}")),
    }
}

/// When clients should try again, in seconds: at the expected end.
fn retry_after(maintenance: &Maintenance, now: DateTime<Utc>) -> u32 {
    let left = maintenance.until.map(|until| until.as_datetime().signed_duration_since(now).num_seconds());
    left.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(RETRY_SECS).clamp(RETRY_SECS, MAX_RETRY_SECS)
}

#[cfg(test)]
mod tests {
    use super::{Known, MaintenanceWatch, retry_after};
    use chrono::{DateTime, TimeDelta, Utc};
    use pvt_domain::actor::Actor;
    use pvt_domain::timestamp::Timestamp;
    use pvt_service::health::Finding;
    use pvt_stores::mongo::maintenance::Maintenance;
    use std::sync::Arc;

    fn until(until: Option<DateTime<Utc>>) -> Maintenance {
        let (since, actor) = (Utc::now().into(), Actor::from("operator"));
        Maintenance { since, until: until.map(Into::into), actor, reason: "a test".to_owned() }
    }

    #[test]
    fn clients_come_back_at_the_expected_end_within_limits() {
        let now = Timestamp::from(Utc::now()).as_datetime();
        let after = |seconds| retry_after(&until(Some(now + TimeDelta::seconds(seconds))), now);
        assert_eq!(retry_after(&until(None), now), 60);
        assert_eq!([after(-5), after(5), after(600), after(86_400)], [60, 60, 600, 900]);
    }

    #[test]
    fn last_reading_stands_while_mongodb_cannot_be_read() {
        let down = || Err("no primary".to_owned());
        let watch = MaintenanceWatch::of(None);
        assert!(watch.take(down()).is_err() && watch.allow_change().is_ok());
        watch.take(Ok(Some(until(None)))).unwrap();
        assert!(watch.take(down()).is_err() && watch.allow_change().is_err_and(|it| it.code() == "maintenance"));
        watch.take(Ok(None)).unwrap();
        assert!(watch.allow_change().is_ok());
        watch.0.store(Arc::new(Known::Nothing));
        assert!(watch.take(down()).is_err() && watch.allow_change().is_err_and(|it| it.code() == "not_ready"));
    }

    #[tokio::test]
    async fn changes_are_refused_in_maintenance_and_before_it_is_known() {
        let watch = MaintenanceWatch::of(None);
        assert!(watch.allow_change().is_ok() && watch.finding() == Finding::Up(None));
        watch.learn(Known::On(until(None)));
        assert_eq!(watch.allow_change().unwrap_err().code(), "maintenance");
        assert!(matches!(watch.finding(), Finding::Degraded(words) if words.ends_with("by operator: a test")));
        watch.0.store(Arc::new(Known::Nothing));
        assert_eq!(watch.allow_change().unwrap_err().code(), "not_ready");
        assert!(matches!(watch.finding(), Finding::Down(_)));
    }
}
