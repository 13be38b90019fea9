//! One connection to a mail server, and the dialogue of one letter.

use super::Outcome;
use super::pool::SmtpLimits;
use super::tls::TlsClient;
use super::url::{Security, SmtpUrl};
use crate::mail::{Letter, MailError};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use std::fmt;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// The server closes the connection after this reply (RFC 5321 §3.8).
const CLOSING: &str = "421";
/// Longest reply that is kept, in characters.
const MAX_REPLY_CHARS: usize = 200;

/// Everything that opening a connection needs.
pub(super) struct Dialler {
    url: SmtpUrl,
    hello: ClientId,
    tls: Option<TlsClient>,
    start_tls: Option<TlsParameters>,
    limits: SmtpLimits,
}

impl Dialler {
    pub(super) fn new(url: SmtpUrl, hello_name: &str, limits: SmtpLimits) -> Result<Self, MailError> {
        let tls = (url.security == Security::Tls).then(|| TlsClient::new(&url.host)).transpose()?;
        let start_tls = (url.security == Security::StartTls).then(|| TlsParameters::new(url.host.clone())).transpose();
        let start_tls = start_tls.map_err(|error| MailError::Tls(error.to_string()))?;
        Ok(Self { hello: ClientId::Domain(hello_name.to_owned()), url, tls, start_tls, limits })
    }

    /// Opens a connection that is ready for letters. The error is the operator's to read.
    pub(super) async fn open(&self) -> Result<Connection, String> {
        let limit = self.limits.connect_timeout;
        timeout(limit, self.dial()).await.unwrap_or_else(|_| Err(format!("no usable connection within {limit:?}")))
    }

    async fn dial(&self) -> Result<Connection, String> {
        let socket = TcpStream::connect((self.url.host.as_str(), self.url.port)).await.map_err(|error| format!("connecting: {error}"))?;
        // A letter is a dialogue of small writes: without this each waits 40 ms for the other side's delayed acknowledgement.
        socket.set_nodelay(true).map_err(|error| format!("setting TCP_NODELAY: {error}"))?;
        let greeting = match &self.tls {
            Some(tls) => {
                let encrypted = tls.wrap(socket).await.map_err(|error| format!("TLS handshake: {error}"))?;
                AsyncSmtpConnection::connect_with_transport(Box::new(encrypted), &self.hello).await
            }
            None => AsyncSmtpConnection::connect_with_transport(Box::new(socket), &self.hello).await,
        };
        let mut smtp = greeting.map_err(|error| format!("greeting: {}", describe(&error)))?;
        if let Some(parameters) = &self.start_tls {
            smtp.starttls(parameters.clone(), &self.hello).await.map_err(|error| format!("STARTTLS: {}", describe(&error)))?;
        }
        // The library keeps only the extensions that it uses itself, so pipelining is asked for once more.
        let hello = smtp.command(Ehlo::new(self.hello.clone())).await.map_err(|error| format!("EHLO: {}", describe(&error)))?;
        let pipelining = hello.message().any(|line| line.eq_ignore_ascii_case("PIPELINING"));
        if let Some(credentials) = &self.url.credentials {
            smtp.auth(DEFAULT_MECHANISMS, credentials).await.map_err(|error| format!("AUTH: {}", describe(&error)))?;
        }
        Ok(Connection {
            smtp,
            pipelining,
            used: false,
            idle_since: Instant::now(),
            reply_timeout: self.limits.reply_timeout,
            accept_timeout: self.limits.accept_timeout,
        })
    }
}

/// An open connection.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    pipelining: bool,
    /// Whether it has carried a letter: then the server may have closed it meanwhile.
    pub(super) used: bool,
    pub(super) idle_since: Instant,
    reply_timeout: Duration,
    accept_timeout: Duration,
}

/// What the dialogue of a letter came to.
pub(super) struct Dialogue {
    pub(super) outcome: Outcome,
    /// Whether the connection can carry another letter.
    pub(super) usable: bool,
}

/// A reply other than the one hoped for.
struct Stop {
    outcome: Outcome,
    usable: bool,
}

