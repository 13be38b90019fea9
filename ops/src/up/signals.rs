//! Ctrl-C while `pvt up` runs: the first one stops everything in order, the second one by force. Neither leaves a
//! process behind.

use super::record::RunRecord;
use crate::output;
use anyhow::Result;
use pvt_local_engines::{Instance, Urls};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What shells report for a program ended by Ctrl-C.
const STATUS_FORCED: i32 = 130;

/// A token that the first signal cancels. The second one ends our processes and engines, and this program.
pub(super) fn listen(instance: &Instance) -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (told, instance) = (token.clone(), instance.clone());
    tokio::spawn(async move {
        wait(&mut terminate, &mut interrupt).await;
        output::note("\nStopping: what has begun is finished first. (Ctrl-C again stops at once.)");
        told.cancel();
        wait(&mut terminate, &mut interrupt).await;
        output::note(
            "Told twice: ending all processes and engines at once. What was accepted is kept, and goes on with the \
                next `pvt up`.",
        );
        if let Err(error) = end_all(&instance).await {
            output::note(format_args!("  {error:#}\n  `pvt down` ends what is left"));
        }
        std::process::exit(STATUS_FORCED);
    });
    Ok(token)
}

async fn wait(terminate: &mut tokio::signal::unix::Signal, interrupt: &mut tokio::signal::unix::Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn end_all(instance: &Instance) -> Result<()> {
    for process in RunRecord::load(instance.state_dir())?.map(|record| record.processes).unwrap_or_default() {
        process.identity.signal(Signal::KILL);
    }
    instance.force_stop(&Urls::from_env().missing()).await?;
    RunRecord::remove(instance.state_dir())
}
