//! The whole life of bookings and blocks through the real worker and store, every command delivered twice.

use crate::hostel::{Hostel, Settled, asks, cancels, deliver, order};
use anyhow::Result;
use chrono::{Days, TimeDelta, Utc};
use futures_util::future::join_all;
use pvt_domain::block::{BlockKind, BlockStatus};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::{BedId, BlockId, BookingId};
use pvt_domain::messages::{
    BlockBeds, BookingCommand, CheckInBooking, CheckOutBooking, MarkNoShow, ModifyBooking, RefusalCode,
    ReinstateBooking, ReplyOutcome, StayWish, UnblockBeds,
};
use pvt_domain::timestamp::Timestamp;
use pvt_testkit::{dormitory, soon};
use pvt_workers::clock;
use pvt_workers::jobs::confirmations::Confirmations;
use uuid::Uuid;

const PROPERTY: &str = "pvt-montreal";

fn in_two_days() -> Timestamp {
    (Utc::now() + TimeDelta::days(2)).into()
}

/// Delivers a command twice, the second time to a process that remembers nothing: both say the same, and nothing is
/// written again.
async fn twice(
    hostel: &Hostel,
    worker: &Confirmations,
    clock: clock::Clock,
    command: BookingCommand,
) -> Result<Settled> {
    let batch = [(Uuid::new_v4(), command)];
    let first = deliver(worker, &batch).await?.remove(0);
    let again = deliver(&hostel.worker(clock), &batch).await?.remove(0);
    assert_eq!((again.event_ids(), &again.reply), (first.event_ids(), &first.reply));
    assert_eq!(hostel.violations().await?, Vec::<String>::new());
    Ok(first)
}

fn modifies(booking: &Booking, nights: u64, expected_rev: Option<u32>) -> BookingCommand {
    let mut stay = booking.stays[0].as_request();
    stay.departure = stay.arrival + Days::new(nights);
    let order = pvt_domain::messages::Order { expected_rev, ..order(booking.id) };
    let stays = Some(vec![StayWish { stay, continues: Some(0), beds: None }]);
    let (rate_plan_id, guest, quote) = (None, None, None);
    BookingCommand::Modify(Box::new(ModifyBooking {
        order,
        stays,
        rate_plan_id,
        guest,
        reprice: true,
        quote,
        override_restrictions: false,
    }))
}

fn blocks(block_id: BlockId, bed: &str, from: u64, until: u64) -> BookingCommand {
    let (kind, actor, reason) = (BlockKind::Maintenance, "staff:1".to_owned(), None);
    let bed_ids = vec![BedId::from(bed)];
    let requested_at = clock::system();
    BookingCommand::Block(BlockBeds {
        block_id,
        property_id: Hostel::property(),
        kind,
        bed_ids,
        from: soon(from),
        until: soon(until),
        actor,
        reason,
        requested_at,
    })
}

fn unblocks(block_id: BlockId) -> BookingCommand {
    let (actor, reason, requested_at) = ("staff:1".to_owned(), None, clock::system());
    BookingCommand::Unblock(UnblockBeds { block_id, property_id: Hostel::property(), actor, reason, requested_at })
}

async fn status(hostel: &Hostel, id: BookingId) -> Result<Status> {
    Ok(hostel.stored(id).await?.status)
}

#[tokio::test]
async fn guests_come_and_leave_and_their_beds_follow() -> Result<()> {
    let inventory = dormitory(PROPERTY, 3);
    let today = business_date(&inventory.property, clock::system());
    let hostel = Hostel::selling(inventory).await?;
    let now = hostel.worker(clock::system);
    let (id, request) = asks("a", today, today + Days::new(4));
    twice(&hostel, &now, clock::system, request).await?;
    let booked = hostel.stored(id).await?;

    let changed = twice(&hostel, &now, clock::system, modifies(&booked, 5, Some(1))).await?;
    assert_eq!(
        (changed.reply.outcome, changed.events[0].kind.as_ref()),
        (ReplyOutcome::Decided, "booking.modified.v1")
    );
    assert_eq!(hostel.claims_of(&booked).await?, 5);
    let late = twice(&hostel, &now, clock::system, modifies(&booked, 6, Some(1))).await?;
    assert_eq!((late.reply.outcome, late.events.len()), (ReplyOutcome::Stale, 0));

    twice(&hostel, &now, clock::system, BookingCommand::CheckIn(CheckInBooking { order: order(id) })).await?;
    assert_eq!(status(&hostel, id).await?, Status::CheckedIn);
    let cancelled = twice(&hostel, &now, clock::system, cancels(id)).await?;
    assert_eq!(cancelled.reply.outcome, ReplyOutcome::Conflict);
    let undone =
        twice(&hostel, &now, clock::system, BookingCommand::Reinstate(ReinstateBooking { order: order(id) })).await?;
    assert_eq!(undone.events[0].kind, "booking.reinstated.v1");
    twice(&hostel, &now, clock::system, BookingCommand::CheckIn(CheckInBooking { order: order(id) })).await?;

    let later = hostel.worker(in_two_days);
    let leaves = CheckOutBooking { order: order(id), allow_open_balance: true, reprice: true };
    twice(&hostel, &later, in_two_days, BookingCommand::CheckOut(leaves)).await?;
    let left = hostel.stored(id).await?;
    assert_eq!((left.status, left.stays[0].departure), (Status::CheckedOut, today + Days::new(2)));
    assert_eq!(hostel.claims_of(&left).await?, 2, "nights that nobody sleeps are free again");
    Ok(())
}

