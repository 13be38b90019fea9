//! A property in a namespace of its own, booked and changed through the real confirmations worker.

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use pvt_domain::booking::{Booking, Guest, Source, Status, StayRequest};
use pvt_domain::demo;
use pvt_domain::failure::Failure;
use pvt_domain::ids::{BedId, BookingId, PropertyId};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::{
    AnalyticsEvent, AssignBeds, Assignment, BookingCommand, CancelBooking, CommandHeader, Inbox, ReconcileCommand,
    ReconcileProperty, Reply, RequestBooking,
};
use pvt_messaging::{Outgoing, Target};
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::reconciliations::{FindingKind, Report};
use pvt_testkit::{DORM, Expected, Namespace, Stores, days_from_now, violations};
use pvt_worker_runtime::{Batch, BatchWorker, Job, Meta, Worker};
use pvt_workers::clock::{self, Clock};
use pvt_workers::jobs::confirmations::Confirmations;
use pvt_workers::jobs::reconciliation::Reconciliation;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Held by tests that compare speeds, so that these do not slow one another.
pub(crate) static MEASURED: Mutex<()> = Mutex::const_new(());

pub(crate) struct Harness {
    pub(crate) mongo: Mongo,
    pub(crate) mart: Mart,
    confirmations: Confirmations,
    raw: mongodb::Database,
    pub(crate) namespace: Namespace,
}

impl Harness {
    pub(crate) async fn open() -> Result<Self> {
        Self::with_inventory(demo::inventory()).await
    }

    /// With this inventory, under the id of the demo property.
    pub(crate) async fn with_inventory(inventory: Inventory) -> Result<Self> {
        let namespace = Namespace::new().await?;
        let mongo = namespace.mongo().await?;
        mongo.inventories().save(&inventory).await?;
        let mart = Mart::connect(&namespace.database_url(), "tests")?;
        mart.migrate().await?;
        let raw = Client::with_uri_str(namespace.mongodb_uri())
            .await?
            .default_database()
            .context("the URI names a database")?;
        Ok(Self { confirmations: Confirmations::new(mongo.clone(), clock::system), mongo, mart, raw, namespace })
    }

    pub(crate) fn property() -> PropertyId {
        demo::PROPERTY_ID.into()
    }

    /// Another confirmations worker, with an empty cache and another clock.
    pub(crate) fn worker(&self, clock: Clock) -> Confirmations {
        Confirmations::new(self.mongo.clone(), clock)
    }

    /// Books two nights for one guest, that many days from now. The events are returned and not published.
    pub(crate) async fn book(&self, key: &str, days: u64) -> Result<(Booking, Vec<Outgoing>)> {
        let (id, request) = booking_request(key, days_from_now(days), days_from_now(days + 2));
        let events = self.decide(id.request_command_id(), request).await?;
        Ok((self.mongo.bookings().find(id).await?.context("the booking is stored")?, events))
    }

    /// A confirmed booking in this bed, pinned or not.
    pub(crate) async fn book_bed(
        &self,
        key: &str,
        arrival: NaiveDate,
        departure: NaiveDate,
        bed: &str,
        locked: bool,
    ) -> Result<Booking> {
        let (id, request) = booking_request(key, arrival, departure);
        self.decide(id.request_command_id(), request).await?;
        let assignments = vec![Assignment {
            stay: Some(0),
            id: None,
            beds: Some(vec![bed.into()]),
            from: None,
            locked: Some(locked),
        }];
        self.decide(Uuid::new_v4(), BookingCommand::Assign(AssignBeds { header: header(id), assignments })).await?;
        let booking = self.stored(id).await?;
        ensure!(
            booking.status == Status::Confirmed && booking.stays[0].assigned_beds == [BedId::from(bed)],
            "{key} is not in {bed}"
        );
        Ok(booking)
    }

    pub(crate) async fn stored(&self, id: BookingId) -> Result<Booking> {
        self.mongo.bookings().find(id).await?.context("the booking is stored")
    }

    pub(crate) async fn cancel(&self, booking: &Booking) -> Result<Vec<Outgoing>> {
        self.decide(Uuid::new_v4(), cancel_command(booking.id)).await
    }

    pub(crate) async fn decide(&self, command_id: Uuid, command: BookingCommand) -> Result<Vec<Outgoing>> {
        Ok(deliver(&self.confirmations, &[(command_id, command)]).await?.swap_remove(0).events)
    }

    /// Delivers a batch to the harness's own worker.
    pub(crate) async fn decide_all(&self, commands: &[(Uuid, BookingCommand)]) -> Result<Vec<Delivered>> {
        deliver(&self.confirmations, commands).await
    }

    /// Violated invariants of the stores; neither mart nor mails are expected here.
    pub(crate) async fn violations(&self) -> Result<Vec<String>> {
        let records = Stores::connect(&self.namespace).await?.records().await?;
        Ok(violations(&records, &[], &Expected::default()))
    }

    /// Loads these events into the mart as the analytics worker would.
    pub(crate) async fn load(&self, events: &[Outgoing]) -> Result<()> {
        let events = events
            .iter()
            .map(|event| AnalyticsEvent::decode(&event.envelope.kind, &event.body))
            .collect::<Result<Vec<_>, _>>()?;
        self.mart.load(&events).await?;
        Ok(())
    }

