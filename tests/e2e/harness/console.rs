//! Consoles of journeys, in this process and as processes of their own.

use super::{AcceptedBooking, Program, Stack, ports, pvt};
use anyhow::Result;
use chrono::Utc;
use pvt_console::Console;
use pvt_domain::accounts::{Email, Role, User, UserId};
use pvt_service::passwords;
use pvt_testkit::Namespace;
use pvt_testkit::console::{self, ConsoleSession, hidden_field, with_form};
use reqwest::{Client, StatusCode, header, redirect};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Of the accounts of a [`TestConsole`].
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A console of this process, on the stores and the API of a stack.
pub(crate) struct TestConsole {
    http: Client,
    pub(crate) base: String,
    stop: CancellationToken,
    running: JoinHandle<Result<()>>,
}

/// The cookie and the form token of a user.
pub(crate) struct Session {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
    pub(crate) user: User,
}

/// An answer as a browser shows it.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl TestConsole {
    pub(crate) async fn start(stack: &Stack) -> Result<Self> {
        let mut config = stack.config()?;
        config.console_addr = "127.0.0.1:0".parse()?;
        config.console_metrics_addr = "127.0.0.1:0".parse()?;
        let console = Console::bind(&config).await?;
        let (base, stop) = (format!("http://{}", console.local_addr()?), CancellationToken::new());
        let running = tokio::spawn(console.run(stop.clone()));
        let http = Client::builder().redirect(redirect::Policy::none()).build()?;
        Ok(Self { http, base, stop, running })
    }

    pub(crate) async fn end(self) -> Result<()> {
        self.stop.cancel();
        self.running.await?
    }

    pub(crate) async fn account(&self, stack: &Stack, role: Role, name: &str, properties: &[&str]) -> Result<User> {
        let id = UserId::from_uuid(Uuid::now_v7());
        let user = User {
            id,
            email: Email::parse(&format!("{}@example.com", id.as_uuid().simple())).unwrap(),
            name: name.to_owned(),
            role,
            properties: properties.iter().map(|id| (*id).into()).collect(),
            locale: None,
            rev: 1,
            created_at: Utc::now().into(),
            disabled_at: None,
        };
        let hash = tokio::task::spawn_blocking(|| passwords::hash(PASSWORD)).await??;
        stack.mongo.users().create(user.clone(), hash).await?;
        Ok(user)
    }

    pub(crate) async fn sign_in(&self, stack: &Stack, role: Role, name: &str, properties: &[&str]) -> Result<Session> {
        let user = self.account(stack, role, name, properties).await?;
        let ConsoleSession { cookie, csrf } =
            console::sign_in(&self.http, &self.base, user.email.as_str(), PASSWORD).await?;
        Ok(Session { cookie, csrf, user })
    }

    pub(crate) async fn send(&self, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Result<reqwest::Response> {
        let request = self.http.post(format!("{}{path}", self.base)).header(header::COOKIE, cookie);
        Ok(with_form(request, fields).send().await?)
    }

    pub(crate) async fn get(&self, session: &Session, path: &str) -> Result<Page> {
        let request = self.http.get(format!("{}{path}", self.base)).header(header::COOKIE, &session.cookie);
        let answer = request.send().await?;
        Ok(Page { status: answer.status(), text: answer.text().await? })
    }

    pub(crate) async fn post(&self, session: &Session, path: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", session.csrf.as_str())]).collect();
        let answer = self.send(&session.cookie, path, &fields).await?;
        Ok(Page { status: answer.status(), text: answer.text().await? })
    }

    /// Opens the form of an action and sends it with these fields.
    pub(crate) async fn act(
        &self,
        session: &Session,
        booking: &AcceptedBooking,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<Page> {
        let path = format!("/bookings/{}/actions/{action}", booking.id);
        let form = self.get(session, &path).await?;
        let (key, rev) = (hidden_field(&form.text, "key")?, hidden_field(&form.text, "rev")?);
        let own = [("key", key.as_str()), ("rev", rev.as_str())];
        let fields: Vec<(&str, &str)> = own.into_iter().chain(fields.iter().copied()).collect();
        self.post(session, &path, &fields).await
    }
}

/// A console as a process of its own, not yet started.
pub(crate) struct StandaloneConsole {
    pub(crate) program: Program,
    pub(crate) base: String,
    pub(crate) metrics: SocketAddr,
    /// Of the administrator `op@example.com`.
    pub(crate) password: String,
    pub(crate) folder: PathBuf,
}

impl StandaloneConsole {
    pub(crate) async fn of(namespace: &Namespace) -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(namespace.name());
        std::fs::create_dir_all(&folder)?;
        let (address, metrics) = (ports::free()?, ports::free()?);
        let mut environment: Vec<(String, String)> =
            namespace.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.push(("PVT_CONSOLE_ADDR".to_owned(), address.to_string()));
        environment.push(("PVT_CONSOLE_METRICS_ADDR".to_owned(), metrics.to_string()));
        let created = pvt(&["users", "create", "op@example.com", "--role", "admin"], &environment, &folder).await?;
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        let password = String::from_utf8(created.stdout)?.trim().to_owned();
        let base = format!("http://{address}");
        let program = Program::new("console", &["console"], environment, &folder, format!("{base}/readyz"));
        Ok(Self { program, base, metrics, password, folder })
    }
}
