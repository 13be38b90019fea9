//! A concurrent writer beside the workers, such as a worker that has lost its partition without noticing.

use super::Stack;
use anyhow::{Context, Result, bail};
use chrono::Utc;
use pvt_domain::block::BlockKind;
use pvt_domain::booking::{Guest, Source, StayRequest};
use pvt_domain::decide::{Decision, KnownState, decide};
use pvt_domain::events::BookingEvent;
use pvt_domain::grid::OccupancyGrid;
use pvt_domain::ids::{BlockId, BookingId, PropertyId};
use pvt_domain::messages::{
    BlockBeds, BookingCommand, CancelBooking, CommandHeader, INVENTORY_BLOCK, INVENTORY_UNBLOCK, RequestBooking,
    UnblockBeds,
};
use pvt_domain::nights::Nights;
use pvt_messaging::{Outgoing, Publisher, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Attempts of one command at a contended property.
const ATTEMPTS: u32 = 200;

/// Decides and commits with the product's code, bypassing its queues.
#[derive(Clone)]
pub(crate) struct RivalWriter {
    mongo: Mongo,
    publisher: Publisher,
    topology: Topology,
}

impl RivalWriter {
    pub(crate) fn of(stack: &Stack) -> Self {
        let publisher = Publisher::start(stack.namespace.amqp_url(), stack.topology.clone(), "rival-writer");
        Self { mongo: stack.mongo.clone(), publisher, topology: stack.topology.clone() }
    }

    /// Requests a booking, named by `key`.
    pub(crate) async fn book(&self, key: &str, property: &str, stay: StayRequest) -> Result<BookingEvent> {
        let guest = Guest {
            first_name: "Nemo".into(),
            last_name: "Writer".into(),
            email: format!("{key}@example.com"),
            phone: None,
            locale: None,
        };
        let request = RequestBooking {
            booking_id: BookingId::derive(None, key, "rival-writer"),
            client: None,
            fingerprint: "rival-writer".into(),
            fingerprint_as_sent: None,
            property_id: property.into(),
            rate_plan_id: "standard".into(),
            source: Source::Phone,
            stays: vec![stay],
            guest,
            requested_at: Utc::now().into(),
            quote: None,
            override_restrictions: false,
        };
        self.request(request).await
    }

    /// Requests this booking.
    pub(crate) async fn request(&self, request: RequestBooking) -> Result<BookingEvent> {
        self.apply(BookingCommand::Request(Box::new(request))).await
    }

    /// Cancels a confirmed booking.
    pub(crate) async fn cancel(&self, id: Uuid, property: &str) -> Result<BookingEvent> {
        let booking_id = BookingId::from_uuid(id);
        let header = CommandHeader {
            booking_id,
            property_id: property.into(),
            expected_rev: None,
            actor: "rival-writer".into(),
            as_admin: false,
            reason: None,
            requested_at: Utc::now().into(),
        };
        let cancel = CancelBooking { header, waive_fee: false };
        self.apply(BookingCommand::Cancel(cancel)).await
    }

    async fn apply(&self, command: BookingCommand) -> Result<BookingEvent> {
        let id = Uuid::new_v4();
        for _ in 0..ATTEMPTS {
            match self.attempt(id, &command).await {
                Err(error) if matches!(error.downcast_ref(), Some(StoreError::Duplicate(_) | StoreError::Stale(_))) => {
                }
                other => return other,
            }
        }
        bail!("{ATTEMPTS} attempts lost against concurrent writers")
    }

    async fn attempt(&self, id: Uuid, command: &BookingCommand) -> Result<BookingEvent> {
        let property: &PropertyId = command.property_id();
        let inventory = self.mongo.inventories().find(property).await?.context("the property exists")?;
        let today = Utc::now().date_naive();
        let mut view = OccupancyGrid::new(Arc::new(inventory), today);
        for (bed, night) in self.mongo.claims().of_property(property, today).await? {
            view.take_night(&bed, night);
        }
        let bookings = self.mongo.bookings().find_by_ids(command.booking_id()).await?;
        let (views, fresh) = (HashMap::from([(property.clone(), view)]), HashSet::from([property.clone()]));
        let (blocks, occupied) = (HashMap::new(), HashMap::new());
        let known =
            KnownState { grids: &views, fresh: &fresh, bookings: &bookings, blocks: &blocks, occupied: &occupied };
        let decided = decide(known, &[(id, command)], Utc::now().into());
        let decisions = decided.map_err(|missing| anyhow::anyhow!("{missing:?}"))?;
        self.mongo.claims().commit(&decisions).await?;
        match decisions.decisions.into_iter().next() {
            Some(Decision::Decided(event)) => {
                self.publisher.publish(Outgoing::event(event.event_id, event.as_ref())?).await?;
                Ok(*event)
            }
            other => bail!("{other:?}"),
        }
    }

    /// Blocks a bed through the property's queue, as the API does.
    pub(crate) async fn block(&self, property: &str, bed: &str, nights: Nights) -> Result<BlockId> {
        let block_id = BlockId::derive("rival-writer", &format!("{property}/{bed}/{}", nights.arrival));
        let block = BlockBeds {
            block_id,
            property_id: property.into(),
            kind: BlockKind::Maintenance,
            bed_ids: vec![bed.into()],
            from: nights.arrival,
            until: nights.departure,
            actor: "rival-writer".into(),
            reason: None,
            requested_at: Utc::now().into(),
        };
        let key = self.topology.command_key(INVENTORY_BLOCK, property);
        self.publisher.publish(Outgoing::command(key, Uuid::new_v4(), &block)?).await?;
        Ok(block_id)
    }

    /// Lifts a block in the same way.
    pub(crate) async fn unblock(&self, property: &str, block_id: BlockId) -> Result<()> {
        let unblock = UnblockBeds {
            block_id,
            property_id: property.into(),
            actor: "rival-writer".into(),
            reason: None,
            requested_at: Utc::now().into(),
        };
        let key = self.topology.command_key(INVENTORY_UNBLOCK, property);
        self.publisher.publish(Outgoing::command(key, Uuid::new_v4(), &unblock)?).await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.publisher.close(Duration::from_secs(5)).await;
    }
}
