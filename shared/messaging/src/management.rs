//! A client of RabbitMQ's management API: policies, queue figures, and operations of operators and tests.
//!
//! No work passes through it: it reads messages only where the AMQP client cannot. Every request has a timeout, and no
//! error contains the URL, which holds a password.

mod queued_message;

use crate::QueueReading;
use crate::delivery::Delivery;
use crate::topology::Topology;
use chrono::{DateTime, Utc};
use queued_message::QueuedMessage;
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::time::Duration;
use url::Url;

/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The virtual host of an AMQP URL; without a path it is `/`.
///
/// # Errors
/// When the URL cannot be read.
pub fn vhost(amqp_url: &str) -> Result<String, ManagementError> {
    let amqp = Url::parse(amqp_url).map_err(|error| ManagementError::Amqp(error.to_string()))?;
    let path = amqp.path().trim_start_matches('/');
    let name = path.replace("%2f", "/").replace("%2F", "/");
    Ok(if name.is_empty() { "/".to_owned() } else { name })
}

/// A failed request to the management API.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    /// The configured address is not an HTTP URL.
    #[error("RABBITMQ_MANAGEMENT_URL is invalid: {0}")]
    Url(String),
    /// The address of the broker itself cannot be read.
    #[error("AMQP_URL is invalid: {0}")]
    Amqp(String),
    /// No response, or one that cannot be decoded.
    #[error("management API did not respond: {0}")]
    Http(reqwest::Error),
    /// A response other than success.
    #[error("management API responded {status} to {request}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Method and path.
        request: String,
    },
}

impl From<reqwest::Error> for ManagementError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// The figures of one queue.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct QueueState {
    /// Full name.
    pub name: String,
    /// Ready and unacknowledged messages.
    #[serde(default)]
    pub messages: u64,
    /// Messages ready for delivery.
    #[serde(default)]
    pub messages_ready: u64,
    /// Messages delivered and not acknowledged.
    #[serde(default)]
    pub messages_unacknowledged: u64,
    /// Consumers.
    #[serde(default)]
    pub consumers: u64,
    /// The policy in force.
    #[serde(default)]
    pub policy: Option<String>,
    /// The arguments of its declaration.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// Timestamp of the head message in Unix seconds, where the broker knows it (quorum queues: since 4.x).
    #[serde(default)]
    pub head_message_timestamp: Option<i64>,
    /// Counts since the broker began to count, absent until there is one.
    #[serde(default)]
    pub message_stats: MessageStats,
}

/// Messages that have left a queue since the broker began to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct MessageStats {
    /// Acknowledged.
    #[serde(default)]
    pub ack: u64,
    /// Delivered to consumers that do not acknowledge.
    #[serde(default)]
    pub deliver_no_ack: u64,
    /// Taken one by one without acknowledgement.
    #[serde(default)]
    pub get_no_ack: u64,
}

impl QueueState {
    /// Its counts as a reading of `now`.
    pub fn reading(&self, now: DateTime<Utc>) -> QueueReading {
        let MessageStats { ack, deliver_no_ack, get_no_ack } = self.message_stats;
        QueueReading {
            at: now,
            ready: self.messages_ready,
            unacknowledged: self.messages_unacknowledged,
            acknowledged: ack + deliver_no_ack + get_no_ack,
            head_sent_at: self.head_message_timestamp.and_then(|head| DateTime::from_timestamp(head, 0)),
        }
    }
}

/// A node of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// Whether its memory is above the limit: publishers to all nodes are blocked.
    #[serde(default)]
    pub mem_alarm: bool,
    /// Whether its free disk space is below the limit: publishers to all nodes are blocked.
    #[serde(default)]
    pub disk_free_alarm: bool,
}

impl NodeState {
    /// Its alarms that are on, in words.
    pub fn alarms(&self) -> impl Iterator<Item = String> {
        let alarms = [(self.mem_alarm, "memory"), (self.disk_free_alarm, "disk space")];
        alarms.into_iter().filter(|(is_on, _)| *is_on).map(|(_, alarm)| format!("{alarm} of {}", self.name))
    }
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ConsumerState {
    /// Its tag, which the broker has chosen.
    pub consumer_tag: String,
    /// The queue.
    pub queue: ConsumedQueue,
    /// Whether messages are delivered to it; of a queue with a single active consumer, to one only.
    #[serde(default)]
    pub active: bool,
}

/// The queue of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ConsumedQueue {
    /// Full name.
    pub name: String,
}

