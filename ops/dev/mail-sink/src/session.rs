//! SMTP connections: reading, replying, and injecting faults.

use super::SinkState;
use super::dialogue::{Checkpoint, Dialogue, Received, Step};
use super::fault_injection::{FaultMode, FaultPoint};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Connections at once.
const MAX_CONNECTIONS: usize = 256;
/// An idle client is disconnected after this (RFC 5321 §4.5.3.2.7).
const IDLE_LIMIT: Duration = Duration::from_secs(300);
/// Pause after the operating system failed to accept a connection, for lack of file handles for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 64 * 1024;

/// Accepts connections until `shutdown`.
pub(super) async fn listen(listener: TcpListener, state: SinkState, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut sessions = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = sessions.join_next() => continue,
            () = shutdown.cancelled() => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                warn!(%error, "mail connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if state.faults.inject(FaultPoint::Connect) == Some(FaultMode::RefuseConnections) {
            reset(&socket);
            continue;
        }
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            debug!("too many mail connections");
            reset(&socket);
            continue;
        };
        let (state, shutdown) = (state.clone(), shutdown.clone());
        sessions.spawn(async move {
            let session = Session { socket, state, replies: Vec::new() }.run();
            tokio::select! {
                ended = session => if let Err(error) = ended { debug!(%error, "mail connection broken") },
                () = shutdown.cancelled() => {}
            }
            drop(permit);
        });
    }
    sessions.shutdown().await;
}

/// Closes the socket with a reset, which clients see as a refusal, instead of in an orderly way.
fn reset(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        debug!(%error, "refused connection closed without a reset");
    }
}

struct Session {
    socket: TcpStream,
    state: SinkState,
    replies: Vec<u8>,
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        self.push_reply("220 pvt mail sink ESMTP");
        self.flush().await?;
        let mut dialogue = Dialogue::new();
        let mut buffer: Vec<u8> = Vec::with_capacity(READ_BYTES);
        loop {
            if self.socket_read(&mut buffer).await? == 0 {
                return Ok(());
            }
            let mut used = 0;
            loop {
                let mut tarpit = false;
                let (taken, step) =
                    dialogue.step(&buffer[used..], &mut |checkpoint| refusal(&self.state, checkpoint, &mut tarpit));
                used += taken;
                if tarpit {
                    self.flush().await?;
                    tokio::time::sleep(self.state.faults.delay()).await;
                }
                match step {
                    Step::NeedMore => break,
                    Step::Reply(reply) => self.push_reply(&reply),
                    Step::Mail(mail) => {
                        if !self.keep(mail).await? {
                            return Ok(());
                        }
                    }
                    Step::Cut => {
                        reset(&self.socket);
                        return Ok(());
                    }
                    Step::Close(reply) => {
                        self.push_reply(&reply);
                        self.flush().await?;
                        return self.socket.shutdown().await;
                    }
                }
            }
            buffer.drain(..used);
            // Replies to pipelined commands are sent together.
            self.flush().await?;
        }
    }

    async fn socket_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.reserve(READ_BYTES);
        timeout(IDLE_LIMIT, self.socket.read_buf(buffer)).await.unwrap_or(Ok(0))
    }

    /// Keeps a mail and replies; `false` when the connection must be closed now.
    async fn keep(&mut self, mail: Received) -> io::Result<bool> {
        match self.state.store.keep(mail.from, mail.to, mail.raw) {
            Err(error) => {
                warn!(%error, "mail not kept");
                self.push_reply("451 4.3.0 could not be kept");
                Ok(true)
            }
            Ok(number) => match self.state.faults.inject(FaultPoint::Accepted) {
                Some(FaultMode::DropBefore250) => Ok(false),
                struck => {
                    self.push_reply(&format!("250 2.0.0 kept as {number}"));
                    if struck.is_none() {
                        return Ok(true);
                    }
                    self.flush().await?;
                    Ok(false)
                }
            },
        }
    }

    fn push_reply(&mut self, reply: &str) {
        self.replies.extend_from_slice(reply.as_bytes());
        self.replies.extend_from_slice(b"\r\n");
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.replies.is_empty() {
            self.socket.write_all(&self.replies).await?;
            self.replies.clear();
        }
        Ok(())
    }
}

/// The step that an injected fault takes in place of a command.
fn refusal(state: &SinkState, checkpoint: Checkpoint<'_>, tarpit: &mut bool) -> Option<Step> {
    let fault = match checkpoint {
        Checkpoint::Sender => state.faults.inject(FaultPoint::Mail),
        Checkpoint::Recipient(address) => state.faults.inject(FaultPoint::Recipient(address)),
    };
    match fault? {
        FaultMode::RefuseConnections | FaultMode::DropAtRecipient => Some(Step::Cut),
        FaultMode::SenderPolicy => Some(Step::Reply("550 5.7.1 sending quota of this account exceeded".into())),
        FaultMode::ServiceClosing => Some(Step::Close("421 4.3.2 closing".into())),
        FaultMode::TryLater => Some(Step::Reply("451 4.2.0 try again later".into())),
        FaultMode::NoSuchMailbox => Some(Step::Reply("550 5.1.1 no such mailbox".into())),
        FaultMode::Tarpit | FaultMode::TarpitRecipient => {
            *tarpit = true;
            None
        }
        FaultMode::DropBefore250 | FaultMode::DropAfter250 => None,
    }
}
