//! Connection handling. A response that is marked [`AbortConnection`] is not sent: its connection is closed instead.

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

/// Concurrent connections; further ones wait in the backlog of the socket.
const MAX_CONNECTIONS: usize = 4_096;
/// Time for the head of a request to arrive; a connection that is idle for longer is closed.
const HEAD_LIMIT: Duration = Duration::from_secs(75);
/// Connections that are still open this long after the signal to stop are cut.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Pause after a failed accept, for example because of too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    let accepting = async {
        // Never closed: the semaphore lives as long as this loop.
        while let Ok(place) = places.clone().acquire_owned().await {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Without it small responses are delayed; a failure only makes the connection slower.
            let _ = stream.set_nodelay(true);
            let router = router.clone();
            let service = service_fn(move |request: Request<Incoming>| answer(router.clone(), request));
            let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection ended with an error");
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    if tokio::time::timeout(DRAIN_LIMIT, open.shutdown()).await.is_err() {
        tracing::debug!("requests still in flight at shutdown");
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> std::io::Result<axum::response::Response> {
    let response = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
    match response.extensions().get::<AbortConnection>() {
        Some(AbortConnection) => Err(std::io::Error::other("connection aborted by fault injection")),
        None => Ok(response),
    }
}
