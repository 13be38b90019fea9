//! Minimal HTTP/1.1 client: one request at a time over a persistent connection, responses with a `Content-Length`. It
//! shares the machine with what it measures, so it does no more than that.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest response.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const READ_BYTES: usize = 4 * 1024;

/// A persistent connection.
pub(super) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response, valid until the next request is sent.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends a whole request and reads its whole response. After an error the connection is unusable.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.received.clear();
        self.stream.write_all(request).await?;
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(head) = Head::read(&self.received)? {
                let end = head.bytes + head.body_bytes;
                if self.received.len() >= end {
                    let body = self.received.get(head.bytes..end).unwrap_or_default();
                    return Ok(Answer { status: head.status, body });
                }
            }
            if self.received.len() > ANSWER_BYTES_MAX {
                return Err(broken("a response without an end"));
            }
        }
    }
}

/// One request over a connection of its own.
pub(super) async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.exchange(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    Ok((answer.status, String::from_utf8_lossy(answer.body).into_owned()))
}

struct Head {
    status: u16,
    /// Including the blank line.
    bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// `None` while it is incomplete.
    fn read(received: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(received.get(..end).unwrap_or_default())
            .map_err(|_| broken("a head that is not text"))?;
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(|| broken("no status"))?;
        let length =
            lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let body_bytes =
            length.and_then(|(_, value)| value.trim().parse().ok()).ok_or_else(|| broken("no Content-Length"))?;
        Ok(Some(Self { status, bytes: end + 4, body_bytes }))
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn response_head_is_parsed_once_complete() {
        let answer = b"HTTP/1.1 202 Accepted\r\nlocation: /x\r\ncontent-length: 12\r\n\r\n{\"id\"";
        for cut in 0..answer.len() - 5 {
            assert!(Head::read(&answer[..cut]).unwrap().is_none(), "{cut}");
        }
        let head = Head::read(answer).unwrap().unwrap();
        assert_eq!((head.status, head.bytes, head.body_bytes), (202, answer.len() - 5, 12));
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "an answer without a length has no known end");
    }
}
