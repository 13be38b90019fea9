//! One connection to a mail server, and the delivery of mails on it.

use super::DeliveryOutcome;
use super::pool::SmtpLimits;
use super::tls::TlsClient;
use super::url::{Security, SmtpUrl};
use crate::mail::{MailError, OutgoingMail};
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use memchr::memmem;
use std::fmt;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// The server closes the connection after this reply (RFC 5321 §3.8).
const CLOSING: &str = "421";
/// Longest reply that is kept, in characters.
const MAX_REPLY_CHARS: usize = 200;

/// Opens connections.
pub(super) struct Connector {
    url: SmtpUrl,
    hello: ClientId,
    tls: Option<TlsClient>,
    start_tls: Option<TlsParameters>,
    limits: SmtpLimits,
}

impl Connector {
    pub(super) fn new(url: SmtpUrl, hello_name: &str, limits: SmtpLimits) -> Result<Self, MailError> {
        let tls = (url.security == Security::Tls).then(|| TlsClient::new(&url.host)).transpose()?;
        let start_tls = (url.security == Security::StartTls).then(|| TlsParameters::new(url.host.clone())).transpose();
        let start_tls = start_tls.map_err(|error| MailError::Tls(error.to_string()))?;
        Ok(Self { hello: ClientId::Domain(hello_name.to_owned()), url, tls, start_tls, limits })
    }

    /// Opens a connection that is ready for mails. The error is for operators.
    pub(super) async fn open(&self) -> Result<Connection, String> {
        let limit = self.limits.connect_timeout;
        timeout(limit, self.connect()).await.unwrap_or_else(|_| Err(format!("no usable connection within {limit:?}")))
    }

    async fn connect(&self) -> Result<Connection, String> {
        let socket = TcpStream::connect((self.url.host.as_str(), self.url.port))
            .await
            .map_err(|error| format!("connecting: {error}"))?;
        // A delivery is a sequence of small writes: without this each waits 40 ms for a delayed acknowledgement.
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
            smtp.starttls(parameters.clone(), &self.hello)
                .await
                .map_err(|error| format!("STARTTLS: {}", describe(&error)))?;
        }
        // The library keeps only the extensions that it uses itself, so EHLO is sent once more for PIPELINING.
        let hello =
            smtp.command(Ehlo::new(self.hello.clone())).await.map_err(|error| format!("EHLO: {}", describe(&error)))?;
        let pipelining = hello.message().any(|line| line.eq_ignore_ascii_case("PIPELINING"));
        if let Some(credentials) = &self.url.credentials {
            smtp.auth(DEFAULT_MECHANISMS, credentials).await.map_err(|error| format!("AUTH: {}", describe(&error)))?;
        }
        Ok(Connection {
            smtp,
            pipelining,
            used: false,
            idle_since: Instant::now(),
            opened: None,
            reply_timeout: self.limits.reply_timeout,
            accept_timeout: self.limits.accept_timeout,
        })
    }
}

/// An open connection.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    pipelining: bool,
    /// Whether it has carried a mail: the server may have closed it since.
    pub(super) used: bool,
    pub(super) idle_since: Instant,
    /// The reply to an envelope that was sent ahead of its mail.
    opened: Option<Result<(), NegativeReply>>,
    reply_timeout: Duration,
    accept_timeout: Duration,
}

/// The end of a delivery.
pub(super) struct Delivery {
    pub(super) outcome: DeliveryOutcome,
    /// Whether the connection can carry another mail.
    pub(super) usable: bool,
}

/// A negative reply, or a lost connection.
#[derive(Clone)]
struct NegativeReply {
    outcome: DeliveryOutcome,
    usable: bool,
}

impl NegativeReply {
    /// The end of the delivery, without the address that servers like to repeat.
    fn without(self, recipient: &str) -> Delivery {
        let outcome = match self.outcome {
            DeliveryOutcome::Refused(reply) => DeliveryOutcome::Refused(without_address(&reply, recipient)),
            DeliveryOutcome::Deferred(reply) => DeliveryOutcome::Deferred(without_address(&reply, recipient)),
            DeliveryOutcome::Unsent(reply) => DeliveryOutcome::Unsent(without_address(&reply, recipient)),
            other => other,
        };
        Delivery { outcome, usable: self.usable }
    }
}

