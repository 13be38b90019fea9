//! Checks of single settings, and the stricter ones of production.
//!
//! An error message never contains the value: it may hold a password.

use std::net::{IpAddr, SocketAddr};
use url::Url;

/// The user that RabbitMQ comes with; its password is as well known as its name.
const GUEST: &str = "guest";
/// Options of MongoDB's driver that accept any certificate.
const MONGODB_UNVERIFIED: [&str; 3] = ["tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames"];
/// MongoDB's mechanisms that authenticate by other means than a user in the URI, in lower case.
const MECHANISMS_WITHOUT_USER: [&str; 3] = ["mongodb-x509", "mongodb-aws", "mongodb-oidc"];
/// Shortest secret that keys may be derived from, in characters.
const MIN_SECRET_CHARS: usize = 32;

pub(super) type Check<T> = Result<T, String>;

fn parse_url(text: &str, schemes: &[&str]) -> Check<Url> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !schemes.contains(&url.scheme()) {
        return Err(format!(
            "must begin with {}",
            schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ")
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host".to_owned());
    }
    Ok(url)
}

/// Whether a host, as in a URL, is this machine alone.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn demand_tls(host: &str, encrypted: bool, how: &str) -> Check<()> {
    if encrypted || is_loopback(host) { Ok(()) } else { Err(format!("leaves this machine without TLS; use {how}")) }
}

pub(super) fn amqp(text: &str, production: bool) -> Check<()> {
    let url = parse_url(text, &["amqp", "amqps"])?;
    if !production {
        return Ok(());
    }
    if url.username() == GUEST || url.username().is_empty() {
        return Err("is of the broker's `guest` user; give the service a user of its own".to_owned());
    }
    demand_tls(url.host_str().unwrap_or_default(), url.scheme() == "amqps", "amqps://")
}

pub(super) fn management(text: &str, production: bool) -> Check<()> {
    let url = parse_url(text, &["http", "https"])?;
    if !production {
        return Ok(());
    }
    if url.username() == GUEST {
        return Err("is of the broker's `guest` user; give the operator a user of their own".to_owned());
    }
    demand_tls(url.host_str().unwrap_or_default(), url.scheme() == "https", "https://")
}

/// MongoDB's form lists several hosts, which is why a general URL parser does not do.
pub(super) fn mongodb(text: &str, production: bool) -> Check<()> {
    let (srv, rest) = match (text.strip_prefix("mongodb://"), text.strip_prefix("mongodb+srv://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err("must begin with mongodb:// or mongodb+srv://".to_owned()),
    };
    let (authority, options) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = authority.split_once('/').map_or(authority, |(authority, _)| authority);
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.is_empty() || hosts.split(',').any(str::is_empty) {
        return Err("names no host".to_owned());
    }
    if !production {
        return Ok(());
    }
    let values = |names: &[&str]| -> Vec<String> {
        let pairs = options.split('&').filter_map(|pair| pair.split_once('='));
        let named = pairs.filter(|(key, _)| names.iter().any(|name| key.eq_ignore_ascii_case(name)));
        named.map(|(_, value)| value.to_ascii_lowercase()).collect()
    };
    let has_user = authority.rsplit_once('@').is_some_and(|(user, _)| !user.is_empty() && !user.starts_with(':'));
    let mechanisms = values(&["authMechanism"]);
    if !has_user && !mechanisms.iter().any(|mechanism| MECHANISMS_WITHOUT_USER.contains(&mechanism.as_str())) {
        return Err("names no user; give the service a user of its own".to_owned());
    }
    let tls = values(&["tls", "ssl"]);
    let encrypted = if tls.is_empty() { srv } else { tls.iter().all(|value| value == "true") };
    let is_unverified = values(&MONGODB_UNVERIFIED).iter().any(|value| value == "true");
    hosts.split(',').try_for_each(|host| {
        let host = host_without_port(host);
        if is_unverified && !is_loopback(host) {
            return Err(format!("verifies no certificate; leave out {}", MONGODB_UNVERIFIED.join(", ")));
        }
        demand_tls(host, encrypted, "mongodb+srv:// or ?tls=true")
    })
}

fn host_without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

pub(super) fn postgres(text: &str, production: bool) -> Check<()> {
    let url = parse_url(text, &["postgres", "postgresql"])?;
    if url.path().trim_matches('/').is_empty() {
        return Err("names no database".to_owned());
    }
    if !production {
        return Ok(());
    }
    // As the driver reads them: the last value counts, also over what stands before the query.
    let last = |names: &[&str]| {
        let named = url.query_pairs().filter(|(key, _)| names.contains(&&**key));
        named.last().map(|(_, value)| value.into_owned())
    };
    if last(&["user"]).unwrap_or_else(|| url.username().to_owned()).is_empty() {
        return Err("names no user; give the service a user of its own".to_owned());
    }
    let host = last(&["host", "hostaddr"]).unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    // A path is a socket on this machine.
    if host.starts_with('/') || host.starts_with("%2F") || is_loopback(&host) {
        return Ok(());
    }
    match last(&["sslmode", "ssl-mode"]).unwrap_or_default().to_ascii_lowercase().as_str() {
        "verify-full" => Ok(()),
        "require" | "verify-ca" => {
            Err("does not verify the server's certificate and name; use ?sslmode=verify-full".to_owned())
        }
        _ => demand_tls(&host, false, "?sslmode=verify-full"),
    }
}

pub(super) fn smtp(text: &str, production: bool) -> Check<()> {
    let url = parse_url(text, &["smtp", "smtps"])?;
    let encrypted =
        url.scheme() == "smtps" || url.query_pairs().any(|(key, value)| key == "tls" && value == "required");
    if production {
        demand_tls(url.host_str().unwrap_or_default(), encrypted, "smtps:// or ?tls=required")
    } else {
        Ok(())
    }
}

pub(super) fn public_url(text: &str, production: bool) -> Check<Url> {
    let url = parse_url(text, &["http", "https"])?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("must be only scheme, host and, if need be, a path".to_owned());
    }
    if production {
        demand_tls(url.host_str().unwrap_or_default(), url.scheme() == "https", "https://")?;
    }
    Ok(url)
}

