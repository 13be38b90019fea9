//! The table of rules and callers.

use super::{Access, Caller, Rule, SignedInUser};
use chrono::DateTime;
use pvt_domain::accounts::{AccessClaims, Role, UserId};
use pvt_domain::actor::Actor;
use pvt_domain::ids::PropertyId;
use pvt_service::tokens::Purpose;
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

fn signed_in_user(role: Role, properties: &[&str]) -> Caller {
    let properties = properties.iter().map(|id| PropertyId::from(*id)).collect();
    let sub = UserId::from_uuid(Uuid::nil());
    Caller::User(Arc::new(SignedInUser::new(AccessClaims {
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

fn all_callers() -> [Caller; 7] {
    let only = || PropertyScope::Only(vec!["pvt-montreal".into()]);
    [
        Caller::Anonymous,
        key(ApiRole::Client, PropertyScope::All, ScopeSet::All),
        key(ApiRole::Staff, only(), ScopeSet::All),
        key(ApiRole::Admin, PropertyScope::Only(vec![]), ScopeSet::All),
        signed_in_user(Role::Guest, &["pvt-montreal"]),
        signed_in_user(Role::Staff, &["pvt-montreal"]),
        signed_in_user(Role::Admin, &[]),
    ]
}

#[test]
fn rules_admit_callers_as_tabulated() {
    let (ok, anonymous, no) = ("", "unauthenticated", "forbidden");
    let table = [
        (Access::Open, [ok, ok, ok, ok, ok, ok, ok]),
        (Access::Public, [ok, ok, ok, ok, ok, ok, ok]),
        (Access::Known, [anonymous, ok, ok, ok, ok, ok, ok]),
        (Access::Guest(Purpose::View), [ok, ok, ok, ok, ok, ok, ok]),
        (Access::Account, [anonymous, no, no, no, ok, ok, ok]),
        (Access::Staff, [anonymous, no, ok, ok, no, ok, ok]),
        (Access::Admin, [anonymous, no, no, ok, no, no, ok]),
    ];
    for (access, expected) in table {
        let answers = all_callers()
            .map(|caller| Rule::new(access).authorize(&caller).map_or_else(|problem| problem.code(), |()| ""));
        assert_eq!(answers, expected, "{access:?}");
    }
}

#[test]
fn keys_are_limited_to_their_scopes() {
    let rule = Rule::new(Access::Staff).scoped(Scope::NotificationsWrite);
    let of =
        |scopes| rule.authorize(&key(ApiRole::Staff, PropertyScope::All, scopes)).map_err(|problem| problem.code());
    assert_eq!(of(ScopeSet::All), Ok(()));
    assert_eq!(of(ScopeSet::Only(vec![Scope::NotificationsWrite])), Ok(()));
    assert_eq!(of(ScopeSet::Only(vec![Scope::BookingsRead])), Err("forbidden"));
    assert_eq!(
        rule.authorize(&signed_in_user(Role::Staff, &[])).map_err(|problem| problem.code()),
        Ok(()),
        "people have all scopes of their role"
    );
    let client = key(ApiRole::Client, PropertyScope::All, ScopeSet::Only(vec![Scope::NotificationsWrite]));
    assert_eq!(rule.authorize(&client).map_err(|problem| problem.code()), Err("forbidden"), "a scope gives no role");
}

#[test]
fn staff_are_limited_to_their_properties() {
    let acts = |property: &str| all_callers().map(|caller| caller.is_staff_of(&property.into()));
    assert_eq!(acts("pvt-montreal"), [false, false, true, true, false, true, true]);
    assert_eq!(acts("pvt-quebec"), [false, false, false, true, false, false, true]);
}

#[test]
fn actor_names_the_kind_of_caller() {
    let nil_id = Uuid::nil();
    let expected = [
        "guest",
        "client:k1",
        "staff:k1",
        "staff:k1",
        &format!("user:{nil_id}"),
        &format!("staff:{nil_id}"),
        &format!("staff:{nil_id}"),
    ]
    .map(Actor::from);
    assert_eq!(all_callers().map(|caller| caller.actor()), expected);
}

#[test]
fn staff_of_another_property_are_guests() {
    let nil_id = Uuid::nil();
    let user = format!("user:{nil_id}");
    let staff = format!("staff:{nil_id}");
    let at = |property: &str| all_callers().map(|caller| caller.actor_at(&property.into()));
    let here = ["guest", "client:k1", "staff:k1", "staff:k1", &user, &staff, &staff].map(Actor::from);
    let elsewhere = ["guest", "client:k1", "client:k1", "staff:k1", &user, &user, &staff].map(Actor::from);
    assert_eq!(at("pvt-montreal"), here);
    assert_eq!(at("pvt-quebec"), elsewhere);
}
