//! The broker of the settings: its topology and its management API.

use anyhow::Result;
use pvt_messaging::Topology;
use pvt_messaging::management::Management;
use pvt_service::config::Config;
use secrecy::ExposeSecret;

/// The topology under the configured prefix.
pub fn topology(config: &Config) -> Topology {
    Topology::new(&config.queue_prefix, config.partitions).with_retry_divisor(config.retry_divisor)
}

/// A client of the management API for the virtual host of `AMQP_URL`.
///
/// # Errors
/// When one of the URLs cannot be used.
pub fn management(config: &Config) -> Result<Management> {
    let (url, amqp_url) = (config.rabbitmq_management_url.expose_secret(), config.amqp_url.expose_secret());
    Ok(Management::of_broker(url, amqp_url)?)
}

/// The virtual host of `AMQP_URL`; without a path it is `/`.
///
/// # Errors
/// When the URL cannot be used.
pub fn vhost(config: &Config) -> Result<String> {
    Ok(pvt_messaging::management::vhost(config.amqp_url.expose_secret())?)
}