impl Connection {
    /// Delivers one mail. If the server supports pipelining, the envelope of the `next` one is sent with it, which
    /// halves the round trips; that mail must then be the next one delivered here.
    pub(super) async fn deliver(&mut self, mail: &OutgoingMail, next: Option<&OutgoingMail>) -> Delivery {
        self.used = true;
        let recipient = mail.envelope.to().first().map(ToString::to_string).unwrap_or_default();
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => match self.opening(mail) {
                Err(reason) => return Delivery { outcome: DeliveryOutcome::Refused(reason.to_owned()), usable: true },
                Ok(opening) => timeout(self.reply_timeout, self.open(&opening))
                    .await
                    .unwrap_or_else(|_| Err(lost("no reply in time"))),
            },
        };
        if let Err(refused) = opened {
            return self.abandon(refused, &recipient).await;
        }
        let next = next.filter(|_| self.pipelining).and_then(|next| self.opening(next).ok());
        let text = MessageData { mail: &mail.message, next: next.as_ref() };
        let dialogue = match timeout(self.accept_timeout, self.smtp.command(text)).await {
            Ok(Ok(_)) => Delivery { outcome: DeliveryOutcome::Accepted, usable: true },
            Ok(Err(error)) if error.status().is_some() => refusal(&error).without(&recipient),
            Ok(Err(error)) => Delivery { outcome: DeliveryOutcome::Unknown(describe(&error)), usable: false },
            Err(_) => {
                Delivery { outcome: DeliveryOutcome::Unknown("no reply to the mail in time".to_owned()), usable: false }
            }
        };
        if next.is_some() && dialogue.usable {
            let opened = timeout(self.reply_timeout, self.finish_opening(None)).await;
            self.opened = Some(opened.unwrap_or_else(|_| Err(lost("no reply in time"))));
        }
        dialogue
    }

    /// Whether the server accepts mail from this sender now; ends the connection.
    pub(super) async fn accepts_mail_from(&mut self, sender: &Address) -> bool {
        let mail = Mail::new(Some(sender.clone()), Vec::new());
        matches!(timeout(self.reply_timeout, self.smtp.command(mail)).await, Ok(Ok(_)))
    }

    /// Whether an envelope was sent without its mail: nothing else can be sent here.
    pub(super) fn is_committed(&self) -> bool {
        self.opened.is_some()
    }

    fn opening(&self, mail: &OutgoingMail) -> Result<EnvelopeCommands, &'static str> {
        let [recipient] = mail.envelope.to() else { return Err("a mail has exactly one recipient") };
        let is_ascii = recipient.to_string().is_ascii();
        if !is_ascii && !self.smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err("the server does not support addresses beyond ASCII");
        }
        let parameters = if is_ascii { Vec::new() } else { vec![MailParameter::SmtpUtfEight] };
        Ok(EnvelopeCommands {
            mail: Mail::new(mail.envelope.from().cloned(), parameters),
            rcpt: Rcpt::new(recipient.clone(), Vec::new()),
        })
    }

    /// Sends `MAIL`, `RCPT` and `DATA`, in one packet if the server supports pipelining.
    async fn open(&mut self, opening: &EnvelopeCommands) -> Result<(), NegativeReply> {
        if !self.pipelining {
            self.smtp.command(&opening.mail).await.map_err(|error| sender_refusal(&error))?;
            self.smtp.command(&opening.rcpt).await.map_err(|error| refusal(&error))?;
            self.smtp.command(Data).await.map_err(|error| refusal(&error))?;
            return Ok(());
        }
        let first = self.smtp.command(opening).await;
        self.finish_opening(Some(first)).await
    }

    /// Reads the replies to `MAIL`, `RCPT` and `DATA`: always all three, or the next mail would read the rest.
    async fn finish_opening(&mut self, first: Option<Result<Response, Error>>) -> Result<(), NegativeReply> {
        let mail = match first {
            Some(mail) => mail,
            None => self.smtp.read_response().await,
        };
        let mail = mail.map_err(|error| sender_refusal(&error));
        let rcpt = self.next_reply(&mail).await?;
        let data = self.next_reply(&rcpt).await?;
        match mail.and(rcpt) {
            Ok(_) => data.map(drop),
            Err(refused) => {
                if data.is_ok() {
                    // Refused, and yet the server waits for the data: end it empty (RFC 2920 §3.1). Its reply has no
                    // meaning; a broken connection shows at the reset.
                    let _ = self.smtp.command(EndOfData).await;
                }
                Err(refused)
            }
        }
    }

    /// The next of several replies; fails only when none can follow the one before.
    async fn next_reply(
        &mut self,
        previous: &Result<Response, NegativeReply>,
    ) -> Result<Result<Response, NegativeReply>, NegativeReply> {
        if let Err(refused) = previous
            && !refused.usable
        {
            return Err(refused.clone());
        }
        Ok(self.smtp.read_response().await.map_err(|error| refusal(&error)))
    }

    /// Resets after a refused mail, so that the connection can carry the next.
    async fn abandon(&mut self, refused: NegativeReply, recipient: &str) -> Delivery {
        let usable = refused.usable && matches!(timeout(self.reply_timeout, self.smtp.command(Rset)).await, Ok(Ok(_)));
        Delivery { usable, ..refused.without(recipient) }
    }
}

/// What a negative reply means for this mail.
fn refusal(error: &Error) -> NegativeReply {
    let Some(code) = error.status() else { return lost(describe(error)) };
    let reply = describe(error);
    let outcome = match code.severity {
        Severity::PermanentNegativeCompletion if !is_about_the_sender(&reply) => DeliveryOutcome::Refused(reply),
        _ => DeliveryOutcome::Deferred(reply),
    };
    NegativeReply { outcome, usable: code.to_string() != CLOSING }
}

