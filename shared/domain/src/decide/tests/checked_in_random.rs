//! Property test: whatever is changed, the front desk sees checked-in guests lie where they lay, unless staff
//! named another bed; and no change is refused that could be made by letting others give way, or by moving later.

use super::property::{TestProperty, cancellation, id, status};
use crate::booking::{Booking, Status, StayRequest};
use crate::decide::{Decision, Owner};
use crate::fixtures::{date, sample_inventory};
use crate::ids::{BedId, BookingId};
use crate::inventory::{Cleanliness, Inventory};
use crate::messages::*;
use chrono::{Days, NaiveDate};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DORM: &str = "dorm-6-mixed";
const FIRST_DAY: &str = "2026-12-01";

#[derive(Debug, Clone)]
enum Step {
    Ask {
        offset: u64,
        nights: u64,
        guests: u32,
    },
    CheckIn(prop::sample::Index),
    /// Ends so many nights after today.
    Change {
        which: prop::sample::Index,
        nights: u64,
        guests: Option<u32>,
    },
    Split {
        which: prop::sample::Index,
        nights: u64,
    },
    Assign {
        which: prop::sample::Index,
        bed: prop::sample::Index,
        later: Option<u64>,
        locked: Option<bool>,
    },
    CheckOut(prop::sample::Index),
    NoShow(prop::sample::Index),
    Reinstate(prop::sample::Index),
    Cancel(prop::sample::Index),
    Clean,
    NextDay,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let later = || prop::option::of(0_u64..3);
    let step = prop_oneof![
        6 => (0_u64..5, 1_u64..5, 1_u32..3).prop_map(|(offset, nights, guests)| Step::Ask { offset, nights, guests }),
        6 => index().prop_map(Step::CheckIn),
        6 => (index(), 0_u64..6, prop::option::weighted(0.2, 1_u32..3)).prop_map(|(which, nights, guests)|
            Step::Change { which, nights, guests }),
        1 => (index(), 1_u64..4).prop_map(|(which, nights)| Step::Split { which, nights }),
        3 => (index(), index(), later(), prop::option::of(any::<bool>())).prop_map(|(which, bed, later, locked)|
            Step::Assign { which, bed, later, locked }),
        1 => index().prop_map(Step::CheckOut),
        1 => index().prop_map(Step::NoShow),
        1 => index().prop_map(Step::Reinstate),
        1 => index().prop_map(Step::Cancel),
        1 => Just(Step::Clean),
        2 => Just(Step::NextDay),
    ];
    prop::collection::vec(step, 1..40)
}

fn dorm(beds: usize) -> Inventory {
    let mut inventory = sample_inventory();
    inventory.rooms.truncate(1);
    inventory.rooms[0].beds.truncate(beds);
    inventory
}

/// A property on a business day, with the keys of its bookings.
struct Simulation {
    property: TestProperty,
    today: NaiveDate,
    asked: usize,
    commands: u128,
}

/// Who lies where on a night, as the front desk sees it: the claims of bookings whose guests have checked in.
type Lying = BTreeMap<BookingId, BTreeSet<BedId>>;

impl Simulation {
    fn key(&self, which: prop::sample::Index) -> String {
        which.index(self.asked).to_string()
    }

    fn on(&self, day: NaiveDate) -> Lying {
        let mut lying = Lying::new();
        for claim in self.property.claims.iter().filter(|claim| claim.night == day) {
            if let Owner::Booking(id) = claim.owner
                && self.property.bookings[&id].status == Status::CheckedIn
            {
                lying.entry(id).or_default().insert(claim.bed_id.clone());
            }
        }
        lying
    }

    /// Who lies where tonight; until they check out, guests who depart today lie where they slept.
    fn lying(&self) -> Lying {
        let mut lying = self.on(self.today - Days::new(1));
        let departs = |id: &BookingId| self.property.bookings[id].stays.iter().all(|stay| stay.departure <= self.today);
        lying.retain(|id, _| departs(id));
        lying.extend(self.on(self.today));
        lying
    }

    fn header(&self, key: &str) -> CommandHeader {
        CommandHeader { reason: Some("because".to_owned()), as_admin: true, ..self.property.header(key) }
    }

    fn is_dirty(&self, bed: &BedId) -> bool {
        let inventory = self.property.inventory();
        inventory.room_of(bed).unwrap().state_of(bed).cleanliness == Cleanliness::Dirty
    }

