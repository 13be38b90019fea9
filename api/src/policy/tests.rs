//! The table of rules and callers.

use super::{Access, Caller, Person, Rule};
use chrono::DateTime;
use pvt_domain::accounts::{AccessClaims, Role, UserId};
use pvt_domain::ids::PropertyId;
use pvt_stores::mongo::api_keys::{ApiKey, ApiRole, PropertyScope, Scope, ScopeSet};
use std::sync::Arc;
use uuid::Uuid;

fn key(role: ApiRole, properties: PropertyScope, scopes: ScopeSet) -> Caller {
    let created_at = DateTime::from_timestamp(0, 0).unwrap().into();
    Caller::Key(Arc::new(ApiKey {
        id: "k1".to_owned(),
        hash: String::new(),
        role,
        name: String::new(),
        properties,
        scopes,
        created_at,
        revoked_at: None,
    }))
}

fn person(role: Role, properties: &[&str]) -> Caller {
    let properties = properties.iter().map(|id| PropertyId::from(*id)).collect();
    let sub = UserId::from_uuid(Uuid::nil());
    Caller::Person(Arc::new(Person::new(AccessClaims {
        iss: String::new(),
        aud: String::new(),
        sub,
        jti: Uuid::nil(),
        iat: 0,
        exp: 0,
        role,
        properties,
    })))
}

fn everybody() -> [Caller; 7] {
    let only = || PropertyScope::Only(vec!["pvt-montreal".into()]);
    [
        Caller::Anonymous,
        key(ApiRole::Client, PropertyScope::All, ScopeSet::All),
        key(ApiRole::Staff, only(), ScopeSet::All),
        key(ApiRole::Admin, PropertyScope::Only(vec![]), ScopeSet::All),
        person(Role::Guest, &["pvt-montreal"]),
        person(Role::Staff, &["pvt-montreal"]),
        person(Role::Admin, &[]),
    ]
}

#[test]
fn the_table_of_rules_and_callers() {
    let (ok, who, no) = ("", "unauthenticated", "forbidden");
    let table = [
        (Access::Open, [ok, ok, ok, ok, ok, ok, ok]),
        (Access::Public, [ok, ok, ok, ok, ok, ok, ok]),
        (Access::Known, [who, ok, ok, ok, ok, ok, ok]),
        (Access::Guest, [ok, ok, ok, ok, ok, ok, ok]),
        (Access::Account, [who, no, no, no, ok, ok, ok]),
        (Access::Staff, [who, no, ok, ok, no, ok, ok]),
        (Access::Admin, [who, no, no, ok, no, no, ok]),
    ];
    for (access, expected) in table {
        let answers =
            everybody().map(|caller| Rule::new(access).admits(&caller).map_or_else(|problem| problem.code(), |()| ""));
        assert_eq!(answers, expected, "{access:?}");
    }
}

#[test]
fn a_key_reaches_no_further_than_its_scopes() {
    let rule = Rule::new(Access::Staff).scoped(Scope::NotificationsWrite);
    let of = |scopes| rule.admits(&key(ApiRole::Staff, PropertyScope::All, scopes)).map_err(|problem| problem.code());
    assert_eq!(of(ScopeSet::All), Ok(()));
    assert_eq!(of(ScopeSet::Only(vec![Scope::NotificationsWrite])), Ok(()));
    assert_eq!(of(ScopeSet::Only(vec![Scope::BookingsRead])), Err("forbidden"));
    assert_eq!(
        rule.admits(&person(Role::Staff, &[])).map_err(|problem| problem.code()),
        Ok(()),
        "people have all scopes of their role"
    );
    let client = key(ApiRole::Client, PropertyScope::All, ScopeSet::Only(vec![Scope::NotificationsWrite]));
    assert_eq!(rule.admits(&client).map_err(|problem| problem.code()), Err("forbidden"), "a scope gives no role");
}

#[test]
fn staff_act_on_their_properties_only() {
    let acts = |property: &str| everybody().map(|caller| caller.acts_on(&property.into()));
    assert_eq!(acts("pvt-montreal"), [false, false, true, true, false, true, true]);
    assert_eq!(acts("pvt-quebec"), [false, false, false, true, false, false, true]);
}

#[test]
fn histories_name_the_kind_of_caller() {
    let nobody = Uuid::nil();
    let expected = [
        "guest",
        "client:k1",
        "staff:k1",
        "staff:k1",
        &format!("user:{nobody}"),
        &format!("staff:{nobody}"),
        &format!("staff:{nobody}"),
    ]
    .map(str::to_owned);
    assert_eq!(everybody().map(|caller| caller.actor()), expected);
}
