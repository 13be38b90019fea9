//! Checked-in guests in the real store: their bed, the bed that they leave, and workers that know neither yet.

use crate::harness::{Delivered, Harness, booking_request, deliver, header};
use anyhow::{Context, Result};
use chrono::{Days, NaiveDate};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::business_day::business_date;
use pvt_domain::events::BookingEvent;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::Cleanliness;
use pvt_domain::messages::{
    AssignBeds, Assignment, BookingCommand, CheckInBooking, ModifyBooking, RefusalCode, ReplyOutcome, StayModification,
};
use pvt_testkit::dormitory;
use pvt_workers::clock;
use uuid::Uuid;

const PROPERTY: &str = "pvt-montreal";

fn check_in(id: BookingId) -> BookingCommand {
    BookingCommand::CheckIn(CheckInBooking { header: header(id), stays: Vec::new() })
}

fn until(booking: &Booking, departure: NaiveDate) -> BookingCommand {
    let mut stay = booking.stays[0].as_request();
    stay.departure = departure;
    BookingCommand::Modify(Box::new(ModifyBooking {
        header: header(booking.id),
        stays: Some(vec![StayModification { stay, continues: Some(0), beds: None }]),
        rate_plan_id: None,
        guest: None,
        reprice: true,
        quote: None,
        override_restrictions: false,
        waive_change_fees: false,
    }))
}

fn into_bed(id: BookingId, bed: &str) -> BookingCommand {
    let assignment = Assignment { stay: Some(0), id: None, beds: Some(vec![bed.into()]), from: None, locked: None };
    BookingCommand::Assign(AssignBeds { header: header(id), assignments: vec![assignment] })
}

async fn run(harness: &Harness, command: BookingCommand) -> Result<Delivered> {
    Ok(harness.decide_all(&[(Uuid::new_v4(), command)]).await?.remove(0))
}

#[tokio::test]
async fn bed_of_a_guest_is_kept_and_the_one_left_is_marked() -> Result<()> {
    let inventory = dormitory(PROPERTY, 3);
    let today = business_date(&inventory.property, clock::system());
    let day = |number: u64| today + Days::new(number);
    let harness = Harness::with_inventory(inventory).await?;
    // Caches the property as it is before anything is marked.
    let other = harness.worker(clock::system);
    let (first, request) = booking_request("first", day(20), day(21));
    deliver(&other, &[(first.request_command_id(), request)]).await?;

    let x = harness.book_bed("x", day(0), day(1), "r-1", false).await?;
    assert_eq!(run(&harness, check_in(x.id)).await?.reply.outcome, ReplyOutcome::Decided);
    let y = harness.book_bed("y", day(1), day(3), "r-1", false).await?;
    let longer = run(&harness, until(&x, day(2))).await?;
    assert_eq!((longer.reply.outcome, longer.events.len()), (ReplyOutcome::Decided, 2), "Y gives way");
    assert_eq!(harness.stored(x.id).await?.stays[0].assigned_beds, ["r-1".into()]);
    assert_ne!(harness.stored(y.id).await?.stays[0].assigned_beds, ["r-1".into()]);

    let moved = run(&harness, into_bed(x.id, "r-3")).await?;
    let event = moved.events.first().context("an event")?;
    let event = BookingEvent::decode(&event.envelope.kind, &event.body)?;
    assert_eq!((event.status, event.bed_moves.len(), event.bed_moves[0].from), (Status::CheckedIn, 1, day(0)));
    let stored = harness.mongo.inventories().find(&PROPERTY.into()).await?.context("the property")?;
    assert_eq!(stored.rooms[0].state_of(&"r-1".into()).cleanliness, Cleanliness::Dirty);
    assert_eq!(stored.rev, 1);

    let walk_in = harness.book_bed("walk-in", day(0), day(1), "r-1", false).await?;
    let refused = deliver(&other, &[(Uuid::new_v4(), check_in(walk_in.id))]).await?.remove(0);
    assert_eq!(
        refused.reply.detail.map(|why| why.code),
        Some(RefusalCode::BedNotClean),
        "a worker with an older cache"
    );
    assert_eq!(harness.violations().await?, Vec::<String>::new());
    Ok(())
}
