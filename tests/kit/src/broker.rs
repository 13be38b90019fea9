//! Direct access to the broker: exact queue depths, publishing of arbitrary messages, and a look at dead letters.

use crate::Namespace;
use anyhow::{Context, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use pvt_messaging::{QueueRole, Topology};
use std::collections::BTreeMap;
use tokio::sync::Mutex;
use uuid::Uuid;

/// A message found in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// `message_id`, verbatim.
    pub id: String,
    /// `type`, verbatim.
    pub kind: String,
    /// Text headers and numbers, as text.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A connection for one test.
#[derive(Debug)]
pub struct Broker {
    url: String,
    connection: Mutex<Connection>,
    topology: Topology,
}

impl Broker {
    /// Connects to the broker of the namespace.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn connect(namespace: &Namespace) -> Result<Self> {
        let url = namespace.amqp_url().to_owned();
        Ok(Self { connection: Mutex::new(connect(&url).await?), url, topology: namespace.topology() })
    }

    /// A new channel, on a new connection if the last one was lost.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn channel(&self) -> Result<Channel> {
        let mut connection = self.connection.lock().await;
        if !connection.status().connected() {
            *connection = connect(&self.url).await?;
        }
        Ok(connection.create_channel().await?)
    }

    /// Ready messages of every queue in the topology, exact at this moment. Unacknowledged messages are not counted.
    ///
    /// # Errors
    /// When a queue is missing or the connection is gone.
    pub async fn depths(&self) -> Result<BTreeMap<String, u32>> {
        let channel = self.channel().await?;
        let mut depths = BTreeMap::new();
        for queue in self.topology.queues() {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let declared = channel.queue_declare(queue.name.as_str().into(), options, FieldTable::default()).await?;
            depths.insert(queue.name, declared.message_count());
        }
        channel.close(200, "done".into()).await?;
        Ok(depths)
    }

    /// The work and retry queues with ready messages, and how many each has.
    ///
    /// # Errors
    /// As [`Broker::depths`].
    pub async fn pending(&self) -> Result<BTreeMap<String, u32>> {
        let mut pending = self.depths().await?;
        for queue in self.topology.queues() {
            if matches!(queue.role, QueueRole::Dead { .. } | QueueRole::Unroutable) {
                pending.remove(&queue.name);
            }
        }
        pending.retain(|_, depth| *depth > 0);
        Ok(pending)
    }

    /// Publishes an arbitrary message to one queue and waits for the confirm.
    ///
    /// # Errors
    /// When the broker does not confirm it.
    pub async fn send(&self, queue: &str, properties: BasicProperties, body: &[u8]) -> Result<()> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let name = self.topology.name(queue);
        let confirm = channel
            .basic_publish("".into(), name.as_str().into(), BasicPublishOptions::default(), body, properties)
            .await?;
        match confirm.await? {
            Confirmation::Ack(None) => Ok(channel.close(200, "done".into()).await?),
            other => bail!("{queue}: {other:?}"),
        }
    }

    /// Publishes the same message many times to one queue and waits for all confirms.
    ///
    /// # Errors
    /// When the broker does not confirm one.
    pub async fn flood(&self, queue: &str, properties: BasicProperties, body: &[u8], count: usize) -> Result<()> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let name = self.topology.name(queue);
        for _ in 0..count {
            let options = BasicPublishOptions::default();
            channel.basic_publish("".into(), name.as_str().into(), options, body, properties.clone()).await?;
        }
        if channel.wait_for_confirms().await?.is_empty() {
            return Ok(channel.close(200, "done".into()).await?);
        }
        bail!("{queue}: messages were returned")
    }

    /// The first `limit` ready messages of a queue, which stay in it.
    ///
    /// # Errors
    /// When the queue is missing or the connection is gone.
    pub async fn peek(&self, queue: &str, limit: usize) -> Result<Vec<QueuedMessage>> {
        let channel = self.channel().await?;
        let name = self.topology.name(queue);
        let mut messages = Vec::new();
        while messages.len() < limit {
            let Some(got) = channel.basic_get(name.as_str().into(), BasicGetOptions::default()).await? else { break };
            messages.push(queued_message(got.delivery));
        }
        // Closing the channel requeues everything that was not acknowledged.
        channel.close(200, "done".into()).await?;
        Ok(messages)
    }

    /// The ready messages of a queue with a single active consumer, which stay in it. No one else may consume it.
    ///
    /// # Errors
    /// As [`Broker::peek`].
    pub async fn peek_partition(&self, queue: &str) -> Result<Vec<QueuedMessage>> {
        let name = self.topology.name(queue);
        let ready = self.depths().await?.get(&name).copied().unwrap_or_default();
        let channel = self.channel().await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(name.as_str().into(), "".into(), options, FieldTable::default()).await?;
        let deliveries = consumer.take(usize::try_from(ready)?).try_collect::<Vec<_>>().await?;
        channel.close(200, "done".into()).await?;
        Ok(deliveries.into_iter().map(queued_message).collect())
    }
}

async fn connect(url: &str) -> Result<Connection> {
    Connection::connect(url, ConnectionProperties::default()).await.context("RabbitMQ")
}

/// Properties of an ordinary message: persistent, with this type and a new id, which is returned.
pub fn properties(kind: &str) -> (Uuid, BasicProperties) {
    const PERSISTENT: u8 = 2;
    let id = Uuid::new_v4();
    let properties = BasicProperties::default()
        .with_message_id(id.to_string().as_str().into())
        .with_type(kind.into())
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT);
    (id, properties)
}

/// Properties of a message whose headers fill a frame to a few bytes. Clients can read it once; with the count that the
/// broker adds when it delivers it again, the frame is too large, and they end the connection.
pub fn properties_that_fill_a_frame(kind: &str) -> (Uuid, BasicProperties) {
    const FRAME_BYTES: usize = 131_072;
    // The frame itself, class and body size, flags, the other properties, the name and type of the header.
    let overhead = 8 + 12 + 2 + 37 + 17 + 1 + (1 + kind.len()) + 4 + 8 + 5;
    let (id, properties) = properties(kind);
    let mut headers = FieldTable::default();
    headers.insert("padding".into(), AMQPValue::LongString("x".repeat(FRAME_BYTES - overhead - 4).into()));
    (id, properties.with_headers(headers))
}

fn queued_message(delivery: lapin::message::Delivery) -> QueuedMessage {
    let properties = &delivery.properties;
    let headers = properties
        .headers()
        .as_ref()
        .map(|table| table.into_iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect());
    QueuedMessage {
        id: properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default(),
        kind: properties.kind().as_ref().map(ToString::to_string).unwrap_or_default(),
        headers: headers.unwrap_or_default(),
        body: delivery.data,
    }
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::LongInt(number) => Some(number.to_string()),
        AMQPValue::LongUInt(number) => Some(number.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        _ => None,
    }
}
