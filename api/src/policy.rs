//! Who may do what: every rule of access, in this one place. Whatever is not allowed here is denied.

use crate::problem::{self, Problem};
use pvt_domain::booking::Booking;
use pvt_domain::ids::PropertyId;
use pvt_stores::mongo::api_keys::{ApiKey, ApiRole};
use std::sync::Arc;

/// Who sends a request.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Anybody.
    Anonymous,
    /// A program with a valid key.
    Key(Arc<ApiKey>),
}

/// What reaches further than one booking of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Have a mail sent.
    SendNotification,
}

impl Caller {
    /// The client's id under which its idempotency keys and bookings are filed.
    pub(crate) fn client(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(&key.id),
        }
    }

    /// How the caller appears in histories and headers.
    pub(crate) fn actor(&self) -> String {
        match self {
            Self::Anonymous => "guest".to_owned(),
            Self::Key(key) => match key.role {
                ApiRole::Client => format!("client:{}", key.id),
                ApiRole::Staff | ApiRole::Admin => format!("staff:{}", key.id),
            },
        }
    }

    /// Whether the caller may do this at all; where, is asked by [`Caller::acts_on`].
    ///
    /// # Errors
    /// 401 for whoever might be allowed with a key, 403 for a key that is not.
    pub(crate) fn may(&self, action: Action) -> Result<(), Problem> {
        match (self, action) {
            (Self::Key(key), Action::SendNotification) if matches!(key.role, ApiRole::Staff | ApiRole::Admin) => Ok(()),
            (Self::Key(_), Action::SendNotification) => Err(problem::FORBIDDEN.into()),
            (Self::Anonymous, Action::SendNotification) => Err(problem::UNAUTHENTICATED.into()),
        }
    }

    /// Whether the caller works for this property.
    pub(crate) fn acts_on(&self, property: &PropertyId) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Key(key) => match key.role {
                ApiRole::Admin => true,
                ApiRole::Staff => key.properties.covers(property),
                ApiRole::Client => false,
            },
        }
    }

    /// Whether this booking is the caller's own or of a property that the caller works for. Who may not, must not learn that it
    /// exists.
    pub(crate) fn sees(&self, booking: &Booking) -> bool {
        let own = self.client().is_some_and(|client| booking.client.as_deref() == Some(client));
        own || self.acts_on(&booking.property_id)
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Caller};
    use chrono::DateTime;
    use pvt_stores::mongo::api_keys::{ApiKey, ApiRole, PropertyScope};
    use std::sync::Arc;

    fn caller(role: ApiRole, properties: PropertyScope) -> Caller {
        let created_at = DateTime::from_timestamp(0, 0).unwrap().into();
        Caller::Key(Arc::new(ApiKey { id: "k1".to_owned(), hash: String::new(), role, name: String::new(), properties, created_at, revoked_at: None }))
    }

    #[test]
    fn the_table_of_roles_and_actions() {
        let only = || PropertyScope::Only(vec!["pvt-montreal".into()]);
        let everybody = [
            Caller::Anonymous,
            caller(ApiRole::Client, PropertyScope::All),
            caller(ApiRole::Staff, only()),
            caller(ApiRole::Admin, PropertyScope::Only(vec![])),
        ];
        let send: Vec<_> = everybody.iter().map(|caller| caller.may(Action::SendNotification).map_err(|problem| problem.code())).collect();
        assert_eq!(send, [Err("unauthenticated"), Err("forbidden"), Ok(()), Ok(())]);
        let here: Vec<_> = everybody.iter().map(|caller| caller.acts_on(&"pvt-montreal".into())).collect();
        assert_eq!(here, [false, false, true, true]);
        let elsewhere: Vec<_> = everybody.iter().map(|caller| caller.acts_on(&"pvt-quebec".into())).collect();
        assert_eq!(elsewhere, [false, false, false, true]);
    }

    #[test]
    fn histories_name_the_kind_of_caller() {
        assert_eq!(Caller::Anonymous.actor(), "guest");
        assert_eq!(caller(ApiRole::Client, PropertyScope::All).actor(), "client:k1");
        assert_eq!(caller(ApiRole::Staff, PropertyScope::All).actor(), "staff:k1");
    }
}
