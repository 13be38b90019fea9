//! Pool of confirmed bookings, with workloads that create and modify them. Each change is sent with the revision of the
//! last response.
//!
//! It must never change a booking while its last change is in flight: that would measure refusals.

use super::load_generator::Workload;
use super::workload::{BookingSeries, write_body};
use anyhow::{Context, Result, bail};
use chrono::{Days, NaiveDate};
use serde::Deserialize;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// `Prefer: wait` of requests that wait for the decision.
pub(super) const WAIT_S: u32 = 10;

/// A confirmed booking in the API's response.
#[derive(Debug, Deserialize)]
struct Confirmed {
    id: String,
    /// In the response to the creation only.
    token: Option<String>,
    rev: u32,
    stays: Vec<Stay>,
}

#[derive(Debug, Deserialize)]
struct Stay {
    arrival: NaiveDate,
    departure: NaiveDate,
}

/// A booking with what its guest needs to change it.
#[derive(Debug)]
struct PooledBooking {
    id: String,
    token: String,
    rev: u32,
    arrival: NaiveDate,
    departure: NaiveDate,
    /// Whether a change is in flight.
    changing: bool,
}

/// A fixed number of bookings by index.
#[derive(Debug, Clone)]
pub(super) struct BookingPool(Arc<[Mutex<Option<PooledBooking>>]>);

impl BookingPool {
    /// An empty pool of this size.
    pub(super) fn new(count: u64) -> Self {
        Self((0..count).map(|_| Mutex::new(None)).collect())
    }

    /// Its size.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    fn place(&self, number: u64) -> Result<&Mutex<Option<PooledBooking>>> {
        usize::try_from(number).ok().and_then(|number| self.0.get(number)).context("there is no such booking")
    }

    /// Stores the response to the creation or change of a booking.
    pub(super) fn store(&self, number: u64, answer: &[u8]) -> Result<()> {
        let Confirmed { id, token, rev, stays } = serde_json::from_slice(answer).context("a confirmed booking")?;
        let stay = stays.first().context("a booking without stays")?;
        let mut place = self.place(number)?.lock().unwrap_or_else(PoisonError::into_inner);
        let token = token.or_else(|| place.take().map(|held| held.token)).context("a booking without its token")?;
        *place =
            Some(PooledBooking { id, token, rev, arrival: stay.arrival, departure: stay.departure, changing: false });
        Ok(())
    }

    /// Writes the next change of a booking: one more night, another name, one night less; a booking of one night gets
    /// one more instead.
    pub(super) fn write_change(&self, number: u64, turn: u64, request: &mut Vec<u8>) -> Result<()> {
        let mut place = self.place(number)?.lock().unwrap_or_else(PoisonError::into_inner);
        let held = place.as_mut().context("a booking is to be changed before it is created")?;
        if std::mem::replace(&mut held.changing, true) {
            bail!("a booking is to be changed again before its last change was answered");
        }
        let PooledBooking { id, token, rev, arrival, departure, .. } = &*held;
        // Writing into a vector cannot fail.
        let _ = write!(
            request,
            "PATCH /api/bookings/{id}?token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: \
                application/json\r\nIf-Match: \"{rev}\"\r\nPrefer: wait={WAIT_S}\r\n"
        );
        let (earlier, later) = (*departure - Days::new(1), *departure + Days::new(1));
        match turn % 3 {
            1 => write_body(request, format_args!(r#"{{"guest":{{"first_name":"Augusta"}}}}"#)),
            2 if *arrival < earlier => {
                write_body(request, format_args!(r#"{{"stays":[{{"departure":"{earlier}"}}]}}"#))
            }
            _ => write_body(request, format_args!(r#"{{"stays":[{{"departure":"{later}"}}]}}"#)),
        }
        Ok(())
    }
}

/// Creates bookings and stores them in the pool.
pub(super) struct CreateWorkload {
    workload: BookingSeries,
    pool: BookingPool,
}

impl CreateWorkload {
    /// One booking for each index.
    pub(super) fn new(workload: BookingSeries, pool: BookingPool) -> Self {
        Self { workload: workload.waiting(WAIT_S), pool }
    }
}

impl Workload for CreateWorkload {
    fn write(&self, number: u64, request: &mut Vec<u8>) -> Result<()> {
        self.workload.write(number, request);
        Ok(())
    }

    fn expected(&self, _number: u64) -> u16 {
        201
    }

    fn on_success(&self, number: u64, body: &[u8]) -> Result<()> {
        self.pool.store(number, body)
    }

    fn max_unexpected(&self) -> u64 {
        0
    }
}

/// Modifies one booking of the pool after the other, in turns.
pub(super) struct ModifyWorkload(pub(super) BookingPool);

impl ModifyWorkload {
    fn place(&self, number: u64) -> u64 {
        number % self.0.count().max(1)
    }
}

impl Workload for ModifyWorkload {
    fn write(&self, number: u64, request: &mut Vec<u8>) -> Result<()> {
        let place = self.place(number);
        // Neighbours make different changes.
        self.0.write_change(place, place + number / self.0.count().max(1), request)
    }

    fn expected(&self, _number: u64) -> u16 {
        200
    }

    fn on_success(&self, number: u64, body: &[u8]) -> Result<()> {
        self.0.store(self.place(number), body)
    }

    fn max_unexpected(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::{BookingPool, ModifyWorkload};
    use crate::load_generator::Workload;

    fn answer(token: &str, rev: u32) -> Vec<u8> {
        let stay = r#"{"arrival":"2027-01-10","departure":"2027-01-11","room_type_id":"dorm"}"#;
        format!(r#"{{"id":"b","status":"confirmed",{token}"rev":{rev},"stays":[{stay}]}}"#).into_bytes()
    }

    #[test]
    fn change_sends_last_returned_revision() {
        let pool = BookingPool::new(1);
        let changing = ModifyWorkload(pool.clone());
        assert!(changing.write(0, &mut Vec::new()).is_err(), "the pool is empty");
        pool.store(0, &answer(r#""token":"t","#, 1)).unwrap();
        let changes = [
            r#"{"stays":[{"departure":"2027-01-12"}]}"#,
            r#"{"guest":{"first_name":"Augusta"}}"#,
            r#"{"stays":[{"departure":"2027-01-12"}]}"#,
        ];
        for (number, change) in (0..).zip(changes) {
            let mut request = Vec::new();
            changing.write(number, &mut request).unwrap();
            let text = String::from_utf8(request).unwrap();
            assert!(text.starts_with("PATCH /api/bookings/b?token=t HTTP/1.1\r\n"), "{text}");
            assert!(text.contains(&format!("\r\nIf-Match: \"{}\"\r\n", number + 1)), "{text}");
            assert!(text.ends_with(change), "{text}");
            assert!(changing.write(number, &mut Vec::new()).is_err(), "the last change is in flight");
            changing.on_success(number, &answer("", u32::try_from(number).unwrap() + 2)).unwrap();
        }
    }
}
