//! Beds that bookings and blocks have on the nights of a booking that are ahead.

use super::Surroundings;
use crate::app::App;
use crate::failure::Failure;
use crate::store;
use pvt_domain::block::Block;
use pvt_domain::booking::Stay;
use pvt_domain::ids::BedId;
use pvt_domain::inventory::BedState;
use pvt_domain::nights::Nights;
use pvt_stores::StoreError;
use pvt_stores::mongo::occupancy::Occupant;
use std::collections::HashSet;

/// What has beds on these nights, the booking itself among them.
#[derive(Debug, Default)]
pub(crate) struct TakenBeds {
    occupants: Vec<Occupant>,
    blocks: Vec<Block>,
}

impl TakenBeds {
    /// Reads them. In a large property that is as much as a chart, so they are read in turn with these.
    ///
    /// # Errors
    /// As [`store::read_in_turn`].
    pub(crate) async fn read(app: &App, around: &Surroundings) -> Result<Self, Failure> {
        let stays = || around.booking.stays.iter();
        let first = stays().map(|stay| stay.arrival).min().unwrap_or(around.today).max(around.today);
        let end = stays().map(|stay| stay.departure).max().unwrap_or(around.today);
        if end <= first {
            return Ok(Self::default());
        }
        let (mongo, property, nights) =
            (app.mongo.clone(), around.booking.property_id.clone(), Nights::new(first, end));
        let read = async move {
            let occupants = mongo.occupancy().occupants(&property, nights).await?;
            let blocks = mongo.occupancy().blocks_within(&property, nights).await?;
            Ok::<_, StoreError>(Self { occupants, blocks })
        };
        store::read_in_turn(app, &app.charts, read).await
    }

    /// Beds that something has on any of these nights.
    pub(crate) fn on(&self, nights: Nights) -> HashSet<&BedId> {
        let is_within = |night: chrono::NaiveDate| nights.arrival <= night && night < nights.departure;
        let stays = self.occupants.iter().flat_map(|one| one.stays.iter().chain(one.pending_stays()));
        let taken = stays.flat_map(Stay::bed_nights).filter(|(_, night)| is_within(*night)).map(|(bed, _)| bed);
        let meets = |block: &&Block| block.from < nights.departure && nights.arrival < block.until;
        taken.chain(self.blocks.iter().filter(meets).flat_map(|block| &block.bed_ids)).collect()
    }

    /// Clean beds of a stay's room type that are free on its nights from today on, apart from its own.
    pub(super) fn free_beds(&self, around: &Surroundings, stay: &Stay) -> Vec<BedId> {
        let taken = self.on(Nights::new(stay.arrival.max(around.today), stay.departure));
        let rooms = around.inventory.rooms_of(&stay.room_type_id);
        let beds = rooms.flat_map(|room| room.beds.iter().map(move |bed| (bed, room.state_of(bed))));
        let ready = beds.filter(|(_, state)| *state == BedState::default());
        ready.map(|(bed, _)| bed).filter(|bed| !taken.contains(bed)).cloned().collect()
    }
}
