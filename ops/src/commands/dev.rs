//! `pvt dev`: stand-ins for outside services, for development only.

use anyhow::Result;
use clap::{Args, Subcommand};
use pvt_mail_sink::SinkOptions;
use pvt_operations::terminal;
use pvt_service::shutdown;
use pvt_stripe_simulator::{Endpoint, Simulator, SimulatorOptions};
use std::net::SocketAddr;
use std::path::PathBuf;
use url::Url;

/// Runs stand-ins for a mail server and for Stripe
#[derive(Debug, Args)]
pub(crate) struct Dev {
    #[command(subcommand)]
    command: DevCommand,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// Accepts mails and shows them in the browser instead of delivering them
    MailSink(MailSink),
    /// Simulates Stripe: its API, a Checkout page that can be paid, and signed webhooks
    StripeSimulator(StripeSimulator),
}

impl Dev {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            DevCommand::MailSink(command) => command.run().await,
            DevCommand::StripeSimulator(command) => command.run().await,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt dev mail-sink
  pvt dev mail-sink --smtp 127.0.0.1:2525 --http 127.0.0.1:8090 --store ./mails

Open http://127.0.0.1:8090/dev/mail to read the mails.")]
struct MailSink {
    /// Address of the SMTP server; loopback only
    #[arg(long, default_value = "127.0.0.1:2525")]
    smtp: SocketAddr,
    /// Address of the web page; loopback only
    #[arg(long, default_value = "127.0.0.1:8090")]
    http: SocketAddr,
    /// Keep mails in this folder across restarts
    #[arg(long)]
    store: Option<PathBuf>,
    /// Count mails and discard them
    #[arg(long)]
    discard: bool,
}

impl MailSink {
    async fn run(self) -> Result<()> {
        let options =
            SinkOptions { smtp_addr: self.smtp, http_addr: self.http, store_dir: self.store, discard: self.discard };
        pvt_mail_sink::run(options, shutdown::signal()?).await
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt dev stripe-simulator
  pvt dev stripe-simulator --webhook-url http://127.0.0.1:8080/hooks --webhook-secret whsec_dev --store ./stripe
  curl -H 'Authorization: Bearer sk_test_any' http://127.0.0.1:8091/v1/events
  curl http://127.0.0.1:8091/sim/faults \\
    --json '{\"requests\":[{\"path\":\"/v1/refunds\",\"kind\":\"timeout_after_effect\",\"next\":1}]}'

Open http://127.0.0.1:8091/ to see payments and to act for banks, disputes and refunds.")]
struct StripeSimulator {
    /// Address to listen on; loopback only
    #[arg(long, default_value = "127.0.0.1:8091")]
    addr: SocketAddr,
    /// Base URL of its pages in a browser, when it is not that of `--addr`
    #[arg(long)]
    public_base: Option<Url>,
    /// Endpoint that receives webhooks
    #[arg(long, requires = "webhook_secret")]
    webhook_url: Option<Url>,
    /// Signing secrets of webhooks, two during a rotation; in the environment they are hidden from other users
    #[arg(long, env = "STRIPE_SIMULATOR_WEBHOOK_SECRETS", value_delimiter = ',', hide_env_values = true)]
    webhook_secret: Vec<String>,
    /// Keep the state in this folder across restarts
    #[arg(long)]
    store: Option<PathBuf>,
}

impl StripeSimulator {
    async fn run(self) -> Result<()> {
        let endpoint = self.webhook_url.map(|url| Endpoint { url, secrets: self.webhook_secret });
        let options = SimulatorOptions {
            addr: self.addr,
            public_base: self.public_base,
            endpoints: endpoint.into_iter().collect(),
            store: self.store,
            ..SimulatorOptions::default()
        };
        let simulator = Simulator::bind(options).await?;
        terminal::note(format_args!("The Stripe simulator listens on http://{}/", simulator.addr()));
        simulator.run(shutdown::signal()?).await
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn webhook_url_requires_secret() {
        let parse = |words: &[&str]| Cli::try_parse_from(["pvt", "dev", "stripe-simulator"].iter().chain(words));
        assert!(parse(&[]).is_ok());
        assert!(parse(&["--webhook-url", "http://127.0.0.1:1/"]).is_err());
        let both =
            ["--webhook-url", "http://127.0.0.1:1/", "--webhook-secret", "whsec_x", "--webhook-secret", "whsec_y"];
        assert!(parse(&both).is_ok());
    }
}
