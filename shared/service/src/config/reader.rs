//! The reading of the settings one by one, with what is wrong with each.

use super::checks::Check;
use super::source::{Origin, Source};
use super::variables::{self, Kind, Variable};
use super::{Fault, Setting, checks};
use secrecy::{ExposeSecret, SecretString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use url::Url;

pub(super) fn fault(variable: &Variable, problem: String) -> Fault {
    Fault { variable: variable.name, problem, example: variable.example }
}

/// Reads values one by one and collects what is wrong with them.
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source,
    pub(super) production: bool,
    pub(super) faults: Vec<Fault>,
    pub(super) settings: Vec<Setting>,
}

impl Reader<'_> {
    /// The checked value; `None` when there is none or it was faulted.
    pub(super) fn take<T>(&mut self, variable: &Variable, check: impl FnOnce(&str, bool) -> Check<T>) -> Option<T> {
        match self.resolve(variable).and_then(|found| match found {
            Some(text) => check(&text, self.production).map(Some),
            None => Ok(None),
        }) {
            Ok(value) => value,
            Err(problem) => {
                self.faults.push(fault(variable, problem));
                None
            }
        }
    }

    pub(super) fn secret(
        &mut self,
        variable: &Variable,
        check: impl FnOnce(&str, bool) -> Check<()>,
    ) -> Option<SecretString> {
        self.take(variable, |text, production| check(text, production).map(|()| SecretString::from(text)))
    }

    /// Sessions of the console live in a cookie, which must not cross a network without TLS; on loopback there is none.
    pub(super) fn console_url(&mut self, console_addr: Option<SocketAddr>) -> Option<Url> {
        let variable = &variables::PVT_CONSOLE_URL;
        let faults = self.faults.len();
        let set = self.take(variable, |text, _| checks::console_url(text));
        if set.is_some() || self.faults.len() > faults {
            return set;
        }
        let address = console_addr?;
        if !address.ip().is_loopback() {
            self.faults.push(fault(variable, "must be set where PVT_CONSOLE_ADDR is not loopback".to_owned()));
            return None;
        }
        Url::parse(&format!("http://{address}")).ok()
    }

    /// Access tokens go there: in production to the public URL, which has TLS, elsewhere to where the API listens. One
    /// that listens everywhere is reached by loopback, too.
    pub(super) fn console_api_url(&mut self, http_addr: Option<SocketAddr>, public_url: Option<&Url>) -> Option<Url> {
        let faults = self.faults.len();
        let set = self.take(&variables::PVT_CONSOLE_API_URL, checks::public_url);
        if set.is_some() || self.faults.len() > faults {
            return set;
        }
        if self.production {
            return public_url.cloned();
        }
        let mut address = http_addr?;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        Url::parse(&format!("http://{address}")).ok()
    }

    /// The development secrets are published with the sources: anyone who knows them can sign in as an administrator
    /// and forge payments. So they are for this machine alone, in whatever environment.
    pub(super) fn refuse_published_secrets(
        &mut self,
        exposed_by: Option<&str>,
        jwt_secret: Option<&SecretString>,
        jwt_previous_secret: Option<&SecretString>,
        webhook_secrets: &[String],
    ) {
        let reason = match exposed_by {
            Some(settings) => format!("{settings} not loopback"),
            None if self.production => "this is production".to_owned(),
            None => return,
        };
        let jwt_default = variables::JWT_SECRET.default;
        let is_published = |secret: Option<&SecretString>| secret.map(ExposeSecret::expose_secret) == jwt_default;
        let webhook_default = variables::STRIPE_WEBHOOK_SECRETS.default;
        let webhook_is_published = webhook_secrets.iter().any(|secret| Some(secret.as_str()) == webhook_default);
        for (variable, published) in [
            (&variables::STRIPE_WEBHOOK_SECRETS, webhook_is_published),
            (&variables::JWT_SECRET, is_published(jwt_secret)),
            (&variables::JWT_PREVIOUS_SECRET, is_published(jwt_previous_secret)),
        ] {
            if published {
                let problem = format!("is the development secret, which is public, and {reason}; set your own");
                self.faults.push(fault(variable, problem));
            }
        }
    }

    /// Only the operator's side uses it, so its unset default is not held against a service in production.
    pub(super) fn management(&mut self) -> Option<SecretString> {
        self.secret(&variables::RABBITMQ_MANAGEMENT_URL, |text, production| {
            let is_default = variables::RABBITMQ_MANAGEMENT_URL.default == Some(text);
            checks::management(text, production && !is_default)
        })
    }

    fn resolve(&mut self, variable: &Variable) -> Check<Option<String>> {
        let found = self.source.find(variable)?;
        let is_default = found.as_ref().is_none_or(|(value, _)| Some(value.as_str()) == variable.default);
        if self.production && variable.required_in_production && is_default {
            return Err("must be set in production, to something other than the development default".to_owned());
        }
        let found = found.or_else(|| variable.default.map(|value| (value.to_owned(), Origin::Default)));
        if let Some((value, origin)) = &found {
            self.settings.push(Setting {
                name: variable.name,
                shown: masked(variable.kind, value),
                origin: origin.clone(),
            });
        }
        Ok(found.map(|(value, _)| value))
    }
}

/// What may be shown of a value.
fn masked(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Plain => value.to_owned(),
        Kind::Secret => "********".to_owned(),
        Kind::SecretUrl => {
            let Some((scheme, rest)) = value.split_once("://") else { return "********".to_owned() };
            match rest.rsplit_once('@') {
                Some((user, host)) => {
                    format!("{scheme}://{}:********@{host}", user.split(':').next().unwrap_or_default())
                }
                None => value.to_owned(),
            }
        }
    }
}
