//! Errors before a mail reaches any server: it cannot be written, or the settings are unusable.

use pvt_domain::failure::Failure;
use thiserror::Error;

/// A mail that cannot exist, or settings that cannot work. No variant carries an address.
#[derive(Debug, Error)]
pub enum MailError {
    /// The recipient's address is invalid.
    #[error("the recipient's address is invalid")]
    Recipient,
    /// `MAIL_FROM` is not a mailbox.
    #[error("MAIL_FROM: `{0}` is not a mailbox; write for example `PVT Booking <bookings@example.com>`")]
    Sender(String),
    /// `JWT_SECRET` yields no key for the tokens in links.
    #[error("JWT_SECRET yields no key for the links in mails")]
    Secret,
    /// `SMTP_URL` is not one.
    #[error(
        "SMTP_URL {0}; write for example `smtp://127.0.0.1:2525`, `smtp+starttls://user:password@host:587` or \
        `smtps://user:password@host`"
    )]
    SmtpUrl(&'static str),
    /// TLS cannot be set up for the server's name.
    #[error("TLS for the mail server: {0}")]
    Tls(String),
    /// The template failed.
    #[error("rendering the mail: {0}")]
    Template(#[from] askama::Error),
    /// The message could not be put together.
    #[error("putting the mail together: {0}")]
    Build(#[from] lettre::error::Error),
    /// The message is not text, although every part is encoded.
    #[error("the mail is not text")]
    NotText,
}

/// The same mail would fail the same way again.
impl From<MailError> for Failure {
    fn from(error: MailError) -> Self {
        Self::reject("mail_not_writable", error)
    }
}
