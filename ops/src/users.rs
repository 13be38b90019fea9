//! `pvt users`: accounts of people, as an operator makes the first admin and helps where the API cannot.

use crate::cli::{SetRoleArgs, UserArgs};
use crate::cli_error::CliError;
use crate::output;
use anyhow::{Context, Result, bail};
use chrono::Utc;
use pvt_domain::accounts::{Email, Profile, Role, User, UserId, check_password};
use pvt_domain::ids::PropertyId;
use pvt_domain::intake::FieldError;
use pvt_service::config::Config;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::passwords;
use rand::RngExt as _;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

/// Accounts read at once.
const PAGE: i64 = 200;
/// Letters of a password that is made here, 5 bits each.
const GENERATED_PASSWORD_CHARS: usize = 24;
/// As audits show it.
const ACTOR: &str = "operator";

async fn connect(config: &Config) -> Result<Mongo> {
    Mongo::connect(config.mongodb_uri.expose_secret(), "pvt users").await.context("MONGODB_URI")
}

fn read_email(text: &str) -> Result<Email> {
    Email::parse(text).with_context(|| format!("`{text}` is not a mail address"))
}

/// The role by its name; staff need properties, and nobody else has any.
fn read_role(name: &str, properties: &[String]) -> Result<(Role, Vec<PropertyId>)> {
    let (_, role) = Role::ALL
        .into_iter()
        .find(|(known, _)| *known == name)
        .with_context(|| format!("there is no role `{name}`"))?;
    match (role, properties.is_empty()) {
        (Role::Staff, true) => bail!("staff need the properties they work at: --property pvt-montreal"),
        (Role::Guest | Role::Admin, false) => bail!("only staff have properties"),
        _ => Ok((role, properties.iter().map(|id| id.as_str().into()).collect())),
    }
}

async fn find(mongo: &Mongo, email: &str) -> Result<User> {
    let found = mongo.users().find_by_email(&read_email(email)?).await?;
    Ok(found.ok_or_else(|| CliError::NotFound(format!("nobody has the address {email}")))?)
}

/// Makes an account.
pub(crate) async fn create(config: &Config, args: UserArgs) -> Result<()> {
    let email = read_email(&args.email)?;
    let (role, properties) = read_role(&args.role, &args.property)?;
    let profile = Profile { name: args.name, locale: args.locale };
    let password = if args.password_stdin { first_line().await? } else { generate_password() };
    let faults = profile.check().into_iter().chain(check_password(&password, Some(&email), "/password"));
    let faults: Vec<String> = faults
        .map(|FieldError { pointer, message, .. }| format!("{}: {message}", pointer.trim_start_matches('/')))
        .collect();
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    let user = User {
        id: UserId::from_uuid(Uuid::now_v7()),
        email,
        name: profile.name,
        role,
        properties,
        locale: profile.locale,
        rev: 1,
        created_at: Utc::now().into(),
        disabled_at: None,
    };
    let mongo = connect(config).await?;
    let (id, hash) = (user.id, passwords::hash(&password)?);
    match mongo.users().create(user, hash).await {
        Ok(()) => {}
        Err(StoreError::Duplicate(_)) => bail!("{} has an account already", args.email),
        Err(error) => return Err(error.into()),
    }
    audit(&mongo, "account.create", id, role.as_str()).await?;
    mongo.shutdown().await;
    output::note(format_args!("{} is {}", args.email, role.as_str()));
    if !args.password_stdin {
        output::data(&password);
        output::note("Keep it: it is not shown again. It can be changed at /api/auth/change-password.");
    }
    Ok(())
}

async fn first_line() -> Result<String> {
    let read = || std::io::stdin().lines().next().transpose();
    tokio::task::spawn_blocking(read).await??.context("stdin holds no password")
}

fn generate_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    (0..GENERATED_PASSWORD_CHARS).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

/// Lists all accounts.
pub(crate) async fn list(config: &Config, as_json: bool) -> Result<()> {
    let mongo = connect(config).await?;
    let mut users: Vec<User> = Vec::new();
    loop {
        let after = users.last().map(|user| user.id.to_string());
        let page = mongo.users().list(after.as_deref(), PAGE).await?;
        if page.is_empty() {
            break;
        }
        users.extend(page);
    }
    mongo.shutdown().await;
    if as_json {
        return output::json(&users.iter().map(shown).collect::<Vec<_>>());
    }
    let rows = users.into_iter().map(|user| {
        let properties = user.properties.iter().map(PropertyId::as_str).collect::<Vec<_>>().join(" ");
        let state = if user.disabled_at.is_some() { "disabled" } else { "active" };
        [
            user.email.as_str().to_owned(),
            user.name,
            user.role.as_str().to_owned(),
            properties,
            state.to_owned(),
            user.created_at.to_string(),
        ]
    });
    output::table(["EMAIL", "NAME", "ROLE", "PROPERTIES", "STATE", "SINCE"], rows);
    Ok(())
}

fn shown(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "properties": user.properties,
        "created_at": user.created_at,
        "disabled_at": user.disabled_at,
    })
}

/// Changes what an account may do.
pub(crate) async fn set_role(config: &Config, args: SetRoleArgs) -> Result<()> {
    let (role, properties) = read_role(&args.role, &args.property)?;
    let mongo = connect(config).await?;
    let user = find(&mongo, &args.email).await?;
    mongo.users().set_role(user.id, user.rev, role, &properties).await?;
    audit(&mongo, "account.role", user.id, role.as_str()).await?;
    mongo.shutdown().await;
    output::note(format_args!(
        "{} is {}; access tokens that are out keep the old role for up to 15 minutes",
        args.email,
        role.as_str()
    ));
    Ok(())
}

/// Stops an account from being used.
pub(crate) async fn disable(config: &Config, email: &str) -> Result<()> {
    let mongo = connect(config).await?;
    let user = find(&mongo, email).await?;
    let changed = mongo.users().disable(user.id, Utc::now().into()).await?;
    if changed {
        audit(&mongo, "account.disable", user.id, "").await?;
    }
    mongo.shutdown().await;
    output::note(format_args!("{email} is disabled; access tokens that are out are good for up to 15 minutes"));
    Ok(())
}

async fn audit(mongo: &Mongo, action: &str, user: UserId, detail: &str) -> Result<()> {
    let entry = AuditEntry::new(Uuid::new_v4(), Utc::now().into(), ACTOR, action.to_owned(), &user.to_string(), detail);
    Ok(mongo.audit_log().append(&entry).await?)
}

#[cfg(test)]
mod tests {
    use super::{generate_password, read_role};
    use pvt_domain::accounts::{Role, check_password};

    #[test]
    fn generated_passwords_are_acceptable_and_unique() {
        let (one, other) = (generate_password(), generate_password());
        assert_eq!(check_password(&one, None, ""), None);
        assert_ne!(one, other);
    }

    #[test]
    fn only_staff_have_properties() {
        let here = ["pvt-montreal".to_owned()];
        assert_eq!(read_role("staff", &here).unwrap(), (Role::Staff, vec!["pvt-montreal".into()]));
        assert_eq!(read_role("admin", &[]).unwrap(), (Role::Admin, Vec::new()));
        assert!(
            read_role("staff", &[]).is_err() && read_role("admin", &here).is_err() && read_role("god", &[]).is_err()
        );
    }
}
