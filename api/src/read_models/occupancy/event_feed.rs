//! Subscription to the events that change occupancy: of bookings and of inventories.
//!
//! Events are only observed. While none arrive, answers come from the store more often and are otherwise the same.

use super::OccupancyCache;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use pvt_domain::events::{BookingEvent, InventoryChanged};
use pvt_messaging::{ConsumeError, Delivery, Subscriber};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

const BOOKINGS: &str = "booking.*";
const PROPERTIES: &str = "inventory.*";
/// Unprocessed events in memory. They are acknowledged by being sent, so this bounds nothing but memory.
const PREFETCH: u16 = 500;
const RESUBSCRIBE_MAX_DELAY: Duration = Duration::from_secs(5);
/// 100–200 ms, doubling to 5–10 s with jitter.
const RESUBSCRIBE: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(RESUBSCRIBE_MAX_DELAY)
    .with_jitter()
    .without_max_times();
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Applies events to the cache until `stop`.
pub(crate) async fn run(subscriber: Subscriber, occupancies: OccupancyCache, stop: CancellationToken) {
    let mut delays = RESUBSCRIBE.build();
    let subscribing = async {
        loop {
            occupancies.until_wanted(true).await;
            let ended = session(&subscriber, &occupancies, &mut delays).await;
            occupancies.set_subscribed(false);
            if let Err(error) = ended {
                debug!(%error, "no events of occupancy");
                sleep(delays.next().unwrap_or(RESUBSCRIBE_MAX_DELAY)).await;
            }
        }
    };
    let stopped: Option<std::convert::Infallible> = stop.run_until_cancelled(subscribing).await;
    debug_assert!(stopped.is_none());
    subscriber.close(CLOSE_LIMIT).await;
}

/// Both subscriptions, until no property is in use any more, or one of them ends.
///
/// # Errors
/// When a subscription cannot be made, or has ended.
async fn session(
    subscriber: &Subscriber,
    occupancies: &OccupancyCache,
    delays: &mut ExponentialBackoff,
) -> Result<(), ConsumeError> {
    let subscribed = tokio::try_join!(
        subscriber.subscribe_events(BOOKINGS, PREFETCH),
        subscriber.subscribe_events(PROPERTIES, PREFETCH)
    );
    let (mut bookings, mut properties) = subscribed?;
    occupancies.set_subscribed(true);
    *delays = RESUBSCRIBE.build();
    let unwanted = occupancies.until_wanted(false);
    tokio::pin!(unwanted);
    loop {
        let delivery = tokio::select! {
            delivery = bookings.next() => delivery?,
            delivery = properties.next() => delivery?,
            () = &mut unwanted => break,
        };
        apply(occupancies, &delivery);
    }
    // Their queues go with them.
    drop(tokio::join!(bookings.close(), properties.close()));
    Ok(())
}

fn apply(occupancies: &OccupancyCache, delivery: &Delivery) {
    let kind = &delivery.envelope.kind;
    let observed = if kind.starts_with("inventory.") {
        InventoryChanged::decode(kind, &delivery.body).map(|event| occupancies.invalidate(&event.property_id))
    } else {
        BookingEvent::decode(kind, &delivery.body).map(|event| occupancies.observed(event))
    };
    if let Err(error) = observed {
        warn!(%error, %kind, "an event cannot be read");
    }
}
