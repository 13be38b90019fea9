//! Actors: who requested or caused a change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

const CLIENT: &str = "client:";
const USER: &str = "user:";
const STAFF: &str = "staff:";
const SCHEDULE: &str = "schedule:";

/// An actor, as it is stored and sent: `guest`, `client:<id>`, `user:<id>`, `staff:<id>`, `system`, `stripe`,
/// `schedule:<name>`.
/// Any other text, of an older version or of a test, is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, with = "String")]
pub struct Actor(Cow<'static, str>);

impl Actor {
    /// A guest without an account, or with the token of their booking.
    pub const GUEST: Self = Self(Cow::Borrowed("guest"));
    /// A worker, on its own account.
    pub const SYSTEM: Self = Self(Cow::Borrowed("system"));
    /// A worker, on account of what Stripe reported.
    pub const STRIPE: Self = Self(Cow::Borrowed("stripe"));

    /// An API client acting for guests.
    pub fn client(id: impl fmt::Display) -> Self {
        Self(format!("{CLIENT}{id}").into())
    }

    /// A user acting for themselves.
    pub fn user(id: impl fmt::Display) -> Self {
        Self(format!("{USER}{id}").into())
    }

    /// A user or API client with a role at the property.
    pub fn staff(id: impl fmt::Display) -> Self {
        Self(format!("{STAFF}{id}").into())
    }

    /// A schedule.
    pub fn schedule(name: impl fmt::Display) -> Self {
        Self(format!("{SCHEDULE}{name}").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a member of staff acted, in person or by an API client.
    pub fn is_staff(&self) -> bool {
        self.0.starts_with(STAFF)
    }

    /// Whether a guest acted, in person or by an API client.
    pub fn is_guest(&self) -> bool {
        *self == Self::GUEST || self.0.starts_with(CLIENT) || self.0.starts_with(USER)
    }

    /// Whether a schedule acted.
    pub fn is_schedule(&self) -> bool {
        self.0.starts_with(SCHEDULE)
    }
}

impl From<&str> for Actor {
    fn from(text: &str) -> Self {
        Self(text.to_owned().into())
    }
}

impl From<String> for Actor {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&Actor> for Actor {
    fn from(actor: &Actor) -> Self {
        actor.clone()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.0.into_owned()
    }
}

impl PartialEq<&str> for Actor {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Actor;
    use proptest::prelude::*;

    #[test]
    fn actors_have_their_stored_form() {
        for (actor, text) in [
            (Actor::GUEST, "guest"),
            (Actor::client("k1"), "client:k1"),
            (Actor::user(1), "user:1"),
            (Actor::staff(1), "staff:1"),
            (Actor::SYSTEM, "system"),
            (Actor::STRIPE, "stripe"),
            (Actor::schedule("night_audit"), "schedule:night_audit"),
        ] {
            assert_eq!((&actor, serde_json::to_value(&actor).unwrap()), (&Actor::from(text), text.into()));
            assert_eq!(actor.is_staff(), text == "staff:1");
            assert_eq!(actor.is_guest(), ["guest", "client:k1", "user:1"].contains(&text));
        }
    }

    proptest! {
        #[test]
        fn any_text_round_trips(text in ".{0,20}") {
            let json = serde_json::to_string(&text).unwrap();
            let actor: Actor = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(serde_json::to_string(&actor).unwrap(), json);
        }
    }
}
