//! Table of every setting: name, meaning, default and example. `.env.example`, error messages and `pvt config check`
//! derive from it.

/// The kind of a value, which determines how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Shown as it is.
    Plain,
    /// A URL that may hold a password: shown without it.
    SecretUrl,
    /// Never shown.
    Secret,
}

/// One environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in lines fit for a comment.
    pub about: &'static str,
    /// The value in development when nothing is set; `None` when it may stay unset.
    pub default: Option<&'static str>,
    /// A value that would be accepted in production.
    pub example: &'static str,
    /// How it is shown. Secrets may also come as `NAME_FILE` or as an `op://` reference.
    pub kind: Kind,
    /// Whether production refuses to start on the default.
    pub required_in_production: bool,
}

impl Variable {
    const fn new(name: &'static str, about: &'static str, default: &'static str, example: &'static str) -> Self {
        Self { name, about, default: Some(default), example, kind: Kind::Plain, required_in_production: false }
    }

    const fn url(mut self) -> Self {
        self.kind = Kind::SecretUrl;
        self
    }

    const fn secret(mut self) -> Self {
        self.kind = Kind::Secret;
        self
    }

    const fn required(mut self) -> Self {
        self.required_in_production = true;
        self
    }

    const fn optional(mut self) -> Self {
        self.default = None;
        self
    }

    /// Whether `NAME_FILE` and `op://` are understood for it.
    pub fn is_secret(&self) -> bool {
        self.kind != Kind::Plain
    }
}

macro_rules! variables {
    ($($id:ident = $variable:expr;)*) => {
        $(pub(super) const $id: Variable = $variable;)*
        /// All of them, in the order of `.env.example`.
        pub const VARIABLES: &[Variable] = &[$($id),*];
    };
}

