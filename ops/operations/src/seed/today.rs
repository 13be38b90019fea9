//! Guests of the day on which a demonstration begins: some arrive, some are in house, some depart.
//!
//! Bookings are requested and guests are checked in by the commands of the front desk. Who departs today has shortened
//! the stay: no guest is checked in on the day of departure.

use super::request;
use crate::OPERATOR;
use anyhow::Result;
use chrono::{Days, NaiveDate, Utc};
use pvt_domain::booking::{Source, StayRequest};
use pvt_domain::demo;
use pvt_domain::messages::{
    BOOKING_CHECK_IN, BOOKING_MODIFY, CheckInBooking, CommandHeader, MessageType, ModifyBooking, RequestBooking,
    StayModification,
};
use pvt_messaging::{Outgoing, Topology};
use uuid::Uuid;

/// The reason of what is done with these bookings.
const REASON: &str = "demonstration";

/// How far the guests of a booking are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// They arrive today.
    Expected,
    /// They have arrived.
    InHouse,
    /// They are there, and depart today instead of a day later.
    Departing,
}

/// A booking of the day.
pub(super) struct Visit {
    key: &'static str,
    name: (&'static str, &'static str, &'static str),
    room_type: &'static str,
    guests: u32,
    /// Nights before today.
    slept: u64,
    /// Nights in all, as booked.
    nights: u64,
    progress: Progress,
}

/// All of them; those who have slept here came on earlier days.
pub(super) const VISITS: [Visit; 10] = [
    visit("0", ("Ada", "Lovelace", "en"), ("dorm-6-mixed", 1), (0, 2), Progress::Expected),
    visit("1", ("Sofia", "Kovalevskaïa", "fr"), ("private-double", 2), (0, 3), Progress::Expected),
    visit("2", ("Niels", "Abel", "en"), ("dorm-8-mixed", 2), (0, 1), Progress::Expected),
    visit("3", ("Emmy", "Noether", "en"), ("dorm-4-female", 1), (0, 2), Progress::InHouse),
    visit("4", ("Srinivasa", "Ramanujan", "en"), ("dorm-6-mixed", 1), (1, 3), Progress::InHouse),
    visit("5", ("Sophie", "Germain", "fr"), ("private-twin", 2), (2, 4), Progress::InHouse),
    visit("6", ("Évariste", "Galois", "fr"), ("dorm-8-mixed", 1), (1, 5), Progress::InHouse),
    visit("7", ("Hypatia", "of Alexandria", "en"), ("private-double", 1), (2, 3), Progress::Departing),
    visit("8", ("Henri", "Poincaré", "fr"), ("dorm-6-mixed", 2), (1, 2), Progress::Departing),
    visit("9", ("Mary", "Somerville", "en"), ("dorm-8-mixed", 1), (3, 4), Progress::Departing),
];

const fn visit(
    key: &'static str,
    name: (&'static str, &'static str, &'static str),
    (room_type, guests): (&'static str, u32),
    (slept, nights): (u64, u64),
    progress: Progress,
) -> Visit {
    Visit { key, name, room_type, guests, slept, nights, progress }
}

impl Visit {
    /// The request that books it.
    pub(super) fn request(&self, today: NaiveDate) -> RequestBooking {
        request(&format!("seed-today-{}", self.key), self.name, self.stay(today), Source::Direct)
    }

    /// The check-in of guests who have arrived.
    ///
    /// # Errors
    /// When a command is too large.
    pub(super) fn arrival(&self, topology: &Topology, today: NaiveDate) -> Result<Option<Outgoing>> {
        let has_arrived = self.progress != Progress::Expected;
        let command = || CheckInBooking { header: self.header(today), stays: Vec::new() };
        has_arrived.then(|| self.outgoing(topology, BOOKING_CHECK_IN, today, &command())).transpose()
    }

    /// The change of guests who depart earlier, once they have arrived.
    ///
    /// # Errors
    /// When a command is too large.
    pub(super) fn departure(&self, topology: &Topology, today: NaiveDate) -> Result<Option<Outgoing>> {
        let departs = self.progress == Progress::Departing;
        departs.then(|| self.outgoing(topology, BOOKING_MODIFY, today, &self.shortened(today))).transpose()
    }

    fn outgoing(
        &self,
        topology: &Topology,
        kind: &str,
        today: NaiveDate,
        command: &impl MessageType,
    ) -> Result<Outgoing> {
        let key = topology.command_key(kind, demo::PROPERTY_ID);
        let outgoing = Outgoing::command(key, Uuid::now_v7(), command)?;
        Ok(outgoing.with_correlation_id(self.request(today).booking_id.as_uuid()))
    }

    fn stay(&self, today: NaiveDate) -> StayRequest {
        let arrival = today - Days::new(self.slept);
        StayRequest::new(self.room_type, arrival, arrival + Days::new(self.nights), self.guests)
    }

    fn shortened(&self, today: NaiveDate) -> ModifyBooking {
        let stay = StayRequest { departure: today, ..self.stay(today) };
        ModifyBooking {
            header: self.header(today),
            stays: Some(vec![StayModification { stay, continues: Some(0), beds: None }]),
            rate_plan_id: None,
            guest: None,
            reprice: true,
            quote: None,
            override_restrictions: false,
            waive_change_fees: false,
        }
    }

    fn header(&self, today: NaiveDate) -> CommandHeader {
        CommandHeader {
            booking_id: self.request(today).booking_id,
            property_id: demo::PROPERTY_ID.into(),
            expected_rev: None,
            actor: OPERATOR.into(),
            as_admin: false,
            reason: Some(REASON.to_owned()),
            requested_at: Utc::now().into(),
        }
    }
}
