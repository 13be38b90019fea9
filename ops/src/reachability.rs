//! A connection test of what a command depends on, made before any driver is started: drivers wait long and report at
//! length.

use anyhow::Result;
use pvt_operations::OperationError;
use pvt_service::config::Config;
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A service that a command depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dependency {
    RabbitMq,
    Management,
    MongoDb,
    PostgreSql,
}

/// Fails with [`OperationError::TryLater`] when one of them does not listen. Addresses that only their driver can
/// resolve are left to it.
pub(crate) async fn check(config: &Config, dependencies: &[Dependency]) -> Result<()> {
    for dependency in dependencies {
        let (name, url, port) = match dependency {
            Dependency::RabbitMq => ("RabbitMQ", &config.amqp_url, 5672),
            Dependency::Management => ("RabbitMQ's management API", &config.rabbitmq_management_url, 15672),
            Dependency::MongoDb => ("MongoDB", &config.mongodb_uri, 27017),
            Dependency::PostgreSql => ("PostgreSQL", &config.database_url, 5432),
        };
        let addresses = addresses(url.expose_secret(), port);
        if !addresses.is_empty() && !is_any_reachable(&addresses).await {
            let text =
                format!("{name} is not reachable at {}; on one machine `pvt up` starts it", addresses.join(", "));
            return Err(OperationError::TryLater(text).into());
        }
    }
    Ok(())
}

async fn is_any_reachable(addresses: &[String]) -> bool {
    for address in addresses {
        if timeout(CONNECT_TIMEOUT, TcpStream::connect(address.as_str())).await.is_ok_and(|connected| connected.is_ok())
        {
            return true;
        }
    }
    false
}

/// `host:port` of every host of a URL, without credentials. None for `mongodb+srv`, whose hosts are in the DNS, and for
/// sockets.
fn addresses(url: &str, default_port: u16) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return Vec::new() };
    if scheme.ends_with("+srv") {
        return Vec::new();
    }
    let default_port = match scheme {
        "amqps" => 5671,
        "https" => 443,
        _ => default_port,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let listed = hosts.split(',').filter(|host| !host.is_empty() && !host.contains('%'));
    let has_port = |host: &str| {
        host.rsplit_once(':')
            .is_some_and(|(before, port)| !port.is_empty() && !before.ends_with(':') && !port.contains(']'))
    };
    listed.map(|host| if has_port(host) { host.to_owned() } else { format!("{host}:{default_port}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn addresses_of_urls_without_credentials() {
        assert_eq!(addresses("amqp://guest:gu@est@127.0.0.1:5682/%2f", 5672), ["127.0.0.1:5682"]);
        assert_eq!(addresses("amqps://u:p@broker.example.com/pvt", 5672), ["broker.example.com:5671"]);
        assert_eq!(addresses("mongodb://a:1,b,[::1]:3/pvt?replicaSet=pvt", 27017), ["a:1", "b:27017", "[::1]:3"]);
        assert_eq!(addresses("postgres://pvt@[::1]/pvt", 5432), ["[::1]:5432"]);
        assert!(addresses("mongodb+srv://u:p@cluster.example.com/pvt", 27017).is_empty());
    }
}
