//! Bare transactions: one batch of decided bookings a transaction, repeated by as many writers as there are partitions.
//! The decision is not timed.

use crate::workload::{self, BookingSeries};
use anyhow::{Result, anyhow};
use chrono::Utc;
use pvt_domain::decide::{BatchOutcome, KnownState, decide};
use pvt_domain::grid::OccupancyGrid;
use pvt_domain::ids::PropertyId;
use pvt_domain::messages::BookingCommand;
use pvt_stores::mongo::Mongo;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use uuid::Uuid;

/// As large as the largest batch of `confirmations`.
const BATCH: u64 = 200;
/// Properties of each writer; nothing else books them.
const PROPERTIES: u16 = 50;
const BEDS: u16 = 50;
const PREFIXES: [&str; 4] = ["bare-a", "bare-b", "bare-c", "bare-d"];

/// Bookings stored per second.
#[allow(clippy::cast_precision_loss)] // far below 2^52
pub(crate) async fn measure(mongo: &Mongo, batches: usize) -> Result<f64> {
    let prepared: Vec<Vec<BatchOutcome>> =
        PREFIXES.iter().map(|prefix| decided(prefix, batches)).collect::<Result<_>>()?;
    let bookings: usize = prepared.iter().flatten().map(|decisions| decisions.changes.len()).sum();
    let mut writers = JoinSet::new();
    let begun = Instant::now();
    for batches in prepared {
        let mongo = mongo.clone();
        writers.spawn(async move {
            for decisions in &batches {
                mongo.claims().commit(decisions).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(bookings as f64 / begun.elapsed().as_secs_f64())
}

fn decided(prefix: &'static str, batches: usize) -> Result<Vec<BatchOutcome>> {
    let origin = Utc::now().date_naive();
    let properties = (0..PROPERTIES).map(|number| workload::dorm_property(prefix, number, BEDS));
    let mut views: HashMap<PropertyId, OccupancyGrid> = properties
        .map(|property| (property.property.id.clone(), OccupancyGrid::new(Arc::new(property), origin)))
        .collect();
    let fresh: HashSet<PropertyId> = views.keys().cloned().collect();
    let workload = BookingSeries::new(prefix.to_owned(), prefix, PROPERTIES);
    let (none, no_blocks, unread) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut all = Vec::with_capacity(batches);
    for batch in (0..).take(batches) {
        let requests: Vec<(Uuid, BookingCommand)> = (batch * BATCH..(batch + 1) * BATCH)
            .map(|number| workload.command(number))
            .map(|request| (request.booking_id.request_command_id(), BookingCommand::Request(Box::new(request))))
            .collect();
        let commands: Vec<(Uuid, &BookingCommand)> = requests.iter().map(|(id, command)| (*id, command)).collect();
        let decisions = decide(
            KnownState { grids: &views, fresh: &fresh, bookings: &none, blocks: &no_blocks, occupied: &unread },
            &commands,
            Utc::now().into(),
        );
        let mut decisions = decisions.map_err(|missing| anyhow!("not enough is known: {missing:?}"))?;
        views.extend(std::mem::take(&mut decisions.grids));
        all.push(decisions);
    }
    Ok(all)
}