    /// Whether the stay can end on `departure` with tonight's beds kept, on all nights or until one of them, and every
    /// stay that is not pinned in any bed.
    fn fits(&self, booking: &Booking, departure: NaiveDate, guests: usize) -> bool {
        let lying: Vec<BedId> = self.lying()[&booking.id].iter().cloned().collect();
        let beds = self.property.inventory().rooms[0].beds.clone();
        let number = |bed: &BedId| beds.iter().position(|own| own == bed).unwrap();
        let first_cut = self.today + Days::new(1);
        first_cut.iter_days().take_while(|cut| *cut <= departure).any(|cut| {
            let mut taken: Vec<BTreeSet<NaiveDate>> = vec![BTreeSet::new(); beds.len()];
            let mut items: Vec<(NaiveDate, NaiveDate)> = vec![(cut, departure); guests];
            items.retain(|(arrival, departure)| arrival < departure);
            for other in
                self.property.bookings.values().filter(|other| other.id != booking.id && other.status.holds_beds())
            {
                for one in &other.stays {
                    if matches!(other.status, Status::Held | Status::Confirmed)
                        && !one.locked
                        && one.earlier_beds.is_empty()
                    {
                        items.extend(vec![(one.arrival, one.departure); one.guests as usize]);
                    } else {
                        for (bed, night) in one.bed_nights() {
                            taken[number(bed)].insert(night);
                        }
                    }
                }
            }
            let kept = self.today.iter_days().take_while(|night| *night < cut);
            let kept: Vec<NaiveDate> = kept.collect();
            let free = lying.iter().all(|bed| kept.iter().all(|night| taken[number(bed)].insert(*night)));
            items.sort_unstable();
            free && seat(&items, &mut taken)
        })
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let before = self.lying();
        let mut subject = None;
        match step {
            Step::Ask { offset, nights, guests } => {
                let arrival = self.today + Days::new(*offset);
                let request = StayRequest::new(DORM, arrival, arrival + Days::new(*nights), *guests);
                self.property.book(&self.asked.to_string(), vec![request]);
                self.asked += 1;
            }
            Step::NextDay => {
                self.today = self.today + Days::new(1);
                self.property.at_check_in(&self.today.to_string());
                return Ok(());
            }
            Step::Clean => {
                self.property.clean();
            }
            _ if self.asked == 0 => {}
            Step::CheckIn(which) => {
                let key = self.key(*which);
                if status(&self.property.check_in(&key)) == Some(Status::CheckedIn) {
                    let booking = self.property.booking(&key);
                    let beds: BTreeSet<&BedId> =
                        booking.stays.iter().flat_map(|stay| stay.beds_on(self.today)).collect();
                    let asleep: BTreeSet<&BedId> =
                        before.iter().filter(|(id, _)| **id != booking.id).flat_map(|(_, beds)| beds).collect();
                    prop_assert!(beds.is_disjoint(&asleep), "another guest sleeps there");
                    prop_assert!(!beds.iter().any(|bed| self.is_dirty(bed)));
                }
                subject = Some(id(&key));
            }
            Step::Change { which, nights, guests } => self.change(&self.key(*which), *nights, *guests, &before)?,
            Step::Split { which, nights } => self.split(&self.key(*which), *nights)?,
            Step::Assign { which, bed, later, locked } => {
                let key = self.key(*which);
                self.assign(&key, *bed, *later, *locked, &before)?;
                subject = Some(id(&key));
            }
            Step::CheckOut(which) => {
                let (key, header) = (self.key(*which), self.header(&self.key(*which)));
                self.property.one(BookingCommand::CheckOut(CheckOutBooking {
                    header,
                    allow_open_balance: true,
                    reprice: true,
                    stays: Vec::new(),
                }));
                subject = Some(id(&key));
            }
            Step::NoShow(which) => {
                let header = self.header(&self.key(*which));
                self.property.one(BookingCommand::NoShow(MarkNoShow { header, stays: Vec::new() }));
            }
            Step::Reinstate(which) => {
                let (key, header) = (self.key(*which), self.header(&self.key(*which)));
                self.property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: Vec::new() }));
                subject = Some(id(&key));
            }
            Step::Cancel(which) => {
                self.commands += 1;
                let command = cancellation(&self.key(*which), self.commands);
                self.property.run(&[command]);
            }
        }
        let after = self.lying();
        for (booking, beds) in before.iter().filter(|(booking, _)| Some(**booking) != subject) {
            // Fewer or more guests may lie there than before; none of them somewhere else.
            let now = after.get(booking).cloned().unwrap_or_default();
            prop_assert!(now.is_subset(beds) || beds.is_subset(&now), "{beds:?} became {now:?}");
        }
        Ok(())
    }

    /// Ends the first stay so many nights after today.
    fn change(&mut self, key: &str, nights: u64, guests: Option<u32>, before: &Lying) -> Result<(), TestCaseError> {
        let booking = self.property.booking(key).clone();
        if booking.status != Status::CheckedIn || booking.stays.len() > 1 {
            return Ok(());
        }
        let mut request = booking.stays[0].as_request();
        request.departure = (self.today + Days::new(nights)).max(request.arrival + Days::new(1));
        request.guests = guests.unwrap_or(request.guests);
        // As many as before, and as many as slept there: of two guests one may have left this morning.
        let is_same = request.guests == booking.stays[0].guests
            && before.get(&booking.id).is_some_and(|beds| beds.len() == request.guests as usize);
        let judged = is_same && !booking.stays[0].locked && booking.stays[0].departure >= self.today;
        let expected = judged.then(|| self.fits(&booking, request.departure, request.guests as usize));
        let departure = request.departure;
        let decision = self.property.modify(key, vec![request]);
        if let Some(expected) = expected.filter(|_| self.today < departure) {
            prop_assert_eq!(status(&decision).is_some(), expected, "{:?}", decision);
        }
        // A change that changes nothing answers with the moves of the revision before.
        if let Decision::Decided(event) = &decision
            && event.rev > booking.rev
        {
            if is_same && self.today < departure {
                prop_assert_eq!(&self.lying()[&booking.id], &before[&booking.id]);
            }
            prop_assert!(event.bed_moves.iter().all(|one| self.today < one.from), "staff named no bed for tonight");
            let stay = &self.property.booking(key).stays[0];
            for one in &event.bed_moves {
                let night = one.from - Days::new(1);
                prop_assert!(one.beds.iter().all(|bed| stay.beds_on(one.from).contains(bed)));
                prop_assert!(one.left.iter().all(|bed| night < self.today || stay.beds_on(night).contains(bed)));
                prop_assert!(one.left.iter().all(|bed| self.is_dirty(bed)));
            }
        }
        Ok(())
    }

    /// Ends the first stay today and adds one from today on.
    fn split(&mut self, key: &str, nights: u64) -> Result<(), TestCaseError> {
        let booking = self.property.booking(key).clone();
        let [stay] = booking.stays.as_slice() else { return Ok(()) };
        if booking.status != Status::CheckedIn || stay.arrival >= self.today || stay.departure <= self.today {
            return Ok(());
        }
        let before = self.on(self.today);
        let first = StayRequest { departure: self.today, ..stay.as_request() };
        let rest = StayRequest { arrival: self.today, departure: self.today + Days::new(nights), ..stay.as_request() };
        if status(&self.property.modify(key, vec![first, rest])).is_some() {
            prop_assert_eq!(&self.on(self.today)[&booking.id], &before[&booking.id]);
        }
        Ok(())
    }

    fn assign(
        &mut self,
        key: &str,
        bed: prop::sample::Index,
        later: Option<u64>,
        locked: Option<bool>,
        before: &Lying,
    ) -> Result<(), TestCaseError> {
        let booking = self.property.booking(key).clone();
        let all = self.property.inventory().rooms[0].beds.clone();
        let guests = booking.stays[0].guests as usize;
        let beds: Vec<BedId> = all.iter().cycle().skip(bed.index(all.len())).take(guests).cloned().collect();
        let from = later.map(|nights| self.today + Days::new(nights));
        let assignment = Assignment { stay: Some(0), id: None, beds: Some(beds.clone()), from, locked };
        let header = self.header(key);
        let decision = self.property.one(BookingCommand::Assign(AssignBeds { header, assignments: vec![assignment] }));
        let Some(lying) = before.get(&booking.id).filter(|_| booking.stays.len() == 1) else { return Ok(()) };
        let is_tonight = from.is_none_or(|from| from == self.today);
        let named: BTreeSet<BedId> = beds.into_iter().collect();
        let expected = if is_tonight && matches!(decision, Decision::Decided(_)) { &named } else { lying };
        prop_assert_eq!(&self.lying()[&booking.id], expected);
        if let Decision::Decided(event) = &decision {
            let says_so = event.bed_moves.iter().any(|one| one.from == self.today);
            prop_assert_eq!(says_so, lying != expected, "a move tonight is reported");
            for bed in lying.difference(expected) {
                prop_assert!(self.is_dirty(bed), "the bed that was left is dirty");
            }
            prop_assert!(!expected.difference(lying).any(|bed| self.is_dirty(bed)), "into a clean bed");
        }
        Ok(())
    }
}

fn seat(items: &[(NaiveDate, NaiveDate)], taken: &mut Vec<BTreeSet<NaiveDate>>) -> bool {
    let Some(((arrival, departure), rest)) = items.split_first() else { return true };
    let nights: Vec<NaiveDate> = arrival.iter_days().take_while(|night| night < departure).collect();
    (0..taken.len()).any(|bed| {
        if nights.iter().any(|night| taken[bed].contains(night)) {
            return false;
        }
        taken[bed].extend(&nights);
        let found = seat(rest, taken);
        taken[bed].retain(|night| !nights.contains(night));
        found
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn checked_in_guests_lie_where_they_lay(beds in 1_usize..5, steps in steps()) {
        let mut simulation = Simulation {
            property: TestProperty::of(dorm(beds)),
            today: date(FIRST_DAY),
            asked: 0,
            commands: 0,
        };
        simulation.property.at_check_in(FIRST_DAY);
        for step in &steps {
            simulation.run(step)?;
        }
    }
}
