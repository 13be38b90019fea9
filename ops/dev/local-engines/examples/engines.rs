//! Manual control of an instance of the local engines:
//! `cargo run -p pvt-local-engines --example engines -- up test`, `down test`, `status test`.
//! `dev` has the documented ports, every other name free ones. Only environment lines go to stdout.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use pvt_local_engines::{EngineKind, Instance, PortPlan};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let verb = arguments.first().map_or("status", String::as_str);
    let name = arguments.get(1).map_or("test", String::as_str);
    match run(verb, name).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Writes to stderr; a closed stderr is ignored.
fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

async fn run(verb: &str, name: &str) -> Outcome {
    let plan = if name == "dev" { PortPlan::documented() } else { PortPlan::Free };
    let instance = Instance::open(name, plan)?;
    match verb {
        "up" => up(&instance).await,
        "down" => Ok(instance.stop(&EngineKind::ALL).await?),
        "status" => status(&instance).await,
        other => Err(format!("`{other}`: use up, down or status, then the instance's name").into()),
    }
}

async fn up(instance: &Instance) -> Outcome {
    let urls = instance.ensure(&EngineKind::ALL, &say).await?;
    for (name, value) in urls.as_env() {
        writeln!(stdout(), "{name}={value}")?;
    }
    Ok(())
}

async fn status(instance: &Instance) -> Outcome {
    for engine in instance.status().await? {
        let pid = engine.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
        let state = match (engine.running, engine.trouble) {
            (false, _) => "stopped".to_owned(),
            (true, None) => format!("running{pid}"),
            (true, Some(trouble)) => format!("running{pid}, but {trouble}"),
        };
        writeln!(stdout(), "{}: {state}", engine.kind)?;
    }
    Ok(())
}
