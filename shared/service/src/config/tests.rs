//! The configuration as a whole.

use super::{Config, ConfigError, Environment, Origin};
use secrecy::ExposeSecret as _;

fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_pairs(pairs.iter().copied())
}

fn faulty(pairs: &[(&str, &str)]) -> Vec<&'static str> {
    read(pairs).unwrap_err().faults.iter().map(|fault| fault.variable).collect()
}

const PRODUCTION: &[(&str, &str)] = &[
    ("PVT_ENV", "production"),
    ("AMQP_URL", "amqps://pvt:secret@broker.example.com/pvt"),
    ("MONGODB_URI", "mongodb+srv://pvt:secret@cluster.example.com/pvt"),
    ("DATABASE_URL", "postgres://pvt:secret@db.example.com/pvt?sslmode=verify-full"),
    ("SMTP_URL", "smtps://user:secret@mail.example.com"),
    ("MAIL_FROM", "Hostel <hostel@example.com>"),
    ("STRIPE_WEBHOOK_SECRETS", "whsec_new, whsec_old"),
    ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
    ("PUBLIC_URL", "https://booking.example.com"),
];

fn production_with(changed: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut pairs = PRODUCTION.to_vec();
    pairs.extend_from_slice(changed);
    pairs
}

#[test]
fn nothing_set_is_development() {
    let config = read(&[]).unwrap();
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.http_addr.to_string(), "127.0.0.1:8080");
    assert_eq!((config.partitions, config.retry_divisor, config.queue_prefix.as_str()), (4, 1, ""));
    assert!(config.settings().iter().all(|setting| setting.origin == Origin::Default));
}

#[test]
fn all_invalid_settings_are_reported_at_once() {
    let faults = faulty(&[
        ("AMQP_URL", "http://x"),
        ("PVT_HTTP_ADDR", "8080"),
        ("PVT_PARTITIONS", "0"),
        ("JWT_SECRET", "short"),
        ("MAIL_FROM", "nobody"),
        ("PVT_LOG", "pvt=loud"),
    ]);
    assert_eq!(faults, ["AMQP_URL", "MAIL_FROM", "JWT_SECRET", "PVT_HTTP_ADDR", "PVT_LOG", "PVT_PARTITIONS"]);
    let text = read(&[("PVT_HTTP_ADDR", "8080")]).unwrap_err().to_string();
    assert_eq!(
        text,
        "the configuration has 1 problem:\n  - PVT_HTTP_ADDR: is not an address with a port (example: 0.0.0.0:8080)"
    );
}

#[test]
fn production_takes_real_settings() {
    let config = read(PRODUCTION).unwrap();
    assert_eq!(config.environment, Environment::Production);
    let secrets: Vec<_> = config.stripe_webhook_secrets.iter().map(|secret| secret.expose_secret()).collect();
    assert_eq!(secrets, ["whsec_new", "whsec_old"]);
}

#[test]
fn production_refuses_every_development_default() {
    let expected = [
        "AMQP_URL",
        "MONGODB_URI",
        "DATABASE_URL",
        "SMTP_URL",
        "MAIL_FROM",
        "STRIPE_WEBHOOK_SECRETS",
        "JWT_SECRET",
        "PUBLIC_URL",
    ];
    assert_eq!(faulty(&[("PVT_ENV", "production")]), expected);
    let spelt_out = production_with(&[("JWT_SECRET", "development-only-secret-never-use-it-in-production")]);
    assert_eq!(faulty(&spelt_out), ["JWT_SECRET"], "also when the default is spelt out");
}

#[test]
fn production_refuses_the_guest_user_and_plain_connections() {
    for (name, value) in [
        ("AMQP_URL", "amqps://guest:other@broker.example.com"),
        ("AMQP_URL", "amqps://broker.example.com"),
        ("AMQP_URL", "amqp://pvt:secret@broker.example.com"),
        ("RABBITMQ_MANAGEMENT_URL", "http://ops:secret@broker.example.com"),
        ("MONGODB_URI", "mongodb://pvt:secret@a.example.com,127.0.0.1:27017/pvt"),
        ("MONGODB_URI", "mongodb+srv://pvt:secret@cluster.example.com/pvt?tls=false"),
        ("MONGODB_URI", "mongodb://pvt:secret@a.example.com/pvt?tls=true&ssl=false"),
        ("DATABASE_URL", "postgres://pvt@db.example.com/pvt?sslmode=prefer"),
        ("DATABASE_URL", "postgres://pvt@db.example.com/pvt"),
        ("SMTP_URL", "smtp://mail.example.com"),
        ("PUBLIC_URL", "http://booking.example.com"),
    ] {
        assert_eq!(faulty(&production_with(&[(name, value)])), [name], "{value}");
    }
}

