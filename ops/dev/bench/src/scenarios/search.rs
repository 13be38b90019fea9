//! Searches beside the running pipeline, in a property of many room types that is two thirds full.

use super::{BenchmarkRun, SCENARIO_TIMEOUT, booking_requests};
use crate::booking_pool::WAIT_S;
use crate::load_generator::{LoadGenerator, Pace, StatelessWorkload, Workload};
use crate::workload::{self, BookingSeries};
use anyhow::Result;
use chrono::Utc;
use pvt_operations::terminal;
use std::sync::Arc;

/// Searches before any is measured.
const WARM_UP: u64 = 100;
/// Searches for each booking in the searched property.
const SEARCHES_PER_BOOKING: u32 = 10;
const CHANGING_CONNECTIONS: usize = 8;

impl BenchmarkRun<'_> {
    /// Everything runs: searches at the steady rate, and as many bookings of other properties, each until it is
    /// confirmed.
    pub(super) async fn search(&mut self) -> Result<()> {
        self.process_group.sink().await?;
        self.process_group.worker(super::booking_flow::EMAILS).await?;
        let address = self.process_group.api().await?;
        self.fill_searched_property().await?;
        self.warm_up_searches().await?;
        let rate = self.scale.rate_per_s;
        let count = u64::from(rate) * self.scale.steady.as_secs();
        terminal::note(format_args!(
            "  search: {rate} searches/s for {:?}, beside {rate} bookings/s",
            self.scale.steady
        ));
        let before = self.process_group.snapshot().await?;
        let load = self.load(address, count, Pace::OpenLoop(rate));
        let found = load.run(search_requests());
        // The searched property changes too: some bookings go there, where they may be refused.
        let (some, slowly) =
            ((count / u64::from(SEARCHES_PER_BOOKING)).max(1), Pace::OpenLoop((rate / SEARCHES_PER_BOOKING).max(1)));
        let load = LoadGenerator {
            address,
            connections: CHANGING_CONNECTIONS,
            count: some,
            pace: slowly,
            limit: SCENARIO_TIMEOUT,
        };
        let changing = load.run(booking_requests(
            BookingSeries::for_searched_property(format!("{}-changing", self.namespace.name())),
            202,
        ));
        let workload = self.workload("beside").waiting(WAIT_S);
        let (found, changed, booked) =
            tokio::join!(found, changing, self.post(address, workload, count, Pace::OpenLoop(rate), 201));
        let (found, changed, booked) = (found?, changed?, booked?);
        self.posted += changed.expected();
        self.note_unexpected(&changed);
        let after = self.process_group.snapshot().await?;
        self.note_unexpected(&found);
        let figures = &mut self.figures;
        figures.record("search", &before, &after, found.expected());
        figures.search_requests_per_s = Some(found.per_second());
        figures.search_p50_ms = Some(found.latency_ms(500));
        figures.search_p99_ms = Some(found.latency_ms(990));
        figures.search_max_ms = Some(found.latency_ms(1_000));
        figures.search_beside_p99_ms = Some(booked.latency_ms(990));
        self.wait_until_decided().await?;
        Ok(())
    }

    /// Fills two thirds of the bed-nights of the searched property, or as many as the run has requests.
    pub(super) async fn fill_searched_property(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.searched_property_filled, true) {
            return Ok(());
        }
        let address = self.process_group.api().await?;
        let count =
            (workload::searched_bed_nights() * 2 / 3 / workload::searched_nights_mean()).min(self.scale.requests);
        let workload = BookingSeries::for_searched_property(format!("{}-search", self.namespace.name()));
        self.post(address, workload, count, Pace::ClosedLoop, 202).await?;
        self.wait_until_decided().await?;
        Ok(())
    }

    pub(super) async fn warm_up_searches(&self) -> Result<()> {
        let address = self.process_group.api().await?;
        let load = self.load(address, WARM_UP, Pace::ClosedLoop);
        load.run(search_requests()).await?;
        Ok(())
    }
}

/// Searches of the searched property.
fn search_requests() -> Arc<dyn Workload> {
    let (today, property) = (Utc::now().date_naive(), workload::searched_property().property.id);
    Arc::new(StatelessWorkload {
        expected: 200,
        write: move |number, request: &mut Vec<u8>| workload::write_search(number, today, &property, request),
    })
}
