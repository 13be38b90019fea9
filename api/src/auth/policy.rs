//! Access policy: every rule of access, in one place. Whatever is not allowed here is denied.
//!
//! A route's [`Rule`] says which callers may use it at all and is written where the route is registered; which objects
//! they may touch is decided by the handler with the methods of [`Caller`]. A caller who may not touch an object must
//! not learn that it exists.

use crate::http::problem::{self, Problem};
use pvt_domain::accounts::{AccessClaims, Role, UserId};
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_domain::ids::PropertyId;
use pvt_service::tokens::Purpose;
use pvt_stores::mongo::api_keys::{ApiKey, ApiRole, Scope};
use std::sync::Arc;

/// The sender of a request, as authenticated.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A request without a credential.
    Anonymous,
    /// A program with a valid key.
    Key(Arc<ApiKey>),
    /// A user who has logged in.
    User(Arc<SignedInUser>),
}

/// A user who has logged in, as their access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedInUser {
    /// The account.
    pub(crate) id: UserId,
    role: Role,
    properties: Vec<PropertyId>,
    /// The client id under which their bookings are filed. Ids of API keys hold no colon.
    client: String,
}

impl SignedInUser {
    pub(crate) fn new(claims: AccessClaims) -> Self {
        Self {
            id: claims.sub,
            role: claims.role,
            properties: claims.properties,
            client: format!("user:{}", claims.sub),
        }
    }
}

/// The extent of a caller's access, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AccessLevel {
    /// No booking, except by its token.
    None,
    /// Their own bookings.
    Own,
    /// Their properties.
    Properties,
    Everything,
}

/// The callers that may use a route at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Every caller; credentials are ignored, or the route checks one of its own kind.
    Open,
    /// Every caller; a credential that is sent must be valid.
    Public,
    /// Holders of a booking's token that is good for at least this, and authenticated callers; the handler shows each
    /// only their own bookings and answers 404 for others.
    Guest(Purpose),
    /// Authenticated callers: users who have logged in, and API keys; the handler shows each what they may see.
    Known,
    /// Users who have logged in.
    Account,
    /// Staff of some property; the handler checks which.
    Staff,
    /// Staff of all properties.
    Admin,
}

/// The rate limit that counts a route's requests.
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

/// The requirements of a route to its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) access: Access,
    /// The scope that a key must have. A route without one accepts keys of any scope.
    pub(crate) scope: Option<Scope>,
    pub(crate) bucket: Bucket,
}

impl Rule {
    /// A rule for these callers, counted by the general limit.
    pub(crate) const fn new(access: Access) -> Self {
        Self { access, scope: None, bucket: Bucket::General }
    }

    /// Only for keys with this scope; users have all scopes of their role.
    pub(crate) const fn scoped(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Counted by this limit.
    pub(crate) const fn limited_by(mut self, bucket: Bucket) -> Self {
        self.bucket = bucket;
        self
    }

    /// Whether this caller may use the route at all.
    ///
    /// # Errors
    /// 401 without a credential, 403 with one that does not suffice.
    pub(crate) fn authorize(self, caller: &Caller) -> Result<(), Problem> {
        let needed = match self.access {
            Access::Open => return Ok(()),
            Access::Public | Access::Guest(_) => AccessLevel::None,
            Access::Account if matches!(caller, Caller::Key(_)) => {
                return Err(Problem::new(problem::FORBIDDEN, "Log in: API keys have no account of their own."));
            }
            Access::Known | Access::Account => AccessLevel::Own,
            Access::Staff => AccessLevel::Properties,
            Access::Admin => AccessLevel::Everything,
        };
        match caller.access_level() {
            reach if reach < needed && reach == AccessLevel::None => Err(problem::UNAUTHENTICATED.into()),
            reach if reach < needed => Err(problem::FORBIDDEN.into()),
            _ if self.scope.is_some_and(|scope| !caller.has_scope(scope)) => {
                Err(Problem::new(problem::FORBIDDEN, "Use an API key whose scopes cover this."))
            }
            _ => Ok(()),
        }
    }
}

impl Caller {
    fn access_level(&self) -> AccessLevel {
        match self {
            Self::Anonymous => AccessLevel::None,
            Self::Key(key) => match key.role {
                ApiRole::Client => AccessLevel::Own,
                ApiRole::Staff => AccessLevel::Properties,
                ApiRole::Admin => AccessLevel::Everything,
            },
            Self::User(user) => match user.role {
                Role::Guest => AccessLevel::Own,
                Role::Staff => AccessLevel::Properties,
                Role::Admin => AccessLevel::Everything,
            },
        }
    }

    fn has_scope(&self, scope: Scope) -> bool {
        match self {
            Self::Key(key) => key.scopes.covers(scope),
            Self::Anonymous | Self::User(_) => true,
        }
    }

    /// Whether the caller looks after bookings of others: staff and administrators, by account or key.
    pub(crate) fn is_staff(&self) -> bool {
        self.access_level() >= AccessLevel::Properties
    }

    /// The client's id under which its idempotency keys and bookings are filed.
    pub(crate) fn client(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(&key.id),
            Self::User(user) => Some(&user.client),
        }
    }

    /// The user who has logged in.
    ///
    /// # Errors
    /// 401 for any other caller, which cannot happen at a route of [`Access::Account`].
    pub(crate) fn signed_in_user(&self) -> Result<&SignedInUser, Problem> {
        match self {
            Self::User(user) => Ok(user),
            Self::Anonymous | Self::Key(_) => Err(problem::UNAUTHENTICATED.into()),
        }
    }

    /// The caller as histories and headers name them, where the route itself or the handler requires staff.
    pub(crate) fn actor(&self) -> Actor {
        self.actor_if(self.is_staff())
    }

    /// The caller as histories and headers name them at this property: staff of other properties are guests here.
    pub(crate) fn actor_at(&self, property: &PropertyId) -> Actor {
        self.actor_if(self.is_staff_of(property))
    }

    fn actor_if(&self, acts_as_staff: bool) -> Actor {
        match self {
            Self::Anonymous => Actor::GUEST,
            Self::Key(key) if acts_as_staff => Actor::staff(&key.id),
            Self::Key(key) => Actor::client(&key.id),
            Self::User(user) if acts_as_staff => Actor::staff(user.id),
            Self::User(user) => Actor::user(user.id),
        }
    }

    /// Whether the caller works for all properties.
    pub(crate) fn is_admin(&self) -> bool {
        self.access_level() == AccessLevel::Everything
    }

    /// Whether the caller works for this property.
    pub(crate) fn is_staff_of(&self, property: &PropertyId) -> bool {
        match (self.access_level(), self) {
            (AccessLevel::Everything, _) => true,
            (AccessLevel::Properties, Self::Key(key)) => key.properties.covers(property),
            (AccessLevel::Properties, Self::User(user)) => user.properties.contains(property),
            _ => false,
        }
    }

    /// The caller, if they work for this property.
    ///
    /// # Errors
    /// 404 for any other caller, who must not learn that it exists.
    pub(crate) fn staff_of(self, property: &PropertyId) -> Result<Self, Problem> {
        if self.is_staff_of(property) { Ok(self) } else { Err(problem::NOT_FOUND.into()) }
    }

    /// Whether this booking is the caller's own or of a property that the caller works for. A caller who
    /// may not see it must not learn that it exists.
    pub(crate) fn may_see(&self, booking: &Booking) -> bool {
        let own = self.client().is_some_and(|client| booking.client.as_deref() == Some(client));
        own || self.is_staff_of(&booking.property_id)
    }
}

#[cfg(test)]
mod tests;
