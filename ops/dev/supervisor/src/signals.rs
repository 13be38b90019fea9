//! Signals of `pvt up`: the first Ctrl-C stops everything in order, the second one by force. Neither leaves a process
//! behind.

use super::record::RunRecord;
use anyhow::Result;
use pvt_local_engines::{Instance, Urls};
use pvt_operations::terminal;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status that shells report for a program ended by Ctrl-C.
const STATUS_FORCED: i32 = 130;

/// A token that the first signal cancels. The second one kills the processes and engines and ends this program.
pub(super) fn listen(instance: &Instance) -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, instance) = (token.clone(), instance.clone());
    tokio::spawn(async move {
        wait(&mut terminate, &mut interrupt).await;
        terminal::note("\nStopping: work in progress is finished first. (Ctrl-C again stops at once.)");
        stop.cancel();
        wait(&mut terminate, &mut interrupt).await;
        terminal::note(
            "Second signal received: killing all processes and engines. Accepted work is kept and continues with the \
            next `pvt up`.",
        );
        if let Err(error) = end_all(&instance).await {
            terminal::note(format_args!("  {error:#}\n  `pvt down` ends the rest"));
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