impl Connection {
    /// Hands one letter over.
    pub(super) async fn deliver(&mut self, letter: &Letter) -> Dialogue {
        self.used = true;
        let recipients = letter.envelope.to();
        let (Some(recipient), 1) = (recipients.first(), recipients.len()) else {
            return Dialogue { outcome: Outcome::Refused("a letter has exactly one recipient".to_owned()), usable: true };
        };
        let address = recipient.to_string();
        if !address.is_ascii() && !self.smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Dialogue { outcome: Outcome::Refused("the server takes no addresses beyond ASCII".to_owned()), usable: true };
        }
        let parameters = if address.is_ascii() { Vec::new() } else { vec![MailParameter::SmtpUtfEight] };
        let opening = Opening { mail: Mail::new(letter.envelope.from().cloned(), parameters), rcpt: Rcpt::new(recipient.clone(), Vec::new()) };
        let opened = timeout(self.reply_timeout, self.open_letter(&opening)).await;
        match opened.unwrap_or_else(|_| Err(lost("no reply in time"))) {
            Ok(()) => {}
            Err(stop) => return self.abandon(stop, &address).await,
        }
        let accepted = timeout(self.accept_timeout, self.smtp.message(&letter.message)).await;
        match accepted {
            Ok(Ok(_)) => Dialogue { outcome: Outcome::Accepted, usable: true },
            Ok(Err(error)) if error.status().is_some() => self.abandon(refusal(&error), &address).await,
            Ok(Err(error)) => Dialogue { outcome: Outcome::Unknown(describe(&error)), usable: false },
            Err(_) => Dialogue { outcome: Outcome::Unknown("no reply to the letter in time".to_owned()), usable: false },
        }
    }

    /// `MAIL`, `RCPT` and `DATA`, in one packet where the server allows it.
    async fn open_letter(&mut self, opening: &Opening) -> Result<(), Stop> {
        if !self.pipelining {
            self.smtp.command(&opening.mail).await.map_err(|error| sender_refusal(&error))?;
            self.smtp.command(&opening.rcpt).await.map_err(|error| refusal(&error))?;
            self.smtp.command(Data).await.map_err(|error| refusal(&error))?;
            return Ok(());
        }
        let mail = self.smtp.command(opening).await.map_err(|error| sender_refusal(&error));
        // All three replies are read whatever they are, or the next letter would read them.
        let rcpt = self.next_reply(&mail).await?;
        let data = self.next_reply(&rcpt).await?;
        match mail.and(rcpt) {
            Ok(_) => data.map(drop),
            Err(stop) => {
                if data.is_ok() {
                    // Refused, and yet the server waits for the letter: end it empty (RFC 2920 §3.1). Whatever it says to that is meant for
                    // nobody; a broken connection shows when it is reset.
                    let _ = self.smtp.command(EndOfData).await;
                }
                Err(stop)
            }
        }
    }

    /// The next of several replies; fails only when none can follow the one before.
    async fn next_reply(&mut self, previous: &Result<Response, Stop>) -> Result<Result<Response, Stop>, Stop> {
        if let Err(stop) = previous
            && !stop.usable
        {
            return Err(Stop { outcome: stop.outcome.clone(), usable: false });
        }
        Ok(self.smtp.read_response().await.map_err(|error| refusal(&error)))
    }

    /// Ends a refused letter so that the connection can carry the next.
    async fn abandon(&mut self, stop: Stop, address: &str) -> Dialogue {
        let usable = stop.usable && matches!(timeout(self.reply_timeout, self.smtp.command(Rset)).await, Ok(Ok(_)));
        let without = |reply: String| without_address(&reply, address);
        let outcome = match stop.outcome {
            Outcome::Refused(reply) => Outcome::Refused(without(reply)),
            Outcome::Later(reply) => Outcome::Later(without(reply)),
            Outcome::Unsent(reply) => Outcome::Unsent(without(reply)),
            other => other,
        };
        Dialogue { outcome, usable }
    }
}

/// What a negative reply says about this letter.
fn refusal(error: &Error) -> Stop {
    let Some(code) = error.status() else { return lost(describe(error)) };
    let outcome = match code.severity {
        Severity::PermanentNegativeCompletion => Outcome::Refused(describe(error)),
        _ => Outcome::Later(describe(error)),
    };
    Stop { outcome, usable: code.to_string() != CLOSING }
}

/// A refused sender is no fault of the letter: every other would be refused as well, so none may be given up for it.
fn sender_refusal(error: &Error) -> Stop {
    match refusal(error) {
        Stop { outcome: Outcome::Refused(reply), usable } => Stop { outcome: Outcome::Unsent(format!("the sender is refused: {reply}")), usable },
        other => other,
    }
}

fn lost(reason: impl Into<String>) -> Stop {
    Stop { outcome: Outcome::Unsent(reason.into()), usable: false }
}

/// The server's words on one bounded line.
fn describe(error: &Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_REPLY_CHARS).collect()
}

/// Servers like to repeat the recipient in a refusal; what is kept of it must not.
fn without_address(reply: &str, address: &str) -> String {
    let lowered = reply.to_ascii_lowercase();
    match lowered.find(&address.to_ascii_lowercase()) {
        Some(start) => without_address(&format!("{}…{}", &reply[..start], &reply[start + address.len()..]), address),
        None => reply.to_owned(),
    }
}

/// The commands before a letter, as one write.
struct Opening {
    mail: Mail,
    rcpt: Rcpt,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{Data}", self.mail, self.rcpt)
    }
}

/// The line that ends a letter.
struct EndOfData;

impl fmt::Display for EndOfData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(".\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::without_address;

    #[test]
    fn a_kept_reply_names_nobody() {
        assert_eq!(without_address("550 <Ada@Example.com>: ada@example.com unknown", "ada@example.com"), "550 <…>: … unknown");
        assert_eq!(without_address("451 try later", "ada@example.com"), "451 try later");
    }
}