/// An exchange in the broker.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ExchangeState {
    /// Full name; empty for the default exchange.
    pub name: String,
    /// `direct`, `topic` or `fanout`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it survives a restart of the broker.
    pub durable: bool,
    /// The arguments of its declaration.
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// A binding in the broker.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BindingState {
    /// Full name of the exchange; empty for the default exchange.
    pub source: String,
    /// Full name of the queue, or of another exchange.
    pub destination: String,
    /// `queue` or `exchange`.
    pub destination_type: String,
    /// Routing key or topic pattern.
    pub routing_key: String,
}

/// A policy in the broker.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PolicyState {
    /// Its name.
    pub name: String,
    /// Regular expression over queue names.
    pub pattern: String,
    /// What it may apply to: `queues`, `quorum_queues`, `exchanges`, `all` and others.
    #[serde(rename = "apply-to")]
    pub apply_to: String,
    /// The matching policy of the highest priority is in force.
    pub priority: i64,
    /// Its keys.
    pub definition: Map<String, Value>,
}

/// A message that was read without a channel.
#[derive(Debug, Clone)]
pub struct PeekedMessage {
    /// Without a delivery tag.
    pub delivery: Delivery,
    /// Length of its headers and other properties, as JSON.
    pub properties_len: usize,
}

/// One client connection.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ConnectionState {
    /// The broker's name for it.
    pub name: String,
    /// The name given by the client.
    #[serde(default)]
    pub user_provided_name: Option<String>,
}

/// A client of the management API.
#[derive(Clone)]
pub struct Management {
    http: Client,
    base: Url,
    user: String,
    password: String,
    vhost: String,
}

impl Management {
    /// A client for `url` (`http://user:password@host:port`) and virtual host `vhost` (`/` by default).
    ///
    /// # Errors
    /// When the address is not an HTTP URL.
    pub fn new(url: &str, vhost: &str) -> Result<Self, ManagementError> {
        let mut base = Url::parse(url).map_err(|error| ManagementError::Url(error.to_string()))?;
        let decode = |text: &str| {
            percent_decode(text).ok_or_else(|| ManagementError::Url("credentials are not UTF-8".to_owned()))
        };
        let user = decode(base.username())?;
        let password = decode(base.password().unwrap_or_default())?;
        let cleared = base.set_username("").and_then(|()| base.set_password(None));
        if cleared.is_err() || base.cannot_be_a_base() {
            return Err(ManagementError::Url("not an HTTP address".to_owned()));
        }
        let http = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        Ok(Self { http, base, user, password, vhost: vhost.to_owned() })
    }

    /// A client for `url` and the virtual host that `amqp_url` names.
    ///
    /// # Errors
    /// When one of the addresses cannot be read.
    pub fn of_broker(url: &str, amqp_url: &str) -> Result<Self, ManagementError> {
        Self::new(url, &vhost(amqp_url)?)
    }

