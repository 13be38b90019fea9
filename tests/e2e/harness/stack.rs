//! The programs, stores and clients of one test.

use super::client::{Client, booked};
use super::stripe::Stripe;
use super::{AcceptedBooking, Mailbox, Program, ports};
use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use pvt_domain::booking::Booking;
use pvt_domain::demo;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::Inventory;
use pvt_messaging::Topology;
use pvt_messaging::management::Management;
use pvt_service::config::Config;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stripe_simulator::Control;
use pvt_testkit::{Broker, DORM, Namespace, Stores, Urls, booking_body};
use pvt_workers::jobs::WORKERS;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Log levels: low enough to catch a secret that only a debug line contains.
const LOG: &str = "info,pvt_api=debug,pvt_workers=debug,pvt_worker_runtime=debug,pvt_messaging=debug,pvt_stores=debug";
/// Signs the webhooks of tests.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_of_the_tests";

/// Pause of a retrying client, much shorter than `Retry-After` asks for.
const CLIENT_PAUSE: Duration = Duration::from_millis(200);

/// Builder of a [`Stack`].
pub(crate) struct StackBuilder {
    inventories: Vec<Inventory>,
    workers: Vec<(String, Vec<String>)>,
    environment: Vec<(String, String)>,
    urls: Option<Urls>,
    paid_online: bool,
    has_second_api: bool,
}

impl StackBuilder {
    /// The demonstration property, one API, and one process with every worker.
    pub(crate) fn new() -> Self {
        let all = ("workers".to_owned(), vec!["--all".to_owned()]);
        Self {
            inventories: vec![demo::inventory()],
            workers: vec![all],
            environment: Vec::new(),
            urls: None,
            paid_online: false,
            has_second_api: false,
        }
    }

    /// Adds a simulated Stripe, which pushes to the API.
    pub(crate) fn paid_online(mut self) -> Self {
        self.paid_online = true;
        self
    }

    /// Adds a second API process, `api-2`.
    pub(crate) fn two_apis(mut self) -> Self {
        self.has_second_api = true;
        self
    }

    /// Replaces the properties.
    pub(crate) fn selling(mut self, inventories: impl IntoIterator<Item = Inventory>) -> Self {
        self.inventories = inventories.into_iter().collect();
        self
    }

    /// Replaces the worker processes, each with its workers.
    pub(crate) fn workers(mut self, processes: &[(&str, &[&str])]) -> Self {
        let owned = |(name, workers): &(&str, &[&str])| {
            ((*name).to_owned(), workers.iter().map(|worker| (*worker).to_owned()).collect())
        };
        self.workers = processes.iter().map(owned).collect();
        self
    }

    /// Uses these engines.
    pub(crate) fn on(mut self, urls: Urls) -> Self {
        self.urls = Some(urls);
        self
    }

