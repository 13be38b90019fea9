//! `pvt keys`: API keys. The key is shown once; only its hash is stored.

use crate::cli::KeyArgs;
use crate::output;
use anyhow::Result;
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::api_keys::Role;
use secrecy::ExposeSecret;
use serde_json::json;

/// Creates a key and prints it.
pub(crate) async fn create(config: &Config, args: KeyArgs) -> Result<()> {
    let role = match args.role.as_str() {
        "admin" => Role::Admin,
        "staff" => Role::Staff,
        _ => Role::Client,
    };
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt keys").await?;
    let properties = args.property.iter().map(|property| property.as_str().into()).collect();
    let key = mongo.create_api_key(role, &args.name, properties, chrono::Utc::now().into()).await?;
    mongo.shutdown().await;
    if args.json {
        return output::json(&json!({ "key": key }));
    }
    output::data(&key);
    output::note("Keep it: it is not shown again. Send it as `Authorization: Bearer <key>`.");
    Ok(())
}
