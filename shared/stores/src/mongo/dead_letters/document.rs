//! The document of a dead letter.

use mongodb::bson::Binary;
use mongodb::bson::spec::BinarySubtype;
use pvt_domain::actor::Actor;
use pvt_domain::dead_letters::queue_family;
use pvt_domain::ids::{BookingId, optional_uuid, uuid_text};
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// State of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterState {
    /// It waits for an operator.
    Dead,
    /// A replay operation holds it, and has sent it or will.
    Replaying,
    /// Its queue has it again, and it has not died since.
    Replayed,
    /// An operator has given it up for good.
    Discarded,
}

impl DeadLetterState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Dead, Self::Replaying, Self::Replayed, Self::Discarded];

    /// The stored text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Replaying => "replaying",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Derived from queue and message, so that every death of the message is found in one document.
    #[serde(rename = "_id", with = "uuid_text")]
    pub id: Uuid,
    /// The queue that gave it up, without the broker's prefix.
    pub queue: String,
    /// The id of the message; nil where it has none.
    #[serde(with = "uuid_text")]
    pub message_id: Uuid,
    /// Its type.
    pub kind: String,
    /// The booking that it is about, where that can be read.
    pub booking_id: Option<BookingId>,
    /// State.
    pub state: DeadLetterState,
    /// How often it has died.
    pub deaths: u32,
    /// When it was first stored.
    pub first_died_at: Timestamp,
    /// Its last death.
    pub last: Death,
    /// Whether its last death followed a replay.
    pub new_since_replay: bool,
    /// The replay operation that holds it.
    #[serde(default, with = "optional_uuid")]
    pub operation: Option<Uuid>,
    /// Replays, the oldest first.
    pub replays: Vec<Replay>,
    /// Edits of its body, the oldest first.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Why it was discarded.
    #[serde(default)]
    pub discarded: Option<Discarded>,
    /// The message; absent in lists.
    #[serde(default)]
    pub message: Option<StoredMessage>,
    /// The body before the first edit; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Binary>,
}

impl DeadLetter {
    /// The id that operators know it by: that of its message, or its own where the message has none.
    pub fn shown_id(&self) -> Uuid {
        if self.message_id.is_nil() { self.id } else { self.message_id }
    }

    /// How often it was edited, as the server counts.
    pub(super) fn edit_count(&self) -> i32 {
        i32::try_from(self.edits.len()).unwrap_or(i32::MAX)
    }

    /// Its queue without the partition.
    pub fn queue_family(&self) -> &str {
        queue_family(&self.queue)
    }
}

/// A death of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Derived from the message as it arrived in the dead letters: the same for a death that is stored again, another
    /// for the next death of the message.
    #[serde(with = "uuid_text")]
    pub id: Uuid,
    /// When it was stored, usually within a second or two.
    pub died_at: Timestamp,
    /// Its place among the deaths of its queue.
    pub position: i64,
    /// The class of the error.
    pub class: String,
    /// The worker that gave it up; absent where the broker did.
    pub worker: Option<String>,
    /// The error.
    pub error: Option<String>,
    /// The group of dead letters with the same cause.
    pub group: String,
    /// The attempt that failed.
    pub attempt: u32,
    /// When it first failed, as its header says.
    pub first_failed_at: Option<String>,
    /// The replay operation that it follows.
    #[serde(with = "optional_uuid")]
    pub follows: Option<Uuid>,
    /// Length of its body.
    pub bytes: u32,
}

/// A message as it was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// What it is about.
    #[serde(with = "optional_uuid")]
    pub correlation_id: Option<Uuid>,
    /// The queue in which a reply is awaited.
    pub reply_to: Option<String>,
    /// Trace context.
    pub traceparent: Option<String>,
    /// The actor who caused it.
    pub actor: Option<String>,
    /// When it was first sent.
    pub sent_at: Option<Timestamp>,
    /// Further text headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(serialize_with = "write_binary", deserialize_with = "read_binary")]
    pub body: Vec<u8>,
}

/// A replay of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The operation.
    #[serde(with = "uuid_text")]
    pub operation: Uuid,
    /// When the broker had confirmed it.
    pub at: Timestamp,
    /// Who requested it.
    pub actor: Actor,
}

/// An edit of the body of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// The members that it changed, without their values.
    pub changed: Vec<String>,
}

/// Why a dead letter was discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discarded {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
    /// Why.
    pub reason: String,
}

fn write_binary<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }.serialize(serializer)
}

fn read_binary<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Ok(Binary::deserialize(deserializer)?.bytes)
}