#[test]
fn production_verifies_certificates_and_demands_users() {
    for (name, value) in [
        ("DATABASE_URL", "postgres://pvt:secret@db.example.com/pvt?sslmode=require"),
        ("DATABASE_URL", "postgres://pvt:secret@db.example.com/pvt?sslmode=verify-ca"),
        ("DATABASE_URL", "postgres://pvt:secret@db.example.com/pvt?sslmode=verify-full&sslmode=require"),
        ("DATABASE_URL", "postgres://pvt:secret@db.example.com/pvt?sslmode=verify-full&ssl-mode=disable"),
        ("DATABASE_URL", "postgres://pvt:secret@localhost/pvt?host=db.example.com"),
        ("DATABASE_URL", "postgres://pvt:secret@localhost/pvt?hostaddr=203.0.113.7"),
        ("DATABASE_URL", "postgres://localhost/pvt"),
        ("DATABASE_URL", "postgres://pvt@localhost/pvt?user="),
        ("DATABASE_DIRECT_URL", "postgres://pvt:secret@db.example.com/pvt?sslmode=require"),
        ("MONGODB_URI", "mongodb+srv://pvt:secret@cluster.example.com/pvt?tlsInsecure=true"),
        ("MONGODB_URI", "mongodb+srv://pvt:secret@cluster.example.com/pvt?TLSAllowInvalidCertificates=TRUE"),
        ("MONGODB_URI", "mongodb://pvt:secret@a.example.com/pvt?tls=true&tlsAllowInvalidHostnames=true"),
        ("MONGODB_URI", "mongodb+srv://cluster.example.com/pvt"),
        ("MONGODB_URI", "mongodb://:secret@127.0.0.1/pvt"),
        ("MONGODB_URI", "mongodb://127.0.0.1:27017/pvt"),
    ] {
        assert_eq!(faulty(&production_with(&[(name, value)])), [name], "{value}");
    }
    for (name, value) in [
        ("DATABASE_URL", "postgres://pvt:secret@db.example.com/pvt?sslmode=verify-full&sslrootcert=/etc/pvt/ca.pem"),
        ("DATABASE_URL", "postgres://db.example.com/pvt?user=pvt&ssl-mode=Verify-Full"),
        ("MONGODB_URI", "mongodb+srv://cluster.example.com/pvt?authMechanism=MONGODB-X509&tlsInsecure=false"),
    ] {
        assert!(read(&production_with(&[(name, value)])).is_ok(), "{value}");
    }
    assert!(read(&[("DATABASE_URL", "postgres://db.example.com/pvt")]).is_ok(), "development may");
}

/// Who knows the secrets that are published with the sources is an administrator.
#[test]
fn development_secrets_are_for_this_machine_alone() {
    let secrets = ["STRIPE_WEBHOOK_SECRETS", "JWT_SECRET"];
    for exposed in [
        ("PVT_HTTP_ADDR", "0.0.0.0:8080"),
        ("PVT_HTTP_ADDR", "[::]:8080"),
        ("PVT_HTTP_ADDR", "192.0.2.1:8080"),
        ("PUBLIC_URL", "https://booking.example.com"),
        ("PUBLIC_URL", "http://192.0.2.1:8080"),
        ("PUBLIC_URL", "http://127.0.0.1.example.com"),
    ] {
        for environment in [None, Some(("PVT_ENV", "development"))] {
            let pairs: Vec<_> = environment.into_iter().chain([exposed]).collect();
            assert_eq!(faulty(&pairs), secrets, "{pairs:?}");
            let text = read(&pairs).unwrap_err().to_string();
            assert!(text.contains(exposed.0) && text.contains("set your own"), "{text}");
        }
        let own =
            [exposed, ("JWT_SECRET", "0123456789abcdef0123456789abcdef"), ("STRIPE_WEBHOOK_SECRETS", "whsec_own")];
        assert!(!read(&own).unwrap().is_local());
        let mut published = own.to_vec();
        published.push(("JWT_PREVIOUS_SECRET", "development-only-secret-never-use-it-in-production"));
        published[2] = ("STRIPE_WEBHOOK_SECRETS", "whsec_own,whsec_development");
        assert_eq!(faulty(&published), ["STRIPE_WEBHOOK_SECRETS", "JWT_PREVIOUS_SECRET"], "also as the second one");
    }
    for local in [("PVT_HTTP_ADDR", "127.0.0.2:0"), ("PVT_HTTP_ADDR", "[::1]:80"), ("PUBLIC_URL", "http://localhost:1")]
    {
        assert!(read(&[local]).unwrap().is_local(), "{local:?}");
    }
    let rotating = production_with(&[("JWT_PREVIOUS_SECRET", "development-only-secret-never-use-it-in-production")]);
    assert_eq!(faulty(&rotating), ["JWT_PREVIOUS_SECRET"]);
}