    /// Adds a setting to every process.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts all programs and waits until they are ready.
    pub(crate) async fn start(self) -> Result<Stack> {
        let mut stack = self.prepare().await?;
        let names: Vec<String> = stack.programs.keys().cloned().collect();
        stack.run(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(stack)
    }

    /// Prepares stores, queues and programs without starting any program.
    pub(crate) async fn prepare(self) -> Result<Stack> {
        check_that_schedules_are_served(&self.workers)?;
        let namespace = match self.urls {
            Some(urls) => Namespace::on(urls).await?,
            None => Namespace::new().await?,
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(namespace.name());
        std::fs::create_dir_all(&folder)?;
        let (api, operators) = (ports::free()?, ports::free()?);
        let (smtp, mails) = (ports::free()?, ports::free()?);
        let mut environment: Vec<(String, String)> =
            namespace.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in [
            ("PVT_ENV", "development".to_owned()),
            ("PVT_LOG", LOG.to_owned()),
            ("PVT_HTTP_ADDR", api.to_string()),
            ("PVT_METRICS_ADDR", operators.to_string()),
            ("PVT_OPS_ADDR", mails.to_string()),
            ("SMTP_URL", format!("smtp://{smtp}")),
            ("STRIPE_WEBHOOK_SECRETS", WEBHOOK_SECRET.to_owned()),
        ] {
            environment.push((name.to_owned(), value));
        }
        let stripe = if self.paid_online { Some(Stripe::start(api).await?) } else { None };
        environment.extend(stripe.iter().flat_map(Stripe::environment));
        environment.extend(self.environment);
        let client = Client::new(api)?;
        let mailbox = Mailbox::new(client.http().clone(), mails);
        let mut programs = BTreeMap::new();
        let store = folder.join("mails").display().to_string();
        let sink = ["dev", "mail-sink", "--smtp", &smtp.to_string(), "--http", &mails.to_string(), "--store", &store];
        programs.insert(
            "mail-sink".to_owned(),
            Program::new("mail-sink", &sink, environment.clone(), &folder, mailbox.ready_url()),
        );
        programs.insert(
            "api".to_owned(),
            Program::new("api", &["api"], environment.clone(), &folder, format!("http://{api}/readyz")),
        );
        if self.has_second_api {
            let (api, operators) = (ports::free()?, ports::free()?);
            let mut environment = environment.clone();
            environment.push(("PVT_HTTP_ADDR".to_owned(), api.to_string()));
            environment.push(("PVT_METRICS_ADDR".to_owned(), operators.to_string()));
            let ready_url = format!("http://{api}/readyz");
            programs.insert("api-2".to_owned(), Program::new("api-2", &["api"], environment, &folder, ready_url));
        }
        for (name, workers) in self.workers {
            let address = ports::free()?;
            let mut environment = environment.clone();
            environment.push(("PVT_METRICS_ADDR".to_owned(), address.to_string()));
            let mut arguments = vec!["workers", "run"];
            arguments.extend(workers.iter().map(String::as_str));
            programs.insert(
                name.clone(),
                Program::new(&name, &arguments, environment, &folder, format!("http://{address}/readyz")),
            );
        }
        let broker = prepare_stores_and_queues(&namespace, &self.inventories).await?;
        Ok(Stack {
            programs,
            topology: namespace.topology(),
            mongo: namespace.mongo().await?,
            stores: Stores::connect(&namespace).await?,
            broker,
            client,
            mailbox,
            environment,
            folder,
            accepted: Mutex::default(),
            passed: false,
            stripe,
            namespace,
        })
    }
}

/// Schedules fire when the clock says so, and send to any queue: a test whose queues must be empty at its end would
/// fail at full hours only if nothing consumed what they send.
fn check_that_schedules_are_served(processes: &[(String, Vec<String>)]) -> Result<()> {
    let runs =
        |worker: &str| processes.iter().flat_map(|(_, workers)| workers).any(|one| one == "--all" || one == worker);
    let missing: Vec<&str> = WORKERS.iter().map(|worker| worker.name).filter(|name| !runs(name)).collect();
    ensure!(
        !runs("scheduler") || missing.is_empty(),
        "the scheduler sends to workers that no process runs: {missing:?}"
    );
    Ok(())
}

/// Does what `pvt migrate`, `pvt topology apply` and `pvt seed` do, without starting them.
async fn prepare_stores_and_queues(namespace: &Namespace, inventories: &[Inventory]) -> Result<Broker> {
    let mongo = namespace.mongo().await?;
    for inventory in inventories {
        mongo.inventories().save(inventory).await?;
    }
    mongo.shutdown().await;
    let mart = Mart::connect(&namespace.database_url(), "tests")?;
    mart.migrate().await?;
    mart.close().await;
    let broker = Broker::connect(namespace).await?;
    namespace.topology().declare(&broker.channel().await?).await?;
    Management::new(namespace.management_url(), "/")?.apply_policies(&namespace.topology()).await?;
    Ok(broker)
}

/// A running system, removed completely on drop.
pub(crate) struct Stack {
    // Dropped first: nothing may run when the namespace is removed.
    programs: BTreeMap<String, Program>,
    pub(crate) topology: Topology,
    /// MongoDB through the product's repositories.
    pub(crate) mongo: Mongo,
    /// The stores, bypassing the product.
    pub(crate) stores: Stores,
    pub(crate) broker: Broker,
    pub(crate) client: Client,
    pub(crate) mailbox: Mailbox,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    accepted: Mutex<Vec<Uuid>>,
    pub(super) passed: bool,
    stripe: Option<Stripe>,
    pub(crate) namespace: Namespace,
}

impl Stack {
    /// The directory of its logs and of files that the test writes; removed when the test passes.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its simulated Stripe.
    pub(crate) fn stripe(&self) -> Result<&Control> {
        self.stripe.as_ref().map(Stripe::control).context("the stack has no Stripe")
    }

    /// Adds a program with further settings; [`Stack::run`] starts it.
    pub(crate) fn add(&mut self, name: &str, arguments: &[&str], settings: &[(&str, String)], ready_url: String) {
        let mut environment = self.environment.clone();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let program = Program::new(name, arguments, environment, &self.folder, ready_url);
        self.programs.insert(name.to_owned(), program);
    }

    /// One of its programs: `api`, `mail-sink`, or a worker process by name.
    pub(crate) fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.programs.get_mut(name).with_context(|| format!("there is no program {name}"))
    }

    /// Waits until a program is ready.
    pub(crate) async fn ready(&mut self, name: &str) -> Result<()> {
        let http = self.client.http().clone();
        self.program(name)?.ready(&http).await
    }

    /// Starts these programs and waits until they are ready.
    pub(crate) async fn run(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            self.program(name)?.start(&[])?;
        }
        for name in names {
            self.ready(name).await?;
        }
        Ok(())
    }

