//! A day as a hostel has it: most look, some book, a few change what they booked. The order is fixed, so that every run
//! is the same day.

use super::super::held::{Holdings, WAIT_S};
use super::super::load::{Answers, Load, Pace, Script};
use super::super::traffic::{self, Traffic};
use super::{HOSTELS, PART_LIMIT, Run, parts};
use crate::output;
use anyhow::Result;
use chrono::{NaiveDate, Utc};
use pvt_domain::ids::PropertyId;
use std::sync::Arc;

/// Requests after which the order begins anew.
const ROUND: u64 = 20;
/// Their places in a round: three book, one changes, all others search.
const BOOKING: [u64; 3] = [2, 9, 15];
const CHANGE: u64 = 6;
/// Requests after which another house is searched. (One search in eight is for many nights: each house has its share of
/// those.)
const TURN: u64 = 8;

/// What a request is about: its number among those of its kind, or of all for a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    Search(u64),
    Book(u64),
    Change(u64),
}

impl Errand {
    fn of(number: u64) -> Self {
        let (round, place) = (number / ROUND, number % ROUND);
        match (0..).zip(BOOKING).find(|(_, booking)| *booking == place) {
            Some((nth, _)) => Self::Book(round * 3 + nth),
            None if place == CHANGE => Self::Change(round),
            None => Self::Search(number),
        }
    }
}

/// Everything that is asked for in a day.
struct Day {
    today: NaiveDate,
    /// Searched in turns with those that are booked meanwhile.
    searched: PropertyId,
    booked: Vec<PropertyId>,
    traffic: Traffic,
    /// Booked before the day began, each changed once.
    holdings: Holdings,
}

impl Day {
    fn house(&self, number: u64) -> &PropertyId {
        let turn = number / TURN;
        let place = usize::try_from(turn / 2).unwrap_or_default() % self.booked.len().max(1);
        self.booked.get(place).filter(|_| turn.is_multiple_of(2)).unwrap_or(&self.searched)
    }
}

impl Script for Day {
    fn write(&self, number: u64, request: &mut Vec<u8>) -> Result<()> {
        match Errand::of(number) {
            Errand::Search(number) => traffic::write_search(number, self.today, self.house(number), request),
            Errand::Book(number) => self.traffic.write(number, request),
            Errand::Change(number) => self.holdings.write_change(number, number, request)?,
        }
        Ok(())
    }

    fn expected(&self, number: u64) -> u16 {
        if matches!(Errand::of(number), Errand::Book(_)) { 201 } else { 200 }
    }

    fn answered(&self, number: u64, body: &[u8]) -> Result<()> {
        match Errand::of(number) {
            Errand::Change(number) => self.holdings.keep(number, body),
            Errand::Search(_) | Errand::Book(_) => Ok(()),
        }
    }

    fn tolerated(&self) -> u64 {
        0
    }
}

impl Run<'_> {
    /// All of it runs, at the steady rate. One answer that was not hoped for ends the part; at its end the stores
    /// agree.
    pub(super) async fn mixed(&mut self) -> Result<()> {
        self.stage.sink().await?;
        self.stage.worker(parts::EMAILS).await?;
        let address = self.stage.api().await?;
        let rate = self.scale.rate_per_s;
        let count = u64::from(rate) * self.scale.steady.as_secs();
        self.fill_the_house().await?;
        let holdings = self.book("before-the-day", count.div_ceil(ROUND)).await?;
        self.warm_searches_up().await?;
        let day = Day {
            today: Utc::now().date_naive(),
            searched: traffic::searched().property.id,
            booked: (0..self.scale.properties).map(|number| traffic::property_id(HOSTELS, number)).collect(),
            traffic: self.traffic("day").waiting(WAIT_S),
            holdings,
        };
        output::note(format_args!(
            "  mixed: {rate} requests/s for {:?}: 80 % search, 15 % book, 5 % change",
            self.scale.steady
        ));
        let before = self.stage.snapshot().await?;
        let load = Load {
            address,
            connections: self.scale.connections,
            count,
            pace: Pace::PerSecond(rate),
            limit: PART_LIMIT,
        };
        let answers = load.run(Arc::new(day)).await?;
        let after = self.stage.snapshot().await?;
        self.figures.note("mixed", &before, &after, answers.expected());
        self.note_the_day(&answers);
        self.decided().await?;
        self.agree().await
    }

    /// Its figures, and how many bookings and changes there were.
    fn note_the_day(&mut self, answers: &Answers) {
        let searches = answers.only(|number| matches!(Errand::of(number), Errand::Search(_)));
        let bookings = answers.only(|number| matches!(Errand::of(number), Errand::Book(_)));
        let changes = answers.only(|number| matches!(Errand::of(number), Errand::Change(_)));
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
    use super::{Errand, ROUND};

    #[test]
    fn of_twenty_sixteen_search_three_book_and_one_changes() {
        let errands: Vec<Errand> = (0..2 * ROUND).map(Errand::of).collect();
        let booked: Vec<u64> = errands
            .iter()
            .filter_map(|errand| if let Errand::Book(nth) = errand { Some(*nth) } else { None })
            .collect();
        let changed: Vec<u64> = errands
            .iter()
            .filter_map(|errand| if let Errand::Change(nth) = errand { Some(*nth) } else { None })
            .collect();
        assert_eq!((booked, changed), ((0..6).collect(), vec![0, 1]), "each once, in order");
        assert_eq!(errands.iter().filter(|errand| matches!(errand, Errand::Search(_))).count(), 32);
    }
}
