//! What a search calls bookable is exactly what is confirmed when it is asked for.

use super::house::{House, asks, status};
use super::random::{inventory, steps, take, wish};
use crate::availability::{Holding, Occupancy};
use crate::block::BlockStatus;
use crate::booking::Status;
use crate::view::PropertyView;
use proptest::prelude::*;
use std::sync::Arc;

/// What a search knows of the house: its bookings and blocks, heard in any order.
fn occupancy(house: &House) -> Occupancy {
    let mut occupancy = Occupancy::new(PropertyView::new(Arc::clone(&house.inventory()), house.view().origin()));
    for booking in house.bookings.values() {
        occupancy.hold(Holding {
            booking_id: booking.id,
            rev: booking.rev,
            status: booking.status,
            stays: &booking.stays,
        });
    }
    for block in house.blocks.values().filter(|block| block.status == BlockStatus::Active) {
        occupancy.block(&block.bed_ids, block.nights());
    }
    occupancy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn bookable_is_what_is_confirmed(
        dorms in (1_usize..4, 0_usize..3),
        rooms in prop::collection::vec(1_usize..4, 1..4),
        broken in any::<bool>(),
        steps in steps(),
        wishes in prop::collection::vec((any::<bool>(), 0_u64..8, 1_u64..5, 1_u32..4), 1..6),
    ) {
        let mut house = House::of(inventory(dorms, &rooms, broken));
        let mut asked = 0;
        for (number, step) in steps.into_iter().enumerate() {
            take(&mut house, step, number, &mut asked)?;
        }
        let occupancy = occupancy(&house);
        let beds = house.inventory().rooms.iter().map(|room| room.beds.len()).sum::<usize>();
        prop_assert!((0..beds).all(|bed| occupancy.view().row(bed) == house.view().row(bed)),
            "the same nights are taken");
        for (number, (private, offset, nights, guests)) in wishes.into_iter().enumerate() {
            let wish = wish(private, offset, nights, guests);
            let found = occupancy.find(&wish, wish.arrival);
            let verdict = house.settle(&[asks(&format!("wish-{number}"), vec![wish])]).verdicts.remove(0);
            prop_assert_eq!(status(&verdict) == Some(Status::Confirmed), found.is_bookable(), "{:?}", found.vacancy);
        }
    }
}
