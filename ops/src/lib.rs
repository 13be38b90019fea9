//! The operator's side: the command line `pvt`, and everything that `pvt up` runs on one machine.

mod bench;
mod broker;
mod cli;
mod cli_error;
mod dead;
mod doctor;
mod keys;
pub mod mail_sink;
mod migrate;
mod output;
mod queues;
mod reachability;
mod reconcile;
mod seed;
mod topology;
mod trace;
mod up;
mod users;

use anyhow::Result;
use clap::Parser;
use cli::{
    Cli, Command, ConfigCommand, DeadCommand, DevCommand, KeysCommand, MailSinkArgs, QueuesCommand, ReconcileCommand,
    StripeSimulatorArgs, TopologyCommand, UpArgs, UsersCommand, WorkersCommand,
};
use pvt_service::config::Config;
use pvt_service::{shutdown, telemetry, tls};
use pvt_stripe_simulator::{Endpoint, Simulator, SimulatorOptions};
use reachability::Dependency::{self, Management, MongoDb, PostgreSql, RabbitMq};
use std::process::ExitCode;

/// Runs the command line and says how it ended.
pub async fn main() -> ExitCode {
    tls::install_provider();
    match Box::pin(run(Cli::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format_args!("error: {error:#}"));
            cli_error::exit_code(&error).into()
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command.unwrap_or_else(|| Command::Up(UpArgs::default())) {
        Command::Up(args) => Box::pin(up::up(args)).await,
        Command::Down => up::down().await,
        Command::Status(args) => up::status(args.json).await,
        Command::Doctor(args) => doctor::run(&settings()?, args.json).await,
        Command::Migrate => {
            migrate::run(&ready(&[MongoDb, PostgreSql]).await?).await?;
            output::note("MongoDB's collections and indexes and PostgreSQL's tables are as this version needs them.");
            Ok(())
        }
        Command::Seed(args) => {
            if !seed::run(&ready(&[MongoDb, RabbitMq]).await?, args.days).await? {
                output::note("The demonstration hostel is there already; nothing was added.");
            }
            Ok(())
        }
        Command::Topology(TopologyCommand::Show) => topology::show(&settings()?),
        Command::Topology(TopologyCommand::Apply) => {
            topology::apply(&ready(&[RabbitMq, Management]).await?).await?;
            output::note("Exchanges, queues and policies are in place.");
            Ok(())
        }
        Command::Topology(TopologyCommand::Diff) => topology::diff(&ready(&[RabbitMq, Management]).await?).await,
        Command::Queues(QueuesCommand::List(args)) => queues::list(&ready(&[RabbitMq]).await?, args.json).await,
        Command::Dead(command) => run_dead(command).await,
        Command::Reconcile(ReconcileCommand::Run(args)) => {
            reconcile::run(&ready(&[MongoDb, RabbitMq]).await?, args).await
        }
        Command::Trace(args) => trace::run(&ready(&[MongoDb]).await?, args).await,
        Command::Keys(KeysCommand::Create(args)) => keys::create(&ready(&[MongoDb]).await?, args).await,
        Command::Keys(KeysCommand::List(args)) => keys::list(&ready(&[MongoDb]).await?, args.json).await,
        Command::Keys(KeysCommand::Revoke { id }) => keys::revoke(&ready(&[MongoDb]).await?, &id).await,
        Command::Users(UsersCommand::Create(args)) => users::create(&ready(&[MongoDb]).await?, args).await,
        Command::Users(UsersCommand::List(args)) => users::list(&ready(&[MongoDb]).await?, args.json).await,
        Command::Users(UsersCommand::SetRole(args)) => users::set_role(&ready(&[MongoDb]).await?, args).await,
        Command::Users(UsersCommand::Disable { email }) => users::disable(&ready(&[MongoDb]).await?, &email).await,
        Command::Config(ConfigCommand::Check) => show_config(&settings()?),
        Command::Bench(args) => bench::run(args).await,
        Command::Api => {
            let config = Config::from_env()?;
            telemetry::init(&config)?;
            pvt_api::run(config, shutdown::signal()?).await
        }
        Command::Workers(WorkersCommand::Run { names, all }) => {
            let names = if all { pvt_workers::registry::NAMES.map(str::to_owned).to_vec() } else { names };
            pvt_workers::registry::run(Config::from_env()?, &names, shutdown::signal()?).await
        }
        Command::Workers(WorkersCommand::List) => {
            pvt_workers::registry::NAMES.iter().for_each(output::data);
            Ok(())
        }
        Command::Dev(DevCommand::MailSink(args)) => run_mail_sink(args).await,
        Command::Dev(DevCommand::StripeSimulator(args)) => run_stripe_simulator(args).await,
    }
}

async fn run_dead(command: DeadCommand) -> Result<()> {
    match command {
        DeadCommand::List(args) => dead::list(&ready(&[RabbitMq]).await?, args).await,
        DeadCommand::Show { id } => dead::show(&ready(&[RabbitMq]).await?, id).await,
        DeadCommand::Replay(args) => dead::replay(&ready(&[RabbitMq]).await?, args).await,
        DeadCommand::Discard(args) => dead::discard(&ready(&[RabbitMq, MongoDb]).await?, args).await,
    }
}

/// The environment's settings over those of a `pvt up` that runs here.
fn settings() -> Result<Config> {
    Ok(Config::from_env_over(up::running_settings()?)?)
}

/// The settings, once it is known that what the command needs listens.
async fn ready(dependencies: &[Dependency]) -> Result<Config> {
    let config = settings()?;
    reachability::check(&config, dependencies).await?;
    Ok(config)
}

fn show_config(config: &Config) -> Result<()> {
    let rows = config
        .settings()
        .iter()
        .map(|setting| [setting.name.to_owned(), setting.shown.clone(), setting.origin.to_string()]);
    output::table(["VARIABLE", "VALUE", "FROM"], rows);
    Ok(())
}

async fn run_mail_sink(args: MailSinkArgs) -> Result<()> {
    let options = mail_sink::SinkOptions {
        smtp_addr: args.smtp,
        http_addr: args.http,
        store_dir: args.store,
        discard: args.discard,
    };
    mail_sink::run(options, shutdown::signal()?).await
}

async fn run_stripe_simulator(args: StripeSimulatorArgs) -> Result<()> {
    let endpoint = args.webhook_url.map(|url| Endpoint { url, secrets: args.webhook_secret });
    let options = SimulatorOptions {
        addr: args.addr,
        public_base: args.public_base,
        endpoints: endpoint.into_iter().collect(),
        store: args.store,
        ..SimulatorOptions::default()
    };
    let simulator = Simulator::bind(options).await?;
    output::note(format_args!("The Stripe simulator listens: http://{}/", simulator.addr()));
    simulator.run(shutdown::signal()?).await
}
