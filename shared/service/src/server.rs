//! Connections: bounded in number, bounded in the time a head may take, drained on shutdown.

use crate::client_address::Peer;
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, warn};

/// Connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 4_096;
/// For a request's head to arrive; a connection that is idle for longer is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// After the system refused a connection, for example because of too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Largest head, in bytes. hyper wants at least 8 KiB; cookies and tracing headers of proxies need some.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Serves until `stop`, then lets requests that have begun finish, at most `drain` long.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken, drain: Duration) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES).pipeline_flush(true);
    let accepting = async {
        loop {
            // Closed never: the semaphore lives as long as this loop.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (stream, peer) = accept(&listener).await;
            let from = move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                request
            };
            let service = TowerToHyperService::new(router.clone().map_request(from));
            let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    debug!(%error, "a connection failed");
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    if timeout(drain, open.shutdown()).await.is_err() {
        warn!("requests were still under way at the end");
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are small and complete: nothing is gained by waiting for more.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "no TCP_NODELAY");
                }
                return (stream, peer.ip());
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
