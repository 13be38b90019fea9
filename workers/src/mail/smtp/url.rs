//! The address of a mail server and the security of its connection (`SMTP_URL`).

use crate::mail::MailError;
use lettre::transport::smtp::authentication::Credentials;
use std::net::IpAddr;
use std::str::FromStr;
use url::{Host, Url};

/// The security of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// None: for a relay on the same machine or in the same private network.
    Plain,
    /// STARTTLS, required: no mail is sent without the upgrade.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

impl Security {
    /// By the scheme; `smtp://…?tls=required`, as other mailers write it, is `smtp+starttls://`.
    fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "smtp" if url.query_pairs().any(|(key, value)| key == "tls" && value == "required") => Some(Self::StartTls),
            "smtp" => Some(Self::Plain),
            "smtp+starttls" => Some(Self::StartTls),
            "smtps" => Some(Self::Tls),
            _ => None,
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Plain => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// A mail server. Its debug form shows no password.
#[derive(Debug, Clone)]
pub struct SmtpUrl {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The security of the connection.
    pub security: Security,
    pub(super) credentials: Option<Credentials>,
}

impl FromStr for SmtpUrl {
    type Err = MailError;

    fn from_str(text: &str) -> Result<Self, MailError> {
        let url = Url::parse(text.trim()).map_err(|_| MailError::SmtpUrl("is not a URL"))?;
        let security =
            Security::of(&url).ok_or(MailError::SmtpUrl("must begin with smtp://, smtp+starttls:// or smtps://"))?;
        // The scheme is not one that the URL standard knows, so its host is parsed opaquely: parse it again for its
        // kind.
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(MailError::SmtpUrl("names no host"))?;
        let host = Host::parse(host).map_err(|_| MailError::SmtpUrl("names no valid host"))?;
        let credentials = credentials(&url)?;
        if credentials.is_some() && security == Security::Plain && !is_loopback(&host) {
            return Err(MailError::SmtpUrl("would send its password in the clear"));
        }
        let host = match host {
            Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        };
        Ok(Self { host, port: url.port().unwrap_or_else(|| security.default_port()), security, credentials })
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, MailError> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
    let not_text = |_| MailError::SmtpUrl("has a user or password that is not UTF-8");
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, Some(password)) if !user.is_empty() => {
            Ok(Some(Credentials::new(decode(user).map_err(not_text)?, decode(password).map_err(not_text)?)))
        }
        _ => Err(MailError::SmtpUrl("needs both user and password, or neither")),
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Security, SmtpUrl};

    fn parse(text: &str) -> Result<(String, u16, Security, bool), String> {
        let url: Result<SmtpUrl, _> = text.parse();
        url.map(|url| (url.host, url.port, url.security, url.credentials.is_some())).map_err(|error| error.to_string())
    }

    #[test]
    fn each_scheme_has_its_security_and_port() {
        assert_eq!(parse("smtp://127.0.0.1:2525").unwrap(), ("127.0.0.1".into(), 2525, Security::Plain, false));
        assert_eq!(parse("smtp://[::1]").unwrap(), ("::1".into(), 25, Security::Plain, false));
        assert_eq!(
            parse("smtps://u:p@mail.example.com").unwrap(),
            ("mail.example.com".into(), 465, Security::Tls, true)
        );
        assert_eq!(
            parse("smtp://mail.example.com?tls=required").unwrap(),
            ("mail.example.com".into(), 587, Security::StartTls, false)
        );
        assert_eq!(
            parse("smtp+starttls://u%40x:p%2F@mail.example.com").unwrap(),
            ("mail.example.com".into(), 587, Security::StartTls, true)
        );
    }

    #[test]
    fn unusable_url_is_refused_with_an_example() {
        for (text, reason) in [
            ("mail.example.com", "is not a URL"),
            ("http://mail.example.com", "must begin with"),
            ("smtp://", "names no host"),
            ("smtps://user@mail.example.com", "both user and password"),
            ("smtp://user:secret@mail.example.com", "in the clear"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains(reason) && error.contains("smtps://") && !error.contains("secret"),
                "{text}: {error}"
            );
        }
        assert!(parse("smtp://user:secret@localhost:2525").is_ok());
    }
}