/// A URL within the operators' own network.
pub(super) fn internal_url(text: &str) -> Check<Url> {
    parse_url(text, &["http", "https"])
}

/// As [`public_url`], and https unless it is loopback, in every environment.
pub(super) fn console_url(text: &str) -> Check<Url> {
    let url = public_url(text, true)?;
    if url.path() == "/" { Ok(url) } else { Err("must be only scheme and host".to_owned()) }
}

/// Publishable keys (`pk_…`) may do next to nothing, and webhook secrets are none.
pub(super) fn stripe_key(text: &str, production: bool) -> Check<()> {
    let graphic = text.chars().all(|letter| letter.is_ascii_graphic());
    if !graphic || !["sk_", "rk_"].iter().any(|kind| text.starts_with(kind)) {
        return Err("must be a secret key (sk_…) or a restricted one (rk_…)".to_owned());
    }
    if production && ["sk_test_", "rk_test_"].iter().any(|kind| text.starts_with(kind)) {
        return Err("is a test key: no guest could pay".to_owned());
    }
    Ok(())
}

/// As in `2025-09-30.clover`; versions before 2024-09-30 have no name.
pub(super) fn stripe_version(text: &str) -> Check<String> {
    let (date, name) = text.split_once('.').unwrap_or((text, "none"));
    let is_date = date.len() == 10
        && date
            .bytes()
            .enumerate()
            .all(|(place, b)| if matches!(place, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    if is_date && is_name { Ok(text.to_owned()) } else { Err("is not a date with a release's name".to_owned()) }
}

/// `a@b.c` or `Name <a@b.c>`. The mailer parses it strictly; this catches what cannot be meant.
pub(super) fn mailbox(text: &str) -> Check<String> {
    let address = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
    let plausible = address
        .split_once('@')
        .is_some_and(|(local, host)| !local.is_empty() && host.contains('.') && !host.contains('@'));
    if !plausible || text.chars().any(char::is_control) || address.contains(char::is_whitespace) {
        return Err("is not a mail address".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn address(text: &str) -> Check<SocketAddr> {
    text.parse().map_err(|_| "is not an address with a port".to_owned())
}

pub(super) fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(text: &str, least: T, most: T) -> Check<T> {
    text.parse::<T>()
        .ok()
        .filter(|number| *number >= least && *number <= most)
        .ok_or_else(|| format!("is not a whole number from {least} to {most}"))
}

/// The prefix becomes part of AMQP names, which have 255 bytes; ours need fewer than 100 of them.
pub(super) fn queue_prefix(text: &str) -> Check<String> {
    const MAX_CHARS: usize = 100;
    let fits =
        text.len() <= MAX_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("takes letters, digits, `.`, `-` and `_`, at most {MAX_CHARS}"))
    }
}

pub(super) fn json_object(text: &str) -> Check<String> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("is not a JSON object: {error}")),
    }
}

pub(super) fn webhook_secrets(text: &str) -> Check<Vec<String>> {
    const MAX_SECRETS: usize = 8;
    let secrets: Vec<String> =
        text.split(',').map(|secret| secret.trim().to_owned()).filter(|secret| !secret.is_empty()).collect();
    if secrets.is_empty() || secrets.len() > MAX_SECRETS {
        Err(format!("must list 1 to {MAX_SECRETS} secrets"))
    } else {
        Ok(secrets)
    }
}

pub(super) fn signing_secret(text: &str) -> Check<()> {
    if text.chars().count() < MIN_SECRET_CHARS {
        Err(format!("is shorter than {MIN_SECRET_CHARS} characters"))
    } else {
        Ok(())
    }
}
