//! Mixed scenario: 80 % of the requests search, 15 % create bookings, 5 % modify them, in a fixed order.

use super::{BenchmarkRun, PROPERTY_PREFIX, booking_flow};
use crate::booking_pool::{BookingPool, WAIT_S};
use crate::load_generator::{LoadReport, Pace, Workload};
use crate::workload::{self, BookingSeries};
use anyhow::Result;
use chrono::{NaiveDate, Utc};
use pvt_domain::ids::PropertyId;
use pvt_operations::terminal;
use std::sync::Arc;

/// Requests after which the order repeats.
const ROUND: u64 = 20;
/// Positions in a round: three create bookings, one modifies one, all others search.
const BOOKING: [u64; 3] = [2, 9, 15];
const CHANGE: u64 = 6;
/// Requests after which another property is searched. (One search in eight is for many nights; each property gets its
/// share of those.)
const TURN: u64 = 8;

/// The kind of a request with its number: among those of its kind, or among all for a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Search(u64),
    Book(u64),
    Change(u64),
}

impl Operation {
    fn of(number: u64) -> Self {
        let (round, place) = (number / ROUND, number % ROUND);
        match (0..).zip(BOOKING).find(|(_, booking)| *booking == place) {
            Some((nth, _)) => Self::Book(round * 3 + nth),
            None if place == CHANGE => Self::Change(round),
            None => Self::Search(number),
        }
    }
}

/// The mixed workload.
struct MixedWorkload {
    today: NaiveDate,
    /// Searched in turns with the properties that are booked meanwhile.
    searched_property: PropertyId,
    booked: Vec<PropertyId>,
    workload: BookingSeries,
    /// Bookings created beforehand, each modified once.
    pool: BookingPool,
}

impl MixedWorkload {
    fn property(&self, number: u64) -> &PropertyId {
        let turn = number / TURN;
        let place = usize::try_from(turn / 2).unwrap_or_default() % self.booked.len().max(1);
        self.booked.get(place).filter(|_| turn.is_multiple_of(2)).unwrap_or(&self.searched_property)
    }
}

impl Workload for MixedWorkload {
    fn write(&self, number: u64, request: &mut Vec<u8>) -> Result<()> {
        match Operation::of(number) {
            Operation::Search(number) => workload::write_search(number, self.today, self.property(number), request),
            Operation::Book(number) => self.workload.write(number, request),
            Operation::Change(number) => self.pool.write_change(number, number, request)?,
        }
        Ok(())
    }

    fn expected(&self, number: u64) -> u16 {
        if matches!(Operation::of(number), Operation::Book(_)) { 201 } else { 200 }
    }

    fn on_success(&self, number: u64, body: &[u8]) -> Result<()> {
        match Operation::of(number) {
            Operation::Change(number) => self.pool.store(number, body),
            Operation::Search(_) | Operation::Book(_) => Ok(()),
        }
    }

    fn max_unexpected(&self) -> u64 {
        0
    }
}

impl BenchmarkRun<'_> {
    /// Everything runs, at the steady rate. One unexpected response ends the scenario; at its end the stores must be
    /// consistent.
    pub(super) async fn mixed(&mut self) -> Result<()> {
        self.process_group.sink().await?;
        self.process_group.worker(booking_flow::EMAILS).await?;
        let address = self.process_group.api().await?;
        let rate = self.scale.rate_per_s;
        let count = u64::from(rate) * self.scale.steady.as_secs();
        self.fill_searched_property().await?;
        let pool = self.book("before-the-day", count.div_ceil(ROUND)).await?;
        self.warm_up_searches().await?;
        let workload = MixedWorkload {
            today: Utc::now().date_naive(),
            searched_property: workload::searched_property().property.id,
            booked: (0..self.scale.properties).map(|number| workload::property_id(PROPERTY_PREFIX, number)).collect(),
            workload: self.workload("day").waiting(WAIT_S),
            pool,
        };
        terminal::note(format_args!(
            "  mixed: {rate} requests/s for {:?}: 80 % search, 15 % book, 5 % change",
            self.scale.steady
        ));
        let before = self.process_group.snapshot().await?;
        let load = self.load(address, count, Pace::OpenLoop(rate));
        let answers = load.run(Arc::new(workload)).await?;
        let after = self.process_group.snapshot().await?;
        self.figures.record("mixed", &before, &after, answers.expected());
        self.record_mixed(&answers);
        self.wait_until_decided().await?;
        self.check_consistency().await
    }

    /// Records its figures and counts its bookings and changes.
    fn record_mixed(&mut self, answers: &LoadReport) {
        let searches = answers.only(|number| matches!(Operation::of(number), Operation::Search(_)));
        let bookings = answers.only(|number| matches!(Operation::of(number), Operation::Book(_)));
        let changes = answers.only(|number| matches!(Operation::of(number), Operation::Change(_)));
        self.posted += bookings.expected();
        self.changed += changes.expected();
        let figures = &mut self.figures;
        figures.mixed_requests_per_s = Some(answers.per_second());
        (figures.mixed_search_p50_ms, figures.mixed_search_p99_ms) =
            (Some(searches.latency_ms(500)), Some(searches.latency_ms(990)));
        (figures.mixed_book_p50_ms, figures.mixed_book_p99_ms) =
            (Some(bookings.latency_ms(500)), Some(bookings.latency_ms(990)));
        (figures.mixed_change_p50_ms, figures.mixed_change_p99_ms) =
            (Some(changes.latency_ms(500)), Some(changes.latency_ms(990)));
        figures.mixed_errors = Some(answers.unexpected);
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, ROUND};

    #[test]
    fn mix_is_sixteen_searches_three_bookings_one_change() {
        let operations: Vec<Operation> = (0..2 * ROUND).map(Operation::of).collect();
        let booked: Vec<u64> = operations
            .iter()
            .filter_map(|operation| if let Operation::Book(nth) = operation { Some(*nth) } else { None })
            .collect();
        let changed: Vec<u64> = operations
            .iter()
            .filter_map(|operation| if let Operation::Change(nth) = operation { Some(*nth) } else { None })
            .collect();
        assert_eq!((booked, changed), ((0..6).collect(), vec![0, 1]), "each once, in order");
        assert_eq!(operations.iter().filter(|operation| matches!(operation, Operation::Search(_))).count(), 32);
    }
}