#[test]
fn api_and_workers_of_one_machine_answer_operators_apart() {
    let config = read(&[]).unwrap();
    let console = [config.console_addr, config.console_metrics_addr];
    let others = [config.metrics_addr, config.api_metrics_addr, config.http_addr, config.ops_addr];
    let addresses: std::collections::BTreeSet<_> = console.into_iter().chain(others).collect();
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    assert_eq!(addresses.len(), 6);
    let config = read(&[("PVT_METRICS_ADDR", "0.0.0.0:9100")]).unwrap();
    assert_eq!((config.metrics_addr, config.api_metrics_addr), ("0.0.0.0:9100".parse().unwrap(), config.metrics_addr));
}

#[test]
fn console_is_opened_over_tls_unless_it_is_loopback() {
    let own = [("JWT_SECRET", "0123456789abcdef0123456789abcdef"), ("STRIPE_WEBHOOK_SECRETS", "whsec_own")];
    let with = |pairs: &[(&'static str, &'static str)]| -> Vec<_> { own.into_iter().chain(pairs.to_vec()).collect() };
    let config = read(&[("PVT_CONSOLE_ADDR", "127.0.0.1:9000")]).unwrap();
    assert_eq!(config.console_url.as_str(), "http://127.0.0.1:9000/");
    let exposed = ("PVT_CONSOLE_ADDR", "0.0.0.0:8094");
    assert_eq!(faulty(&with(&[exposed])), ["PVT_CONSOLE_URL"]);
    for url in ["http://console.example.com", "https://console.example.com/ops", "console.example.com"] {
        assert_eq!(faulty(&with(&[exposed, ("PVT_CONSOLE_URL", url)])), ["PVT_CONSOLE_URL"], "{url}");
    }
    let config = read(&with(&[exposed, ("PVT_CONSOLE_URL", "https://console.example.com")])).unwrap();
    assert!(!config.is_local());
    let published = ["STRIPE_WEBHOOK_SECRETS", "JWT_SECRET"];
    assert_eq!(faulty(&[("PVT_CONSOLE_URL", "https://console.example.com")]), published);
    assert_eq!(faulty(&[exposed, ("PVT_CONSOLE_URL", "http://127.0.0.1:8094")]), published);
}

#[test]
fn console_reaches_the_api_where_it_listens_unless_it_is_set() {
    let shown = |pairs: &[(&'static str, &'static str)]| read(pairs).unwrap().console_api_url.to_string();
    assert_eq!(shown(&[]), "http://127.0.0.1:8080/");
    let own = [("JWT_SECRET", "0123456789abcdef0123456789abcdef"), ("STRIPE_WEBHOOK_SECRETS", "whsec_own")];
    let everywhere: Vec<_> = own.into_iter().chain([("PVT_HTTP_ADDR", "0.0.0.0:9001")]).collect();
    assert_eq!(shown(&everywhere), "http://127.0.0.1:9001/");
    assert_eq!(shown(&[("PVT_CONSOLE_API_URL", "http://api:8080")]), "http://api:8080/");
    assert_eq!(faulty(&[("PVT_CONSOLE_API_URL", "api:8080")]), ["PVT_CONSOLE_API_URL"]);
    let plain = production_with(&[("PVT_CONSOLE_API_URL", "http://api.example.com")]);
    assert_eq!(faulty(&plain), ["PVT_CONSOLE_API_URL"], "tokens need TLS");
    let public = production_with(&[("PVT_HTTP_ADDR", "10.0.0.5:8080")]);
    assert_eq!(shown(&public), read(&public).unwrap().public_url.to_string(), "in production, by TLS");
}

