//! Health of a process: whether its dependencies answer.
//!
//! Each check has a timeout, all run at once, and a report is cached briefly, so that frequent probes do not load the
//! stores.

use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// For one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a report is given out again.
const REPORT_AGE: Duration = Duration::from_millis(500);

/// Whether a part, or the whole, works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Works.
    Up,
    /// Works, but something it can do without for a while does not.
    Degraded,
    /// Does not work.
    Down,
}

/// What a part's failure means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The process cannot do its work without it.
    Required,
    /// The process does most of its work without it.
    Optional,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Component {
    /// Which.
    pub name: &'static str,
    /// Its state.
    pub status: State,
    /// Whether the process depends on it.
    pub required: bool,
    /// How long it took to find out, in milliseconds.
    pub latency_ms: f64,
    /// What is known beyond that; never an address or a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// All parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The whole.
    pub status: State,
    /// Each part, in the order of their registration.
    pub components: Vec<Component>,
}

impl Report {
    /// Whether the process can do its work.
    pub fn is_ready(&self) -> bool {
        self.status != State::Down
    }

    fn of(components: Vec<Component>) -> Self {
        let status = if components.iter().any(|part| part.status == State::Down && part.required) {
            State::Down
        } else if components.iter().any(|part| part.status != State::Up) {
            State::Degraded
        } else {
            State::Up
        };
        Self { status, components }
    }
}

/// A check's answer, in words fit for the public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It works; a detail worth showing.
    Up(Option<String>),
    /// It works in part, and what does not.
    Degraded(String),
    /// It does not work, and why.
    Down(String),
}

impl From<Result<Option<String>, String>> for Finding {
    fn from(result: Result<Option<String>, String>) -> Self {
        match result {
            Ok(detail) => Self::Up(detail),
            Err(wrong) => Self::Down(wrong),
        }
    }
}

type Probe = Box<dyn Fn() -> BoxFuture<'static, Finding> + Send + Sync>;

struct Check {
    name: &'static str,
    need: Need,
    probe: Probe,
}

/// The checks of one process.
#[derive(Default)]
pub struct Health {
    checks: Vec<Check>,
    last: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| check.name)).finish()
    }
}

impl Health {
    /// No checks: always up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. It may be dropped half-way when it takes longer than two seconds.
    #[must_use]
    pub fn with<F>(mut self, name: &'static str, need: Need, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output: Into<Finding>> + Send + 'static,
    {
        let probe: Probe = Box::new(move || {
            let found = probe();
            Box::pin(async { found.await.into() })
        });
        self.checks.push(Check { name, need, probe });
        self
    }

    /// Runs all checks, or repeats a report that is less than half a second old.
    pub async fn report(&self) -> Arc<Report> {
        // Held while checking, so that many callers cause one round of checks.
        let mut last = self.last.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < REPORT_AGE
        {
            return report.clone();
        }
        let report = Arc::new(Report::of(join_all(self.checks.iter().map(Check::run)).await));
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

impl Check {
    async fn run(&self) -> Component {
        let begun = Instant::now();
        // Spawned: a driver's future that is dropped half-way may leave its connection in disorder.
        let finding = match timeout(CHECK_TIMEOUT, tokio::spawn((self.probe)())).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(_)) => Finding::Down("the check itself failed".to_owned()),
            Err(_) => Finding::Down(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
        };
        let latency_ms = (begun.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
        let required = self.need == Need::Required;
        let (status, detail) = match finding {
            Finding::Up(detail) => (State::Up, detail),
            Finding::Degraded(what) => (State::Degraded, Some(what)),
            Finding::Down(why) => (State::Down, Some(why)),
        };
        Component { name: self.name, status, required, latency_ms, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Health, Need, State};

    #[tokio::test]
    async fn an_optional_part_degrades_and_a_required_one_stops() {
        let up = || async { Ok(None) };
        let down = || async { Err("gone".to_owned()) };
        let partly = || async { Finding::Degraded("slow".to_owned()) };
        let status = |health: Health| async move { health.report().await.status };
        assert_eq!(status(Health::new().with("a", Need::Required, up)).await, State::Up);
        assert_eq!(
            status(Health::new().with("a", Need::Required, up).with("b", Need::Optional, down)).await,
            State::Degraded
        );
        assert_eq!(status(Health::new().with("a", Need::Required, partly)).await, State::Degraded);
        assert_eq!(
            status(Health::new().with("a", Need::Required, down).with("b", Need::Optional, up)).await,
            State::Down
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_or_panics_counts_as_down() {
        async fn panics() -> Finding {
            panic!("boom")
        }
        let hangs = std::future::pending::<Finding>;
        let health = Health::new().with("hangs", Need::Required, hangs).with("panics", Need::Optional, panics);
        let report = health.report().await;
        assert!(report.components.iter().all(|part| part.status == State::Down), "{report:?}");
    }
}
