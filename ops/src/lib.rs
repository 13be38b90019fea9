//! The operator's side: the command line `pvt`, and everything that `pvt up` runs on one machine.

mod bench;
mod broker;
mod cli;
mod dead;
mod doctor;
mod keys;
pub mod mail_sink;
mod migrate;
mod outcome;
mod output;
mod queues;
mod reconcile;
mod seed;
mod topology;
mod up;
mod users;

use anyhow::Result;
use clap::Parser;
use cli::{
    Cli, Command, ConfigCommand, DeadCommand, DevCommand, KeysCommand, MailSinkArgs, QueuesCommand, ReconcileCommand, TopologyCommand, UpArgs, UsersCommand,
    WorkersCommand,
};
use pvt_service::config::Config;
use pvt_service::{shutdown, telemetry, tls};
use std::process::ExitCode;

/// Runs the command line and says how it ended.
pub async fn main() -> ExitCode {
    tls::install_provider();
    match Box::pin(run(Cli::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format_args!("error: {error:#}"));
            outcome::exit_code(&error).into()
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command.unwrap_or_else(|| Command::Up(UpArgs::default())) {
        Command::Up(args) => Box::pin(up::up(args, shutdown::signal()?)).await,
        Command::Down => up::down().await,
        Command::Status(args) => up::status(args.json).await,
        Command::Doctor => doctor::run().await,
        Command::Migrate => migrate::run(&Config::from_env()?).await,
        Command::Seed(args) => seed::run(&Config::from_env()?, args.days).await,
        Command::Topology(TopologyCommand::Show) => topology::show(&Config::from_env()?),
        Command::Topology(TopologyCommand::Apply) => topology::apply(&Config::from_env()?).await,
        Command::Topology(TopologyCommand::Diff) => topology::diff(&Config::from_env()?).await,
        Command::Queues(QueuesCommand::List(args)) => queues::list(&Config::from_env()?, args.json).await,
        Command::Dead(DeadCommand::List(args)) => dead::list(&Config::from_env()?, args).await,
        Command::Dead(DeadCommand::Show { id }) => dead::show(&Config::from_env()?, id).await,
        Command::Dead(DeadCommand::Replay(args)) => dead::replay(&Config::from_env()?, args).await,
        Command::Reconcile(ReconcileCommand::Run(args)) => reconcile::run(&Config::from_env()?, args).await,
        Command::Keys(KeysCommand::Create(args)) => keys::create(&Config::from_env()?, args).await,
        Command::Users(UsersCommand::Create(args)) => users::create(&Config::from_env()?, args).await,
        Command::Users(UsersCommand::List(args)) => users::list(&Config::from_env()?, args.json).await,
        Command::Users(UsersCommand::SetRole(args)) => users::set_role(&Config::from_env()?, args).await,
        Command::Users(UsersCommand::Disable { email }) => users::disable(&Config::from_env()?, &email).await,
        Command::Config(ConfigCommand::Check) => show_config(&Config::from_env()?),
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
    }
}

fn show_config(config: &Config) -> Result<()> {
    let rows = config.settings().iter().map(|setting| [setting.name.to_owned(), setting.shown.clone(), setting.origin.to_string()]);
    output::table(["VARIABLE", "VALUE", "FROM"], rows);
    Ok(())
}

async fn run_mail_sink(args: MailSinkArgs) -> Result<()> {
    let options = mail_sink::SinkOptions { smtp_addr: args.smtp, http_addr: args.http, store_dir: args.store, discard: args.discard };
    mail_sink::run(options, shutdown::signal()?).await
}
