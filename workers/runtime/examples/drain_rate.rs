//! Drain rate of a batch worker: decode, handle, publish one event per message with confirms, acknowledge. For brokers
//! on loopback only.
//!
//! `AMQP_URL=… cargo run --release -p pvt-worker-runtime --example drain_rate -- 100000 1`: the number of messages and
//! of events for each.
#![allow(clippy::print_stdout)]

use bytes::Bytes;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{DecodeError, Inbox, decode_body};
use pvt_messaging::{Publisher, Target, Topology};
use pvt_worker_runtime::{Batch, BatchWorker, Engine, Outgoing, Queue, RetryDelay, Shape, Spec};
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const BODY_BYTES: usize = 700;
const PARTITIONS: u16 = 4;

#[derive(Deserialize)]
struct Request {
    guest: String,
}

impl Inbox for Request {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            "booking.request.v1" => decode_body(body),
            other => Err(DecodeError::unknown(other, &["booking.request.v1"])),
        }
    }
}

struct CountingWorker {
    events: usize,
    done: Arc<AtomicUsize>,
}

impl BatchWorker for CountingWorker {
    const SPEC: Spec = Spec {
        name: "clerk",
        queue: Queue::Partitioned("bookings"),
        retry_schedule: &[RetryDelay::S5],
        timeout: Duration::from_secs(10),
        shape: Shape::Batch { max: 100, linger: Duration::from_millis(2) },
    };
    type Message = Request;

    async fn handle(&self, batch: &mut Batch<Request>) -> Result<(), Failure> {
        for job in &mut batch.items {
            for n in 0..self.events {
                let id = Uuid::from_u128(job.meta.id.as_u128() + n as u128);
                let body = Bytes::copy_from_slice(job.message.guest.as_bytes());
                job.emit(Outgoing::raw(Target::Events, "booking.held", id, "booking.held.v1", body));
            }
        }
        self.done.fetch_add(batch.items.len(), Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().as_deref().unwrap_or("100000").parse()?;
    let events: usize = arguments.next().as_deref().unwrap_or("1").parse()?;
    let url = std::env::var("AMQP_URL")?;
    let topology = Topology::new(&format!("drain-{}.", std::process::id()), PARTITIONS);
    let publisher = Publisher::start(&url, topology.clone(), "drain_rate");
    let body = Bytes::from(format!(r#"{{"guest":"{}"}}"#, "x".repeat(BODY_BYTES)));
    let make = |n: usize| {
        let key = format!("bookings.{}", n % usize::from(PARTITIONS));
        Outgoing::raw(Target::Commands, key, Uuid::from_u128(n as u128 + 1), "booking.request.v1", body.clone())
            .with_correlation_id(Uuid::from_u128(n as u128))
            .with_traceparent(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()))
    };
    for first in (0..count).step_by(1_000) {
        publisher.publish_all((first..count.min(first + 1_000)).map(make).collect::<Vec<_>>()).await?;
    }

    let done = Arc::new(AtomicUsize::new(0));
    let engine = Engine::new(&url, topology.clone(), publisher.clone())
        .register_batch(CountingWorker { events, done: done.clone() })?;
    let shutdown = CancellationToken::new();
    let (cpu_before, begun) = (cpu_ticks(), Instant::now());
    let running = tokio::spawn(engine.run(shutdown.clone()));
    while done.load(Ordering::Relaxed) < count && begun.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    running.await??;
    let (seconds, ticks) = (begun.elapsed().as_secs_f64(), cpu_ticks() - cpu_before);
    println!(
        "{count} drained in {seconds:.2} s: {:.0}/s, {:.1} us of CPU each",
        count as f64 / seconds,
        ticks as f64 * 10_000.0 / count as f64
    );

    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await?;
    topology.delete(&connection.create_channel().await?).await?;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}

/// User and system time of this process in hundredths of a second; 0 where there is no procfs.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}