    /// Runs reconciliation without a grace period; its events are returned and not published.
    pub(crate) async fn reconcile(&self, run_id: Uuid, dry_run: bool) -> Result<(Report, Vec<Outgoing>)> {
        let worker =
            Reconciliation::new(self.mongo.clone(), self.mart.clone(), &self.namespace.topology(), clock::system)
                .with_grace(Duration::ZERO);
        self.reconcile_with(&worker, run_id, dry_run).await
    }

    pub(crate) async fn reconcile_with(
        &self,
        worker: &Reconciliation,
        run_id: Uuid,
        dry_run: bool,
    ) -> Result<(Report, Vec<Outgoing>)> {
        let command = ReconcileProperty {
            run_id,
            property_id: Self::property(),
            dry_run,
            actor: "tests".into(),
            requested_at: clock::system(),
        };
        let mut job = Job::new(ReconcileCommand::Property(command), Meta { id: run_id, ..Meta::default() });
        worker.handle(&mut job).await.map_err(failed)?;
        Ok((self.mongo.reconciliations().find(run_id).await?.context("the report is stored")?, job.emitted().to_vec()))
    }

    /// The raw collection of claims.
    pub(crate) fn claims(&self) -> Collection<Document> {
        self.raw.collection("claims")
    }

    /// The raw collection of bookings.
    pub(crate) fn bookings(&self) -> Collection<Document> {
        self.raw.collection("bookings")
    }

    /// The number of claims of a booking.
    pub(crate) async fn claims_of(&self, booking: &Booking) -> Result<u64> {
        Ok(self.claims().count_documents(doc! { "booking": booking.id.to_string() }).await?)
    }
}

/// The kinds of a report's findings, with whether each was repaired.
pub(crate) fn kinds(report: &Report) -> Vec<(FindingKind, bool)> {
    let mut kinds: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.repaired)).collect();
    kinds.sort();
    kinds
}

/// As often as the runtime retries a message.
const DELIVERIES: u32 = 5;

/// The outcome of one message.
pub(crate) struct Delivered {
    /// The published events.
    pub(crate) events: Vec<Outgoing>,
    /// The reply to the waiting caller.
    pub(crate) reply: Reply,
}

impl Delivered {
    pub(crate) fn event_ids(&self) -> Vec<Uuid> {
        self.events.iter().map(|event| event.envelope.id).collect()
    }
}

/// Delivers one batch as the runtime does, with a caller waiting for every reply, and redelivers it when the worker
/// asks for a retry.
pub(crate) async fn deliver(worker: &Confirmations, commands: &[(Uuid, BookingCommand)]) -> Result<Vec<Delivered>> {
    let meta = |id| Meta { id, reply_to: Some("replies".into()), ..Meta::default() };
    let mut times = 1;
    let batch = loop {
        let items = commands.iter().map(|(id, command)| Job::new(Arc::new(command.clone()), meta(*id))).collect();
        let mut batch = Batch { queue: Arc::from("bookings.0"), partition: Some(0), items };
        match worker.handle(&mut batch).await {
            Ok(()) => break batch,
            Err(Failure::Retry(_)) if times < DELIVERIES => times += 1,
            Err(failure) => return Err(failed(failure)),
        }
    };
    let settle = |job: &Job<_>| {
        ensure!(job.failed().is_none(), "{:?}", job.failed());
        let reply = job.emitted().iter().find(|message| message.target == Target::Queue).context("a reply is sent")?;
        let events = job.emitted().iter().filter(|message| message.target == Target::Events).cloned().collect();
        Ok(Delivered { events, reply: serde_json::from_slice(&reply.body)? })
    };
    batch.items.iter().map(settle).collect()
}

/// A request for one bed of the dormitory.
pub(crate) fn booking_request(key: &str, arrival: NaiveDate, departure: NaiveDate) -> (BookingId, BookingCommand) {
    let id = BookingId::derive(Some("tests"), key, "");
    let request = RequestBooking {
        booking_id: id,
        client: Some("tests".to_owned()),
        fingerprint: key.to_owned(),
        fingerprint_as_sent: None,
        property_id: Harness::property(),
        rate_plan_id: "standard".into(),
        source: Source::Direct,
        stays: vec![StayRequest::new(DORM, arrival, departure, 1)],
        guest: Guest {
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            email: "ada@example.com".into(),
            phone: None,
            locale: None,
        },
        requested_at: clock::system(),
        quote: None,
        override_restrictions: false,
    };
    (id, BookingCommand::Request(Box::new(request)))
}

pub(crate) fn header(booking_id: BookingId) -> CommandHeader {
    CommandHeader {
        booking_id,
        property_id: Harness::property(),
        expected_rev: None,
        actor: "staff:1".into(),
        as_admin: false,
        reason: Some("because".into()),
        requested_at: clock::system(),
    }
}

pub(crate) fn cancel_command(booking_id: BookingId) -> BookingCommand {
    BookingCommand::Cancel(CancelBooking { header: header(booking_id), waive_fee: false })
}

fn failed(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}
