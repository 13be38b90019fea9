//! `pvt keys`: API keys. A key is shown once; only its hash is stored.

use crate::output::Output;
use crate::reachability::Dependency::MongoDb;
use crate::settings;
use anyhow::{Context, Result};
use chrono::Utc;
use clap::{Args, Subcommand};
use pvt_domain::ids::PropertyId;
use pvt_operations::{OPERATOR, OperationError, terminal};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::api_keys::{ApiKey, ApiRole, NewApiKey, PropertyScope, Scope, ScopeSet, parse_api_key};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Keys read at once.
const PAGE: i64 = 200;

/// Manages API keys of client programs and staff
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt keys create --role client --name 'booking app'
  pvt keys create --role staff --property pvt-montreal --scope bookings:read --json
  pvt keys list
  pvt keys revoke 0123456789ab")]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Creates a key and prints it, once
    Create(Create),
    /// Lists keys with their role, properties and scopes, revoked ones too
    List(Output),
    /// Revokes a key
    Revoke {
        /// Its id, the middle part of `pvt_<id>_<secret>`
        id: String,
    },
}

impl Keys {
    pub(crate) async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb]).await?;
        match self.command {
            KeysCommand::Create(command) => command.run(&config).await,
            KeysCommand::List(output) => list(&config, output.json).await,
            KeysCommand::Revoke { id } => revoke(&config, &id).await,
        }
    }
}

#[derive(Debug, Args)]
struct Create {
    /// Its role
    #[arg(long, value_parser = ["client", "staff", "admin"], default_value = "client")]
    role: String,
    /// Who or what uses it
    #[arg(long, default_value = "unnamed")]
    name: String,
    /// Properties of a staff key; all when none is given
    #[arg(long)]
    property: Vec<String>,
    /// Scopes, for example `bookings:read`; everything its role may do when none is given
    #[arg(long)]
    scope: Vec<String>,
    /// Print JSON: {"key": …}
    #[arg(long)]
    json: bool,
}

impl Create {
    async fn run(self, config: &Config) -> Result<()> {
        let role = ApiRole::parse(&self.role).with_context(|| format!("there is no role `{}`", self.role))?;
        let properties = match self.property.as_slice() {
            [] => PropertyScope::All,
            some => PropertyScope::Only(some.iter().map(|property| property.as_str().into()).collect()),
        };
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt keys").await?;
        if let PropertyScope::Only(named) = &properties {
            let known = mongo.inventories().property_ids().await?;
            for property in named.iter().filter(|property| !known.contains(property)) {
                terminal::note(format!(
                    "There is no property `{property}`: until it is created the key opens nothing."
                ));
            }
        }
        let new = NewApiKey { role, name: self.name, properties, scopes: scopes(&self.scope)? };
        let (_, key) = mongo.api_keys().create(new, OPERATOR, Utc::now().into()).await?;
        mongo.shutdown().await;
        if self.json {
            return terminal::json(&json!({ "key": key }));
        }
        terminal::data(&key);
        terminal::note("Keep it: it is not shown again. Send it as `Authorization: Bearer <key>`.");
        Ok(())
    }
}

async fn list(config: &Config, as_json: bool) -> Result<()> {
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt keys").await?;
    let mut keys: Vec<ApiKey> = Vec::new();
    loop {
        let page = mongo.api_keys().list(keys.last().map(|key| key.id.as_str()), PAGE).await?;
        if page.is_empty() {
            break;
        }
        keys.extend(page);
    }
    mongo.shutdown().await;
    if as_json {
        return terminal::json(&keys.iter().map(shown).collect::<Vec<_>>());
    }
    let rows = keys.into_iter().map(|key| {
        let state = key.revoked_at.map_or_else(|| "active".to_owned(), |since| format!("revoked {since}"));
        let (role, properties, scopes) = (key.role.as_str(), property_names(&key.properties), scope_names(&key.scopes));
        [key.id, role.to_owned(), key.name, properties.join(" "), scopes.join(" "), state, key.created_at.to_string()]
    });
    terminal::table(["ID", "ROLE", "NAME", "PROPERTIES", "SCOPES", "STATE", "SINCE"], rows);
    Ok(())
}

async fn revoke(config: &Config, id: &str) -> Result<()> {
    // A whole key may be pasted: its public part is meant.
    let id = parse_api_key(id).map_or(id, |(id, _)| id);
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt keys").await?;
    if mongo.api_keys().find(id).await?.is_none() {
        return Err(OperationError::NotFound(format!("there is no key `{id}`; `pvt keys list` shows all")).into());
    }
    if mongo.api_keys().revoke(id, OPERATOR, Utc::now().into()).await? {
        terminal::note(format_args!("{id} is revoked; processes that have it cached refuse it within a minute"));
    } else {
        terminal::note(format_args!("{id} was revoked already"));
    }
    mongo.shutdown().await;
    Ok(())
}

fn shown(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "role": key.role,
        "name": key.name,
        "properties": property_names(&key.properties),
        "scopes": scope_names(&key.scopes),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    })
}

fn property_names(scope: &PropertyScope) -> Vec<&str> {
    match scope {
        PropertyScope::All => vec!["all"],
        PropertyScope::Only(listed) => listed.iter().map(PropertyId::as_str).collect(),
    }
}

fn scope_names(scopes: &ScopeSet) -> Vec<&'static str> {
    match scopes {
        ScopeSet::All => vec!["all"],
        ScopeSet::Only(listed) => {
            Scope::ALL.into_iter().filter(|(_, scope)| listed.contains(scope)).map(|(name, _)| name).collect()
        }
    }
}

fn scopes(names: &[String]) -> Result<ScopeSet> {
    let find = |name: &String| {
        let known = Scope::ALL.into_iter().find(|(known, _)| known == name);
        known.map(|(_, scope)| scope).with_context(|| {
            format!("there is no scope `{name}`; there are {}", Scope::ALL.map(|(name, _)| name).join(", "))
        })
    };
    let listed: Vec<Scope> = names.iter().map(find).collect::<Result<_>>()?;
    Ok(if listed.is_empty() { ScopeSet::All } else { ScopeSet::Only(listed) })
}
