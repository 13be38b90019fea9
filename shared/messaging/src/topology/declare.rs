//! Declaration of the topology over AMQP. Idempotent: every process declares it whenever its publisher connects.

use super::{QueueRole, QueueSpec, Topology};
use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

/// A topology that could not be declared.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// With the prefix, a name exceeds AMQP's limit.
    #[error("name is longer than 255 bytes: {0}")]
    Name(String),
    /// The broker refused, or the connection failed.
    #[error("broker refused the topology: {0}")]
    Broker(#[from] lapin::Error),
}

/// AMQP's reply code for missing permissions.
const ACCESS_REFUSED: u16 = 403;

impl DeclareError {
    /// Whether the user lacks the permission to declare. Such a process uses the topology that an operator applied.
    pub fn is_access_refused(&self) -> bool {
        let Self::Broker(error) = self else { return false };
        matches!(error.kind(), lapin::ErrorKind::ProtocolError(reply) if reply.get_id() == ACCESS_REFUSED)
    }
}

impl Topology {
    /// Declares all exchanges, queues and bindings, and removes obsolete bindings. A refusal closes the channel.
    ///
    /// # Errors
    /// When an entity exists with other arguments, the user may not declare, or the connection fails.
    pub async fn declare(&self, channel: &Channel) -> Result<(), DeclareError> {
        self.declare_exchanges(channel).await?;
        for queue in self.queues() {
            self.declare_queue(channel, &queue).await?;
        }
        for (queue, binding) in self.obsolete_bindings() {
            // RabbitMQ docs, "Queues": removing a binding that does not exist succeeds.
            channel
                .queue_unbind(short(&queue)?, short(&binding.exchange)?, short(&binding.key)?, FieldTable::default())
                .await?;
        }
        Ok(())
    }

    /// As [`Topology::declare`], all exchanges alone.
    pub(crate) async fn declare_exchanges(&self, channel: &Channel) -> Result<(), DeclareError> {
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
            // RabbitMQ docs, "Exchanges": `durable` survives a restart of the broker.
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            channel.exchange_declare(short(&exchange.name)?, kind, options, arguments).await?;
        }
        Ok(())
    }

    /// As [`Topology::declare`], one queue with its bindings. Their exchanges must exist.
    pub(crate) async fn declare_queue(&self, channel: &Channel, queue: &QueueSpec) -> Result<(), DeclareError> {
        // RabbitMQ docs, "Quorum Queues": they must be durable.
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(short(&queue.name)?, options, self.arguments(queue)).await?;
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
        Ok(())
    }

    /// Deletes all queues, with their messages, and all exchanges. For tests; no operator's command calls it.
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

    /// The arguments of a queue's declaration. They cannot change while the queue exists.
    pub(crate) fn arguments(&self, queue: &QueueSpec) -> FieldTable {
        let mut arguments = FieldTable::default();
        for (key, value) in self.plain_arguments(queue) {
            arguments.insert(key.into(), value.into());
        }
        arguments
    }

    /// The same arguments as plain values, for the definitions document.
    ///
    /// RabbitMQ docs: "Quorum Queues", "Single Active Consumer", "Time-to-Live", "Dead Letter Exchanges".
    pub(crate) fn plain_arguments(&self, queue: &QueueSpec) -> Vec<(&'static str, Argument)> {
        // Replicated and written to disk before a confirm; classic queues are neither.
        let mut arguments = vec![("x-queue-type", Argument::Text("quorum"))];
        if queue.single_active_consumer() {
            // A partition has one writer at a time; a standby takes over when it disconnects.
            arguments.push(("x-single-active-consumer", Argument::Flag(true)));
        }
        if let QueueRole::Retry(delay) = queue.role {
            arguments.push(("x-message-ttl", Argument::Number(delay.ttl_ms(self.retry_divisor()))));
            // The default exchange routes an expired message by its own routing key: the name of its work queue.
            arguments.push(("x-dead-letter-exchange", Argument::Text("")));
            // Without these two, expired messages are moved without a confirm and may be lost.
            arguments.push(("x-dead-letter-strategy", Argument::Text("at-least-once")));
            arguments.push(("x-overflow", Argument::Text("reject-publish")));
        }
        arguments
    }
}

/// The value of a queue argument.
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
