//! A load balancer before several API processes: forwards TCP connections, in turn, to those that say that they are
//! ready.

use anyhow::Result;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::interval;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Between two looks at who is ready.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A running balancer, stopped on drop.
pub(crate) struct Balancer {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Balancer {
    /// Balances between these addresses, once at least one of them is ready.
    pub(crate) async fn start(backends: Vec<SocketAddr>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let (known, mut ready) = watch::channel(Vec::new());
        tokio::spawn(stop.clone().run_until_cancelled_owned(check(backends, known)));
        ready.wait_for(|ready| !ready.is_empty()).await?;
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, ready)));
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Asks every backend again and again.
async fn check(backends: Vec<SocketAddr>, known: watch::Sender<Vec<SocketAddr>>) {
    let http = reqwest::Client::new();
    let mut turns = interval(CHECK_INTERVAL);
    loop {
        turns.tick().await;
        let mut ready = Vec::new();
        for backend in &backends {
            let answer = http.get(format!("http://{backend}/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                ready.push(*backend);
            }
        }
        known.send_replace(ready);
    }
}

/// A connection for which no backend is ready, or whose backend refuses, is dropped: its client sees an error.
async fn accept(listener: TcpListener, ready: watch::Receiver<Vec<SocketAddr>>) {
    let mut turn = 0;
    while let Ok((mut client, _)) = listener.accept().await {
        let backend = {
            let ready = ready.borrow();
            turn += 1;
            ready.get(turn % ready.len().max(1)).copied()
        };
        tokio::spawn(async move {
            let mut server = TcpStream::connect(backend.ok_or(std::io::ErrorKind::NotConnected)?).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}
