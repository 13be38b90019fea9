//! Declares and deletes the topology over an AMQP channel. Idempotent: every process does it on every fresh connection.

use super::{QueueRole, QueueSpec, Topology};
use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

/// A name longer than AMQP's 255 bytes, or a refusal of the broker.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// The prefix makes this name too long.
    #[error("name is longer than 255 bytes: {0}")]
    Name(String),
    /// The broker or the connection refused.
    #[error("the broker refused the topology: {0}")]
    Broker(#[from] lapin::Error),
}

/// AMQP's reply code for missing permissions.
const ACCESS_REFUSED: u16 = 403;

impl DeclareError {
    /// True when the user may not declare: the operator applied the topology, and the process only uses it.
    pub fn is_access_refused(&self) -> bool {
        let Self::Broker(error) = self else { return false };
        matches!(error.kind(), lapin::ErrorKind::ProtocolError(reply) if reply.get_id() == ACCESS_REFUSED)
    }
}

impl Topology {
    /// Declares all exchanges, queues and bindings. A refusal closes the channel, as AMQP has it.
    ///
    /// # Errors
    /// When an entity exists with other arguments, the user may not declare, or the connection fails.
    pub async fn declare(&self, channel: &Channel) -> Result<(), DeclareError> {
        for exchange in self.exchanges() {
            let mut arguments = FieldTable::default();
            if let Some(alternate) = &exchange.alternate {
                arguments.insert("alternate-exchange".into(), text(alternate));
            }
            let kind = match exchange.kind {
                "direct" => ExchangeKind::Direct,
                "topic" => ExchangeKind::Topic,
                _ => ExchangeKind::Fanout,
            };
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            channel.exchange_declare(short(&exchange.name)?, kind, options, arguments).await?;
        }
        for queue in self.queues() {
            let options = QueueDeclareOptions { durable: true, ..Default::default() };
            channel.queue_declare(short(&queue.name)?, options, self.arguments(&queue)).await?;
            for binding in &queue.bindings {
                channel
                    .queue_bind(
                        short(&queue.name)?,
                        short(&binding.exchange)?,
                        short(&binding.key)?,
                        QueueBindOptions::default(),
                        FieldTable::default(),
                    )
                    .await?;
            }
        }
        Ok(())
    }

    /// Deletes all queues and exchanges with everything in them. For tests; the operator's tools never call it.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn delete(&self, channel: &Channel) -> Result<(), DeclareError> {
        for queue in self.queues() {
            channel.queue_delete(short(&queue.name)?, QueueDeleteOptions::default()).await?;
        }
        for exchange in self.exchanges() {
            channel.exchange_delete(short(&exchange.name)?, ExchangeDeleteOptions::default()).await?;
        }
        Ok(())
    }

    /// The arguments a queue is declared with. They can never change while the queue exists.
    pub(crate) fn arguments(&self, queue: &QueueSpec) -> FieldTable {
        let mut arguments = FieldTable::default();
        for (key, value) in self.plain_arguments(queue) {
            arguments.insert(key.into(), value.into());
        }
        arguments
    }

    /// The same arguments as plain values, for the definitions document.
    pub(crate) fn plain_arguments(&self, queue: &QueueSpec) -> Vec<(&'static str, Argument)> {
        let mut arguments = vec![("x-queue-type", Argument::Text("quorum"))];
        if queue.single_active_consumer() {
            arguments.push(("x-single-active-consumer", Argument::Flag(true)));
        }
        if let QueueRole::Retry(delay) = queue.role {
            arguments.push(("x-message-ttl", Argument::Number(delay.ttl_ms(self.retry_divisor()))));
            // The default exchange with the message's own routing key: home.
            arguments.push(("x-dead-letter-exchange", Argument::Text("")));
            // Without these two an expired message is published home without a confirm, and may be lost.
            arguments.push(("x-dead-letter-strategy", Argument::Text("at-least-once")));
            arguments.push(("x-overflow", Argument::Text("reject-publish")));
        }
        arguments
    }
}

/// A value of a queue's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Text(&'static str),
    Number(i64),
    Flag(bool),
}

impl From<Argument> for AMQPValue {
    fn from(value: Argument) -> Self {
        match value {
            Argument::Text(value) => text(value),
            Argument::Number(value) => Self::LongLongInt(value),
            Argument::Flag(value) => Self::Boolean(value),
        }
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn short(name: &str) -> Result<ShortString, DeclareError> {
    ShortString::try_new(name).map_err(|_| DeclareError::Name(name.to_owned()))
}