#[test]
fn a_stripe_key_fits_where_it_is_used() {
    assert!(read(PRODUCTION).unwrap().stripe_secret_key.is_none(), "a property may take cash alone");
    let config = read(&production_with(&[("STRIPE_SECRET_KEY", "rk_live_1")])).unwrap();
    assert_eq!(
        (config.stripe_api_base.as_str(), config.stripe_api_version.as_str()),
        ("https://api.stripe.com/", "2025-09-30.clover")
    );
    assert!(read(&[("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_API_BASE", "http://stripe.test:8091")]).is_ok());
    for (name, value) in [
        ("STRIPE_SECRET_KEY", "sk_test_1"),
        ("STRIPE_SECRET_KEY", "rk_test_1"),
        ("STRIPE_SECRET_KEY", "pk_live_1"),
        ("STRIPE_SECRET_KEY", "sk_live_1\n2"),
        ("STRIPE_API_BASE", "http://stripe.example.com"),
        ("STRIPE_API_BASE", "https://user@stripe.example.com"),
        ("STRIPE_API_VERSION", "clover"),
        ("STRIPE_API_VERSION", "2025-09-30."),
    ] {
        assert_eq!(faulty(&production_with(&[(name, value)])), [name], "{value}");
    }
    assert!(read(&production_with(&[("STRIPE_API_BASE", "http://127.0.0.1:8091")])).is_ok());
}

#[test]
fn loopback_needs_no_tls() {
    for (name, value) in [
        ("AMQP_URL", "amqp://pvt:secret@127.0.0.1"),
        ("MONGODB_URI", "mongodb://pvt:secret@localhost:27017,[::1]:27018/pvt?tlsInsecure=true"),
        ("DATABASE_URL", "postgres://pvt@localhost/pvt"),
        ("DATABASE_URL", "postgres://pvt@db.example.com/pvt?host=/run/postgresql"),
        ("SMTP_URL", "smtp://mail.example.com?tls=required"),
    ] {
        assert!(read(&production_with(&[(name, value)])).is_ok(), "{value}");
    }
}

#[test]
fn a_secret_may_lie_in_a_file() {
    let file = std::env::temp_dir().join(format!("pvt-service-test-{}", std::process::id()));
    std::fs::write(&file, "  0123456789abcdef0123456789abcdef\n").unwrap();
    let path = file.to_str().unwrap();
    let config = read(&[("JWT_SECRET_FILE", path)]).unwrap();
    assert_eq!(config.jwt_secret.expose_secret(), "0123456789abcdef0123456789abcdef");
    assert_eq!(
        faulty(&[("JWT_SECRET_FILE", path), ("JWT_SECRET", "x")]),
        ["JWT_SECRET"],
        "two sources are one too many"
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(faulty(&[("JWT_SECRET_FILE", path)]), ["JWT_SECRET"], "a file that is not there is not a default");
}

#[test]
fn no_secret_is_ever_shown() {
    let config =
        read(&production_with(&[("RABBITMQ_MANAGEMENT_URL", "https://ops:s3cret@broker.example.com")])).unwrap();
    let shown = format!("{config:?}");
    for secret in ["secret", "s3cret", "whsec_new", "0123456789abcdef"] {
        assert!(
            !shown
                .replace("stripe_webhook_secrets", "")
                .replace("jwt_secret", "")
                .replace("SecretBox", "")
                .contains(&format!(":{secret}")),
            "{shown}"
        );
    }
    let amqp = config.settings().iter().find(|setting| setting.name == "AMQP_URL").unwrap();
    assert_eq!(amqp.shown, "amqps://pvt:********@broker.example.com/pvt");
    assert!(!shown.contains("whsec_new") && !shown.contains("0123456789abcdef"));
}

#[test]
fn mode_of_stripe_is_that_of_the_key() {
    let mode = |pairs: &[(&str, &str)]| Config::from_pairs(pairs.iter().copied()).unwrap().stripe_livemode();
    assert_eq!(mode(&[]), Some(false), "development");
    assert_eq!(mode(&[("STRIPE_SECRET_KEY", "rk_test_1")]), Some(false));
    assert_eq!(mode(&[("STRIPE_SECRET_KEY", "sk_live_1")]), Some(true));
    assert_eq!(mode(&[("STRIPE_SECRET_KEY", "sk_1")]), None);
}
