//! Declarations of messages: one place gives a wire name its constant, decoding, schema, description and example.
//!
//! The example of `payment.refund.v1` is the file `messages/payment.refund.v1.json` of this crate; without it the crate
//! does not compile. The doc comment of a wire name is its description in the catalog.

/// Declares the inbox of a queue: its commands with their wire names, and the event families that it subscribes to.
///
/// Several wire names before one `=>` share a type, whose [`MessageType::kind`](super::MessageType::kind) chooses
/// between them and is written by hand. Commands under `moved` are declared by the inbox of another queue: this one
/// decodes those that an earlier version sent here.
macro_rules! inbox {
    (
        $(#[$meta:meta])*
        pub enum $inbox:ident on $queue:path {
            commands {
                $( $( $(#[doc = $doc:literal])+ $constant:ident = $kind:literal ),+ => $variant:ident $payload:tt; )*
            }
            $( moved { $( $(#[$moved_meta:meta])* $moved_kind:path => $moved:ident $moved_payload:tt; )* } )?
            events {
                $( $(#[$event_meta:meta])* $event:ident $event_payload:tt; )*
            }
        }
    ) => {
        $( $(
            $(#[doc = $doc])+
            pub const $constant: &str = $kind;
        )+ )*

        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum $inbox {
            $( $( $(#[doc = $doc])+ )+ $variant $payload, )*
            $( $( $(#[$moved_meta])* $moved $moved_payload, )* )?
            $( $(#[$event_meta])* $event $event_payload, )*
        }

        impl $inbox {
            /// Base name of its queue.
            pub const QUEUE: &'static str = $queue;
            pub(crate) const ENTRIES: &'static [$crate::wire::CatalogEntry] = &[$( $(
                $crate::wire::CatalogEntry {
                    kind: $kind,
                    class: $crate::wire::MessageClass::Command,
                    queues: &[$queue],
                    description: concat!($($doc),+).trim_ascii(),
                    example: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/messages/", $kind, ".json")),
                    schema: <$crate::wire::payload!($payload) as ::schemars::JsonSchema>::json_schema,
                    decode: |body| {
                        let message = <$inbox as $crate::wire::Inbox>::decode($kind, body)?;
                        $crate::wire::Decoded::of(&message)
                    },
                },
            )+ )*];
        }

        impl $crate::wire::MessageType for $inbox {
            fn kind(&self) -> &'static str {
                match self {
                    $( Self::$variant(message) => message.kind(), )*
                    $( $( Self::$moved(message) => message.kind(), )* )?
                    $( Self::$event(event) => event.kind(), )*
                }
            }
        }

        impl $crate::wire::Inbox for $inbox {
            fn decode(kind: &str, body: &[u8]) -> Result<Self, $crate::wire::DecodeError> {
                $( $(
                    if kind == $kind {
                        return $crate::wire::decode_body(body).map(Self::$variant);
                    }
                )+ )*
                $( $(
                    if kind == $moved_kind {
                        return $crate::wire::decode_body(body).map(Self::$moved);
                    }
                )* )?
                $(
                    if <$crate::wire::payload!($event_payload)>::KINDS.contains(&kind) {
                        let event = <$crate::wire::payload!($event_payload)>::decode(kind, body)?;
                        return Ok(Self::$event(event.into()));
                    }
                )*
                let known: &[&[&str]] = &[
                    &[$( $( $kind, )+ )*],
                    $( &[$( $moved_kind, )*], )?
                    $( <$crate::wire::payload!($event_payload)>::KINDS, )*
                ];
                Err($crate::wire::DecodeError::unknown(kind, &known.concat()))
            }
        }

        $( $crate::wire::impl_kind!($payload; $($constant),+); )*
    };
}

/// Declares the wire names of a family of events or replies, all of one type. The type decodes itself by
/// `decode(kind, body)`. When that depends on the wire name, `restricted by` names the function that narrows the schema
/// of the type to the bodies of a wire name.
macro_rules! message_family {
    ($class:ident $family:ident { $($names:tt)+ }) => {
        $crate::wire::message_family! { $class $family restricted by $crate::wire::any_body { $($names)+ } }
    };
    (
        $class:ident $family:ident restricted by $restrict:path {
            $( $(#[doc = $doc:literal])+ $constant:ident = $kind:literal $(=> $queue:path)?; )+
        }
    ) => {
        $(
            $(#[doc = $doc])+
            pub const $constant: &str = $kind;
        )+

        impl $family {
            /// Its wire names.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];
            pub(crate) const ENTRIES: &'static [$crate::wire::CatalogEntry] = &[$(
                $crate::wire::CatalogEntry {
                    kind: $kind,
                    class: $crate::wire::MessageClass::$class,
                    queues: &[$($queue)?],
                    description: concat!($($doc),+).trim_ascii(),
                    example: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/messages/", $kind, ".json")),
                    schema: |generator| {
                        let schema = <$family as ::schemars::JsonSchema>::json_schema(generator);
                        $restrict($kind, schema)
                    },
                    decode: |body| $crate::wire::Decoded::of(&<$family>::decode($kind, body)?),
                },
            )+];
        }
    };
}

/// The message type of a variant's payload, boxed or not.
macro_rules! payload {
    ((Box<$message:ident>)) => {
        $message
    };
    (($message:ident)) => {
        $message
    };
}

/// Implements [`MessageType`](super::MessageType) for a type with one wire name.
macro_rules! impl_kind {
    ((Box<$message:ident>); $constant:ident) => { $crate::wire::impl_kind!(($message); $constant); };
    (($message:ident); $constant:ident) => {
        impl $crate::wire::MessageType for $message {
            fn kind(&self) -> &'static str {
                $constant
            }
        }
    };
    ($payload:tt; $($constant:ident),+) => {};
}

pub(crate) use {impl_kind, inbox, message_family, payload};
