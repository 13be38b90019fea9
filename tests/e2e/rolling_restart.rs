//! A rolling restart under load: every process is restarted, one after the other, and no client sees an error.

use crate::harness::{AcceptedBooking, Balancer, CONSUMERS, Client, Expectations, StackBuilder, booked};
use anyhow::{Context, Result, ensure};
use pvt_domain::demo;
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory};
use reqwest::StatusCode;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Clients that send one request after the other.
const CLIENTS: u64 = 6;
/// Of one client.
const REQUEST_INTERVAL: Duration = Duration::from_millis(60);
/// So that a bed is left for every request.
const BEDS: usize = 40;

/// Requests bookings and reads each of them, every second time waiting for the decision. An error of any kind ends it.
async fn load(client: Client, number: u64, stop: CancellationToken) -> Result<Vec<AcceptedBooking>> {
    let mut accepted = Vec::new();
    let mut turns = interval(REQUEST_INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        let count = u64::try_from(accepted.len())?;
        let key = format!("client-{number}-{count}");
        let body = booking_body(DORM, days_from_now(5 + (number + CLIENTS * count) % 300), 1, 1);
        let answer = if count.is_multiple_of(2) {
            client.request_booking_and_wait(&key, &body).await
        } else {
            client.request_booking(&key, &body).await
        };
        let answer = answer.context(key)?;
        ensure!([StatusCode::CREATED, StatusCode::ACCEPTED].contains(&answer.status), "{answer:?}");
        let ours = booked(&answer)?;
        let path = format!("/api/bookings/{}?token={}", ours.id, ours.token);
        let shown = client.get(&path).await.context(path)?;
        ensure!(shown.status == StatusCode::OK, "{shown:?}");
        accepted.push(ours);
    }
    Ok(accepted)
}

#[tokio::test]
#[ignore = "takes half a minute: tests/long-journeys/run"]
async fn rolling_restart_under_load_fails_no_request_and_loses_nothing() -> Result<()> {
    let workers: [(&str, &[&str]); 3] = [("first", CONSUMERS), ("second", CONSUMERS), ("third", &["scheduler"])];
    // Longer than the balancer takes to notice.
    let property = dormitory(demo::PROPERTY_ID, BEDS);
    let builder = StackBuilder::new().selling([property]).two_apis().with("PVT_SHUTDOWN_DELAY", "2");
    let mut stack = builder.workers(&workers).start().await?;
    let mut backends: Vec<SocketAddr> = Vec::new();
    for name in ["api", "api-2"] {
        let url: reqwest::Url = stack.program(name)?.ready_url().parse()?;
        backends.extend(url.socket_addrs(|| None)?);
    }
    let balancer = Balancer::start(backends).await?;
    let client = Client::new(balancer.address())?;
    let stop = CancellationToken::new();
    let clients: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(load(client.clone(), number, stop.clone()))).collect();
    for name in ["api", "first", "api-2", "second", "third"] {
        stack.program(name)?.stop().await?;
        stack.restart(name).await?;
    }
    stop.cancel();
    let mut accepted = Vec::new();
    for load in clients {
        accepted.extend(load.await??);
    }
    ensure!(accepted.len() > 100, "only {} requests were sent", accepted.len());
    for booking in &accepted {
        stack.record_accepted(booking.id);
        ensure!(stack.client.wait_for_decision(booking).await?["status"] == "confirmed", "{booking:?}");
    }
    // The invariants say that each is stored, mailed and in the mart, once.
    stack.end(Expectations::clean()).await
}
