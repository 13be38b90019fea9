//! Server side of SMTP (RFC 5321) as a pure state machine: bytes in, steps out. It does no I/O and must not panic on
//! any input.

use std::borrow::Cow;

/// Largest message that is accepted, in bytes.
pub(super) const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Longest command line, in bytes; RFC 5321 asks for 512 and more for extensions.
pub(super) const MAX_LINE_BYTES: usize = 2_048;
/// Most recipients of one mail.
pub(super) const MAX_RECIPIENTS: usize = 100;
/// Longest address, in bytes (RFC 5321 §4.5.3.1.3, rounded up).
const MAX_PATH_BYTES: usize = 320;
/// A session with more errors than this is closed.
const MAX_ERRORS: u32 = 20;

/// A mail as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    /// The envelope's sender; empty for bounces.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The message without dot stuffing.
    pub raw: Vec<u8>,
}

/// The next step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Read more input.
    NeedMore,
    /// Send this reply.
    Reply(Cow<'static, str>),
    /// Send this reply and close the connection.
    Close(Cow<'static, str>),
    /// Close the connection without a reply.
    Cut,
    /// Keep the mail, then reply.
    Mail(Received),
}

/// A command that fault injection may interfere with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checkpoint<'a> {
    /// `MAIL`.
    Sender,
    /// `RCPT` of this address.
    Recipient(&'a str),
}

#[derive(Debug)]
enum Phase {
    /// Between mails.
    Idle,
    /// After `MAIL`, with the recipients so far.
    Envelope { from: String, to: Vec<String> },
    /// After `DATA`.
    Body { from: String, to: Vec<String>, raw: Vec<u8>, oversize: bool },
}

/// One SMTP session.
#[derive(Debug)]
pub(super) struct Dialogue {
    phase: Phase,
    greeted: bool,
    errors: u32,
}

impl Dialogue {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Idle, greeted: false, errors: 0 }
    }

    /// Takes one step. `input` begins with what was not used before; returns how many bytes this step used.
    /// `checkpoint` may refuse a sender or a recipient with a step of its own.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        checkpoint: &mut dyn FnMut(Checkpoint<'_>) -> Option<Step>,
    ) -> (usize, Step) {
        if matches!(self.phase, Phase::Body { .. }) {
            return self.body(input);
        }
        let Some(end) = input.iter().take(MAX_LINE_BYTES).position(|byte| *byte == b'\n') else {
            return match input.len() >= MAX_LINE_BYTES {
                true => (input.len(), Step::Close("500 5.5.6 line too long".into())),
                false => (0, Step::NeedMore),
            };
        };
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        let step = match std::str::from_utf8(line) {
            Ok(line) if !line.chars().any(char::is_control) => self.command(line, checkpoint),
            _ => self.error("501 5.5.2 not a command"),
        };
        (end + 1, step)
    }

    fn command(&mut self, line: &str, checkpoint: &mut dyn FnMut(Checkpoint<'_>) -> Option<Step>) -> Step {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" if !rest.trim().is_empty() => {
                self.greet();
                let hello = format!(
                    "250-pvt mail sink\r\n250-PIPELINING\r\n250-SIZE \
                        {MAX_MESSAGE_BYTES}\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8"
                );
                Step::Reply(hello.into())
            }
            "HELO" if !rest.trim().is_empty() => {
                self.greet();
                Step::Reply("250 pvt mail sink".into())
            }
            "EHLO" | "HELO" => self.error("501 5.5.4 name the client"),
            "MAIL" => self.mail(rest, checkpoint),
            "RCPT" => self.rcpt(rest, checkpoint),
            "DATA" => self.data(),
            "RSET" => {
                self.phase = Phase::Idle;
                Step::Reply("250 2.0.0 reset".into())
            }
            "NOOP" => Step::Reply("250 2.0.0 ok".into()),
            "VRFY" => Step::Reply("252 2.5.0 cannot verify".into()),
            "QUIT" => Step::Close("221 2.0.0 bye".into()),
            _ => self.error("502 5.5.1 command not implemented"),
        }
    }

    fn greet(&mut self) {
        self.greeted = true;
        self.phase = Phase::Idle;
    }

    fn mail(&mut self, rest: &str, checkpoint: &mut dyn FnMut(Checkpoint<'_>) -> Option<Step>) -> Step {
        if !self.greeted || !matches!(self.phase, Phase::Idle) {
            return self.error("503 5.5.1 bad sequence of commands");
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return self.error("501 5.1.7 write MAIL FROM:<address>");
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "SIZE" if value.parse::<usize>().is_ok_and(|size| size > MAX_MESSAGE_BYTES) => {
                    return Step::Reply("552 5.3.4 too large".into());
                }
                "SIZE" | "BODY" | "SMTPUTF8" => {}
                _ => return self.error("555 5.5.4 unknown parameter"),
            }
        }
        if let Some(refusal) = checkpoint(Checkpoint::Sender) {
            return refusal;
        }
        self.phase = Phase::Envelope { from, to: Vec::new() };
        Step::Reply("250 2.1.0 sender ok".into())
    }

    fn rcpt(&mut self, rest: &str, checkpoint: &mut dyn FnMut(Checkpoint<'_>) -> Option<Step>) -> Step {
        let Phase::Envelope { to, .. } = &mut self.phase else { return self.error("503 5.5.1 MAIL first") };
        let recipient = path(rest, "TO:").filter(|(address, _)| address.contains('@'));
        let Some((address, _)) = recipient else { return self.error("501 5.1.3 write RCPT TO:<address>") };
        if to.len() >= MAX_RECIPIENTS {
            return Step::Reply("452 4.5.3 too many recipients".into());
        }
        if let Some(refusal) = checkpoint(Checkpoint::Recipient(&address)) {
            return refusal;
        }
        to.push(address);
        Step::Reply("250 2.1.5 recipient ok".into())
    }

    fn data(&mut self) -> Step {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Envelope { from, to } if !to.is_empty() => {
                self.phase = Phase::Body { from, to, raw: Vec::new(), oversize: false };
                Step::Reply("354 end with <CRLF>.<CRLF>".into())
            }
            Phase::Envelope { from, to } => {
                self.phase = Phase::Envelope { from, to };
                self.error("554 5.5.1 no valid recipients")
            }
            other => {
                self.phase = other;
                self.error("503 5.5.1 RCPT first")
            }
        }
    }

    /// Takes whole lines of a message. Only CRLF ends a line: a lone LF before a dot must not end the message, or the
    /// text after it could be smuggled in as commands.
    fn body(&mut self, input: &[u8]) -> (usize, Step) {
        let Phase::Body { raw, oversize, .. } = &mut self.phase else { return (0, Step::NeedMore) };
        let mut used = 0;
        while let Some(length) = line_length(&input[used..]) {
            let line = &input[used..used + length];
            used += length;
            if line == b".\r\n" {
                return (used, self.received());
            }
            append(raw, oversize, line.strip_prefix(b".").unwrap_or(line));
        }
        // No acceptable message has such a line, and the buffer must stay bounded.
        if input.len() - used > MAX_MESSAGE_BYTES {
            return (input.len(), Step::Close("500 5.5.6 line too long".into()));
        }
        (used, Step::NeedMore)
    }

    fn received(&mut self) -> Step {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Body { from, to, raw, oversize: false } => Step::Mail(Received { from, to, raw }),
            _ => Step::Reply("552 5.3.4 too large".into()),
        }
    }

    fn error(&mut self, reply: &'static str) -> Step {
        self.errors += 1;
        if self.errors > MAX_ERRORS {
            Step::Close("421 4.7.0 too many errors".into())
        } else {
            Step::Reply(reply.into())
        }
    }
}

/// Length of the first line with its CRLF.
fn line_length(input: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + input[from..].iter().position(|byte| *byte == b'\n')?;
        if at > 0 && input[at - 1] == b'\r' {
            return Some(at + 1);
        }
        from = at + 1;
    }
}

fn append(raw: &mut Vec<u8>, oversize: &mut bool, line: &[u8]) {
    if *oversize || raw.len() + line.len() > MAX_MESSAGE_BYTES {
        *oversize = true;
        raw.clear();
    } else {
        raw.extend_from_slice(line);
    }
}

/// Parses `FROM:<address> parameters`.
fn path<'a>(text: &'a str, keyword: &str) -> Option<(String, &'a str)> {
    let head = text.get(..keyword.len())?;
    let rest = text[keyword.len()..].trim_start();
    let (address, parameters) = rest.strip_prefix('<')?.split_once('>')?;
    let sound = address.len() <= MAX_PATH_BYTES && !address.contains(|c: char| c == '<' || c.is_whitespace());
    (head.eq_ignore_ascii_case(keyword) && sound).then(|| (address.to_owned(), parameters))
}

#[cfg(test)]
mod tests;
