//! Watches the engines while the system runs, and starts one again that has died.

use crate::output;
use pvt_local_engines::{EngineKind, Instance};
use pvt_messaging::Backoff;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_secs(1);
const FIRST_RESTART: Duration = Duration::from_millis(500);
const SLOWEST_RESTART: Duration = Duration::from_secs(30);
/// An engine that lived this long after a restart is well again.
const STABLE_AFTER_CHECKS: u32 = 60;

/// Watches those of `kinds` that run as local programs; Docker looks after its own. Never ends by itself, and may be
/// dropped at any moment: an engine that is being started is on record before it runs.
pub(super) async fn watch(instance: &Instance, kinds: &[EngineKind]) {
    let local = kinds.iter().filter(|kind| pid(instance, **kind).is_some());
    let watches = local.map(|kind| watch_one(instance, *kind));
    futures_util::future::join_all(watches).await;
}

async fn watch_one(instance: &Instance, kind: EngineKind) {
    let mut backoff = Backoff::new(FIRST_RESTART, SLOWEST_RESTART);
    let mut looks_since_restart = 0_u32;
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        if pid(instance, kind).is_some() {
            looks_since_restart = looks_since_restart.saturating_add(1);
            if looks_since_restart == STABLE_AFTER_CHECKS {
                backoff.reset();
            }
            continue;
        }
        looks_since_restart = 0;
        let wait = backoff.step();
        output::note(format_args!(
            "  {kind} ended: starting it again; what needs it waits meanwhile (log: {})",
            instance.log(kind).display()
        ));
        tokio::time::sleep(wait).await;
        let progress = |line: &str| output::note(format_args!("  {line}"));
        if let Err(error) = instance.ensure(&[kind], &progress).await {
            output::note(format_args!("  {error}"));
        }
    }
}

fn pid(instance: &Instance, kind: EngineKind) -> Option<i32> {
    instance.engine(kind).pid().ok().flatten()
}
