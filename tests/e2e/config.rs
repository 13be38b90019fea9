//! Settings: invalid or missing ones prevent the start and are all reported at once.

use crate::harness::pvt;
use anyhow::Result;
use std::path::Path;
use std::process::Output;

async fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Result<Output> {
    let environment = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    pvt(arguments, &environment, Path::new(env!("CARGO_TARGET_TMPDIR"))).await
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const INVALID: &[(&str, &str)] = &[
    ("AMQP_URL", "http://broker"),
    ("MONGODB_URI", "127.0.0.1"),
    ("DATABASE_URL", "mysql://pvt:hunter2@db/pvt"),
    ("SMTP_URL", "mail.example.com"),
    ("MAIL_FROM", "nobody"),
    ("JWT_SECRET", "short"),
    ("PVT_HTTP_ADDR", "8080"),
    ("PVT_PARTITIONS", "0"),
    ("PVT_LOG", "pvt=loud"),
];

#[tokio::test]
async fn every_program_reports_all_invalid_settings() -> Result<()> {
    for arguments in [&["api"][..], &["console"], &["workers", "run", "--all"], &["config", "check"], &["migrate"]] {
        let output = run(arguments, INVALID).await?;
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "pvt {arguments:?}: {message}");
        for (name, _) in INVALID {
            assert!(message.contains(name), "pvt {arguments:?} does not report {name}:\n{message}");
        }
        assert!(!message.contains("hunter2"), "a password is shown:\n{message}");
    }
    Ok(())
}

#[tokio::test]
async fn production_refuses_development_defaults() -> Result<()> {
    let output = run(&["api"], &[("PVT_ENV", "production")]).await?;
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for name in [
        "AMQP_URL",
        "MONGODB_URI",
        "DATABASE_URL",
        "SMTP_URL",
        "MAIL_FROM",
        "STRIPE_WEBHOOK_SECRETS",
        "JWT_SECRET",
        "PUBLIC_URL",
    ] {
        assert!(message.contains(name), "{name} is missing and not reported:\n{message}");
    }
    Ok(())
}

/// Nothing is set but what a host or a container needs to be reached.
#[tokio::test]
async fn public_addresses_refuse_the_secrets_of_development() -> Result<()> {
    for exposed in [("PVT_HTTP_ADDR", "0.0.0.0:0"), ("PUBLIC_URL", "https://booking.example.com")] {
        for arguments in [&["api"][..], &["workers", "run", "--all"], &["config", "check"], &["seed"]] {
            let output = run(arguments, &[exposed]).await?;
            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "pvt {arguments:?} with {exposed:?}: {message}");
            for name in ["JWT_SECRET", "STRIPE_WEBHOOK_SECRETS", exposed.0] {
                assert!(message.contains(name), "pvt {arguments:?} does not name {name}:\n{message}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn config_check_masks_secrets() -> Result<()> {
    let settings = [
        ("AMQP_URL", "amqp://pvt:hunter2@127.0.0.1:5682/%2f"),
        ("JWT_SECRET", "0123456789-0123456789-0123456789-hunter2"),
    ];
    let output = run(&["config", "check"], &settings).await?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    for name in ["AMQP_URL", "JWT_SECRET", "PVT_HTTP_ADDR"] {
        assert!(shown.contains(name), "{shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn unknown_worker_is_refused() -> Result<()> {
    let output = run(&["workers", "run", "emails", "butlers"], &[]).await?;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("butlers") && stderr(&output).contains("confirmations"), "{}", stderr(&output));
    Ok(())
}
