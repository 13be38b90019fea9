//! Identifiers and their derivation.
//!
//! Whatever may be computed twice (a booking, its events) has an id that is a function of its cause, so that a retry
//! anywhere in the system yields the same id.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Namespace of every UUIDv5 derived here (itself UUIDv5 of the DNS namespace and `pvt.booking`).
const NAMESPACE: Uuid = Uuid::from_u128(0x0f6c_3a52_9f0e_5d7b_8a41_6be1_c2d9_4e73);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline, with = "String")]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// A property, for example `pvt-montreal`.
    PropertyId
);
text_id!(
    /// A room type, unique within its property, for example `dorm-6-mixed`.
    RoomTypeId
);
text_id!(
    /// A room, unique within its property.
    RoomId
);
text_id!(
    /// A bed, unique within its property, for example `d6a-3`.
    BedId
);
text_id!(
    /// A cancellation policy, unique within its property, for example `flexible`.
    PolicyId
);
text_id!(
    /// A rate plan, unique within its property, for example `standard`.
    RatePlanId
);

/// Longest `Idempotency-Key` that is accepted, in characters.
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;

/// Crockford's base 32.
const REFERENCE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a reference after its prefix.
const REFERENCE_CHARS: usize = 10;
/// Bits of an id that its reference omits.
const REFERENCE_SHIFT: u32 = 78;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
        #[schemars(inline, with = "Uuid")]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                uuid_text::serialize(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                uuid_text::deserialize(deserializer).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A booking. Written as a hyphenated UUID everywhere, also in MongoDB.
    BookingId
);
uuid_id!(
    /// A block of beds. Written like a booking's id; the two never collide, because they are derived from distinct
    /// names.
    BlockId
);

uuid_id!(
    /// An account. Written as a hyphenated UUID everywhere.
    UserId
);

impl BlockId {
    /// The block of this idempotency key of `client`, however often and wherever the request is sent.
    pub fn derive(client: &str, idempotency_key: &str) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("block\n{client}\n{idempotency_key}").as_bytes()))
    }

    /// Id of the event of `kind` (with its version) of this block's revision `rev`.
    pub fn event_id(&self, rev: u32, kind: &str) -> Uuid {
        Uuid::new_v5(&self.0, format!("{rev}|{kind}").as_bytes())
    }
}

impl BookingId {
    /// The booking of this idempotency key of `client`, however often and wherever the request is sent.
    ///
    /// `client` is the authenticated client's id; `None` is an anonymous caller. Two anonymous callers may choose the
    /// same key, so an anonymous id also covers the fingerprint of the body.
    pub fn derive(client: Option<&str>, idempotency_key: &str, fingerprint: &str) -> Self {
        let name = match client {
            Some(client) => format!("client\n{client}\n{idempotency_key}"),
            None => format!("anonymous\n{fingerprint}\n{idempotency_key}"),
        };
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// The short code that guests read out on the phone: `PVT-` and ten characters of Crockford's base 32.
    ///
    /// A function of the id (its first 50 bits), so it is known before anything is stored.
    pub fn reference(&self) -> String {
        let bits = self.0.as_u128() >> REFERENCE_SHIFT;
        let code = (0..REFERENCE_CHARS)
            .rev()
            .map(|place| char::from(REFERENCE_ALPHABET[((bits >> (place * 5)) & 31) as usize]));
        "PVT-".chars().chain(code).collect()
    }

    /// The least and the greatest id with this reference, for a lookup by id; `None` for what is no reference. Accepted
    /// as people write it: in any case, with or without `PVT-`, O for 0, I and L for 1.
    pub fn range_of_reference(reference: &str) -> Option<(Self, Self)> {
        let upper = reference.trim().to_ascii_uppercase();
        let code = upper.strip_prefix("PVT-").unwrap_or(&upper);
        if code.chars().count() != REFERENCE_CHARS {
            return None;
        }
        let mut bits: u128 = 0;
        for c in code.chars() {
            let read = match c {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let place = REFERENCE_ALPHABET.iter().position(|known| char::from(*known) == read)?;
            bits = (bits << 5) | u128::try_from(place).ok()?;
        }
        let least = bits << REFERENCE_SHIFT;
        Some((Self(Uuid::from_u128(least)), Self(Uuid::from_u128(least | ((1 << REFERENCE_SHIFT) - 1)))))
    }

    /// Id of the event of `kind` (with its version) of this booking's revision `rev`.
    pub fn event_id(&self, rev: u32, kind: &str) -> Uuid {
        Uuid::new_v5(&self.0, format!("{rev}|{kind}").as_bytes())
    }

    /// Id of the command that requests this booking: the same for every retry of the request.
    pub fn request_command_id(&self) -> Uuid {
        Uuid::new_v5(&self.0, b"request")
    }
}

/// Id of the event of this revision of a property.
pub fn inventory_event_id(property: &PropertyId, rev: u64) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("inventory\n{property}\n{rev}").as_bytes())
}

