//! Rate of confirmed publishes into the partition queues. For brokers on loopback only.
//!
//! `AMQP_URL=… cargo run --release -p pvt-messaging --example publish_rate -- 200000 64`: the number of messages and
//! of concurrent callers (0: one caller with `publish_all`).
#![allow(clippy::print_stdout)]

use bytes::Bytes;
use pvt_messaging::{Outgoing, Publisher, Target, Topology};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

const BODY_BYTES: usize = 700;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().as_deref().unwrap_or("100000").parse()?;
    let callers: usize = arguments.next().as_deref().unwrap_or("64").parse()?;
    let url = std::env::var("AMQP_URL")?;
    let topology = Topology::new(&format!("rate-{}.", std::process::id()), 4);
    let publisher = Publisher::start(&url, topology.clone(), "publish_rate");
    while !publisher.is_ready() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let body = Bytes::from(vec![b'x'; BODY_BYTES]);
    let make = move |n: usize| {
        Outgoing::raw(
            Target::Commands,
            format!("bookings.{}", n % 4),
            Uuid::from_u128(n as u128),
            "booking.request.v1",
            body.clone(),
        )
        .with_correlation_id(Uuid::from_u128(n as u128))
        .with_traceparent(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()))
    };
    let begun = Instant::now();
    if callers == 0 {
        for chunk in (0..count).collect::<Vec<_>>().chunks(300) {
            publisher.publish_all(chunk.iter().map(|n| make(*n)).collect::<Vec<_>>()).await?;
        }
    } else {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let (publisher, next, make) = (publisher.clone(), next.clone(), make.clone());
            tasks.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return Ok(());
                    }
                    publisher.publish(make(n)).await?;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            let ended: Result<(), pvt_messaging::PublishError> = ended?;
            ended?;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{count} confirmed in {seconds:.2} s: {:.0}/s with {callers} callers", count as f64 / seconds);

    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await?;
    topology.delete(&connection.create_channel().await?).await?;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}