variables! {
    PVT_ENV = Variable::new(
        "PVT_ENV",
        "`development` or `production`. Production refuses to start with development secrets, the broker's `guest` \
        user,\nwithout users of MongoDB and PostgreSQL, or without verified TLS where an address is not \
        loopback.\nDevelopment secrets are also refused where PVT_HTTP_ADDR, PVT_CONSOLE_ADDR, \
        PUBLIC_URL or PVT_CONSOLE_URL is not loopback.",
        "development",
        "production",
    );
    AMQP_URL = Variable::new("AMQP_URL", "RabbitMQ.", "amqp://guest:guest@127.0.0.1:5682/%2f",
        "amqps://pvt-api:PASSWORD@broker.example.com:5671/pvt").url().required();
    RABBITMQ_MANAGEMENT_URL = Variable::new(
        "RABBITMQ_MANAGEMENT_URL",
        "RabbitMQ's management API: policies, queue counts. Only the operator's side needs it.",
        "http://guest:guest@127.0.0.1:15682",
        "https://pvt-ops:PASSWORD@broker.example.com:15671",
    )
    .url();
    MONGODB_URI = Variable::new(
        "MONGODB_URI",
        "MongoDB, a replica set (transactions need one). Without a database in the path it is `pvt`.",
        "mongodb://127.0.0.1:27027/pvt?replicaSet=pvt",
        "mongodb+srv://pvt:PASSWORD@cluster.example.com/pvt",
    )
    .url()
    .required();
    DATABASE_URL = Variable::new(
        "DATABASE_URL",
        "PostgreSQL, the analytics mart. Neon's form works. A certificate of a private authority needs\n\
        &sslrootcert=/path/of/its/certificate.pem.",
        "postgres://pvt@127.0.0.1:5442/pvt",
        "postgres://pvt:PASSWORD@db.example.com/pvt?sslmode=verify-full",
    )
    .url()
    .required();
    DATABASE_DIRECT_URL = Variable::new(
        "DATABASE_DIRECT_URL",
        "PostgreSQL for migrations, when DATABASE_URL leads through a pooler. Unset: DATABASE_URL.",
        "",
        "postgres://pvt:PASSWORD@direct.db.example.com/pvt?sslmode=verify-full",
    )
    .url()
    .optional();
    SMTP_URL = Variable::new(
        "SMTP_URL",
        "The mail server: `smtps://`, or `smtp://…?tls=required` for STARTTLS.",
        "smtp://127.0.0.1:2525",
        "smtps://user:PASSWORD@mail.example.com:465",
    ).url().required();
    MAIL_FROM = Variable::new("MAIL_FROM", "The sender of every mail.", "PVT Hostels <bookings@pvt.test>",
        "PVT Hostels <bookings@example.com>").required();
    STRIPE_WEBHOOK_SECRETS = Variable::new(
        "STRIPE_WEBHOOK_SECRETS",
        "Signing secrets of the Stripe webhook, comma-separated, newest first: during a rotation both are valid.",
        "whsec_development",
        "whsec_NEW,whsec_OLD",
    )
    .secret()
    .required();
    STRIPE_SECRET_KEY = Variable::new(
        "STRIPE_SECRET_KEY",
        "API key for Stripe, a secret or a restricted key. Unset: guests cannot pay online. Production accepts no test \
        key.",
        "",
        "rk_live_KEY",
    )
    .secret()
    .optional();
    STRIPE_API_BASE = Variable::new(
        "STRIPE_API_BASE",
        "Base URL of Stripe, or of a simulator.",
        "https://api.stripe.com",
        "https://api.stripe.com",
    );
    STRIPE_API_VERSION = Variable::new(
        "STRIPE_API_VERSION",
        "Version of Stripe's API in requests. The webhook endpoint needs the same version.",
        "2025-09-30.clover",
        "2025-09-30.clover",
    );
    JWT_SECRET = Variable::new(
        "JWT_SECRET",
        "At least 32 characters; the keys that sign booking tokens and access tokens are derived from it. To \
        change it\nwithout ending issued tokens, set JWT_PREVIOUS_SECRET to the one before.",
        "development-only-secret-never-use-it-in-production",
        "the output of `openssl rand -base64 48`",
    )
    .secret()
    .required();
    JWT_PREVIOUS_SECRET = Variable::new(
        "JWT_PREVIOUS_SECRET",
        "The JWT_SECRET before, while it is being changed: what was signed with it is still accepted. Links in mails \
        are\nvalid until 14 days after departure.",
        "",
        "the previous value of JWT_SECRET",
    )
    .secret()
    .optional();
    PUBLIC_URL = Variable::new(
        "PUBLIC_URL",
        "Public URL of the API; links in mails begin with it.",
        "http://127.0.0.1:8080",
        "https://booking.example.com",
    ).required();
    PVT_HTTP_ADDR = Variable::new(
        "PVT_HTTP_ADDR",
        "Address that the API listens on. Port 0 takes a free one.",
        "127.0.0.1:8080",
        "0.0.0.0:8080",
    );
    PVT_SHUTDOWN_DELAY = Variable::new(
        "PVT_SHUTDOWN_DELAY",
        "Seconds, at most 60, for which the API goes on serving after SIGTERM while /readyz is 503 already: \
        longer than\nload balancers take to notice. Without a load balancer 0.",
        "0",
        "10",
    );
    PVT_TRUSTED_PROXIES = Variable::new(
        "PVT_TRUSTED_PROXIES",
        "Addresses and networks of the proxies in front of the API, comma-separated. X-Forwarded-For is accepted from \
        these alone.",
        "",
        "10.0.0.0/8,fd00::/8",
    );
    PVT_CORS_ORIGINS = Variable::new(
        "PVT_CORS_ORIGINS",
        "Origins whose pages may call the API from a browser, comma-separated, exactly as the browser sends them.",
        "",
        "https://app.example.com",
    );
    PVT_RATE_GENERAL = Variable::new(
        "PVT_RATE_GENERAL",
        "Requests of one address without credentials: a number per interval in s, m or h; `off` disables the \
        limit.\nIn development no limit applies to loopback.",
        "100/15m",
        "100/15m",
    );
    PVT_RATE_AUTH = Variable::new(
        "PVT_RATE_AUTH",
        "Registrations, logins and password resets of one address.",
        "5/15m",
        "5/15m",
    );
    PVT_RATE_BOOKING = Variable::new(
        "PVT_RATE_BOOKING",
        "Booking requests of one address without credentials.",
        "10/1h",
        "10/1h",
    );
    PVT_RATE_CLIENT = Variable::new(
        "PVT_RATE_CLIENT",
        "Requests of one API key or one logged-in account, of any kind.",
        "6000/15m",
        "60000/15m",
    );
    PVT_OPS_ADDR = Variable::new(
        "PVT_OPS_ADDR",
        "Address of the mail sink's page with `pvt up`.",
        "127.0.0.1:8090",
        "127.0.0.1:8090",
    );
    PVT_CONSOLE_ADDR = Variable::new(
        "PVT_CONSOLE_ADDR",
        "Address that the operator's console listens on. Port 0 takes a free one. Where it is not loopback, \
        PVT_CONSOLE_URL must be\nset, and a proxy in front of the console must end TLS.",
        "127.0.0.1:8094",
        "0.0.0.0:8094",
    );
    PVT_CONSOLE_URL = Variable::new(
        "PVT_CONSOLE_URL",
        "URL under which operators open the console: https:// unless it is loopback. Requests for another host are \
        refused.\nUnset: http:// and PVT_CONSOLE_ADDR.",
        "",
        "https://console.example.com",
    )
    .optional();
    PVT_CONSOLE_API_URL = Variable::new(
        "PVT_CONSOLE_API_URL",
        "URL at which the console reaches the API, by which it acts on bookings.\nUnset: PUBLIC_URL in production, \
        elsewhere http:// and PVT_HTTP_ADDR, with loopback for all addresses.",
        "",
        "https://booking.example.com",
    )
    .optional();
    PVT_CONSOLE_METRICS_ADDR = Variable::new(
        "PVT_CONSOLE_METRICS_ADDR",
        "As PVT_METRICS_ADDR, of the console.",
        "127.0.0.1:8095",
        "0.0.0.0:8095",
    );
    PVT_METRICS_ADDR = Variable::new(
        "PVT_METRICS_ADDR",
        "Address on which a process answers /livez, /readyz?verbose, /metrics and /version to operators. Unset, the \
        API takes\n127.0.0.1:8093. Port 0 takes a free one.",
        "127.0.0.1:8092",
        "0.0.0.0:8092",
    );
    PVT_API_METRICS_URL = Variable::new(
        "PVT_API_METRICS_URL",
        "Where `pvt doctor` and the console find the API's PVT_METRICS_ADDR when it runs on another machine. Unset: \
        http:// and\nthat address.",
        "",
        "http://pvt-api:8092",
    )
    .optional();
    PVT_SCHEDULES = Variable::new(
        "PVT_SCHEDULES",
        "Overrides of the built-in schedules: a JSON object by schedule, each with any of cron (second minute hour \
        day\nmonth weekday), time_zone, catch_up (latest, skip, all), dry_run, enabled. docs/operations.md lists the \
        schedules.\nIn a file within single quotes.",
        "{}",
        r#"{"night_audit":{"enabled":false},"reconcile_properties":{"cron":"0 30 * * * *"}}"#,
    );
    PVT_LOG = Variable::new("PVT_LOG", "Log level, or levels by module.", "info", "info,pvt_api=debug");
    OTEL_EXPORTER_OTLP_ENDPOINT = Variable::new(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Base URL of a collector of traces (OTLP over HTTP); spans go to v1/traces below it. Unset: none are recorded.",
        "",
        "https://collector.example.com:4318",
    )
    .optional();
    OTEL_EXPORTER_OTLP_HEADERS = Variable::new(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Headers for the collector, such as its key: name=value,name=value, values percent-encoded.",
        "",
        "x-api-key=KEY",
    )
    .secret()
    .optional();
    OTEL_EXPORTER_OTLP_PROTOCOL = Variable::new(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "Protocol of the export; there is one.",
        "http/protobuf",
        "http/protobuf",
    );
    OTEL_EXPORTER_OTLP_TIMEOUT = Variable::new(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "Time for one export, in milliseconds.",
        "10000",
        "10000",
    );
    OTEL_EXPORTER_OTLP_CERTIFICATE = Variable::new(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "File with the certificates of a private authority of the collector, in PEM.",
        "",
        "/etc/ssl/collector-ca.pem",
    )
    .optional();
    OTEL_TRACES_SAMPLER = Variable::new(
        "OTEL_TRACES_SAMPLER",
        "Which traces are recorded: always_on, always_off or traceidratio. With parentbased_ before it, a caller's \
        `traceparent` decides.",
        "parentbased_always_on",
        "parentbased_traceidratio",
    );
    OTEL_TRACES_SAMPLER_ARG = Variable::new(
        "OTEL_TRACES_SAMPLER_ARG",
        "The share of traces that traceidratio records, 0 to 1. Unset: all.",
        "",
        "0.1",
    )
    .optional();
    OTEL_SERVICE_NAME = Variable::new(
        "OTEL_SERVICE_NAME",
        "Name of the process in its spans. Unset: pvt-api or pvt-workers.",
        "",
        "booking-api",
    )
    .optional();
    OTEL_RESOURCE_ATTRIBUTES = Variable::new(
        "OTEL_RESOURCE_ATTRIBUTES",
        "Further attributes of the process in its spans: name=value,name=value, values percent-encoded.",
        "",
        "deployment.environment.name=production",
    )
    .optional();
    OTEL_SDK_DISABLED = Variable::new(
        "OTEL_SDK_DISABLED",
        "`true` records no spans, whatever else is set.",
        "false",
        "false",
    );
    PVT_QUEUE_PREFIX = Variable::new(
        "PVT_QUEUE_PREFIX",
        "Prefix of the names of all exchanges and queues, so that several systems can share a broker. The same for \
        every process.",
        "",
        "staging.",
    );
    PVT_PARTITIONS = Variable::new(
        "PVT_PARTITIONS",
        "Partitions of the booking queue, 1 to 256. The same for every process; change it only while the booking \
        queues are empty.",
        "4",
        "16",
    );
    PVT_RETRY_DIVISOR = Variable::new(
        "PVT_RETRY_DIVISOR",
        "Divisor of the retry delays (5 s, 1 min, 10 min, 1 h), for tests. Fixed once the queues exist.",
        "1",
        "1",
    );
}

