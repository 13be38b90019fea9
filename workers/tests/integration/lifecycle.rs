//! The lifecycle of bookings and blocks through the real worker and store, every command delivered twice.

use crate::harness::{Delivered, Harness, booking_request, cancel_command, deliver, header};
use anyhow::Result;
use chrono::{Days, TimeDelta, Utc};
use futures_util::future::join_all;
use pvt_domain::block::{BlockKind, BlockStatus};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::{BedId, BlockId, BookingId};
use pvt_domain::messages::{
    BlockBeds, BookingCommand, CheckInBooking, CheckOutBooking, MarkNoShow, ModifyBooking, RefusalCode,
    ReinstateBooking, ReplyOutcome, StayModification, UnblockBeds,
};
use pvt_domain::timestamp::Timestamp;
use pvt_testkit::{days_from_now, dormitory};
use pvt_workers::clock;
use pvt_workers::jobs::confirmations::Confirmations;
use uuid::Uuid;

const PROPERTY: &str = "pvt-montreal";

fn in_two_days() -> Timestamp {
    (Utc::now() + TimeDelta::days(2)).into()
}

/// Delivers a command twice, the second time to a worker with an empty cache: both emit the same, and nothing is
/// written again.
async fn twice(
    harness: &Harness,
    worker: &Confirmations,
    clock: clock::Clock,
    command: BookingCommand,
) -> Result<Delivered> {
    let batch = [(Uuid::new_v4(), command)];
    let first = deliver(worker, &batch).await?.remove(0);
    let again = deliver(&harness.worker(clock), &batch).await?.remove(0);
    assert_eq!((again.event_ids(), &again.reply), (first.event_ids(), &first.reply));
    assert_eq!(harness.violations().await?, Vec::<String>::new());
    Ok(first)
}

/// The command of staff that changes the number of nights, at today's prices.
pub(crate) fn modifies(booking: &Booking, nights: u64, expected_rev: Option<u32>) -> BookingCommand {
    let mut stay = booking.stays[0].as_request();
    stay.departure = stay.arrival + Days::new(nights);
    let header = pvt_domain::messages::CommandHeader { expected_rev, ..header(booking.id) };
    let stays = Some(vec![StayModification { stay, continues: Some(0), beds: None }]);
    let (rate_plan_id, guest, quote) = (None, None, None);
    BookingCommand::Modify(Box::new(ModifyBooking {
        header,
        stays,
        rate_plan_id,
        guest,
        reprice: true,
        quote,
        override_restrictions: false,
        waive_change_fees: false,
    }))
}

fn blocks(block_id: BlockId, bed: &str, from: u64, until: u64) -> BookingCommand {
    let (kind, actor, reason) = (BlockKind::Maintenance, "staff:1".into(), None);
    let bed_ids = vec![BedId::from(bed)];
    let requested_at = clock::system();
    BookingCommand::Block(BlockBeds {
        block_id,
        property_id: Harness::property(),
        kind,
        bed_ids,
        from: days_from_now(from),
        until: days_from_now(until),
        actor,
        reason,
        requested_at,
    })
}

fn unblocks(block_id: BlockId) -> BookingCommand {
    let (actor, reason, requested_at) = ("staff:1".into(), None, clock::system());
    BookingCommand::Unblock(UnblockBeds { block_id, property_id: Harness::property(), actor, reason, requested_at })
}

async fn status(harness: &Harness, id: BookingId) -> Result<Status> {
    Ok(harness.stored(id).await?.status)
}

#[tokio::test]
async fn check_in_and_check_out_move_claims() -> Result<()> {
    let inventory = dormitory(PROPERTY, 3);
    let today = business_date(&inventory.property, clock::system());
    let harness = Harness::with_inventory(inventory).await?;
    let now = harness.worker(clock::system);
    let (id, request) = booking_request("a", today, today + Days::new(4));
    twice(&harness, &now, clock::system, request).await?;
    let booked = harness.stored(id).await?;

    let changed = twice(&harness, &now, clock::system, modifies(&booked, 5, Some(1))).await?;
    assert_eq!(
        (changed.reply.outcome, changed.events[0].envelope.kind.as_ref()),
        (ReplyOutcome::Decided, "booking.modified.v1")
    );
    assert_eq!(harness.claims_of(&booked).await?, 5);
    let late = twice(&harness, &now, clock::system, modifies(&booked, 6, Some(1))).await?;
    assert_eq!((late.reply.outcome, late.events.len()), (ReplyOutcome::Stale, 0));

    twice(
        &harness,
        &now,
        clock::system,
        BookingCommand::CheckIn(CheckInBooking { header: header(id), stays: Vec::new() }),
    )
    .await?;
    assert_eq!(status(&harness, id).await?, Status::CheckedIn);
    let cancelled = twice(&harness, &now, clock::system, cancel_command(id)).await?;
    assert_eq!(cancelled.reply.outcome, ReplyOutcome::Conflict);
    let undone = twice(
        &harness,
        &now,
        clock::system,
        BookingCommand::Reinstate(ReinstateBooking { header: header(id), stays: Vec::new() }),
    )
    .await?;
    assert_eq!(undone.events[0].envelope.kind, "booking.reinstated.v1");
    twice(
        &harness,
        &now,
        clock::system,
        BookingCommand::CheckIn(CheckInBooking { header: header(id), stays: Vec::new() }),
    )
    .await?;

    let later = harness.worker(in_two_days);
    let check_out = CheckOutBooking { header: header(id), allow_open_balance: true, reprice: true, stays: Vec::new() };
    twice(&harness, &later, in_two_days, BookingCommand::CheckOut(check_out)).await?;
    let left = harness.stored(id).await?;
    assert_eq!((left.status, left.stays[0].departure), (Status::CheckedOut, today + Days::new(2)));
    assert_eq!(harness.claims_of(&left).await?, 2, "unused nights are free again");
    Ok(())
}

