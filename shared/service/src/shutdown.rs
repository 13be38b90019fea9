//! Shutdown on a signal, as a token that everything long-running watches.

use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Exit status after a second signal: what shells report for a process ended by SIGINT.
const STATUS_FORCED: i32 = 130;

/// A token that is cancelled by SIGTERM or SIGINT; a second signal ends the process at once. Must be called within a
/// tokio runtime.
///
/// # Errors
/// When the system refuses to install the handlers.
pub fn signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = first(&mut terminate, &mut interrupt).await;
        info!(signal = name, "stopping: what has begun is finished first");
        cancelled.cancel();
        let name = first(&mut terminate, &mut interrupt).await;
        warn!(signal = name, "second signal received, exiting immediately");
        std::process::exit(STATUS_FORCED);
    });
    Ok(token)
}

async fn first(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