#[tokio::test]
async fn nobody_came_and_then_somebody_did() -> Result<()> {
    let inventory = dormitory(PROPERTY, 1);
    let today = business_date(&inventory.property, clock::system());
    let hostel = Hostel::selling(inventory).await?;
    let (id, request) = asks("a", today, today + Days::new(5));
    hostel.decide(id.request_command_id(), request).await?;
    let booked = hostel.stored(id).await?;
    let missed = || BookingCommand::NoShow(MarkNoShow { order: order(id) });
    let early = twice(&hostel, &hostel.worker(clock::system), clock::system, missed()).await?;
    assert_eq!(early.reply.why.expect("a reason").code, RefusalCode::TooEarly);

    let later = hostel.worker(in_two_days);
    let told = twice(&hostel, &later, in_two_days, missed()).await?;
    assert_eq!(told.events[0].kind, "booking.no_show.v1");
    assert_eq!(hostel.claims_of(&booked).await?, 0);
    twice(&hostel, &later, in_two_days, BookingCommand::Reinstate(ReinstateBooking { order: order(id) })).await?;
    assert_eq!((status(&hostel, id).await?, hostel.claims_of(&booked).await?), (Status::Confirmed, 5));
    Ok(())
}

#[tokio::test]
async fn blocks_keep_beds_from_sale_until_they_are_lifted() -> Result<()> {
    let hostel = Hostel::selling(dormitory(PROPERTY, 1)).await?;
    let now = hostel.worker(clock::system);
    let (guest, _) = hostel.book("guest", 10).await?;
    let block = BlockId::derive("tests", "block");
    let refused = twice(&hostel, &now, clock::system, blocks(block, "r-1", 11, 14)).await?;
    let why = refused.reply.why.expect("a reason");
    assert_eq!((why.code, why.bookings, refused.events.len()), (RefusalCode::BedTaken, vec![guest.id], 0));

    let kept = twice(&hostel, &now, clock::system, blocks(block, "r-1", 12, 14)).await?;
    assert_eq!((kept.events.len(), kept.events[0].kind.as_ref()), (1, "inventory.changed.v1"));
    assert_eq!(hostel.mongo.blocks([block]).await?[&block].status, BlockStatus::Active);
    assert_eq!(hostel.claims().count_documents(mongodb::bson::doc! { "booking": format!("block:{block}") }).await?, 2);
    assert_eq!(hostel.book("refused", 12).await?.0.status, Status::Rejected);

    let lifted = twice(&hostel, &now, clock::system, unblocks(block)).await?;
    assert_ne!(lifted.event_ids(), kept.event_ids());
    let stored = &hostel.mongo.blocks([block]).await?[&block];
    assert_eq!((stored.status, stored.rev), (BlockStatus::Lifted, 2));
    assert_eq!(hostel.book("welcome", 12).await?.0.status, Status::Confirmed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_change_one_booking_each_wins_once_or_is_told() -> Result<()> {
    let hostel = Hostel::selling(dormitory(PROPERTY, 4)).await?;
    let (booking, _) = hostel.book("a", 30).await?;
    // Several processes that all believe to be in charge, as while a partition changes hands.
    let workers: Vec<Confirmations> = (0..4).map(|_| hostel.worker(clock::system)).collect();
    let attempts = (0..24_u32).map(|number| {
        let (worker, booking) = (&workers[number as usize % workers.len()], &booking);
        async move {
            deliver(worker, &[(Uuid::new_v4(), modifies(booking, u64::from(3 + number % 5), Some(1 + number / 4)))])
                .await
        }
    });
    let mut won = 0;
    for settled in join_all(attempts).await {
        match settled?.remove(0).reply.outcome {
            ReplyOutcome::Decided => won += 1,
            ReplyOutcome::Stale => {}
            other => panic!("{other:?}"),
        }
    }
    let stored = hostel.stored(booking.id).await?;
    assert!(won >= 1 && stored.rev == 1 + won, "{won} were told that they won, and there are {} revisions", stored.rev);
    assert_eq!(hostel.violations().await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_races_with_guests_never_overlaps_them() -> Result<()> {
    let hostel = Hostel::selling(dormitory(PROPERTY, 2)).await?;
    for round in 0..10_u64 {
        let days = 10 + 3 * round;
        let (one, two) = (hostel.worker(clock::system), hostel.worker(clock::system));
        let keys: Vec<String> = (0..3).map(|number| format!("{round}-{number}")).collect();
        let guests: Vec<_> = keys
            .iter()
            .map(|key| asks(key, soon(days), soon(days + 2)))
            .map(|(id, request)| (id.request_command_id(), request))
            .collect();
        let block = BlockId::derive("tests", &round.to_string());
        let blocked = [(Uuid::new_v4(), blocks(block, "r-1", days, days + 2))];
        let (first, second) = tokio::join!(deliver(&one, &guests), deliver(&two, &blocked));
        first?;
        second?;
    }
    assert_eq!(hostel.violations().await?, Vec::<String>::new());
    Ok(())
}