#[tokio::test]
async fn no_show_can_be_reinstated() -> Result<()> {
    let inventory = dormitory(PROPERTY, 1);
    let today = business_date(&inventory.property, clock::system());
    let harness = Harness::with_inventory(inventory).await?;
    let (id, request) = booking_request("a", today, today + Days::new(5));
    harness.decide(id.request_command_id(), request).await?;
    let booked = harness.stored(id).await?;
    let missed = || BookingCommand::NoShow(MarkNoShow { header: header(id), stays: Vec::new() });
    let early = twice(&harness, &harness.worker(clock::system), clock::system, missed()).await?;
    assert_eq!(early.reply.detail.expect("a reason").code, RefusalCode::TooEarly);

    let later = harness.worker(in_two_days);
    let no_show = twice(&harness, &later, in_two_days, missed()).await?;
    assert_eq!(no_show.events[0].envelope.kind, "booking.no_show.v1");
    assert_eq!(harness.claims_of(&booked).await?, 0);
    twice(
        &harness,
        &later,
        in_two_days,
        BookingCommand::Reinstate(ReinstateBooking { header: header(id), stays: Vec::new() }),
    )
    .await?;
    assert_eq!(status(&harness, id).await?, Status::Confirmed);
    assert_eq!(harness.claims_of(&booked).await?, 3, "nights that have passed are not claimed again");
    Ok(())
}

#[tokio::test]
async fn blocks_stop_sale_until_lifted() -> Result<()> {
    let harness = Harness::with_inventory(dormitory(PROPERTY, 1)).await?;
    let now = harness.worker(clock::system);
    let (guest, _) = harness.book("guest", 10).await?;
    let block = BlockId::derive("tests", "block");
    let refused = twice(&harness, &now, clock::system, blocks(block, "r-1", 11, 14)).await?;
    let why = refused.reply.detail.expect("a reason");
    assert_eq!((why.code, why.bookings, refused.events.len()), (RefusalCode::BedTaken, vec![guest.id], 0));

    let kept = twice(&harness, &now, clock::system, blocks(block, "r-1", 12, 14)).await?;
    assert_eq!((kept.events.len(), kept.events[0].envelope.kind.as_ref()), (1, "inventory.changed.v1"));
    assert_eq!(harness.mongo.blocks().find_by_ids([block]).await?[&block].status, BlockStatus::Active);
    assert_eq!(harness.claims().count_documents(mongodb::bson::doc! { "booking": format!("block:{block}") }).await?, 2);
    assert_eq!(harness.book("refused", 12).await?.0.status, Status::Rejected);

    let lifted = twice(&harness, &now, clock::system, unblocks(block)).await?;
    assert_ne!(lifted.event_ids(), kept.event_ids());
    let stored = &harness.mongo.blocks().find_by_ids([block]).await?[&block];
    assert_eq!((stored.status, stored.rev), (BlockStatus::Lifted, 2));
    assert_eq!(harness.book("welcome", 12).await?.0.status, Status::Confirmed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_modifications_win_once_or_are_stale() -> Result<()> {
    let harness = Harness::with_inventory(dormitory(PROPERTY, 4)).await?;
    let (booking, _) = harness.book("a", 30).await?;
    // Several workers that all believe they own the partition, as during a handover.
    let workers: Vec<Confirmations> = (0..4).map(|_| harness.worker(clock::system)).collect();
    // Each to another number of nights: a modification that changes nothing succeeds without a revision.
    let attempts = (0..24_u32).map(|number| {
        let (worker, booking) = (&workers[number as usize % workers.len()], &booking);
        async move {
            deliver(worker, &[(Uuid::new_v4(), modifies(booking, u64::from(3 + number), Some(1 + number / 4)))]).await
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
    let stored = harness.stored(booking.id).await?;
    assert!(won >= 1 && stored.rev == 1 + won, "{won} modifications succeeded, and there are {} revisions", stored.rev);
    assert_eq!(harness.violations().await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn block_racing_with_bookings_never_overlaps() -> Result<()> {
    let harness = Harness::with_inventory(dormitory(PROPERTY, 2)).await?;
    for round in 0..10_u64 {
        let days = 10 + 3 * round;
        let (one, two) = (harness.worker(clock::system), harness.worker(clock::system));
        let keys: Vec<String> = (0..3).map(|number| format!("{round}-{number}")).collect();
        let guests: Vec<_> = keys
            .iter()
            .map(|key| booking_request(key, days_from_now(days), days_from_now(days + 2)))
            .map(|(id, request)| (id.request_command_id(), request))
            .collect();
        let block = BlockId::derive("tests", &round.to_string());
        let blocked = [(Uuid::new_v4(), blocks(block, "r-1", days, days + 2))];
        let (first, second) = tokio::join!(deliver(&one, &guests), deliver(&two, &blocked));
        first?;
        second?;
    }
    assert_eq!(harness.violations().await?, Vec::<String>::new());
    Ok(())
}
