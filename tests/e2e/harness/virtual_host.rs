//! A virtual host of the broker for one test, through its management API.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use url::Url;

/// A virtual host that a test creates and deletes.
pub(crate) struct VirtualHost {
    http: Client,
    management: Url,
    name: String,
}

impl VirtualHost {
    /// Creates it and gives the user of this URL all rights in it.
    pub(crate) async fn create(management_url: &str, name: &str) -> Result<Self> {
        let (http, management) = (Client::new(), Url::parse(management_url)?);
        let host = Self { http, management, name: name.to_owned() };
        host.send(Method::PUT, &["vhosts", name], &json!({})).await?;
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        host.send(Method::PUT, &["permissions", name, host.management.username()], &all).await?;
        Ok(host)
    }

    /// Imports definitions. What exists and is not in them stays.
    pub(crate) async fn import(&self, definitions: &Value) -> Result<()> {
        self.send(Method::POST, &["definitions", &self.name], definitions).await
    }

    /// Deletes it with everything in it.
    pub(crate) async fn delete(self) -> Result<()> {
        self.send(Method::DELETE, &["vhosts", &self.name], &Value::Null).await
    }

    async fn send(&self, method: Method, path: &[&str], body: &Value) -> Result<()> {
        let mut url = self.management.clone();
        url.path_segments_mut().ok().context("a URL with a path")?.pop_if_empty().push("api").extend(path);
        // The credentials in the URL are sent as basic authentication.
        let answer = self.http.request(method, url).json(body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{status}: {}", answer.text().await?);
        Ok(())
    }
}
