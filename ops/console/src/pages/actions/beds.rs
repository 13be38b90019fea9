//! Beds that guests of a stay could lie in: which are taken on its nights, and which are ready.

use super::Surroundings;
use crate::app::App;
use crate::failure::Failure;
use crate::store;
use chrono::NaiveDate;
use pvt_domain::block::Block;
use pvt_domain::booking::{Status, Stay};
use pvt_domain::ids::{BedId, RoomTypeId};
use pvt_domain::inventory::{BedService, BedState, Cleanliness, Room};
use pvt_domain::nights::Nights;
use pvt_stores::StoreError;
use pvt_stores::mongo::occupancy::Occupant;
use std::collections::{BTreeSet, HashMap};

/// The nights on which bookings and blocks have each bed, the booking itself among them, as far as it is concerned.
#[derive(Debug, Default)]
pub(crate) struct TakenBeds(HashMap<BedId, BTreeSet<NaiveDate>>);

/// A bed for the nights of a stay.
pub(crate) struct BedChoice<'a> {
    pub(crate) room: &'a Room,
    pub(crate) bed: &'a BedId,
    /// Whether something has it on any of these nights.
    pub(crate) is_taken: bool,
    state: BedState,
}

impl BedChoice<'_> {
    /// Whether guests can lie in it now.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_taken && self.state == BedState::default()
    }

    /// What speaks against it; `free` when nothing does.
    pub(crate) fn notes(&self) -> String {
        let notes = [
            self.is_taken.then_some("taken"),
            (self.state.cleanliness == Cleanliness::Dirty).then_some("to be cleaned"),
            (self.state.service == BedService::OutOfService).then_some("out of service"),
        ];
        let notes: Vec<&str> = notes.into_iter().flatten().collect();
        if notes.is_empty() { "free".to_owned() } else { notes.join(", ") }
    }
}

impl TakenBeds {
    /// Reads them. In a large property that is as much as a chart, so they are read in turn, and nothing of it is kept
    /// but the nights.
    ///
    /// # Errors
    /// As [`store::read_in_turn`].
    pub(crate) async fn read(app: &App, around: &Surroundings) -> Result<Self, Failure> {
        let nights = || around.booking.stays.iter().map(|stay| around.nights_ahead(stay));
        let first = nights().map(|nights| nights.arrival).min().unwrap_or(around.today);
        let end = nights().map(|nights| nights.departure).max().unwrap_or(around.today);
        if end <= first {
            return Ok(Self::default());
        }
        let (mongo, property, nights) =
            (app.mongo.clone(), around.booking.property_id.clone(), Nights::new(first, end));
        let read = async move {
            let occupants = mongo.occupancy().occupants(&property, nights).await?;
            let blocks = mongo.occupancy().blocks_within(&property, nights).await?;
            Ok::<_, StoreError>(Self::of(&occupants, &blocks, nights))
        };
        store::read_in_turn(app, &app.desks, read).await
    }

    fn of(occupants: &[Occupant], blocks: &[Block], nights: Nights) -> Self {
        let mut taken: HashMap<BedId, BTreeSet<NaiveDate>> = HashMap::new();
        let mut take = |bed: &BedId, night: NaiveDate| {
            if nights.arrival <= night && night < nights.departure {
                taken.entry(bed.clone()).or_default().insert(night);
            }
        };
        let stays = occupants.iter().flat_map(|one| one.stays.iter().chain(one.pending_stays()));
        stays.flat_map(Stay::bed_nights).for_each(|(bed, night)| take(bed, night));
        for block in blocks {
            let blocked = Nights::new(block.from.max(nights.arrival), block.until.min(nights.departure));
            block.bed_ids.iter().for_each(|bed| blocked.iter().for_each(|night| take(bed, night)));
        }
        Self(taken)
    }

    /// The beds of a room type for a stay. Those of the stay itself are taken.
    pub(crate) fn choices<'a>(
        &self,
        around: &'a Surroundings,
        stay: &Stay,
        room_type: &'a RoomTypeId,
    ) -> Vec<BedChoice<'a>> {
        let nights = around.nights_ahead(stay);
        let beds = around.inventory.rooms_of(room_type);
        let beds = beds.flat_map(|room| room.beds.iter().map(move |bed| (room, bed)));
        let choice = |(room, bed): (&'a Room, &'a BedId)| {
            let next = self.0.get(bed).and_then(|taken| taken.range(nights.arrival..).next());
            let is_taken = next.is_some_and(|night| *night < nights.departure);
            BedChoice { room, bed, is_taken, state: room.state_of(bed) }
        };
        beds.map(choice).collect()
    }
}

impl Surroundings {
    /// The nights for which a decision asks for beds: all of a stay until guests of the booking are in house, and those
    /// from today on afterwards.
    fn nights_ahead(&self, stay: &Stay) -> Nights {
        let is_in_house = self.booking.status == Status::CheckedIn;
        let first = if is_in_house { stay.arrival.max(self.today) } else { stay.arrival };
        Nights::new(first, stay.departure)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::divided;
    use super::TakenBeds;
    use pvt_domain::booking::Status;
    use pvt_domain::nights::Nights;
    use pvt_stores::mongo::occupancy::Occupant;
    use serde_json::json;

    fn occupant(bed: &str, arrival: &str, departure: &str) -> Occupant {
        serde_json::from_value(json!({
            "_id": uuid::Uuid::from_u128(8), "reference": "PVT-2", "status": "checked_in",
            "guest": { "first_name": "Alan", "last_name": "Turing", "email": "" },
            "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": arrival, "departure": departure, "guests": 1,
                "assigned_beds": [bed] }],
        }))
        .unwrap()
    }

    /// A guest of a day later gets beds of all nights, as a decision asks for them until guests are in house.
    #[test]
    fn beds_are_taken_on_the_nights_of_which_a_decision_asks() {
        let mut around = divided();
        around.today = "2027-01-11".parse().unwrap();
        let nights = Nights::new("2027-01-10".parse().unwrap(), "2027-01-12".parse().unwrap());
        let occupants = [occupant("d6a-1", "2027-01-08", "2027-01-11"), occupant("d6a-2", "2027-01-11", "2027-01-20")];
        let taken = TakenBeds::of(&occupants, &[], nights);
        let stay = around.booking.stays[0].clone();
        let mut found = |status| -> Vec<String> {
            around.booking.status = status;
            let choices = taken.choices(&around, &stay, &stay.room_type_id);
            let taken = choices.iter().filter(|bed| bed.is_taken);
            taken.map(|bed| bed.bed.to_string()).collect()
        };
        assert_eq!(found(Status::CheckedIn), ["d6a-2"]);
        assert_eq!(found(Status::Confirmed), ["d6a-1", "d6a-2"]);
    }
}
