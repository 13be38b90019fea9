//! `pvt keys`: API keys. The key is shown once; only its hash is stored.

use crate::cli::KeyArgs;
use crate::output;
use anyhow::{Context, Result};
use chrono::Utc;
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::api_keys::{ApiRole, NewApiKey, PropertyScope, Scope, ScopeSet};
use secrecy::ExposeSecret;
use serde_json::json;

/// Creates a key and prints it.
pub(crate) async fn create(config: &Config, args: KeyArgs) -> Result<()> {
    let known = ApiRole::ALL.into_iter().find(|(name, _)| *name == args.role);
    let (_, role) = known.with_context(|| format!("there is no role `{}`", args.role))?;
    let properties = match args.property.as_slice() {
        [] => PropertyScope::All,
        some => PropertyScope::Only(some.iter().map(|property| property.as_str().into()).collect()),
    };
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt keys").await?;
    let new = NewApiKey { role, name: args.name, properties, scopes: scopes(&args.scope)? };
    let (_, key) = mongo.create_api_key(new, Utc::now().into()).await?;
    mongo.shutdown().await;
    if args.json {
        return output::json(&json!({ "key": key }));
    }
    output::data(&key);
    output::note("Keep it: it is not shown again. Send it as `Authorization: Bearer <key>`.");
    Ok(())
}

fn scopes(names: &[String]) -> Result<ScopeSet> {
    let find = |name: &String| {
        let known = Scope::ALL.into_iter().find(|(known, _)| known == name);
        known.map(|(_, scope)| scope).with_context(|| format!("there is no scope `{name}`; there are {}", Scope::ALL.map(|(name, _)| name).join(", ")))
    };
    let listed: Vec<Scope> = names.iter().map(find).collect::<Result<_>>()?;
    Ok(if listed.is_empty() { ScopeSet::All } else { ScopeSet::Only(listed) })
}
