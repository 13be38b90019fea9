//! Reassignments in the real store: the moved bookings, their transaction, and the events on redelivery.

use crate::harness::{Harness, booking_request, cancel_command, deliver};
use anyhow::Result;
use pvt_domain::booking::{Action, Status};
use pvt_testkit::{days_from_now, dormitory};
use pvt_workers::clock;
use uuid::Uuid;

const PROPERTY: &str = "pvt-montreal";

#[tokio::test]
async fn reassignment_is_reported_again_on_redelivery() -> Result<()> {
    let harness = Harness::with_inventory(dormitory(PROPERTY, 2)).await?;
    let x = harness.book_bed("x", days_from_now(30), days_from_now(32), "r-1", false).await?;
    let y = harness.book_bed("y", days_from_now(32), days_from_now(34), "r-2", false).await?;
    let (id, request) = booking_request("z", days_from_now(30), days_from_now(34));
    let command = (id.request_command_id(), request);
    let first = harness.decide_all(std::slice::from_ref(&command)).await?.remove(0);
    let z = harness.stored(id).await?;
    assert_eq!((z.status, z.history[0].moved.len(), first.events.len()), (Status::Confirmed, 1, 2));
    let moved = harness.stored(z.history[0].moved[0]).await?;
    assert!(moved.id == x.id || moved.id == y.id);
    let entry = moved.history.last().expect("a history");
    assert_eq!((entry.action, entry.command_id, entry.actor.as_str()), (Action::Move, command.0, "system"));
    assert!(first.event_ids().contains(&entry.event_id) && first.event_ids().contains(&z.history[0].event_id));
    assert_eq!(harness.violations().await?, Vec::<String>::new());

    // Crashed after the commit: a worker with an empty cache gets the message.
    let again = deliver(&harness.worker(clock::system), std::slice::from_ref(&command)).await?.remove(0);
    assert_eq!((again.event_ids(), again.reply), (first.event_ids(), first.reply));
    assert_eq!(harness.stored(moved.id).await?, moved, "nothing is written again");
    Ok(())
}

/// Beds and nights, from which `x` has to leave twice:
///
/// ```text
///        11  12  13  14  15
/// r-1        x   x   x   M1     A wants 11–13: only r-1 is free on the 11th, so x goes to r-2
/// r-2    L2                     K leaves
/// r-3    L3  K   K   K   M3     B wants 14–16: only r-2 is free on the 15th, so x goes to r-3
/// ```
#[tokio::test]
async fn one_batch_may_reassign_a_booking_twice() -> Result<()> {
    let harness = Harness::with_inventory(dormitory(PROPERTY, 3)).await?;
    let day = |number: u64| days_from_now(20 + number);
    for (key, from, until, bed) in
        [("l2", 11, 12, "r-2"), ("l3", 11, 12, "r-3"), ("m1", 15, 16, "r-1"), ("m3", 15, 16, "r-3")]
    {
        harness.book_bed(key, day(from), day(until), bed, true).await?;
    }
    let k = harness.book_bed("k", day(12), day(15), "r-3", true).await?;
    let x = harness.book_bed("x", day(12), day(15), "r-1", false).await?;
    let (a, first) = booking_request("a", day(11), day(13));
    let (b, second) = booking_request("b", day(14), day(16));
    let batch =
        [(a.request_command_id(), first), (Uuid::new_v4(), cancel_command(k.id)), (b.request_command_id(), second)];
    let settled = harness.decide_all(&batch).await?;

    let (a, b, moved) = (harness.stored(a).await?, harness.stored(b).await?, harness.stored(x.id).await?);
    assert_eq!((a.status, b.status, moved.rev), (Status::Confirmed, Status::Confirmed, x.rev + 2));
    assert_eq!((a.history[0].moved.as_slice(), b.history[0].moved.as_slice()), ([x.id].as_slice(), [x.id].as_slice()));
    let [.., one, two] = moved.history.as_slice() else { panic!("two moves") };
    assert_eq!((one.command_id, two.command_id), (batch[0].0, batch[2].0));
    assert!(
        settled[0].event_ids().contains(&one.event_id) && !settled[0].event_ids().contains(&two.event_id),
        "each reports its own"
    );
    assert!(settled[2].event_ids().contains(&two.event_id) && !settled[2].event_ids().contains(&one.event_id));
    assert_eq!(harness.violations().await?, Vec::<String>::new());

    let again = deliver(&harness.worker(clock::system), &batch).await?;
    for (first, again) in settled.iter().zip(&again) {
        assert_eq!((again.event_ids(), &again.reply), (first.event_ids(), &first.reply));
    }
    assert_eq!(harness.stored(x.id).await?, moved);
    Ok(())
}

#[tokio::test]
async fn stale_grid_reassigns_no_booking() -> Result<()> {
    let harness = Harness::with_inventory(dormitory(PROPERTY, 2)).await?;
    // This worker has cached an empty property.
    let old = harness.worker(clock::system);
    let (id, request) = booking_request("other", days_from_now(50), days_from_now(51));
    deliver(&old, &[(id.request_command_id(), request)]).await?;
    harness.book_bed("x", days_from_now(30), days_from_now(32), "r-1", true).await?;
    harness.book_bed("y", days_from_now(32), days_from_now(34), "r-2", true).await?;
    let (id, request) = booking_request("z", days_from_now(30), days_from_now(34));
    deliver(&old, &[(id.request_command_id(), request)]).await?;
    assert_eq!(harness.stored(id).await?.status, Status::Rejected, "both are pinned to their beds");
    assert_eq!(harness.violations().await?, Vec::<String>::new());
    Ok(())
}
