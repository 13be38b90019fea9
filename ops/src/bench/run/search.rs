//! Searching beside the running pipeline: a house of many room types, two thirds full, is looked through while others
//! are booked.

use super::super::held::WAIT_S;
use super::super::load::{Load, Pace, Plain, Script};
use super::super::traffic::{self, Traffic};
use super::{PART_LIMIT, Run, asking};
use crate::output;
use anyhow::Result;
use chrono::Utc;
use std::sync::Arc;

/// Searches before any is measured.
const WARM_UP: u64 = 100;
/// So many searches for one booking in the house that is searched.
const FOR_ONE: u32 = 10;
const CHANGING_CONNECTIONS: usize = 8;

impl Run<'_> {
    /// All of it runs: searches at the steady rate, and as many bookings elsewhere, each until it is confirmed.
    pub(super) async fn search(&mut self) -> Result<()> {
        self.stage.sink().await?;
        self.stage.worker(super::parts::EMAILS).await?;
        let address = self.stage.api().await?;
        self.fill_the_house().await?;
        self.warm_searches_up().await?;
        let rate = self.scale.rate_per_s;
        let count = u64::from(rate) * self.scale.steady.as_secs();
        output::note(format_args!("  search: {rate} searches/s for {:?}, beside {rate} bookings/s", self.scale.steady));
        let before = self.stage.snapshot().await?;
        let load = Load {
            address,
            connections: self.scale.connections,
            count,
            pace: Pace::PerSecond(rate),
            limit: PART_LIMIT,
        };
        let found = load.run(searching());
        // What is searched changes too: some are booked in that very house, where they may be refused.
        let (some, slowly) = ((count / u64::from(FOR_ONE)).max(1), Pace::PerSecond((rate / FOR_ONE).max(1)));
        let load = Load { address, connections: CHANGING_CONNECTIONS, count: some, pace: slowly, limit: PART_LIMIT };
        let changing = load.run(asking(Traffic::of_searched(format!("{}-changing", self.corner.name())), 202));
        let traffic = self.traffic("beside").waiting(WAIT_S);
        let (found, changed, booked) =
            tokio::join!(found, changing, self.post(address, traffic, count, Pace::PerSecond(rate), 201));
        let (found, changed, booked) = (found?, changed?, booked?);
        self.posted += changed.expected();
        self.note_unexpected(&changed);
        let after = self.stage.snapshot().await?;
        self.note_unexpected(&found);
        let figures = &mut self.figures;
        figures.note("search", &before, &after, found.expected());
        figures.search_requests_per_s = Some(found.per_second());
        figures.search_p50_ms = Some(found.latency_ms(500));
        figures.search_p99_ms = Some(found.latency_ms(990));
        figures.search_max_ms = Some(found.latency_ms(1_000));
        figures.search_beside_p99_ms = Some(booked.latency_ms(990));
        self.decided().await?;
        Ok(())
    }

    /// Two thirds of the nights of the house that is searched, or as many requests as a run has.
    pub(super) async fn fill_the_house(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.house_filled, true) {
            return Ok(());
        }
        let address = self.stage.api().await?;
        let count = (traffic::searched_bed_nights() * 2 / 3 / traffic::searched_nights_mean()).min(self.scale.requests);
        let traffic = Traffic::of_searched(format!("{}-search", self.corner.name()));
        self.post(address, traffic, count, Pace::AsAnswered, 202).await?;
        self.decided().await?;
        Ok(())
    }

    pub(super) async fn warm_searches_up(&self) -> Result<()> {
        let address = self.stage.api().await?;
        let load = Load {
            address,
            connections: self.scale.connections,
            count: WARM_UP,
            pace: Pace::AsAnswered,
            limit: PART_LIMIT,
        };
        load.run(searching()).await?;
        Ok(())
    }
}

/// Looks through the house that is searched.
fn searching() -> Arc<dyn Script> {
    let (today, house) = (Utc::now().date_naive(), traffic::searched().property.id);
    Arc::new(Plain {
        expected: 200,
        write: move |number, request: &mut Vec<u8>| traffic::write_search(number, today, &house, request),
    })
}
