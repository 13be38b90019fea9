//! Property test: a stay is bookable in a search exactly when its request is confirmed.

use super::property::{TestProperty, booking_request, status};
use super::random::{inventory, stay_request, steps, take};
use crate::availability::{Holding, Occupancy};
use crate::block::BlockStatus;
use crate::booking::Status;
use crate::grid::OccupancyGrid;
use proptest::prelude::*;
use std::sync::Arc;

/// The occupancy that a search has: bookings and blocks, observed in any order.
fn occupancy(property: &TestProperty) -> Occupancy {
    let mut occupancy = Occupancy::new(OccupancyGrid::new(Arc::clone(&property.inventory()), property.grid().origin()));
    for booking in property.bookings.values() {
        occupancy.hold(Holding {
            booking_id: booking.id,
            rev: booking.rev,
            status: booking.status,
            stays: &booking.stays,
            pending: booking.pending_change.as_ref().map_or(&[], |pending| &pending.stays),
        });
    }
    for block in property.blocks.values().filter(|block| block.status == BlockStatus::Active) {
        occupancy.block(&block.bed_ids, block.nights());
    }
    occupancy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn bookable_stays_are_confirmed(
        dorms in (1_usize..4, 0_usize..3),
        rooms in prop::collection::vec(1_usize..4, 1..4),
        broken in any::<bool>(),
        steps in steps(),
        stay_requests in prop::collection::vec((any::<bool>(), 0_u64..8, 1_u64..5, 1_u32..4), 1..6),
    ) {
        let mut property = TestProperty::of(inventory(dorms, &rooms, broken));
        let mut requested = 0;
        for (number, step) in steps.into_iter().enumerate() {
            take(&mut property, step, number, &mut requested)?;
        }
        let occupancy = occupancy(&property);
        let beds = property.inventory().rooms.iter().map(|room| room.beds.len()).sum::<usize>();
        prop_assert!((0..beds).all(|bed| occupancy.grid().row(bed) == property.grid().row(bed)),
            "the same nights are taken");
        for (number, (private, offset, nights, guests)) in stay_requests.into_iter().enumerate() {
            let stay_request = stay_request(private, offset, nights, guests);
            let found = occupancy.search(&stay_request, stay_request.arrival);
            let command = booking_request(&format!("request-{number}"), vec![stay_request]);
            let decision = property.decide_until_known(&[command]).decisions.remove(0);
            prop_assert_eq!(status(&decision) == Some(Status::Confirmed), found.is_bookable(), "{:?}", found.vacancy);
        }
    }
}
