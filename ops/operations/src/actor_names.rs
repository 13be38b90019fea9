//! Names of staff who acted: they know each other by name and address, not by the id of an account. Guests stay ids:
//! their names are personal data, which most places that show an actor have no reason to show.

use pvt_domain::accounts::{User, UserId};
use pvt_domain::actor::Actor;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use std::collections::HashMap;

/// The prefix of staff; the id of an account or of an API key follows.
const STAFF: &str = "staff:";

/// Names by actor, as histories have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActorNames(HashMap<String, String>);

impl ActorNames {
    /// Reads the accounts of those of these actors that are staff; others stay as they are. What names them is of use
    /// with ids, too: where the accounts cannot be read, all stay.
    pub async fn read<'a>(mongo: &Mongo, actors: impl IntoIterator<Item = &'a Actor>) -> Self {
        Self::of_accounts(mongo, actors).await.unwrap_or_default()
    }

    async fn of_accounts<'a>(mongo: &Mongo, actors: impl IntoIterator<Item = &'a Actor>) -> Result<Self, StoreError> {
        let ids: HashMap<String, UserId> =
            actors.into_iter().filter_map(|actor| Some((actor.to_string(), account_of(actor)?))).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let users = mongo.users().find_by_ids(ids.values().copied()).await?;
        let named = |(actor, id): (String, UserId)| Some((actor, name_of(users.get(&id)?)));
        Ok(Self(ids.into_iter().filter_map(named).collect()))
    }

    /// The name of an actor.
    pub fn of(&self, actor: &Actor) -> String {
        self.0.get(actor.as_str()).cloned().unwrap_or_else(|| actor.to_string())
    }

    /// A text with names instead of the actors in it.
    pub fn within(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (actor, name)| text.replace(actor.as_str(), name))
    }
}

/// The staff that a text names.
pub fn named_in(text: &str) -> impl Iterator<Item = Actor> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, ':' | '-'));
    words.filter(|word| word.starts_with(STAFF)).map(Actor::from)
}

fn account_of(actor: &Actor) -> Option<UserId> {
    actor.as_str().strip_prefix(STAFF)?.parse().ok()
}

fn name_of(user: &User) -> String {
    format!("{} ({})", pvt_domain::people::text::shown(&user.name), user.email.as_str())
}

#[cfg(test)]
mod tests {
    use super::{ActorNames, account_of, named_in};
    use pvt_domain::actor::Actor;
    use std::collections::HashMap;

    #[test]
    fn staff_are_named_and_others_stay() {
        let id = uuid::Uuid::from_u128(7);
        let staff = Actor::staff(id);
        assert!(account_of(&staff).is_some());
        for other in [Actor::user(id), Actor::staff("k1"), Actor::SYSTEM, Actor::GUEST, Actor::schedule("night_audit")]
        {
            assert!(account_of(&other).is_none(), "{other}");
        }
        let names = ActorNames(HashMap::from([(staff.to_string(), "Grace (g@example.com)".to_owned())]));
        assert_eq!(
            (names.of(&staff), names.of(&Actor::SYSTEM)),
            ("Grace (g@example.com)".to_owned(), "system".to_owned())
        );
        let text = format!("rev 2, by {staff} (late), by system, staff:, by {}", Actor::user(id));
        assert_eq!(named_in(&text).collect::<Vec<_>>(), [staff.clone(), "staff:".into()]);
        assert_eq!(names.within(&format!("rev 2, by {staff} (late)")), "rev 2, by Grace (g@example.com) (late)");
    }
}