    /// Restarts a stopped program and waits until it is ready.
    pub(crate) async fn restart(&mut self, name: &str) -> Result<()> {
        self.program(name)?.start(&[])?;
        self.ready(name).await
    }

    /// The metrics URL of a worker process.
    pub(crate) fn metrics_url(&mut self, name: &str) -> Result<String> {
        Ok(self.program(name)?.ready_url().replace("/readyz", "/metrics"))
    }

    /// Starts a program that will abort at this fault point.
    pub(crate) async fn start_with_fault_point(&mut self, name: &str, fault: &str) -> Result<()> {
        self.program(name)?.start(&[("PVT_FAULT", fault)])
    }

    pub(super) fn programs(&mut self) -> &mut BTreeMap<String, Program> {
        &mut self.programs
    }

    /// Requests a booking and records that it was accepted.
    pub(crate) async fn book(&self, key: &str, body: &Value) -> Result<AcceptedBooking> {
        let booked = self.client.book(key, body).await?;
        self.record_accepted(booked.id);
        Ok(booked)
    }

    /// Books a bed of a dormitory for one night, which is confirmed.
    pub(crate) async fn book_guest(&self, last_name: &str, arrival: NaiveDate) -> Result<AcceptedBooking> {
        let mut body = booking_body(DORM, arrival, 1, 1);
        body["guest"]["last_name"] = last_name.into();
        let booked = self.book(last_name, &body).await?;
        let decided = self.client.wait_for_decision(&booked).await?;
        ensure!(decided["status"] == "confirmed", "{decided}");
        Ok(booked)
    }

    /// A booking as it is stored.
    pub(crate) async fn stored(&self, booking: &AcceptedBooking) -> Result<Booking> {
        self.mongo.bookings().find(BookingId::from_uuid(booking.id)).await?.context("the booking")
    }

    /// Requests a booking with the same key until it is accepted, as a well-behaved client does.
    pub(crate) async fn book_with_retries(&self, key: &str, body: &Value) -> Result<AcceptedBooking> {
        pvt_testkit::eventually(&format!("request {key} is accepted"), super::LONG_TIMEOUT, || async {
            match self.client.request_booking(key, body).await {
                Ok(answer) if answer.status == reqwest::StatusCode::ACCEPTED => Ok(Some(answer)),
                refused => {
                    tokio::time::sleep(CLIENT_PAUSE).await;
                    anyhow::bail!("{refused:?}")
                }
            }
        })
        .await
        .and_then(|answer| booked(&answer))
        .inspect(|booked| self.record_accepted(booked.id))
    }

    /// Records that this booking's request was accepted.
    pub(crate) fn record_accepted(&self, id: Uuid) {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    pub(super) fn accepted(&self) -> Vec<Uuid> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The settings of its programs, for in-process workers.
    pub(crate) fn config(&self) -> Result<Config> {
        Ok(Config::from_pairs(self.environment.iter().cloned())?)
    }

    /// Runs an operator's command against this system.
    pub(crate) async fn pvt(&self, arguments: &[&str]) -> Result<Output> {
        super::pvt(arguments, &self.environment, &self.folder).await
    }

    /// As [`Stack::pvt`], in the background.
    pub(crate) fn spawn_pvt(&self, arguments: &[&str]) -> tokio::task::JoinHandle<Result<Output>> {
        let (environment, folder) = (self.environment.clone(), self.folder.clone());
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        tokio::spawn(async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            super::pvt(&arguments, &environment, &folder).await
        })
    }

    /// As [`Stack::pvt`], for a command that must succeed and print JSON.
    pub(crate) async fn pvt_json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.pvt(arguments).await?;
        anyhow::ensure!(output.status.success(), "pvt {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.passed {
            drop(std::fs::remove_dir_all(&self.folder));
            return;
        }
        let logs: String = self.programs.values().map(Program::tail).collect();
        drop(writeln!(std::io::stderr(), "{logs}full logs: {}", self.folder.display()));
    }
}
