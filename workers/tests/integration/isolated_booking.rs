//! One booking that the server refuses with a code that no list has, beside a thousand others of its partition: those
//! are decided at their usual speed, and the one ends in the dead letters with its reason.

use crate::harness::{Harness, MEASURED, booking_request};
use anyhow::{Result, ensure};
use mongodb::IndexModel;
use mongodb::bson::doc;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{BOOKING_REQUEST, BookingCommand};
use pvt_messaging::{Outgoing, Publisher, Subscriber, Topology};
use pvt_testkit::{TestTopology, days_from_now, eventually};
use pvt_worker_runtime::{Batch, BatchWorker, Engine, HEADER_ERROR_CLASS, Spec, WorkerState};
use pvt_workers::clock;
use pvt_workers::jobs::confirmations::Confirmations;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(60);
const HEALTHY: u64 = 1_000;
/// The machine is shared by other tests, which slow many small transactions more than few large ones.
const USUAL: u32 = 5;
/// The batch of each attempt of the bad one is handled message by message.
const ISOLATION: Duration = Duration::from_secs(2);
/// A retry schedule of an hour passes within seconds.
const RETRY_DIVISOR: u32 = 4_000;

/// The worker `confirmations`, which counts its decisions.
struct Counted {
    worker: Confirmations,
    decided: Arc<AtomicUsize>,
}

impl BatchWorker for Counted {
    const SPEC: Spec = Confirmations::SPEC;
    type Message = Arc<BookingCommand>;

    async fn handle(&self, batch: &mut Batch<Arc<BookingCommand>>) -> Result<(), Failure> {
        self.worker.handle(batch).await?;
        let decided = batch.items.iter().filter(|job| job.failed().is_none()).count();
        self.decided.fetch_add(decided, Ordering::Relaxed);
        Ok(())
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        self.worker.probe(class).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn booking_that_the_server_refuses_stops_no_other_of_its_partition() -> Result<()> {
    let _measured = MEASURED.lock().await;
    let (harness, topology) = (Harness::open().await?, TestTopology::new("ib", RETRY_DIVISOR).await?);
    // The phone of a guest is no place: the server fails with "Can't extract geo keys", code 16755.
    let geographic = IndexModel::builder().keys(doc! { "guest.phone": "2dsphere" }).build();
    harness.bookings().create_index(geographic).await?;
    let (url, own) = (topology.urls().amqp.as_str(), Topology::clone(&topology));
    let publisher = Publisher::start(url, own.clone(), "tests");
    let decided = Arc::<AtomicUsize>::default();
    let worker = Counted { worker: Confirmations::new(harness.mongo.clone(), clock::system), decided: decided.clone() };
    let engine = Engine::new(url, own.clone(), publisher.clone()).register_batch(worker)?;
    let (health, stop) = (engine.health(), CancellationToken::new());
    let running = tokio::spawn(engine.run(stop.clone()));
    let request = |key: &str, day: u64, phone: Option<&str>| {
        let (id, mut command) = booking_request(key, days_from_now(day), days_from_now(day + 1));
        if let BookingCommand::Request(request) = &mut command {
            request.guest.phone = phone.map(str::to_owned);
        }
        let key = own.command_key(BOOKING_REQUEST, Harness::property().as_str());
        Ok::<_, anyhow::Error>(Outgoing::command(key, id.request_command_id(), &command)?)
    };
    let decide = async |first: Option<Outgoing>, label: &str, from: u64| {
        let healthy = (0..HEALTHY).map(|number| request(&format!("{label}-{number}"), from + number / 12, None));
        let messages = first.into_iter().map(Ok).chain(healthy).collect::<Result<Vec<_>>>()?;
        decided.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        publisher.publish_all(messages).await?;
        eventually("all are decided", LIMIT, async || {
            Ok((decided.load(Ordering::Relaxed) >= usize::try_from(HEALTHY)?).then_some(()))
        })
        .await?;
        anyhow::Ok(begun.elapsed())
    };
    let usual = decide(None, "usual", 10).await?;
    let bad = request("bad", 200, Some("+1 514 555 0100"))?;
    let id: Uuid = bad.envelope.id;
    let took = decide(Some(bad), "beside", 100).await?;

    let subscriber = Subscriber::start(url, own.clone(), "tests");
    let mut letters = subscriber.subscribe(&own.dead_queue(&own.name("bookings.0")), 1).await?;
    let letter = tokio::time::timeout(LIMIT, letters.next()).await??;
    assert_eq!((letter.envelope.id, letter.envelope.header(HEADER_ERROR_CLASS)), (id, Some("mongodb_unavailable")));
    let health = health.snapshot().remove(0);
    assert_eq!(health.state, WorkerState::Running);
    assert!(health.last_error.as_ref().is_some_and(|error| error.text.contains("mongodb_unavailable")), "{health:?}");
    subscriber.close(LIMIT).await;
    // The slower of both, because other tests begin and end meanwhile.
    let usual = usual.max(decide(None, "after", 210).await?);
    ensure!(took < USUAL * usual + ISOLATION, "{took:?} instead of {usual:?}");
    stop.cancel();
    running.await??;
    publisher.close(LIMIT).await;
    Ok(())
}
