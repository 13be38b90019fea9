//! The registry of commands. Each is one file, with its arguments beside what it does, and one line in the list below.

mod api;
mod config;
mod console;
mod dead;
#[cfg(feature = "dev")]
mod dev;
mod doctor;
#[cfg(feature = "dev")]
mod down;
mod keys;
mod maintenance;
mod migrate;
mod queues;
mod reconcile;
mod schedules;
mod secrets;
mod seed;
#[cfg(feature = "dev")]
mod status;
mod topology;
mod trace;
#[cfg(feature = "dev")]
mod up;
mod users;
mod workers;

use anyhow::Result;

/// Makes the enumeration of commands and its dispatch: `Name(Arguments)`, in the order of `pvt --help`. Help is the
/// documentation of the arguments' type.
macro_rules! commands {
    ($($(#[$condition:meta])* $name:ident($arguments:ty),)*) => {
        /// A command with its arguments.
        #[derive(Debug, clap::Subcommand)]
        pub(crate) enum Command {
            $($(#[$condition])* $name($arguments),)*
        }

        impl Command {
            /// Runs it to its end.
            pub(crate) async fn run(self) -> Result<()> {
                match self {
                    $($(#[$condition])* Self::$name(command) => Box::pin(command.run()).await,)*
                }
            }
        }
    };
}

commands! {
    #[cfg(feature = "dev")] Up(up::Up),
    #[cfg(feature = "dev")] Down(down::Down),
    #[cfg(feature = "dev")] Status(status::Status),
    Doctor(doctor::Doctor),
    Migrate(migrate::Migrate),
    Seed(seed::Seed),
    Topology(topology::Topology),
    Queues(queues::Queues),
    Maintenance(maintenance::Maintenance),
    Dead(dead::Dead),
    Reconcile(reconcile::Reconcile),
    Schedules(schedules::Schedules),
    Trace(trace::Trace),
    Keys(keys::Keys),
    Users(users::Users),
    Config(config::Config),
    Secrets(secrets::Secrets),
    #[cfg(feature = "dev")] Bench(pvt_bench::Bench),
    Api(api::Api),
    Console(console::Console),
    Workers(workers::Workers),
    #[cfg(feature = "dev")] Dev(dev::Dev),
}
