//! Validated messages in lapin's types: what would make lapin panic or the broker close the channel is refused here.

use super::PublishError;
use crate::envelope::{Envelope, FIRST_ATTEMPT, HEADER_ACTOR, HEADER_ATTEMPT, HEADER_TRACEPARENT};
use crate::outgoing::{Outgoing, Target};
use crate::topology::{RetryDelay, Topology};
use bytes::Bytes;
use chrono::Utc;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use pvt_domain::messages::MAX_BODY_BYTES;
use pvt_traces::{SentMessage, Span};

/// AMQP 0-9-1, basic class, `delivery-mode`: the message survives a restart of the broker.
const PERSISTENT: u8 = 2;
const CONTENT_TYPE: &str = "application/json";
/// `app_id` of all our messages.
const APP_ID: &str = "pvt-booking";
/// Half of a frame (RabbitMQ docs, "Networking": 131,072 bytes), which all headers of a message share.
const MAX_HEADERS_BYTES: usize = 65_536;
/// What is kept of a header that is too large. Ours are smaller.
const CUT_HEADER_BYTES: usize = 1_024;

/// The exchange names of one topology.
pub(crate) struct ExchangeNames {
    commands: String,
    events: String,
    dead: String,
    retry: Vec<(RetryDelay, String)>,
}

impl ExchangeNames {
    pub(crate) fn of(topology: &Topology) -> Self {
        Self {
            commands: topology.commands_exchange(),
            events: topology.events_exchange(),
            dead: topology.dead_exchange(),
            retry: RetryDelay::ALL.iter().map(|delay| (*delay, topology.retry_exchange(*delay))).collect(),
        }
    }

    pub(crate) fn name(&self, target: Target) -> &str {
        match target {
            Target::Commands => &self.commands,
            Target::Events => &self.events,
            Target::Dead => &self.dead,
            Target::Queue => "",
            Target::Retry(wanted) => self.retry.iter().find(|(delay, _)| *delay == wanted).map_or("", |(_, name)| name),
        }
    }
}

/// Begins the span of sending this message.
pub(crate) fn sending(message: &Outgoing, exchanges: &ExchangeNames) -> Span {
    let Outgoing { target, routing_key, envelope, body } = message;
    Span::send(&SentMessage {
        exchange: exchanges.name(*target),
        routing_key,
        id: envelope.id,
        kind: &envelope.kind,
        conversation: envelope.correlation_id,
        body_bytes: body.len(),
        traceparent: envelope.traceparent.as_deref(),
    })
}

/// The arguments of `basic.publish`.
pub(crate) struct AmqpMessage {
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Bytes,
}

impl AmqpMessage {
    pub(crate) fn new(message: &Outgoing, exchanges: &ExchangeNames) -> Result<Self, PublishError> {
        Self::within(&Span::none(), message, exchanges)
    }

    /// As [`AmqpMessage::new`], a message that carries this span instead of the one that caused it.
    pub(crate) fn within(span: &Span, message: &Outgoing, exchanges: &ExchangeNames) -> Result<Self, PublishError> {
        // An oversize message of another producer must still fit into the dead letters.
        let ours = matches!(message.target, Target::Commands | Target::Events);
        if ours && message.body.len() > MAX_BODY_BYTES {
            let reason = format!("body has {} bytes, the limit is {MAX_BODY_BYTES}", message.body.len());
            return Err(PublishError::Invalid(reason));
        }
        let envelope = &message.envelope;
        let own = span.context().map(|context| context.to_string());
        let headers = headers(envelope, own.as_deref().or(envelope.traceparent.as_deref()))?;
        let sent_at = envelope.timestamp.unwrap_or_else(Utc::now).timestamp();
        let mut properties = BasicProperties::default()
            .with_content_type(short_string(CONTENT_TYPE)?)
            .with_delivery_mode(PERSISTENT)
            .with_message_id(short_string(envelope.id.hyphenated().to_string())?)
            .with_timestamp(u64::try_from(sent_at).unwrap_or_default())
            .with_type(short_string(&*envelope.kind)?)
            .with_app_id(short_string(APP_ID)?);
        if let Some(headers) = headers {
            properties = properties.with_headers(headers);
        }
        if let Some(booking) = envelope.correlation_id {
            properties = properties.with_correlation_id(short_string(booking.hyphenated().to_string())?);
        }
        if let Some(queue) = &envelope.reply_to {
            properties = properties.with_reply_to(short_string(queue)?);
        }
        Ok(Self {
            exchange: short_string(exchanges.name(message.target))?,
            routing_key: short_string(&*message.routing_key)?,
            properties,
            body: message.body.clone(),
        })
    }
}

