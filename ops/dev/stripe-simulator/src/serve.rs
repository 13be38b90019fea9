//! Accepting connections. An answer that is marked [`AbortConnection`] is not sent: its connection closes without a word.

use crate::http::AbortConnection;
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 4_096;
/// For a request's head to arrive; a connection that is idle for longer is closed.
const HEAD_LIMIT: Duration = Duration::from_secs(75);
/// Connections still open so long after the signal to stop are cut.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// After the system refused a connection, for example because of too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    let accepting = async {
        // Closed never: the semaphore lives as long as this loop.
        while let Ok(place) = places.clone().acquire_owned().await {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Without it every small answer waits for more; a connection that cannot have it is only slower.
            let _ = stream.set_nodelay(true);
            let router = router.clone();
            let service = service_fn(move |request: Request<Incoming>| answer(router.clone(), request));
            let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended badly");
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    if tokio::time::timeout(DRAIN_LIMIT, open.shutdown()).await.is_err() {
        tracing::debug!("requests were still under way at the end");
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> std::io::Result<axum::response::Response> {
    let response = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
    match response.extensions().get::<AbortConnection>() {
        Some(AbortConnection) => Err(std::io::Error::other("no answer, as was asked for")),
        None => Ok(response),
    }
}
