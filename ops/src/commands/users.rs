//! `pvt users`: accounts of people. An operator creates the first admin and helps where the API cannot.

use crate::output::Output;
use crate::reachability::Dependency::MongoDb;
use crate::settings;
use anyhow::{Context, Result, anyhow, bail};
use chrono::Utc;
use clap::{Args, Subcommand};
use pvt_domain::accounts::{Email, Profile, Role, User, UserId, check_password};
use pvt_domain::ids::PropertyId;
use pvt_domain::intake::FieldError;
use pvt_domain::people::text::normal;
use pvt_operations::{OPERATOR, OperationError, terminal};
use pvt_service::config::Config;
use pvt_service::passwords;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use rand::RngExt as _;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

/// Accounts read at once.
const PAGE: i64 = 200;
/// Characters of a generated password, 5 bits each.
const GENERATED_PASSWORD_CHARS: usize = 24;

/// Manages accounts of guests, staff and admins
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt users create you@example.com --role admin
  pvt users create ana@example.com --role staff --property pvt-montreal --password-stdin < password.txt
  pvt users set-role ana@example.com staff --property pvt-quebec
  pvt users disable ana@example.com")]
pub(crate) struct Users {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Creates an account with a generated password, which is printed, or with one from stdin
    Create(Create),
    /// Lists accounts
    List(Output),
    /// Changes the role of an account, and the properties of staff
    SetRole(SetRole),
    /// Disables an account and ends its sessions
    Disable {
        /// Its mail address
        email: String,
    },
}

impl Users {
    pub(crate) async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb]).await?;
        match self.command {
            UsersCommand::Create(command) => command.run(&config).await,
            UsersCommand::List(output) => list(&config, output.json).await,
            UsersCommand::SetRole(command) => command.run(&config).await,
            UsersCommand::Disable { email } => disable(&config, &email).await,
        }
    }
}

#[derive(Debug, Args)]
struct Create {
    /// Its mail address, which is also the login name
    email: String,
    /// The person's name
    #[arg(long, default_value = "unnamed")]
    name: String,
    /// Its role
    #[arg(long, value_parser = ["guest", "staff", "admin"], default_value = "guest")]
    role: String,
    /// Properties that staff work at
    #[arg(long)]
    property: Vec<String>,
    /// The language of mails, for example `fr`
    #[arg(long)]
    locale: Option<String>,
    /// Read the password from the first line of stdin
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Args)]
struct SetRole {
    /// Its mail address
    email: String,
    /// Its new role
    #[arg(value_parser = ["guest", "staff", "admin"])]
    role: String,
    /// Properties that staff work at
    #[arg(long)]
    property: Vec<String>,
}

impl Create {
    async fn run(self, config: &Config) -> Result<()> {
        let email = read_email(&self.email)?;
        let (role, properties) = read_role(&self.role, &self.property)?;
        let profile = Profile { name: normal(&self.name).into_owned(), locale: self.locale };
        let password = if self.password_stdin { first_line().await? } else { generate_password() };
        let errors = profile.check().into_iter().chain(check_password(&password, Some(&email), "/password"));
        let errors: Vec<String> = errors
            .map(|FieldError { pointer, message, .. }| format!("{}: {message}", pointer.trim_start_matches('/')))
            .collect();
        if !errors.is_empty() {
            bail!("{}", errors.join("; "));
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
        let entry = entry("account.create", id, &granted(role, &user.properties));
        match mongo.users().create_audited(user, hash, &entry).await {
            Ok(()) => {}
            Err(StoreError::Duplicate(_)) => bail!("{} has an account already", self.email),
            Err(error) => return Err(error.into()),
        }
        mongo.shutdown().await;
        terminal::note(format_args!("{} is {}", self.email, role.as_str()));
        if !self.password_stdin {
            terminal::data(&password);
            terminal::note("Keep it: it is not shown again. It can be changed at /api/auth/change-password.");
        }
        Ok(())
    }
}

impl SetRole {
    async fn run(self, config: &Config) -> Result<()> {
        let (role, properties) = read_role(&self.role, &self.property)?;
        let mongo = connect(config).await?;
        let user = find(&mongo, &self.email).await?;
        let entry = entry("account.role", user.id, &granted(role, &properties));
        mongo.users().set_role(user.id, user.rev, (role, &properties), &entry).await?;
        mongo.shutdown().await;
        terminal::note(format_args!(
            "{} is {}; access tokens already issued keep the old role for up to 15 minutes",
            self.email,
            role.as_str()
        ));
        Ok(())
    }
}

async fn connect(config: &Config) -> Result<Mongo> {
    Mongo::connect(config.mongodb_uri.expose_secret(), "pvt users").await.context("MONGODB_URI")
}

fn read_email(text: &str) -> Result<Email> {
    Email::parse(text).map_err(|why| anyhow!("`{text}` is not a mail address: {why}"))
}

/// The role by its name. Staff need properties, and no other role has any.
fn read_role(name: &str, properties: &[String]) -> Result<(Role, Vec<PropertyId>)> {
    let (_, role) = Role::ALL
        .into_iter()
        .find(|(known, _)| *known == name)
        .with_context(|| format!("there is no role `{name}`"))?;
    match (role, properties.is_empty()) {
        (Role::Staff, true) => bail!("staff need at least one property: --property pvt-montreal"),
        (Role::Guest | Role::Admin, false) => bail!("only staff have properties"),
        _ => Ok((role, properties.iter().map(|id| id.as_str().into()).collect())),
    }
}

async fn find(mongo: &Mongo, email: &str) -> Result<User> {
    let found = mongo.users().find_by_email(&read_email(email)?).await?;
    Ok(found.ok_or_else(|| OperationError::NotFound(format!("there is no account with the address {email}")))?)
}

async fn first_line() -> Result<String> {
    let read = || std::io::stdin().lines().next().transpose();
    tokio::task::spawn_blocking(read).await??.context("stdin holds no password")
}

fn generate_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    (0..GENERATED_PASSWORD_CHARS).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

async fn list(config: &Config, as_json: bool) -> Result<()> {
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
        return terminal::json(&users.iter().map(shown).collect::<Vec<_>>());
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
    terminal::table(["EMAIL", "NAME", "ROLE", "PROPERTIES", "STATE", "SINCE"], rows);
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

async fn disable(config: &Config, email: &str) -> Result<()> {
    let mongo = connect(config).await?;
    let user = find(&mongo, email).await?;
    mongo.users().disable(user.id, Utc::now().into(), &entry("account.disable", user.id, "")).await?;
    mongo.shutdown().await;
    terminal::note(format_args!("{email} is disabled; access tokens already issued stay valid for up to 15 minutes"));
    Ok(())
}

fn entry(action: &str, user: UserId, detail: &str) -> AuditEntry {
    AuditEntry::new(Uuid::new_v4(), Utc::now().into(), OPERATOR, action.to_owned(), &user.to_string(), detail)
}

/// A role with the properties that it is for.
fn granted(role: Role, properties: &[PropertyId]) -> String {
    let properties: Vec<&str> = properties.iter().map(PropertyId::as_str).collect();
    format!("{} {}", role.as_str(), properties.join(",")).trim().to_owned()
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
