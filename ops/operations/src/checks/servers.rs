//! Checks of the other servers: whether they answer.

use super::{API, Finding, MONGODB, POSTGRESQL, Remedy, SMTP, check};
use crate::readiness::not_ready;
use crate::reading::to_its_end;
use pvt_service::config::Config;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use url::Url;

pub(super) async fn mongodb(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    let probe = to_its_end(async move { mongo.ping().await });
    let remedy = Remedy::with_console(
        "check MONGODB_URI; locally `pvt up` starts one; transactions need a replica set",
        "Start MongoDB, or correct MONGODB_URI; transactions need a replica set.",
    );
    check(MONGODB, probe, remedy).await
}

pub(super) async fn postgres(config: &Config, name: &str) -> Finding {
    let probe = async {
        let mart = Mart::connect(config.database_url.expose_secret(), name)?;
        let found = mart.ping().await;
        mart.close().await;
        found
    };
    let remedy = Remedy::with_console(
        "check DATABASE_URL; locally `pvt up` starts one",
        "Start PostgreSQL, or correct DATABASE_URL; bookings go on without it.",
    );
    check(POSTGRESQL, probe, remedy).await
}

pub(super) async fn smtp(config: &Config) -> Finding {
    let probe = async {
        let url = Url::parse(config.smtp_url.expose_secret())?;
        let port = url.port().unwrap_or(if url.scheme() == "smtps" { 465 } else { 25 });
        TcpStream::connect((url.host_str().unwrap_or_default(), port)).await?;
        anyhow::Ok(())
    };
    check(SMTP, probe, "check SMTP_URL; mails wait in the queue until it answers").await
}

pub(super) async fn api(config: &Config) -> Finding {
    let probe = async {
        let mut url = config.api_metrics_url.join("readyz")?;
        url.set_query(Some("verbose"));
        let response = reqwest::get(url).await.map_err(no_answer)?;
        if response.status().is_success() { Ok(()) } else { Err(anyhow::anyhow!(not_ready(&response.text().await?))) }
    };
    let remedy = Remedy::with_console(
        "`pvt status` shows where its log is; `pvt up` starts it; elsewhere set PVT_METRICS_ADDR as the API has it, or \
            PVT_API_METRICS_URL",
        "Start the API, or read in its log why it is not ready. If it is, correct PVT_API_METRICS_URL here.",
    );
    check(API, probe, remedy).await
}

/// Why the API did not answer, in words where nothing listens at its address.
fn no_answer(error: reqwest::Error) -> anyhow::Error {
    if error.is_connect() {
        anyhow::anyhow!("it does not answer: it is starting, or does not run")
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::no_answer;
    use std::net::TcpListener;

    #[tokio::test]
    async fn api_that_does_not_listen_is_reported_in_words() {
        // A port that was free a moment ago has no listener.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = reqwest::get(format!("http://{address}/readyz?verbose")).await.unwrap_err();
        assert_eq!(no_answer(refused).to_string(), "it does not answer: it is starting, or does not run");
    }
}
