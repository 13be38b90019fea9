//! Steps of a plan in words: the beds and the first night, beds to be cleaned, and bookings in the way.

use chrono::NaiveDate;
use pvt_domain::booking::{Booking, RefusalCause, Status};
use pvt_domain::decide::{KnownBeds, MovePlan, MoveStep};
use pvt_domain::ids::{BedId, BookingId};
use pvt_domain::inventory::Cleanliness;
use pvt_domain::messages::{RefusalCode, RefusalDetail};

const OUTDATED: &str =
    "The guests do not lie in that bed any more, or the booking cannot be changed as it is. Open the chart again.";

/// A step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StepView {
    pub(super) booking_id: String,
    pub(super) guest: String,
    pub(super) what: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) refusal: Option<String>,
    /// Bookings in the way, with the names of their guests.
    pub(super) in_the_way: Vec<(String, String)>,
    /// What became of it.
    pub(super) outcome: Option<String>,
}

impl StepView {
    /// All steps of a plan.
    pub(super) fn of_plan(known: &KnownBeds, plan: &MovePlan, today: NaiveDate) -> Vec<Self> {
        plan.steps.iter().map(|step| Self::of(known, step, today)).collect()
    }

    fn of(known: &KnownBeds, step: &MoveStep, today: NaiveDate) -> Self {
        let booking = known.bookings.get(&step.booking_id);
        let detour = if step.is_detour { " for the time being, so that the bed is free for the next step" } else { "" };
        let what = booking.map_or_else(Vec::new, |booking| what(booking, step, today));
        Self {
            booking_id: step.booking_id.to_string(),
            guest: named_in(known, step.booking_id),
            what: what.into_iter().map(|line| format!("{line}{detour}")).collect(),
            warnings: booking.map_or_else(Vec::new, |booking| warnings(known, booking, step)),
            refusal: step.outcome.is_err().then(|| refusal(step.refusal())),
            in_the_way: in_the_way(known, step),
            outcome: None,
        }
    }
}

/// The name of a booking's guest with its reference.
pub(super) fn named(booking: &Booking) -> String {
    format!("{} ({})", booking.guest.full_name(), booking.reference)
}

fn named_in(known: &KnownBeds, id: BookingId) -> String {
    known.bookings.get(&id).map_or_else(|| "A booking that is not known here".to_owned(), named)
}

fn listed(beds: &[BedId]) -> String {
    beds.iter().map(BedId::as_str).collect::<Vec<_>>().join(", ")
}

/// From which beds to which, from which night on.
fn what(booking: &Booking, step: &MoveStep, today: NaiveDate) -> Vec<String> {
    let line = |assignment: &pvt_domain::messages::Assignment| {
        let stay = booking.stays.get(booking.index_of_stay(assignment.id?)?)?;
        let changes = step.entry().and_then(|entry| entry.changes.as_deref());
        let change = changes.and_then(|changes| {
            let index = booking.index_of_stay(assignment.id?)?;
            changes.stays.iter().find(|change| change.index == index)
        });
        let before = change.and_then(|change| change.before.as_ref()).unwrap_or(stay);
        let in_house = booking.status == Status::CheckedIn;
        let first = if in_house { stay.arrival.max(today) } else { stay.arrival };
        let first = assignment.from.unwrap_or(first);
        let beds = assignment.beds.as_deref().unwrap_or_default();
        Some(format!("{} → {}, from the night of {first}", listed(&before.assigned_beds), listed(beds)))
    };
    step.assignments.iter().filter_map(line).collect()
}

/// Beds that are not clean, and those that become dirty.
fn warnings(known: &KnownBeds, booking: &Booking, step: &MoveStep) -> Vec<String> {
    let entered = step.assignments.iter().flat_map(|one| one.beds.iter().flatten());
    let is_dirty = |bed: &&BedId| known.inventory().cleanliness_of(bed) == Some(Cleanliness::Dirty);
    let is_own = |bed: &&BedId| booking.stays.iter().any(|stay| stay.assigned_beds.contains(bed));
    let dirty = entered
        .filter(is_dirty)
        .filter(|bed| !is_own(bed))
        .map(|bed| format!("Bed {bed} is to be cleaned before the guests can lie in it."));
    let left = step.entry().into_iter().flat_map(|entry| &entry.bed_moves);
    let left = left.map(|one| format!("{} become dirty, to be cleaned once they are left.", listed(&one.left)));
    dirty.chain(left).collect()
}

fn in_the_way(known: &KnownBeds, step: &MoveStep) -> Vec<(String, String)> {
    let bookings = step.refusal().map_or(&[][..], |why| why.bookings.as_slice());
    bookings.iter().map(|id| (id.to_string(), named_in(known, *id))).collect()
}

/// Why a step cannot be made.
fn refusal(why: Option<&RefusalDetail>) -> String {
    let Some(why) = why else { return OUTDATED.to_owned() };
    let advice = match why.code {
        RefusalCode::BedTaken if why.bookings.is_empty() => "A block is in the way: lift it, or choose another bed.",
        RefusalCode::BedTaken => "The bed is taken on some of these nights: choose another one, or move who has it.",
        RefusalCode::BedUnfit => {
            "The bed does not fit: it is of another room type, out of service, or not as many as the guests need."
        }
        RefusalCode::BedNotClean => "The bed is to be cleaned first.",
        RefusalCode::BedOccupied => "A guest who has not checked out lies in the bed.",
        RefusalCode::InvalidDates => "The guests cannot move on that night: choose one of their stay, from today on.",
        RefusalCode::UnknownStay => "The booking has no such stay any more.",
        _ => OUTDATED,
    };
    format!("{advice}{}", clean_beds(&why.cause))
}

fn clean_beds(cause: &RefusalCause) -> String {
    let clean: Vec<&str> = cause.dirty_beds.iter().flat_map(|dirty| &dirty.clean).map(BedId::as_str).collect();
    if clean.is_empty() { String::new() } else { format!(" Clean and free: {}.", clean.join(", ")) }
}
