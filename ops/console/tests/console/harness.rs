//! A console of a test: its namespace, its users, bookings, and requests with the cookies of a session.

use anyhow::{Context, Result};
use chrono::{NaiveDate, Utc};
use pvt_console::Console;
use pvt_domain::accounts::{Email, Role, User, UserId};
use pvt_domain::booking::Booking;
use pvt_domain::demo;
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;
use pvt_domain::ledger::Ledger;
use pvt_domain::money::Currency;
use pvt_domain::stripe::Event;
use pvt_service::{Config, passwords};
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_testkit::console::{self, ConsoleSession, with_form};
use pvt_testkit::{Broker, Namespace};
use reqwest::{Response, StatusCode, header, redirect};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const PASSWORD: &str = "correct horse battery";
/// The property of staff; the other one has administrators only.
pub(crate) const HERE: &str = "here";
pub(crate) const THERE: &str = "there";
/// For figures to follow: the broker counts every five seconds.
pub(crate) const FOLLOW_LIMIT: Duration = Duration::from_secs(30);

/// A running console.
pub(crate) struct Harness {
    pub(crate) namespace: Namespace,
    pub(crate) mongo: Mongo,
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<Result<()>>,
}

/// The cookie and the form token of a user who is signed in.
pub(crate) struct Session {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
    pub(crate) user: UserId,
}

impl Harness {
    pub(crate) async fn start() -> Result<Self> {
        Self::with(Namespace::new().await?, &[]).await
    }

    /// With these settings besides those of the namespace.
    pub(crate) async fn with(namespace: Namespace, settings: &[(&str, &str)]) -> Result<Self> {
        pvt_service::tls::install_provider();
        let mongo = namespace.mongo().await?;
        for id in [HERE, THERE] {
            mongo.inventories().save(&inventory(id)).await?;
        }
        let mart = Mart::connect(&namespace.database_url(), "tests")?;
        mart.migrate().await?;
        mart.close().await;
        declare(&namespace).await?;
        let mut pairs: Vec<(String, String)> =
            namespace.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let fixed = [("PVT_CONSOLE_ADDR", "127.0.0.1:0"), ("PVT_CONSOLE_METRICS_ADDR", "127.0.0.1:0")];
        for (name, value) in fixed.iter().chain(settings) {
            pairs.retain(|(known, _)| known != name);
            pairs.push(((*name).to_owned(), (*value).to_owned()));
        }
        let console = Console::bind(&Config::from_pairs(pairs)?).await?;
        let (address, stop) = (console.local_addr()?, CancellationToken::new());
        let running = tokio::spawn(console.run(stop.clone()));
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
        Ok(Self { namespace, mongo, address, http, stop, running })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Creates an account.
    pub(crate) async fn user(&self, role: Role, properties: &[&str]) -> Result<User> {
        let id = UserId::from_uuid(Uuid::now_v7());
        let user = User {
            id,
            email: Email::parse(&format!("{}@example.com", id.as_uuid().simple())).unwrap(),
            name: format!("Test {}", role.as_str()),
            role,
            properties: properties.iter().map(|id| PropertyId::from(*id)).collect(),
            locale: None,
            rev: 1,
            created_at: Utc::now().into(),
            disabled_at: None,
        };
        let hash = tokio::task::spawn_blocking(|| passwords::hash(PASSWORD)).await??;
        self.mongo.users().create(user.clone(), hash).await?;
        Ok(user)
    }

    pub(crate) async fn try_sign_in(&self, email: &str, password: &str) -> Result<Response> {
        console::try_sign_in(&self.http, &self.url(""), email, password).await
    }

    /// A session of a new account.
    pub(crate) async fn sign_in(&self, role: Role, properties: &[&str]) -> Result<Session> {
        let user = self.user(role, properties).await?;
        let ConsoleSession { cookie, csrf } =
            console::sign_in(&self.http, &self.url(""), user.email.as_str(), PASSWORD).await?;
        Ok(Session { cookie, csrf, user: user.id })
    }

    pub(crate) async fn get(&self, session: &Session, path: &str) -> Result<(StatusCode, String)> {
        let answer = self.http.get(self.url(path)).header(header::COOKIE, &session.cookie).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    pub(crate) async fn post(&self, session: &Session, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
        let request = self.http.post(self.url(path)).header(header::COOKIE, &session.cookie);
        Ok(with_form(request, fields).send().await?)
    }

    /// Stores a booking of one bed from today for two nights.
    pub(crate) async fn book(&self, property: &str, status: &str, today: NaiveDate) -> Result<Booking> {
        let booking = booking(property, status, today);
        self.database().await?.collection::<Booking>("bookings").insert_one(&booking).await?;
        Ok(booking)
    }

    /// The database of the namespace.
    pub(crate) async fn database(&self) -> Result<mongodb::Database> {
        let client = mongodb::Client::with_uri_str(self.namespace.mongodb_uri()).await?;
        client.default_database().context("the URI names a database")
    }

    /// Stores a ledger with an open dispute about this booking.
    pub(crate) async fn dispute(&self, booking: &Booking) -> Result<()> {
        let now = Utc::now().into();
        let mut ledger = Ledger::new(booking.id, booking.property_id.clone(), Currency::CAD, now);
        let before = ledger.clone();
        let dispute = json!({ "id": "dp_1", "status": "needs_response", "payment_intent": "pi_1", "amount": 8_400,
            "currency": "cad", "reason": "fraudulent", "created": 1_800_000_000, "balance_transactions": [] });
        let event = json!({ "id": "evt_1", "type": "charge.dispute.created", "created": 1_800_000_001,
            "data": { "object": dispute } });
        ledger.apply(&Event::read(&event)?);
        ledger.advance_rev(&before, now);
        self.mongo.ledgers().save(&[ledger]).await?;
        Ok(())
    }
}

async fn declare(namespace: &Namespace) -> Result<()> {
    let broker = Broker::connect(namespace).await?;
    let channel = broker.channel().await?;
    namespace.topology().declare(&channel).await?;
    Ok(())
}

/// The demonstration property under another id.
pub(crate) fn inventory(id: &str) -> Inventory {
    let mut inventory = demo::inventory();
    inventory.property.id = id.into();
    inventory.property.name = format!("Hostel {id}");
    inventory
}

/// A booking of one bed from `arrival` for two nights.
pub(crate) fn booking(property: &str, status: &str, arrival: NaiveDate) -> Booking {
    let id = Uuid::new_v4();
    let reference = pvt_domain::ids::BookingId::from_uuid(id).reference();
    let bed = demo::inventory().rooms[0].beds[0].clone();
    serde_json::from_value(json!({
        "_id": id, "reference": reference, "status": status, "rev": 1, "property_id": property,
        "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": arrival, "departure": arrival + chrono::Days::new(2),
            "guests": 1, "assigned_beds": [bed] }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "price": { "currency": "CAD", "nights": [[4200, 4200]], "taxes": [], "total": 8400 },
        "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:00.010Z",
        "history": [{ "rev": 1, "at": "2026-12-01T12:00:00.010Z", "action": "request", "from": "requested",
            "to": status, "command_id": Uuid::new_v4(), "event_id": Uuid::new_v4(), "actor": "guest" }],
    }))
    .unwrap()
}
