//! A demonstration hostel in a name space of its own, booked through the real confirmations worker.

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use pvt_domain::booking::{Booking, Guest, Source, StayRequest};
use pvt_domain::demo;
use pvt_domain::failure::Failure;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::messages::{AnalyticsEvent, BookingCommand, CancelBooking, Inbox, Order, ReconcileCommand, ReconcileProperty, RequestBooking};
use pvt_messaging::Outgoing;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::reconciliations::{FindingKind, Report};
use pvt_testkit::{Namespace, soon};
use pvt_worker_runtime::{Batch, BatchWorker, Job, Meta, Worker};
use pvt_workers::clock;
use pvt_workers::jobs::confirmations::Confirmations;
use pvt_workers::jobs::reconciliation::Reconciliation;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub(crate) struct Hostel {
    pub(crate) mongo: Mongo,
    pub(crate) mart: Mart,
    confirmations: Confirmations,
    raw: mongodb::Database,
    pub(crate) namespace: Namespace,
}

impl Hostel {
    pub(crate) async fn open() -> Result<Self> {
        let namespace = Namespace::new().await?;
        let mongo = namespace.mongo().await?;
        mongo.save_inventory(&demo::hostel()).await?;
        let mart = Mart::connect(&namespace.database_url(), "tests")?;
        mart.migrate().await?;
        let raw = Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
        Ok(Self { confirmations: Confirmations::new(mongo.clone(), clock::system), mongo, mart, raw, namespace })
    }

    pub(crate) fn property() -> PropertyId {
        demo::PROPERTY_ID.into()
    }

    /// Two nights for one guest from that many days on. The events are returned, and nowhere published.
    pub(crate) async fn book(&self, key: &str, days: u64) -> Result<(Booking, Vec<Outgoing>)> {
        let id = BookingId::derive(Some("tests"), key, "");
        let request = RequestBooking {
            booking_id: id,
            client: Some("tests".to_owned()),
            fingerprint: key.to_owned(),
            property_id: Self::property(),
            rate_plan_id: "standard".into(),
            source: Source::Direct,
            stays: vec![StayRequest::new("dorm-6-mixed", soon(days), soon(days + 2), 1)],
            guest: Guest { first_name: "Ada".into(), last_name: "Lovelace".into(), email: "ada@example.com".into(), phone: None, locale: None },
            requested_at: clock::system(),
            quote: None,
            override_restrictions: false,
        };
        let events = self.decide(id.request_command_id(), BookingCommand::Request(Box::new(request))).await?;
        Ok((self.mongo.booking(id).await?.context("the booking is stored")?, events))
    }

    pub(crate) async fn cancel(&self, booking: &Booking) -> Result<Vec<Outgoing>> {
        let order = Order {
            booking_id: booking.id,
            property_id: Self::property(),
            expected_rev: None,
            actor: "guest".into(),
            as_admin: false,
            reason: None,
            requested_at: clock::system(),
        };
        let command = CancelBooking { order, waive_fee: false };
        self.decide(Uuid::new_v4(), BookingCommand::Cancel(command)).await
    }

    async fn decide(&self, command_id: Uuid, command: BookingCommand) -> Result<Vec<Outgoing>> {
        let job = Job::new(Arc::new(command), Meta { id: command_id, ..Meta::default() });
        let mut batch = Batch { queue: Arc::from("bookings.0"), partition: Some(0), items: vec![job] };
        self.confirmations.handle(&mut batch).await.map_err(failed)?;
        let job = &batch.items[0];
        ensure!(job.failed().is_none(), "{:?}", job.failed());
        Ok(job.emitted().to_vec())
    }

    /// What the analytics worker would do with these events.
    pub(crate) async fn load(&self, events: &[Outgoing]) -> Result<()> {
        let events = events.iter().map(|event| AnalyticsEvent::decode(&event.kind, &event.body)).collect::<Result<Vec<_>, _>>()?;
        self.mart.load(&events).await?;
        Ok(())
    }

    /// Runs reconciliation without any grace; the events that it publishes are returned, and nowhere published.
    pub(crate) async fn reconcile(&self, run_id: Uuid, dry_run: bool) -> Result<(Report, Vec<Outgoing>)> {
        let worker = Reconciliation::new(self.mongo.clone(), self.mart.clone(), clock::system).with_grace(Duration::ZERO);
        self.reconcile_with(&worker, run_id, dry_run).await
    }

    pub(crate) async fn reconcile_with(&self, worker: &Reconciliation, run_id: Uuid, dry_run: bool) -> Result<(Report, Vec<Outgoing>)> {
        let command = ReconcileProperty { run_id, property_id: Self::property(), dry_run, actor: "tests".into(), requested_at: clock::system() };
        let mut job = Job::new(ReconcileCommand::Property(command), Meta { id: run_id, ..Meta::default() });
        worker.handle(&mut job).await.map_err(failed)?;
        Ok((self.mongo.reconciliation(run_id).await?.context("the report is stored")?, job.emitted().to_vec()))
    }

    /// The claims behind the back of every repository.
    pub(crate) fn claims(&self) -> Collection<Document> {
        self.raw.collection("claims")
    }

    /// The bookings behind the back of every repository.
    pub(crate) fn bookings(&self) -> Collection<Document> {
        self.raw.collection("bookings")
    }

    /// How many claims a booking has.
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

fn failed(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}
