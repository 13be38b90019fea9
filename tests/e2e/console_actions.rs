//! The console acts on bookings by the API: check-in and check-out, money, cancellation, and moves on the tape chart.

mod demonstration;
mod front_desk;
mod keyboard;
mod moves;
mod progress;
mod room_types;

use crate::harness::{AcceptedBooking, Stack, booked};
use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use pvt_testkit::{DORM, booking_body};
use reqwest::StatusCode;

const PROPERTY: &str = "pvt-montreal";
const WORKERS: &[(&str, &[&str])] = &[("workers", &["confirmations", "analytics", "emails", "payments"])];

async fn book(stack: &Stack, key: &str, arrival: NaiveDate, nights: u64) -> Result<AcceptedBooking> {
    let mut body = booking_body(DORM, arrival, nights, 1);
    body["guest"]["last_name"] = key.into();
    let answer = stack.client.request_booking_and_wait(key, &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let booked = booked(&answer)?;
    stack.record_accepted(booked.id);
    Ok(booked)
}

async fn stored(stack: &Stack, booking: &AcceptedBooking) -> Result<Booking> {
    stack.mongo.bookings().find(BookingId::from_uuid(booking.id)).await?.context("the booking")
}

fn bed_of(booking: &Booking) -> &str {
    booking.stays[0].assigned_beds[0].as_str()
}
