//! Connection strings of the engines, and those that the environment already has.

use std::env;
use std::fs;

use url::Url;

use crate::kind::EngineKind;
use crate::ports::Ports;

const AMQP_URL: &str = "AMQP_URL";
const MANAGEMENT_URL: &str = "RABBITMQ_MANAGEMENT_URL";
const MONGODB_URI: &str = "MONGODB_URI";
const DATABASE_URL: &str = "DATABASE_URL";

/// Default port of RabbitMQ's management API.
const MANAGEMENT_DEFAULT_PORT: u16 = 15672;

/// Connection strings of the engines, named as in the product's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// `AMQP_URL`, for example `amqp://guest:guest@127.0.0.1:5682/%2f`.
    pub amqp: String,
    /// `RABBITMQ_MANAGEMENT_URL`, with user and password, without a path.
    pub management: String,
    /// `MONGODB_URI`, without a database.
    pub mongodb: String,
    /// `DATABASE_URL`, with database `pvt`.
    pub postgres: String,
}

impl Urls {
    /// Engines as local programs: the member of the replica set knows itself by the same address.
    pub(crate) fn native(ports: &Ports) -> Self {
        Self::on(ports, "replicaSet=pvt")
    }

    /// Engines in containers: the name of the member resolves only inside, so the driver must not follow it.
    pub(crate) fn containers(ports: &Ports) -> Self {
        Self::on(ports, "directConnection=true")
    }

    /// The default URLs of the engines of `pvt up`.
    #[must_use]
    pub fn documented() -> Self {
        Self::native(&Ports::DOCUMENTED)
    }

    fn on(ports: &Ports, mongodb_option: &str) -> Self {
        let Ports { amqp, management, mongodb, postgres, .. } = ports;
        Self {
            amqp: format!("amqp://guest:guest@127.0.0.1:{amqp}/%2f"),
            management: format!("http://guest:guest@127.0.0.1:{management}"),
            mongodb: format!("mongodb://127.0.0.1:{mongodb}/?{mongodb_option}"),
            postgres: format!("postgres://pvt@127.0.0.1:{postgres}/pvt"),
        }
    }

    /// The URLs of the environment (`NAME`, or the content of the file that `NAME_FILE` names); `None` for engines that
    /// it does not name.
    ///
    /// With `AMQP_URL` alone, the management API is expected on the broker's host: port 15672 for `amqp`, HTTPS for
    /// `amqps`.
    #[must_use]
    pub fn from_env() -> EnvUrls {
        EnvUrls::read(&|name| env::var(name).ok())
    }

    /// These URLs, replaced where the environment sets one.
    #[must_use]
    pub fn overridden_by(self, env: EnvUrls) -> Self {
        Self {
            amqp: env.amqp.unwrap_or(self.amqp),
            management: env.management.unwrap_or(self.management),
            mongodb: env.mongodb.unwrap_or(self.mongodb),
            postgres: env.postgres.unwrap_or(self.postgres),
        }
    }

    /// The environment variables that configure another process for these engines, as (name, value).
    #[must_use]
    pub fn as_env(&self) -> [(&'static str, &str); 4] {
        [
            (AMQP_URL, &self.amqp),
            (MANAGEMENT_URL, &self.management),
            (MONGODB_URI, &self.mongodb),
            (DATABASE_URL, &self.postgres),
        ]
    }
}

/// The URLs of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvUrls {
    /// `AMQP_URL`.
    pub amqp: Option<String>,
    /// `RABBITMQ_MANAGEMENT_URL`, or derived from `AMQP_URL`.
    pub management: Option<String>,
    /// `MONGODB_URI`.
    pub mongodb: Option<String>,
    /// `DATABASE_URL`.
    pub postgres: Option<String>,
}

impl EnvUrls {
    fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| {
            let direct = variable(name).filter(|value| !value.trim().is_empty());
            direct.or_else(|| {
                let file = variable(&format!("{name}_FILE"))?;
                let content = fs::read_to_string(file).ok()?;
                Some(content.trim().to_owned()).filter(|value| !value.is_empty())
            })
        };
        let amqp = value(AMQP_URL);
        Self {
            management: value(MANAGEMENT_URL).or_else(|| management_beside(amqp.as_deref()?)),
            amqp,
            mongodb: value(MONGODB_URI),
            postgres: value(DATABASE_URL),
        }
    }

    /// The engines that the environment does not name.
    #[must_use]
    pub fn missing(&self) -> Vec<EngineKind> {
        EngineKind::ALL
            .into_iter()
            .filter(|kind| match kind {
                EngineKind::RabbitMq => self.amqp.is_none(),
                EngineKind::MongoDb => self.mongodb.is_none(),
                EngineKind::PostgreSql => self.postgres.is_none(),
            })
            .collect()
    }
}

fn management_beside(amqp: &str) -> Option<String> {
    let amqp = Url::parse(amqp).ok()?;
    let (scheme, port) = match amqp.scheme() {
        "amqps" => ("https", None),
        _ => ("http", Some(MANAGEMENT_DEFAULT_PORT)),
    };
    let mut management = Url::parse(&format!("{scheme}://{}", amqp.host_str()?)).ok()?;
    management.set_port(port).ok()?;
    management.set_username(amqp.username()).ok()?;
    management.set_password(amqp.password()).ok()?;
    Some(management.as_str().trim_end_matches('/').to_owned())
}

/// The engines that the environment has no URL for, which must be started.
#[must_use]
pub fn kinds_missing_from_env() -> Vec<EngineKind> {
    Urls::from_env().missing()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> EnvUrls {
        EnvUrls::read(&|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn empty_environment_names_no_engine() {
        let env = read(&[(AMQP_URL, " ")]);
        assert_eq!(env, EnvUrls::default());
        assert_eq!(env.missing(), EngineKind::ALL);
    }

    #[test]
    fn configured_engine_is_not_missing_and_implies_management_url() {
        let env = read(&[(AMQP_URL, "amqp://ann:secret@broker.example:5672/%2f"), (DATABASE_URL, "postgres://x/y")]);
        assert_eq!(env.missing(), [EngineKind::MongoDb]);
        assert_eq!(env.management.as_deref(), Some("http://ann:secret@broker.example:15672"));
        let tls = read(&[(AMQP_URL, "amqps://ann:secret@broker.example/v")]);
        assert_eq!(tls.management.as_deref(), Some("https://ann:secret@broker.example"));
        let urls = Urls::native(&Ports::DOCUMENTED).overridden_by(env);
        assert_eq!(urls.postgres, "postgres://x/y");
        assert_eq!(urls.mongodb, "mongodb://127.0.0.1:27027/?replicaSet=pvt");
    }
}