/// Whether a permanent refusal is a quota or policy of the sender's provider and not about the mail, which is then sent
/// again later: 5.4.5 as Google uses it, "daily user sending quota exceeded", and 5.7.x (RFC 3463 §3.8, policy) with a
/// text about a quota or limit. Other policies refuse this recipient or this mail.
fn is_about_the_sender(reply: &str) -> bool {
    const TEXTS: [&str; 4] = ["quota", "limit", "rate", "too many"];
    let status = reply.split_whitespace().find(|word| word.starts_with("5.") && word.matches('.').count() == 2);
    let text = reply.to_ascii_lowercase();
    let about_a_limit = TEXTS.iter().any(|word| text.contains(word));
    status.is_some_and(|status| status == "5.4.5" || (status.starts_with("5.7.") && about_a_limit))
}

/// A refused sender is not the mail's fault: every other mail would be refused too, so none may be given up for it.
fn sender_refusal(error: &Error) -> NegativeReply {
    match refusal(error) {
        NegativeReply { outcome: DeliveryOutcome::Refused(reply), usable } => {
            NegativeReply { outcome: DeliveryOutcome::Unsent(format!("the sender was refused: {reply}")), usable }
        }
        other => other,
    }
}

fn lost(reason: impl Into<String>) -> NegativeReply {
    NegativeReply { outcome: DeliveryOutcome::Unsent(reason.into()), usable: false }
}

/// The server's reply on one bounded line.
fn describe(error: &Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_REPLY_CHARS).collect()
}

/// The reply without the recipient's address.
fn without_address(reply: &str, address: &str) -> String {
    if address.is_empty() {
        return reply.to_owned();
    }
    let lowered = reply.to_ascii_lowercase();
    match lowered.find(&address.to_ascii_lowercase()) {
        Some(start) => without_address(&format!("{}…{}", &reply[..start], &reply[start + address.len()..]), address),
        None => reply.to_owned(),
    }
}

/// The commands before a mail, as one write.
struct EnvelopeCommands {
    mail: Mail,
    rcpt: Rcpt,
}

impl fmt::Display for EnvelopeCommands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{Data}", self.mail, self.rcpt)
    }
}

/// A mail in transparent form (RFC 5321 §4.5.2), its end, and the envelope of the next. The library's own command would
/// send the end in a packet of its own.
struct MessageData<'a> {
    mail: &'a str,
    next: Option<&'a EnvelopeCommands>,
}

impl fmt::Display for MessageData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mail.starts_with('.') {
            f.write_str(".")?;
        }
        let mut rest = self.mail;
        // Several times faster than `str::find`, which is noticeable in every mail.
        while let Some(at) = memmem::find(rest.as_bytes(), b"\r\n.") {
            let (line, next) = rest.split_at(at + "\r\n".len());
            f.write_str(line)?;
            f.write_str("..")?;
            rest = &next[".".len()..];
        }
        f.write_str(rest)?;
        f.write_str(if self.mail.ends_with("\r\n") { ".\r\n" } else { "\r\n.\r\n" })?;
        self.next.map_or(Ok(()), |next| next.fmt(f))
    }
}

/// The line that ends a mail.
struct EndOfData;

impl fmt::Display for EndOfData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(".\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::{MessageData, is_about_the_sender, without_address};

    #[test]
    fn refusal_for_the_senders_quota_or_policy_is_not_the_mails() {
        for reply in ["permanent error (550): 5.7.1 sending quota exceeded", "5.4.5 Daily user sending quota exceeded"]
        {
            assert!(is_about_the_sender(reply), "{reply}");
        }
        for reply in [
            "5.7.1 recipient refused",
            "5.4.1 access denied",
            "5.1.1 no such mailbox",
            "5.2.2 mailbox full",
            "no code",
            "permanent error (554): 192.5.7.1",
        ] {
            assert!(!is_about_the_sender(reply), "{reply}");
        }
    }

    #[test]
    fn message_is_dot_stuffed_and_terminated() {
        let text = |mail| MessageData { mail, next: None }.to_string();
        assert_eq!(text("a\r\n"), "a\r\n.\r\n");
        assert_eq!(text("a"), "a\r\n.\r\n");
        assert_eq!(text(""), "\r\n.\r\n");
        assert_eq!(text(".\r\n..b\r\n.\r\nc.d\r\n"), "..\r\n...b\r\n..\r\nc.d\r\n.\r\n");
    }

    #[test]
    fn stored_reply_has_no_address() {
        assert_eq!(
            without_address("550 <Ada@Example.com>: ada@example.com unknown", "ada@example.com"),
            "550 <…>: … unknown"
        );
        assert_eq!(without_address("451 try later", "ada@example.com"), "451 try later");
    }
}