/// Id of the message of `schedule` for its fire at `fire` (RFC 3339) about `subject`: the same from any leader.
pub fn fire_id(schedule: &str, fire: &str, subject: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("fire\n{schedule}\n{fire}\n{subject}").as_bytes())
}

/// Serialises message and event ids as text in every format, also in BSON (where a bare UUID would become binary).
pub mod uuid_text {
    use super::{Cow, Deserialize, Deserializer, Serializer, Uuid};
    use serde::de::Error as _;

    /// Writes the hyphenated form.
    pub fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    /// Reads any textual form.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Uuid::try_parse(&text).map_err(D::Error::custom)
    }
}

/// As [`uuid_text`], for an id that may be absent.
pub mod optional_uuid {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Uuid};
    use serde::de::Error as _;

    /// Writes the hyphenated form, or nothing.
    pub fn serialize<S: Serializer>(id: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
        id.map(|id| id.to_string()).serialize(serializer)
    }

    /// Reads any textual form, or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| Uuid::try_parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::BookingId;

    #[test]
    fn authenticated_key_names_one_booking_for_any_body() {
        assert_eq!(BookingId::derive(Some("app"), "k", "a"), BookingId::derive(Some("app"), "k", "b"));
        assert_ne!(BookingId::derive(Some("app"), "k", "a"), BookingId::derive(Some("other"), "k", "a"));
    }

    #[test]
    fn anonymous_keys_also_cover_the_body() {
        assert_ne!(BookingId::derive(None, "1", "a"), BookingId::derive(None, "1", "b"));
        assert_eq!(BookingId::derive(None, "1", "a"), BookingId::derive(None, "1", "a"));
    }

    #[test]
    fn reference_range_contains_its_booking() {
        let id = BookingId::derive(None, "1", "a");
        let reference = id.reference();
        for written in [reference.clone(), reference.to_lowercase(), reference[4..].replace('0', "o").replace('1', "l")]
        {
            let (least, greatest) = BookingId::range_of_reference(&written).unwrap();
            assert!(least <= id && id <= greatest, "{written}");
            assert!(least.to_string() <= id.to_string() && id.to_string() <= greatest.to_string(), "also as text");
            assert_eq!((least.reference(), greatest.reference()), (reference.clone(), reference.clone()));
        }
        assert!(
            ["", "PVT-", "PVT-012345678", "PVT-012345678U", "PVT-01234567890"]
                .iter()
                .all(|bad| BookingId::range_of_reference(bad).is_none())
        );
    }

    #[test]
    fn reference_is_unambiguous_when_read_aloud() {
        let reference = BookingId::derive(None, "1", "a").reference();
        assert_eq!(reference.len(), 14);
        assert!(reference[4..].chars().all(|c| c.is_ascii_digit() || (c.is_ascii_uppercase() && !"ILOU".contains(c))));
    }
}
