//! A slow network: forwards TCP connections on loopback and holds back every piece of data for a while.

use anyhow::Result;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Pieces in flight in one direction of a connection.
const IN_FLIGHT: usize = 1_024;
const PIECE_BYTES: usize = 64 * 1_024;

/// A slow way to a server; it ends when this is dropped.
#[derive(Debug)]
pub struct SlowLink {
    address: String,
    _connections: JoinSet<()>,
}

impl SlowLink {
    /// Listens on loopback and forwards to `target` (host and port), `delay` later in each direction.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(target: &str, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let target = target.to_owned();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut forwarded = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                forwarded.spawn(forward(from_client, to_server, delay));
                forwarded.spawn(forward(from_server, to_client, delay));
            }
        });
        Ok(Self { address, _connections: connections })
    }

    /// Its host and port.
    pub fn address(&self) -> &str {
        &self.address
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let reading = async move {
        let mut buffer = vec![0; PIECE_BYTES];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if sender.send((Instant::now() + delay, buffer[..read].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(reading, writing);
}
