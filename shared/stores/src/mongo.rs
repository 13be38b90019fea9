//! MongoDB: one repository per aggregate, all on one client.
//!
//! Every write is acknowledged by a majority and journalled; every read is of majority-committed data.

pub mod account_mails;
pub mod api_keys;
pub mod audit;
pub mod blocks;
pub mod booking_search;
pub mod bookings;
pub mod commit;
pub mod console_sessions;
pub mod dead_letters;
pub mod decision_times;
pub mod former_addresses;
pub mod front_desk;
pub mod hold_expiries;
pub mod inventory;
mod ledger_totals;
pub mod ledgers;
pub mod mail_senders;
pub mod maintenance;
pub mod notifications;
pub mod occupancy;
pub mod password_resets;
pub mod payment_sweeps;
pub mod queue_pauses;
pub mod queue_samples;
pub mod rates;
pub mod reconciliations;
pub mod refresh_tokens;
pub mod schedule_runs;
pub mod schedules;
pub mod stripe_events;
pub mod transactions;
pub mod users;
pub mod worker_processes;

use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{Acknowledgment, ClientOptions, IndexOptions, ReadConcern, SelectionCriteria, WriteConcern};
use mongodb::{Client, Collection, Database, IndexModel};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::time::Duration;

/// How long an operation waits for a primary before it counts as down.
const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections to one server. The hot paths are batched, so few are ever needed at once.
const MAX_POOL_SIZE: u32 = 16;

/// Collection of the one document that probes write.
const PROBES: &str = "probes";

/// A connected database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mongo {
    client: Client,
    database: Database,
}