/// The text of `.env.example`: every setting with its meaning and default, all commented out.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Settings of PVT Booking. Copy to `.env` and uncomment what differs; the process environment wins over the \
        file.\n\
        # Generated from shared/service/src/config/variables.rs; a test keeps both equal.\n\
        #\n\
        # Variables marked (secret) may also be given as NAME_FILE=/path/of/a/file, or as op://vault/item/field, \
        which the\n\
        # 1Password CLI `op` resolves at start.\n",
    );
    for variable in VARIABLES {
        text.push('\n');
        let secret = if variable.is_secret() { " (secret)" } else { "" };
        let required = if variable.required_in_production { " Production must set it." } else { "" };
        for line in format!("{}{required}{secret}", variable.about).lines() {
            text.push_str(&format!("# {line}\n"));
        }
        text.push_str(&format!("# Example: {}\n", variable.example));
        text.push_str(&format!("# {}={}\n", variable.name, variable.default.map(quoted).unwrap_or_default()));
    }
    text
}

/// As a dotenv file takes it.
fn quoted(value: &str) -> String {
    if value.contains([' ', '<', '#']) { format!("\"{value}\"") } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{VARIABLES, env_example};

    #[test]
    fn the_example_file_is_generated() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.env.example");
        if std::env::var_os("PVT_WRITE_ENV_EXAMPLE").is_some() {
            std::fs::write(path, env_example()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            committed,
            env_example(),
            "write it anew: PVT_WRITE_ENV_EXAMPLE=1 cargo test -p pvt-service the_example_file"
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }

    #[test]
    fn the_example_file_parses_as_dotenv_once_uncommented() {
        let text: String = env_example()
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| VARIABLES.iter().any(|v| line.starts_with(&format!("{}=", v.name))))
            .map(|line| format!("{line}\n"))
            .collect();
        let read: Vec<(String, String)> = dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), VARIABLES.len());
        for ((name, value), variable) in read.iter().zip(VARIABLES) {
            assert_eq!((name.as_str(), value.as_str()), (variable.name, variable.default.unwrap_or_default()));
        }
    }
}
