//! The demonstration accounts. Their passwords are published here, so they must never exist in production.

use crate::OPERATOR;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::accounts::{Email, Role, User, UserId};
use pvt_domain::demo;
use pvt_service::passwords;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use uuid::Uuid;

/// A demonstration account.
pub struct Account {
    /// Mail address and login name.
    pub email: &'static str,
    /// Its published password.
    pub password: &'static str,
    name: &'static str,
    role: Role,
}

/// Every demonstration account.
pub const ACCOUNTS: [Account; 3] = [
    Account { email: "admin@pvt.test", password: "admin-of-the-demo", name: "Admin", role: Role::Admin },
    Account { email: "staff@pvt.test", password: "staff-of-the-demo", name: "Staff", role: Role::Staff },
    Account { email: "guest@pvt.test", password: "guest-of-the-demo", name: "Guest", role: Role::Guest },
];

/// Creates the accounts that do not exist; an existing one stays as it is.
pub(super) async fn create(mongo: &Mongo) -> Result<()> {
    for Account { email, password, name, role } in ACCOUNTS {
        let Ok(email) = Email::parse(email) else { continue };
        if mongo.users().find_by_email(&email).await?.is_some() {
            continue;
        }
        let properties = if role == Role::Staff { vec![demo::PROPERTY_ID.into()] } else { Vec::new() };
        let user = User {
            id: UserId::from_uuid(Uuid::now_v7()),
            email,
            name: name.to_owned(),
            role,
            properties,
            locale: None,
            rev: 1,
            created_at: Utc::now().into(),
            disabled_at: None,
        };
        let hash = tokio::task::spawn_blocking(move || passwords::hash(password)).await??;
        let (action, id) = ("account.create".to_owned(), user.id.to_string());
        let entry =
            AuditEntry::new(Uuid::now_v7(), user.created_at, OPERATOR, action, &id, &role.granted_at(&user.properties));
        match mongo.users().create_audited(user, hash, &entry).await {
            Ok(()) | Err(StoreError::Duplicate(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ACCOUNTS;
    use pvt_domain::accounts::{Email, check_password};

    #[test]
    fn demo_accounts_pass_registration_rules() {
        for account in ACCOUNTS {
            let email = Email::parse(account.email).unwrap();
            assert_eq!(check_password(account.password, Some(&email), ""), None, "{}", account.email);
        }
    }
}