fn headers(envelope: &Envelope, traceparent: Option<&str>) -> Result<Option<FieldTable>, PublishError> {
    let plain = envelope.attempt <= FIRST_ATTEMPT && envelope.headers.is_empty();
    if plain && traceparent.is_none() && envelope.actor.is_none() {
        return Ok(None);
    }
    let mut table = FieldTable::default();
    if envelope.attempt > FIRST_ATTEMPT {
        table.insert(short_string(HEADER_ATTEMPT)?, AMQPValue::LongLongInt(i64::from(envelope.attempt)));
    }
    let ours = [(HEADER_TRACEPARENT, traceparent), (HEADER_ACTOR, envelope.actor.as_deref())];
    let ours = ours.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let others = envelope.headers.iter().map(|(name, value)| (&**name, value.as_str()));
    for (name, value) in shortened(ours.chain(others).collect()) {
        table.insert(short_string(name)?, AMQPValue::LongString(value.into()));
    }
    Ok(Some(table))
}

/// Headers that fit into a frame together with what the broker adds to them. Another producer may have filled the
/// frame, and one that is too large ends the connection: the largest ones are cut, and as a last resort dropped.
fn shortened<'a>(mut headers: Vec<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
    // Type and length of a value, length of its name.
    let size = |(name, value): &(&str, &str)| name.len() + value.len() + 6;
    let mut total: usize = headers.iter().map(size).sum();
    while total > MAX_HEADERS_BYTES {
        let Some(largest) = (0..headers.len()).max_by_key(|index| headers.get(*index).map(size)) else { break };
        let removed = headers.swap_remove(largest);
        total -= size(&removed);
        let (name, value) = removed;
        if value.len() > CUT_HEADER_BYTES {
            let cut = value.floor_char_boundary(CUT_HEADER_BYTES);
            headers.push((name, value.get(..cut).unwrap_or_default()));
            total += headers.last().map_or(0, size);
        }
    }
    headers
}

fn short_string(text: impl Into<String>) -> Result<ShortString, PublishError> {
    ShortString::try_new(text).map_err(|error| PublishError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn exchanges() -> ExchangeNames {
        ExchangeNames::of(&Topology::new("t.", 1))
    }

    #[test]
    fn retry_goes_to_its_delay_exchange_with_its_attempt() {
        let mut message = Outgoing::raw(Target::Retry(RetryDelay::M1), "t.emails", Uuid::from_u128(1), "a.b.v1", "{}");
        message.envelope.attempt = 2;
        let prepared = AmqpMessage::new(&message, &exchanges()).unwrap();
        assert_eq!((prepared.exchange.as_str(), prepared.routing_key.as_str()), ("t.retry.1m", "t.emails"));
        let headers = prepared.properties.headers().clone().unwrap();
        assert_eq!(headers.inner().get("attempt"), Some(&AMQPValue::LongLongInt(2)));
        assert_eq!(*prepared.properties.delivery_mode(), Some(2));
    }

    #[test]
    fn headers_that_fill_a_frame_are_cut_and_ours_are_kept() {
        let mut message = Outgoing::raw(Target::Dead, "t.emails", Uuid::from_u128(1), "a.b.v1", "{}");
        let foreign = ["é".repeat(60_000), "y".repeat(2_000)].into_iter();
        message.envelope.headers = foreign.zip(["padding", "note"]).map(|(value, name)| (name.into(), value)).collect();
        for number in 0..2_000 {
            message.envelope.headers.push((format!("many-{number}").into(), "x".repeat(100)));
        }
        message.envelope.headers.push(("error-class".into(), "panic".to_owned()));
        let properties = AmqpMessage::new(&message, &exchanges()).unwrap().properties;
        let headers = properties.headers().clone().unwrap();
        let text = |name: &str| match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(text("error-class"), "panic");
        let size: usize = headers.inner().keys().map(|name| name.as_str().len() + text(name.as_str()).len() + 6).sum();
        assert!(size <= MAX_HEADERS_BYTES, "{size}");
        message.envelope.headers.truncate(2);
        let properties = AmqpMessage::new(&message, &exchanges()).unwrap().properties;
        let headers = properties.headers().clone().unwrap();
        let lengths: Vec<_> = ["padding", "note"].iter().map(|name| headers.inner()[*name].clone()).collect();
        assert_eq!(
            lengths,
            [AMQPValue::LongString("é".repeat(512).into()), AMQPValue::LongString("y".repeat(2_000).into())]
        );
    }

    #[test]
    fn oversize_names_and_bodies_are_refused_before_lapin_panics() {
        let message = Outgoing::raw(Target::Queue, "k".repeat(256), Uuid::nil(), "a.b.v1", "{}");
        assert!(matches!(AmqpMessage::new(&message, &exchanges()), Err(PublishError::Invalid(_))));
        let mut message = Outgoing::raw(Target::Events, "k", Uuid::nil(), "a.b.v1", vec![0; MAX_BODY_BYTES + 1]);
        assert!(matches!(AmqpMessage::new(&message, &exchanges()), Err(PublishError::Invalid(_))));
        message.target = Target::Dead;
        assert!(AmqpMessage::new(&message, &exchanges()).is_ok(), "an oversize message can become a dead letter");
    }
}
