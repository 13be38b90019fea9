//! Making room in the real store: who is moved, in which transaction, and what is told when a message comes again.

use crate::hostel::{Hostel, asks, cancels, deliver};
use anyhow::Result;
use pvt_domain::booking::{Action, Status};
use pvt_testkit::{dormitory, soon};
use pvt_workers::clock;
use uuid::Uuid;

const PROPERTY: &str = "pvt-montreal";

#[tokio::test]
async fn a_stay_gives_way_and_a_repetition_tells_of_it_again() -> Result<()> {
    let hostel = Hostel::selling(dormitory(PROPERTY, 2)).await?;
    let x = hostel.seat("x", soon(30), soon(32), "r-1", false).await?;
    let y = hostel.seat("y", soon(32), soon(34), "r-2", false).await?;
    let (id, request) = asks("z", soon(30), soon(34));
    let command = (id.request_command_id(), request);
    let first = hostel.decide_all(std::slice::from_ref(&command)).await?.remove(0);
    let z = hostel.stored(id).await?;
    assert_eq!((z.status, z.history[0].moved.len(), first.events.len()), (Status::Confirmed, 1, 2));
    let moved = hostel.stored(z.history[0].moved[0]).await?;
    assert!(moved.id == x.id || moved.id == y.id);
    let entry = moved.history.last().expect("a history");
    assert_eq!((entry.action, entry.command_id, entry.actor.as_str()), (Action::Move, command.0, "system"));
    assert!(first.event_ids().contains(&entry.event_id) && first.event_ids().contains(&z.history[0].event_id));
    assert_eq!(hostel.violations().await?, Vec::<String>::new());

    // Killed after the commit: another process, which remembers nothing, gets the message.
    let again = deliver(&hostel.worker(clock::system), std::slice::from_ref(&command)).await?.remove(0);
    assert_eq!((again.event_ids(), again.reply), (first.event_ids(), first.reply));
    assert_eq!(hostel.stored(moved.id).await?, moved, "nothing is written again");
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
async fn two_requests_of_one_batch_move_the_same_booking() -> Result<()> {
    let hostel = Hostel::selling(dormitory(PROPERTY, 3)).await?;
    let day = |number: u64| soon(20 + number);
    for (key, from, until, bed) in
        [("l2", 11, 12, "r-2"), ("l3", 11, 12, "r-3"), ("m1", 15, 16, "r-1"), ("m3", 15, 16, "r-3")]
    {
        hostel.seat(key, day(from), day(until), bed, true).await?;
    }
    let k = hostel.seat("k", day(12), day(15), "r-3", true).await?;
    let x = hostel.seat("x", day(12), day(15), "r-1", false).await?;
    let (a, first) = asks("a", day(11), day(13));
    let (b, second) = asks("b", day(14), day(16));
    let batch = [(a.request_command_id(), first), (Uuid::new_v4(), cancels(k.id)), (b.request_command_id(), second)];
    let settled = hostel.decide_all(&batch).await?;

    let (a, b, moved) = (hostel.stored(a).await?, hostel.stored(b).await?, hostel.stored(x.id).await?);
    assert_eq!((a.status, b.status, moved.rev), (Status::Confirmed, Status::Confirmed, x.rev + 2));
    assert_eq!((a.history[0].moved.as_slice(), b.history[0].moved.as_slice()), ([x.id].as_slice(), [x.id].as_slice()));
    let [.., one, two] = moved.history.as_slice() else { panic!("two moves") };
    assert_eq!((one.command_id, two.command_id), (batch[0].0, batch[2].0));
    assert!(
        settled[0].event_ids().contains(&one.event_id) && !settled[0].event_ids().contains(&two.event_id),
        "each tells of its own"
    );
    assert!(settled[2].event_ids().contains(&two.event_id) && !settled[2].event_ids().contains(&one.event_id));
    assert_eq!(hostel.violations().await?, Vec::<String>::new());

    let again = deliver(&hostel.worker(clock::system), &batch).await?;
    for (first, again) in settled.iter().zip(&again) {
        assert_eq!((again.event_ids(), &again.reply), (first.event_ids(), &first.reply));
    }
    assert_eq!(hostel.stored(x.id).await?, moved);
    Ok(())
}

#[tokio::test]
async fn nobody_is_moved_for_what_an_old_view_only_believes() -> Result<()> {
    let hostel = Hostel::selling(dormitory(PROPERTY, 2)).await?;
    // This worker remembers an empty house.
    let old = hostel.worker(clock::system);
    let (id, request) = asks("other", soon(50), soon(51));
    deliver(&old, &[(id.request_command_id(), request)]).await?;
    hostel.seat("x", soon(30), soon(32), "r-1", true).await?;
    hostel.seat("y", soon(32), soon(34), "r-2", true).await?;
    let (id, request) = asks("z", soon(30), soon(34));
    deliver(&old, &[(id.request_command_id(), request)]).await?;
    assert_eq!(hostel.stored(id).await?.status, Status::Rejected, "both are promised their beds");
    assert_eq!(hostel.violations().await?, Vec::<String>::new());
    Ok(())
}
