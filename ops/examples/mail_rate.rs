//! Measurement of the emails worker in mails per second: events from the broker, bookings and ledger in MongoDB, mails
//! into a discarding sink, everything in this process. It needs engines on loopback, uses a queue prefix and a database
//! of its own, and removes both.
//!
//! `AMQP_URL=… MONGODB_URI=… cargo run --release -p pvt-ops --example mail_rate -- 20000`
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

// Shared with the tests, which use more of it.
#[allow(dead_code)]
#[path = "../tests/emails/bookings.rs"]
mod bookings;

use anyhow::Result;
use pvt_domain::booking::Booking;
use pvt_domain::demo;
use pvt_mail_sink::{MailSink, SinkOptions};
use pvt_messaging::{Outgoing, Publisher, Topology};
use pvt_stores::mongo::Mongo;
use pvt_worker_runtime::Engine;
use pvt_workers::jobs::emails::Emails;
use pvt_workers::mail::Links;
use pvt_workers::mail::smtp::SmtpLimits;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let count: usize = std::env::args().nth(1).as_deref().unwrap_or("20000").parse()?;
    let (amqp, server) = (std::env::var("AMQP_URL")?, std::env::var("MONGODB_URI")?);
    let name = format!("mailrate{}", std::process::id());
    let (host, options) = server.split_once('?').unwrap_or((&server, ""));
    let uri = format!("{}/{name}?{options}", host.trim_end_matches('/'));
    let topology = Topology::new(&format!("{name}."), 1);
    let (mongo, publisher) = (Mongo::connect(&uri, &name).await?, Publisher::start(&amqp, topology.clone(), &name));
    mongo.migrate().await?;
    mongo.inventories().save(&demo::inventory()).await?;
    let any = "127.0.0.1:0".parse()?;
    let sink = MailSink::bind(SinkOptions { smtp_addr: any, http_addr: any, store_dir: None, discard: true }).await?;
    let (smtp, mails, stop) = (sink.smtp_addr()?, sink.store(), CancellationToken::new());
    let serving = tokio::spawn(sink.serve(stop.clone()));

    let bookings: mongodb::Collection<Booking> =
        mongodb::Client::with_uri_str(&uri).await?.database(&name).collection("bookings");
    for first in (0..count).step_by(1_000) {
        let some: Vec<Booking> = (first..count.min(first + 1_000)).map(bookings::confirmed).collect();
        bookings.insert_many(&some).await?;
        let events = some
            .iter()
            .map(|booking| bookings::event(booking, 1))
            .map(|event| Ok(Outgoing::event(event.event_id, &event)?));
        publisher.publish_all(events.collect::<Result<Vec<_>>>()?).await?;
    }

    let links = Links::new("http://127.0.0.1:8080".parse()?, &"a secret of this measurement".into())?;
    let worker = Emails::with(
        mongo.clone(),
        &format!("smtp://{smtp}"),
        "PVT Booking <bookings@pvt.test>",
        links,
        SmtpLimits::default(),
    )?;
    let engine = Engine::new(&amqp, topology.clone(), publisher.clone()).register_batch(worker)?;
    let begun = Instant::now();
    let running = tokio::spawn(engine.run(stop.clone()));
    while (mails.accepted() as usize) < count && begun.elapsed() < DEADLINE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} mails in {seconds:.2} s: {:.0}/s", mails.accepted(), count as f64 / seconds);

    stop.cancel();
    running.await??;
    serving.await??;
    mongo.drop_database().await?;
    let connection = lapin::Connection::connect(&amqp, lapin::ConnectionProperties::default()).await?;
    topology.delete(&connection.create_channel().await?).await?;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}
