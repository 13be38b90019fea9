//! Messages to single queues through the default exchange. It has no alternate exchange, so that a message without a
//! queue is noticed instead of being confirmed.

use crate::consumer::{ConsumeError, Subscriber};
use crate::outgoing::Outgoing;
use crate::publisher::{AmqpMessage, CONFIRM_TIMEOUT, ExchangeNames, sending};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation};
use tokio::time::timeout;

/// The broker's answer to a message for one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// The queue has it.
    Sent,
    /// There is no such queue.
    NoQueue,
    /// The queue is full.
    Refused,
}

/// Sends messages to single queues, one after the other.
pub struct QueueSender {
    channel: Channel,
    exchanges: ExchangeNames,
}

impl QueueSender {
    /// Sends a message whose target is a queue and waits for the confirm.
    ///
    /// # Errors
    /// When the broker does not answer: whether the queue has the message is unknown. [`ConsumeError::Name`] when the
    /// message can never be sent.
    pub async fn send(&self, message: &Outgoing) -> Result<SendOutcome, ConsumeError> {
        let span = sending(message, &self.exchanges);
        let AmqpMessage { exchange, routing_key, properties, body } =
            AmqpMessage::within(&span, message, &self.exchanges)
                .map_err(|error| ConsumeError::Name(error.to_string()))?;
        // AMQP 0-9-1, basic.publish: `mandatory` returns a message without a queue. lapin attaches returned messages to
        // the wrong confirm where several are under way, so each is waited for.
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sending =
            async { self.channel.basic_publish(exchange, routing_key, options, &body, properties).await?.await };
        let confirmed = timeout(CONFIRM_TIMEOUT, sending).await.map_err(|_| ConsumeError::Timeout)??;
        Ok(match confirmed {
            Confirmation::Ack(None) => SendOutcome::Sent,
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => SendOutcome::NoQueue,
            Confirmation::Nack(None) | Confirmation::NotRequested => SendOutcome::Refused,
        })
    }
}

impl Subscriber {
    /// A sender on a channel of its own.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn queue_sender(&self) -> Result<QueueSender, ConsumeError> {
        let sender = async {
            let channel = self.channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(QueueSender { channel, exchanges: ExchangeNames::of(&self.topology) })
        };
        self.within_timeout(sender).await
    }
}
