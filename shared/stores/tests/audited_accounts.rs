//! Keys and accounts are changed together with their audit entries, or not at all.

#![allow(clippy::unwrap_used)]

use anyhow::Result;
use chrono::Utc;
use pvt_domain::accounts::{Email, Role, User, UserId};
use pvt_stores::StoreError;
use pvt_stores::mongo::api_keys::{ApiRole, NewApiKey, PropertyScope, ScopeSet};
use pvt_stores::mongo::audit::AuditEntry;
use pvt_testkit::Namespace;
use uuid::Uuid;

fn user(id: UserId) -> User {
    User {
        id,
        email: Email::parse("ada@example.com").unwrap(),
        name: "Ada".to_owned(),
        role: Role::Guest,
        properties: Vec::new(),
        locale: None,
        rev: 1,
        created_at: Utc::now().into(),
        disabled_at: None,
    }
}

fn entry(action: &str, user: UserId) -> AuditEntry {
    AuditEntry::new(Uuid::new_v4(), Utc::now().into(), "operator", action.to_owned(), &user.to_string(), "")
}

#[tokio::test]
async fn key_is_created_and_revoked_with_one_entry_each() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let (name, properties) = ("front desk".to_owned(), PropertyScope::All);
    let new = NewApiKey { role: ApiRole::Staff, name, properties, scopes: ScopeSet::All };
    let (key, _) = mongo.api_keys().create(new, "operator", Utc::now().into()).await?;
    assert!(mongo.api_keys().revoke(&key.id, "operator", Utc::now().into()).await?);
    assert!(!mongo.api_keys().revoke(&key.id, "operator", Utc::now().into()).await?, "it is revoked already");
    let entries = mongo.audit_log().list(Some(&key.id), None, 10).await?;
    let shown: Vec<(&str, &str)> = entries.iter().map(|one| (one.action.as_str(), one.detail.as_str())).collect();
    assert_eq!(shown, [("api_key.revoke", "staff key `front desk`"), ("api_key.create", "staff key `front desk`")]);
    Ok(())
}

#[tokio::test]
async fn refused_change_of_an_account_leaves_no_entry() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let id = UserId::from_uuid(Uuid::now_v7());
    let created = entry("account.create", id);
    mongo.users().create_audited(user(id), "hash".to_owned(), &created).await?;
    let other = UserId::from_uuid(Uuid::now_v7());
    let again = mongo.users().create_audited(user(other), "hash".to_owned(), &entry("account.create", other)).await;
    assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    let promoted = entry("account.role", id);
    let changed = mongo.users().set_role(id, 1, (Role::Admin, &[]), &promoted).await?;
    assert_eq!((changed.role, changed.rev), (Role::Admin, 2));
    let stale = mongo.users().set_role(id, 1, (Role::Guest, &[]), &entry("account.role", id)).await;
    assert!(matches!(stale, Err(StoreError::Stale(_))), "{stale:?}");
    let entries = mongo.audit_log().list(None, None, 10).await?;
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert!([created, promoted].iter().all(|entry| entries.contains(entry)));
    Ok(())
}

#[tokio::test]
async fn change_is_undone_when_its_entry_cannot_be_stored() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let id = UserId::from_uuid(Uuid::now_v7());
    mongo.users().create(user(id), "hash".to_owned()).await?;
    let taken = entry("account.role", id);
    mongo.audit_log().append(&taken).await?;
    let refused = mongo.users().set_role(id, 1, (Role::Admin, &[]), &taken).await;
    assert!(matches!(refused, Err(StoreError::Duplicate(_))), "{refused:?}");
    let stored = mongo.users().find(id).await?.unwrap();
    assert_eq!((stored.role, stored.rev), (Role::Guest, 1), "no change without its entry");
    Ok(())
}