    /// Creates or updates the policies of `topology`. Policies of other prefixes are left alone.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn apply_policies(&self, topology: &Topology) -> Result<(), ManagementError> {
        for policy in topology.policies() {
            let body = json!({
                "pattern": policy.pattern, "definition": policy.definition,
                "priority": policy.priority, "apply-to": "queues",
            });
            self.send(Method::PUT, &["policies", &self.vhost, &policy.name], Some(body)).await?;
        }
        Ok(())
    }

    /// All policies of the virtual host, including those of other prefixes.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn policies(&self) -> Result<Vec<PolicyState>, ManagementError> {
        self.get(&["policies", &self.vhost]).await
    }

    /// Deletes the policies of `topology`.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn delete_policies(&self, topology: &Topology) -> Result<(), ManagementError> {
        for policy in topology.policies() {
            self.delete_if_present(&["policies", &self.vhost, &policy.name]).await?;
        }
        Ok(())
    }

    /// All queues whose name starts with `prefix`. The broker refreshes the figures every five seconds.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn queues(&self, prefix: &str) -> Result<Vec<QueueState>, ManagementError> {
        let all: Vec<QueueState> = self.get(&["queues", &self.vhost]).await?;
        Ok(all.into_iter().filter(|queue| queue.name.starts_with(prefix)).collect())
    }

    /// All exchanges of the virtual host, including those of other prefixes.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn exchanges(&self) -> Result<Vec<ExchangeState>, ManagementError> {
        self.get(&["exchanges", &self.vhost]).await
    }

    /// All bindings of the virtual host, including those of other prefixes.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn bindings(&self) -> Result<Vec<BindingState>, ManagementError> {
        self.get(&["bindings", &self.vhost]).await
    }

    /// Deletes all ready messages of a queue.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn purge(&self, queue: &str) -> Result<(), ManagementError> {
        self.send(Method::DELETE, &["queues", &self.vhost, queue, "contents"], None).await?;
        Ok(())
    }

    /// The first ready messages of a queue, which stay in it.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn peek(&self, queue: &str, count: u32) -> Result<Vec<PeekedMessage>, ManagementError> {
        self.get_messages(queue, count, "ack_requeue_true").await
    }

    /// Removes the first ready message of a queue for good and returns it.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn take_first(&self, queue: &str) -> Result<Option<PeekedMessage>, ManagementError> {
        Ok(self.get_messages(queue, 1, "ack_requeue_false").await?.pop())
    }

    /// Management API, `/api/queues/{vhost}/{name}/get`.
    async fn get_messages(
        &self,
        queue: &str,
        count: u32,
        ackmode: &str,
    ) -> Result<Vec<PeekedMessage>, ManagementError> {
        let body = json!({ "count": count, "ackmode": ackmode, "encoding": "auto" });
        let found = self.send(Method::POST, &["queues", &self.vhost, queue, "get"], Some(body)).await?;
        let messages: Vec<QueuedMessage> = found.json().await?;
        Ok(messages.into_iter().map(QueuedMessage::read).collect())
    }

    /// The client connections. A new one appears after up to five seconds.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn connections(&self) -> Result<Vec<ConnectionState>, ManagementError> {
        self.get(&["connections"]).await
    }

    /// The consumers of queues whose name starts with `prefix`. A new one appears after up to five seconds.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn consumers(&self, prefix: &str) -> Result<Vec<ConsumerState>, ManagementError> {
        let all: Vec<ConsumerState> = self.get(&["consumers", &self.vhost]).await?;
        Ok(all.into_iter().filter(|consumer| consumer.queue.name.starts_with(prefix)).collect())
    }

    /// The nodes of the broker, with their alarms.
    ///
    /// # Errors
    /// When the API is unreachable or refuses: only users with the tag `monitoring` or `administrator` may ask.
    pub async fn nodes(&self) -> Result<Vec<NodeState>, ManagementError> {
        self.get(&["nodes"]).await
    }

    /// Closes a connection; a missing one is no error.
    ///
    /// # Errors
    /// When the API is unreachable or refuses.
    pub async fn close_connection(&self, name: &str) -> Result<(), ManagementError> {
        self.delete_if_present(&["connections", name]).await
    }

    async fn delete_if_present(&self, path: &[&str]) -> Result<(), ManagementError> {
        match self.send(Method::DELETE, path, None).await {
            Err(ManagementError::Refused { status, .. }) if status == StatusCode::NOT_FOUND.as_u16() => Ok(()),
            other => other.map(drop),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ManagementError> {
        Ok(self.send(Method::GET, path, None).await?.json().await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<reqwest::Response, ManagementError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        let described = format!("{method} /{}", path.join("/"));
        let mut request = self.http.request(method, url).basic_auth(&self.user, Some(&self.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(ManagementError::Refused { status: response.status().as_u16(), request: described })
    }
}

/// Percent-decodes the credentials of a URL.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_decoded_and_removed_from_the_url() {
        let client = Management::new("http://us%40er:p%2Fw@127.0.0.1:15672/", "/").unwrap();
        assert_eq!((client.user.as_str(), client.password.as_str()), ("us@er", "p/w"));
        assert_eq!(client.base.as_str(), "http://127.0.0.1:15672/");
    }

    #[test]
    fn invalid_url_is_refused() {
        assert!(Management::new("nonsense", "/").is_err());
        assert!(Management::new("mailto:a@b.c", "/").is_err());
    }
}
