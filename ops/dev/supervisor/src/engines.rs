//! Watch over the local engines while the system runs: one that has died is restarted.

use backon::{BackoffBuilder as _, ExponentialBuilder};
use pvt_local_engines::{EngineKind, Instance};
use pvt_operations::terminal;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RESTART_DELAY: Duration = Duration::from_secs(15);
/// 250–500 ms, doubling to 15–30 s with jitter.
const RESTART: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_max_delay(MAX_RESTART_DELAY)
    .with_jitter()
    .without_max_times();
/// Checks after which a restarted engine counts as stable.
const STABLE_AFTER_CHECKS: u32 = 60;

/// Watches those of `kinds` that run as local programs; Docker restarts its own containers. It never ends by itself and
/// may be dropped at any moment: an engine that is being started is recorded before it runs.
pub(super) async fn watch(instance: &Instance, kinds: &[EngineKind]) {
    let local = kinds.iter().filter(|kind| pid(instance, **kind).is_some());
    let watches = local.map(|kind| watch_one(instance, *kind));
    futures_util::future::join_all(watches).await;
}

async fn watch_one(instance: &Instance, kind: EngineKind) {
    let mut delays = RESTART.build();
    let mut checks_since_restart = 0_u32;
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        if pid(instance, kind).is_some() {
            checks_since_restart = checks_since_restart.saturating_add(1);
            if checks_since_restart == STABLE_AFTER_CHECKS {
                delays = RESTART.build();
            }
            continue;
        }
        checks_since_restart = 0;
        let wait = delays.next().unwrap_or(MAX_RESTART_DELAY);
        terminal::note(format_args!(
            "  {kind} ended, restarting it; processes that need it wait (log: {})",
            instance.log(kind).display()
        ));
        tokio::time::sleep(wait).await;
        let progress = |line: &str| terminal::note(format_args!("  {line}"));
        if let Err(error) = instance.ensure(&[kind], &progress).await {
            terminal::note(format_args!("  {error}"));
        }
    }
}

fn pid(instance: &Instance, kind: EngineKind) -> Option<i32> {
    instance.engine(kind).pid().ok().flatten()
}