impl Mongo {
    /// Connects lazily to the database that the URI names (`pvt` when it names none). Does not fail because the server
    /// is down.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the URI cannot be read.
    pub async fn connect(uri: &str, app_name: &str) -> Result<Self, StoreError> {
        let mut options = ClientOptions::parse(uri).await?;
        options.app_name = Some(app_name.to_owned());
        options.server_selection_timeout = Some(SERVER_SELECTION_TIMEOUT);
        options.connect_timeout = Some(CONNECT_TIMEOUT);
        options.max_pool_size = Some(MAX_POOL_SIZE);
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        options.read_concern = Some(ReadConcern::majority());
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary));
        let name = options.default_database.clone().unwrap_or_else(|| "pvt".to_owned());
        let client = Client::with_options(options)?;
        Ok(Self { database: client.database(&name), client })
    }

    /// Whether the primary answers.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database.run_command(doc! { "ping": 1 }).await?;
        Ok(())
    }

    /// Whether a majority of the replica set takes a write now.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let touch = vec![doc! { "$set": { "at": "$$NOW" } }];
        self.collection::<Document>(PROBES).update_one(doc! { "_id": "probe" }, touch).upsert(true).await?;
        Ok(())
    }

    /// Closes all connections.
    pub async fn shutdown(&self) {
        self.client.clone().shutdown().await;
    }

    /// Drops the whole database: for tests and benchmarks, which own theirs.
    ///
    /// # Errors
    /// [`StoreError`] when the server refuses.
    pub async fn drop_database(&self) -> Result<(), StoreError> {
        Ok(self.database.drop().await?)
    }

    /// Creates every index and marks ledgers whose totals follow earlier rules; what is up to date stays as it is.
    ///
    /// # Errors
    /// [`StoreError`] when the server refuses.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let all = [
            bookings::INDEXES,
            blocks::INDEXES,
            occupancy::INDEXES,
            hold_expiries::INDEXES,
            ledgers::INDEXES,
            payment_sweeps::INDEXES,
            notifications::INDEXES,
            reconciliations::INDEXES,
            api_keys::INDEXES,
            audit::INDEXES,
            users::INDEXES,
            refresh_tokens::INDEXES,
            console_sessions::INDEXES,
            password_resets::INDEXES,
            account_mails::INDEXES,
            dead_letters::INDEXES,
            schedule_runs::INDEXES,
        ];
        for (collection, keys, unique) in all.concat() {
            let keys: Document =
                keys.iter().map(|(field, direction)| ((*field).to_owned(), (*direction).into())).collect();
            let index =
                IndexModel::builder().keys(keys).options(IndexOptions::builder().unique(unique).build()).build();
            self.database.collection::<Document>(collection).create_index(index).await?;
        }
        self.bookings().create_partial_indexes().await?;
        self.bookings().create_email_index().await?;
        self.bookings().create_name_indexes().await?;
        self.mail_senders().create_expiry_index().await?;
        self.former_addresses().create_expiry_index().await?;
        self.dead_letters().create_expiry_indexes().await?;
        self.queue_samples().create_expiry_index().await?;
        self.decision_times().create_expiry_index().await?;
        self.worker_processes().create_expiry_index().await?;
        self.schedule_runs().create_special_indexes().await?;
        // Collections cannot be created inside a transaction cheaply, so those that a transaction writes exist
        // beforehand.
        let written_in_transactions = [
            rates::COLLECTION,
            bookings::COLLECTION,
            blocks::COLLECTION,
            commit::CLAIMS,
            queue_pauses::COLLECTION,
            maintenance::COLLECTION,
        ];
        for name in written_in_transactions {
            self.create_collection(name).await?;
        }
        ledger_totals::migrate(self).await
    }

    async fn create_collection(&self, name: &str) -> Result<(), StoreError> {
        const NAMESPACE_EXISTS: i32 = 48;
        let exists = |error: &mongodb::error::Error| match &*error.kind {
            ErrorKind::Command(command) => command.code == NAMESPACE_EXISTS,
            _ => false,
        };
        match self.database.create_collection(name).await {
            Err(error) if exists(&error) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Addresses that were taken from bookings, as long as they are kept; they are written by
    /// [`Claims::commit`](commit::Claims::commit).
    pub fn former_addresses(&self) -> former_addresses::FormerAddresses<'_> {
        former_addresses::FormerAddresses(self)
    }

    /// Ledger of mails about accounts, one row a mail.
    pub fn account_mails(&self) -> account_mails::AccountMails<'_> {
        account_mails::AccountMails(self)
    }

    /// API keys, of which only hashes of the secrets are stored.
    pub fn api_keys(&self) -> api_keys::ApiKeys<'_> {
        api_keys::ApiKeys(self)
    }

    /// Audit log: insert-only.
    pub fn audit_log(&self) -> audit::AuditLog<'_> {
        audit::AuditLog(self)
    }

    /// Blocks, read only; they are written by [`Claims::commit`](commit::Claims::commit).
    pub fn blocks(&self) -> blocks::Blocks<'_> {
        blocks::Blocks(self)
    }

    /// Bookings, read only; they are written by [`Claims::commit`](commit::Claims::commit).
    pub fn bookings(&self) -> bookings::Bookings<'_> {
        bookings::Bookings(self)
    }

    /// Bed-night claims, and the transaction that writes them together with bookings and blocks.
    pub fn claims(&self) -> commit::Claims<'_> {
        commit::Claims(self)
    }

    /// Messages that were given up, and the operations that replay them.
    pub fn dead_letters(&self) -> dead_letters::DeadLetters<'_> {
        dead_letters::DeadLetters(self)
    }

    /// Sessions of the console.
    pub fn console_sessions(&self) -> console_sessions::ConsoleSessions<'_> {
        console_sessions::ConsoleSessions(self)
    }

    /// Times from the acceptance of booking requests to their confirmation.
    pub fn decision_times(&self) -> decision_times::DecisionTimes<'_> {
        decision_times::DecisionTimes(self)
    }

    /// Bookings of a business day, as the front desk lists them.
    pub fn front_desk(&self) -> front_desk::FrontDeskReads<'_> {
        front_desk::FrontDeskReads(self)
    }

    /// Requests to end expired holds.
    pub fn hold_expiries(&self) -> hold_expiries::HoldExpiries<'_> {
        hold_expiries::HoldExpiries(self)
    }

    /// Properties with what they sell, one document each.
    pub fn inventories(&self) -> inventory::Inventories<'_> {
        inventory::Inventories(self)
    }

    /// Payment ledgers, one document a booking.
    pub fn ledgers(&self) -> ledgers::Ledgers<'_> {
        ledgers::Ledgers(self)
    }

    /// Presence of the processes that send mail.
    pub fn mail_senders(&self) -> mail_senders::MailSenders<'_> {
        mail_senders::MailSenders(self)
    }

    /// Ledger of mails about bookings, one row a mail.
    pub fn notifications(&self) -> notifications::Notifications<'_> {
        notifications::Notifications(self)
    }

    /// Read models of occupancy: search, calendars and the front desk.
    pub fn occupancy(&self) -> occupancy::OccupancyReads<'_> {
        occupancy::OccupancyReads(self)
    }

    /// Single-use tokens for password resets.
    pub fn password_resets(&self) -> password_resets::PasswordResets<'_> {
        password_resets::PasswordResets(self)
    }

    /// Reports of the sweeps that compare Stripe with the ledgers.
    pub fn payment_sweeps(&self) -> payment_sweeps::PaymentSweeps<'_> {
        payment_sweeps::PaymentSweeps(self)
    }

    /// The maintenance that is on.
    pub fn maintenance(&self) -> maintenance::MaintenanceMode<'_> {
        maintenance::MaintenanceMode(self)
    }

    /// Pauses of queues by operators.
    pub fn queue_pauses(&self) -> queue_pauses::QueuePauses<'_> {
        queue_pauses::QueuePauses(self)
    }

    /// Samples of all queues, for as long as operators look back.
    pub fn queue_samples(&self) -> queue_samples::QueueSamples<'_> {
        queue_samples::QueueSamples(self)
    }

    /// Price calendars by property.
    pub fn rates(&self) -> rates::PropertyRates<'_> {
        rates::PropertyRates(self)
    }

    /// Reports, snapshots and repairs of reconciliation.
    pub fn reconciliations(&self) -> reconciliations::Reconciliations<'_> {
        reconciliations::Reconciliations(self)
    }

    /// Sessions: families of refresh tokens.
    pub fn refresh_tokens(&self) -> refresh_tokens::RefreshTokens<'_> {
        refresh_tokens::RefreshTokens(self)
    }

    /// Runs of schedules, and those that operators request.
    pub fn schedule_runs(&self) -> schedule_runs::ScheduleRuns<'_> {
        schedule_runs::ScheduleRuns(self)
    }

    /// State of the scheduler: its lease and the progress of each schedule.
    pub fn schedules(&self) -> schedules::Schedules<'_> {
        schedules::Schedules(self)
    }

    /// Events as Stripe pushed them, each once.
    pub fn stripe_events(&self) -> stripe_events::StripeEvents<'_> {
        stripe_events::StripeEvents(self)
    }

    /// Accounts.
    pub fn users(&self) -> users::Users<'_> {
        users::Users(self)
    }

    /// Heartbeats of worker processes.
    pub fn worker_processes(&self) -> worker_processes::WorkerProcesses<'_> {
        worker_processes::WorkerProcesses(self)
    }

    pub(crate) fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.database.collection(name)
    }

    /// Documents of these ids, as far as they are stored.
    pub(crate) async fn find_by_ids<I, T>(
        &self,
        collection: &str,
        ids: impl IntoIterator<Item = I>,
        id_of: impl Fn(&T) -> I,
    ) -> Result<HashMap<I, T>, StoreError>
    where
        I: Display + Eq + Hash,
        T: DeserializeOwned + Send + Sync,
    {
        let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.collection::<T>(collection).find(doc! { "_id": { "$in": ids } }).await?;
        Ok(found.map_ok(|document| (id_of(&document), document)).try_collect().await?)
    }

    /// One `update` command with many statements, acknowledged like every write; returns how many documents matched.
    ///
    /// # Errors
    /// What `refused` makes of the reply when a statement failed, since they fail one by one; [`StoreError`] when
    /// MongoDB fails.
    pub(crate) async fn update_each(
        &self,
        collection: &str,
        statements: Vec<Document>,
        refused: impl FnOnce(String) -> StoreError,
    ) -> Result<usize, StoreError> {
        let command = doc! { "update": collection, "updates": statements, "ordered": false,
        "writeConcern": { "w": "majority", "j": true } };
        let reply = self.database.run_command(command).await?;
        match reply.get("writeErrors").or_else(|| reply.get("writeConcernError")) {
            Some(error) => Err(refused(error.to_string())),
            None => Ok(usize::try_from(reply.get_i32("n").unwrap_or(0)).unwrap_or(0)),
        }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

/// For a search without an index, which only operators make: longer, and it would disturb others.
pub(crate) const SCAN_LIMIT: Duration = Duration::from_secs(2);

/// An index: collection, keys with direction, unique. Each is listed beside the repository whose query it serves.
pub(crate) type Index = (&'static str, &'static [(&'static str, i32)], bool);
