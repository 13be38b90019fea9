//! Who may do what: every rule of access, in this one place. Whatever is not allowed here is denied.
//!
//! A route's [`Rule`] says who may use it at all and is written where the route is registered; which objects they may
//! touch is asked of the [`Caller`] by the handler, and whoever may not touch one must not learn that it exists.

use crate::problem::{self, Problem};
use pvt_domain::accounts::{AccessClaims, Role, UserId};
use pvt_domain::booking::Booking;
use pvt_domain::ids::PropertyId;
use pvt_stores::mongo::api_keys::{ApiKey, ApiRole, Scope};
use std::sync::Arc;

/// Who sends a request.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Anybody.
    Anonymous,
    /// A program with a valid key.
    Key(Arc<ApiKey>),
    /// Somebody who has logged in.
    Person(Arc<Person>),
}

/// Somebody who has logged in, as their access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// Their account.
    pub(crate) id: UserId,
    role: Role,
    properties: Vec<PropertyId>,
    /// Under which their bookings are filed. Keys' ids hold no colon.
    client: String,
}

impl Person {
    pub(crate) fn new(claims: AccessClaims) -> Self {
        Self {
            id: claims.sub,
            role: claims.role,
            properties: claims.properties,
            client: format!("user:{}", claims.sub),
        }
    }
}

/// How far a caller reaches, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Nobody,
    /// Their own bookings.
    Own,
    /// Their properties.
    Properties,
    Everything,
}

/// Who may use a route at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody; no credential is looked at, or the route looks at one of its own kind.
    Open,
    /// Everybody; who sends a credential must send a valid one.
    Public,
    /// Whoever has a booking's token, and everybody who is known; the handler shows each only their own bookings and
    /// else answers 404.
    Guest,
    /// Whoever is known: people who have logged in, and keys; the handler shows each what they may see.
    Known,
    /// People who have logged in.
    Account,
    /// Who works for some property; the handler asks which.
    Staff,
    /// Who works for all of them.
    Admin,
}

/// Which of the limits counts a route's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// None: probes, and callers that prove themselves by a signature.
    Unlimited,
    /// The general one.
    General,
    /// The one of passwords.
    Auth,
    /// The one of booking requests.
    Booking,
}

/// What a route demands of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) access: Access,
    /// What a key must be for. Keys without a scope at a route that names none are not refused.
    pub(crate) scope: Option<Scope>,
    pub(crate) bucket: Bucket,
}

impl Rule {
    /// Open to these, and counted generally.
    pub(crate) const fn new(access: Access) -> Self {
        Self { access, scope: None, bucket: Bucket::General }
    }

    /// For keys with this scope only; people have all scopes of their role.
    pub(crate) const fn scoped(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Counted by this limit.
    pub(crate) const fn counted(mut self, bucket: Bucket) -> Self {
        self.bucket = bucket;
        self
    }

    /// Whether this caller may use the route at all.
    ///
    /// # Errors
    /// 401 for whoever might be allowed with a credential, 403 for whoever has one that is not enough.
    pub(crate) fn admits(self, caller: &Caller) -> Result<(), Problem> {
        let needed = match self.access {
            Access::Open => return Ok(()),
            Access::Public | Access::Guest => Reach::Nobody,
            Access::Account if matches!(caller, Caller::Key(_)) => {
                return Err(Problem::new(problem::FORBIDDEN, "Log in: API keys have no account of their own."));
            }
            Access::Known | Access::Account => Reach::Own,
            Access::Staff => Reach::Properties,
            Access::Admin => Reach::Everything,
        };
        match caller.reach() {
            reach if reach < needed && reach == Reach::Nobody => Err(problem::UNAUTHENTICATED.into()),
            reach if reach < needed => Err(problem::FORBIDDEN.into()),
            _ if self.scope.is_some_and(|scope| !caller.has_scope(scope)) => {
                Err(Problem::new(problem::FORBIDDEN, "Use an API key whose scopes cover this."))
            }
            _ => Ok(()),
        }
    }
}

impl Caller {
    fn reach(&self) -> Reach {
        match self {
            Self::Anonymous => Reach::Nobody,
            Self::Key(key) => match key.role {
                ApiRole::Client => Reach::Own,
                ApiRole::Staff => Reach::Properties,
                ApiRole::Admin => Reach::Everything,
            },
            Self::Person(person) => match person.role {
                Role::Guest => Reach::Own,
                Role::Staff => Reach::Properties,
                Role::Admin => Reach::Everything,
            },
        }
    }

    fn has_scope(&self, scope: Scope) -> bool {
        match self {
            Self::Key(key) => key.scopes.covers(scope),
            Self::Anonymous | Self::Person(_) => true,
        }
    }

    /// The client's id under which its idempotency keys and bookings are filed.
    pub(crate) fn client(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(&key.id),
            Self::Person(person) => Some(&person.client),
        }
    }

    /// Who has logged in.
    ///
    /// # Errors
    /// 401 when nobody has: at a route of [`Access::Account`] that cannot happen.
    pub(crate) fn person(&self) -> Result<&Person, Problem> {
        match self {
            Self::Person(person) => Ok(person),
            Self::Anonymous | Self::Key(_) => Err(problem::UNAUTHENTICATED.into()),
        }
    }

    /// How the caller appears in histories and headers.
    pub(crate) fn actor(&self) -> String {
        match (self, self.reach()) {
            (Self::Anonymous, _) => "guest".to_owned(),
            (Self::Key(key), Reach::Nobody | Reach::Own) => format!("client:{}", key.id),
            (Self::Key(key), Reach::Properties | Reach::Everything) => format!("staff:{}", key.id),
            (Self::Person(person), Reach::Nobody | Reach::Own) => format!("user:{}", person.id),
            (Self::Person(person), Reach::Properties | Reach::Everything) => format!("staff:{}", person.id),
        }
    }

    /// Whether the caller works for all properties.
    pub(crate) fn is_admin(&self) -> bool {
        self.reach() == Reach::Everything
    }

    /// Whether the caller works for this property.
    pub(crate) fn acts_on(&self, property: &PropertyId) -> bool {
        match (self.reach(), self) {
            (Reach::Everything, _) => true,
            (Reach::Properties, Self::Key(key)) => key.properties.covers(property),
            (Reach::Properties, Self::Person(person)) => person.properties.contains(property),
            _ => false,
        }
    }

    /// Whether this booking is the caller's own or of a property that the caller works for. Who may not, must not learn
    /// that it exists.
    pub(crate) fn sees(&self, booking: &Booking) -> bool {
        let own = self.client().is_some_and(|client| booking.client.as_deref() == Some(client));
        own || self.acts_on(&booking.property_id)
    }
}

#[cfg(test)]
mod tests;
