//! Form of a modification, read and applied to the booking as it is: every violation reported at once.

use super::command_forms::{beds, index};
use crate::form::form;
use crate::form::presence::{Presence as _, defaulted, optional, reported_if, required_if};
use crate::form::types::{FieldType, boolean, date, free_text, list, object, one_of, text};
use crate::resources::bookings::form::{email, guests, name, staff_only, youngest_age};
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Guest, PartyGender, Stay, StayRequest};
use pvt_domain::ids::{BedId, RatePlanId, RoomTypeId};
use pvt_domain::intake::{FieldError, MAX_GROUP_STAYS, PartyLimits, check_request};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::StayModification;
use serde_json::json;
use std::collections::HashSet;

form! {
    /// A modification as sent; `WHOLE`: stays and guest must be there with everything.
    pub(crate) struct ModificationForm<const WHOLE: bool> {
        stays: Option<Vec<StayChangeForm<WHOLE>>> = reported_if(WHOLE, stays()).after_missing(if WHOLE {
            &["stays", "guest"]
        } else {
            &[]
        }),
        guest: Option<GuestChangeForm<WHOLE>> = reported_if(WHOLE, object()),
        rate_plan_id: Option<RatePlanId> = optional(text()),
        reprice: Option<bool> = optional(boolean()),
        /// For staff.
        override_restrictions: bool = defaulted(boolean()),
        /// For staff: waives the fees of the guest's earlier changes; needs a reason.
        waive_change_fees: bool = defaulted(boolean()),
        /// Of all stays as they are to be.
        quote: Option<String> = optional(text()),
        reason: Option<String> = required_if(waive_change_fees == Some(true), free_text("invalid_reason")),
        /// Only return what it would cost.
        dry_run: bool = defaulted(boolean()),
    }
    named if WHOLE { "WholeBookingChange" } else { "BookingChange" };
    exempt crate::resources::bookings::form::CARD_CHECK_EXEMPT;
    body assumed;
    example json!({
        "stays": [{ "continues": 0, "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-12",
            "guests": 2 }],
        "guest": { "first_name": "Ada", "last_name": "King", "email": "ada@example.com" },
    });
}

form! {
    /// A stay; what is missing stays as it is in the stay that is continued.
    pub(crate) struct StayChangeForm<const WHOLE: bool> {
        /// The present stay, by its index.
        continues: Option<usize> = optional(index()).after_missing(if WHOLE {
            &["room_type_id", "arrival", "departure", "guests"]
        } else {
            &[]
        }),
        room_type_id: Option<RoomTypeId> = reported_if(WHOLE, text()),
        arrival: Option<NaiveDate> = reported_if(WHOLE, date()),
        departure: Option<NaiveDate> = reported_if(WHOLE, date()),
        guests: Option<u32> = reported_if(WHOLE, guests()),
        gender: Option<PartyGender> = optional(one_of(&PartyGender::ALL)),
        youngest_age: Option<u8> = optional(youngest_age()),
        /// For staff.
        beds: Option<Vec<BedId>> = optional(beds()),
    }
}

form! {
    /// The guest; what is missing stays, unless everything is sent.
    pub(crate) struct GuestChangeForm<const WHOLE: bool> {
        first_name: Option<String> = reported_if(WHOLE, name()).after_missing(if WHOLE {
            &["first_name", "last_name", "email"]
        } else {
            &[]
        }),
        last_name: Option<String> = reported_if(WHOLE, name()),
        email: Option<String> = reported_if(WHOLE, email()),
        phone: Option<String> = optional(text()),
        locale: Option<String> = optional(text()),
    }
}

fn stays<const WHOLE: bool>() -> impl FieldType<Value = Vec<StayChangeForm<WHOLE>>> {
    list(object(), MAX_GROUP_STAYS)
        .counted("stay_count", || format!("send 1 to {MAX_GROUP_STAYS} stays; what is left out is cancelled"))
}

/// A modification that can be decided.
#[derive(Debug)]
pub(crate) struct Modification {
    pub(crate) stays: Option<Vec<StayModification>>,
    pub(crate) guest: Option<Guest>,
    pub(crate) rate_plan_id: Option<RatePlanId>,
    pub(crate) reprice: bool,
    pub(crate) override_restrictions: bool,
    pub(crate) waive_change_fees: bool,
    /// The signed quote, as it came.
    pub(crate) quote: Option<String>,
    pub(crate) reason: Option<String>,
}

impl<const WHOLE: bool> GuestChangeForm<WHOLE> {
    fn apply_to(self, before: &Guest) -> Guest {
        let kept = |before: &Option<String>| if WHOLE { None } else { before.clone() };
        Guest {
            phone: self.phone.or_else(|| kept(&before.phone)),
            locale: self.locale.or_else(|| kept(&before.locale)),
            first_name: self.first_name.unwrap_or_else(|| before.first_name.clone()),
            last_name: self.last_name.unwrap_or_else(|| before.last_name.clone()),
            email: self.email.unwrap_or_else(|| before.email.clone()),
        }
    }
}

impl<const WHOLE: bool> ModificationForm<WHOLE> {
    /// Applies it to the booking and checks it against what the property sells; `today` is the date there.
    ///
    /// # Errors
    /// Every violation, each place once.
    pub(crate) fn validate(
        self,
        booking: &Booking,
        inventory: &Inventory,
        today: NaiveDate,
        by_staff: bool,
    ) -> Result<Modification, Vec<FieldError>> {
        let mut violations = Vec::new();
        let is_empty =
            self.stays.is_none() && self.guest.is_none() && self.rate_plan_id.is_none() && self.reprice.is_none();
        if is_empty && !self.waive_change_fees {
            let advice = "send stays, guest, rate_plan_id, reprice or waive_change_fees";
            violations.push(FieldError::new("", "nothing_to_do", advice));
        }
        if !by_staff {
            let sent = [
                ("/rate_plan_id", self.rate_plan_id.is_some()),
                ("/reprice", self.reprice.is_some()),
                ("/override_restrictions", self.override_restrictions),
                ("/waive_change_fees", self.waive_change_fees),
            ];
            violations.extend(sent.into_iter().filter(|(_, sent)| *sent).map(|(pointer, _)| staff_only(pointer)));
        }
        let stays = self.stays.map(|stays| changes(stays, booking, by_staff, &mut violations));
        let guest = self.guest.map(|guest| guest.apply_to(&booking.guest));
        violations.extend(check(
            booking,
            inventory,
            (stays.as_deref(), guest.as_ref(), self.rate_plan_id.as_ref()),
            today,
            by_staff,
        ));
        if !violations.is_empty() {
            return Err(violations);
        }
        let changed = stays.as_ref().is_some_and(|stays| {
            stays.len() != booking.stays.len() || stays.iter().any(|change| differs(booking, change))
        });
        if self.quote.is_some() && self.reprice == Some(false) {
            return Err(vec![FieldError::new(
                "/quote",
                "not_with_reprice",
                "a quote is a new price; leave out `reprice`",
            )]);
        }
        // A price that was agreed does not fall because today's did.
        if self.quote.is_some() && !changed && !by_staff {
            return Err(vec![FieldError::new(
                "/quote",
                "nothing_to_price",
                "send the stays as they are to be: only what is changed is priced anew",
            )]);
        }
        let reprice = self.reprice.unwrap_or(changed);
        Ok(Modification {
            stays,
            guest,
            rate_plan_id: self.rate_plan_id,
            reprice,
            override_restrictions: self.override_restrictions,
            waive_change_fees: self.waive_change_fees,
            quote: self.quote,
            reason: self.reason,
        })
    }
}

/// Whether the stay is sold differently than before.
fn differs(booking: &Booking, change: &StayModification) -> bool {
    let before = change.continues.and_then(|place| booking.stays.get(place));
    before.is_none_or(|before| before.as_request() != change.stay)
}

/// All stays as they are to be. Unless some say which present stay they continue, each continues the one at its place.
fn changes<const WHOLE: bool>(
    drafts: Vec<StayChangeForm<WHOLE>>,
    booking: &Booking,
    by_staff: bool,
    violations: &mut Vec<FieldError>,
) -> Vec<StayModification> {
    let by_place = drafts.iter().all(|draft| draft.continues.is_none());
    let mut continued = HashSet::new();
    let mut changes = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let place = if by_place { Some(index).filter(|index| *index < booking.stays.len()) } else { draft.continues };
        let before = place.and_then(|place| booking.stays.get(place));
        if place.is_some_and(|place| !continued.insert(place)) || (place.is_some() && before.is_none()) {
            let advice = "names each stay of the booking at most once, the first with 0";
            violations.push(FieldError::new(format!("/stays/{index}/continues"), "unknown_stay", advice));
        }
        if draft.beds.is_some() && !by_staff {
            violations.push(staff_only(format!("/stays/{index}/beds")));
        }
        changes.push(StayModification {
            continues: place,
            beds: draft.beds.clone(),
            stay: draft.apply_to(before, index, violations),
        });
    }
    changes
}

impl<const WHOLE: bool> StayChangeForm<WHOLE> {
    fn apply_to(self, before: Option<&Stay>, index: usize, violations: &mut Vec<FieldError>) -> StayRequest {
        let before = before.map(Stay::as_request);
        let mut missing = |key: &str, is_missing: bool| {
            if is_missing && before.is_none() {
                violations.push(FieldError::new(
                    format!("/stays/{index}/{key}"),
                    "required",
                    "is missing, and the stay continues none that has it",
                ));
            }
        };
        missing("room_type_id", self.room_type_id.is_none());
        missing("arrival", self.arrival.is_none());
        missing("departure", self.departure.is_none());
        missing("guests", self.guests.is_none());
        let mut stay = before.unwrap_or_else(|| StayRequest::new("", NaiveDate::MIN, NaiveDate::MIN, 0));
        stay.room_type_id = self.room_type_id.unwrap_or(stay.room_type_id);
        stay.arrival = self.arrival.unwrap_or(stay.arrival);
        stay.departure = self.departure.unwrap_or(stay.departure);
        stay.guests = self.guests.unwrap_or(stay.guests);
        stay.gender = self.gender.or(stay.gender);
        stay.youngest_age = self.youngest_age.or(stay.youngest_age);
        stay
    }
}

/// The rules of a request, for what is changed: what was sold stays sold.
fn check(
    booking: &Booking,
    inventory: &Inventory,
    (stays, guest, plan): (Option<&[StayModification]>, Option<&Guest>, Option<&RatePlanId>),
    today: NaiveDate,
    by_staff: bool,
) -> Vec<FieldError> {
    let stay_requests: Vec<StayRequest> = match stays {
        Some(changes) => changes.iter().map(|change| change.stay.clone()).collect(),
        None => booking.stays.iter().map(Stay::as_request).collect(),
    };
    let limits = if by_staff { PartyLimits::STAFF } else { PartyLimits::GUEST };
    let mut violations = check_request(
        inventory,
        plan.unwrap_or(&booking.rate_plan_id),
        &stay_requests,
        guest.unwrap_or(&booking.guest),
        today,
        limits,
    );
    violations.retain(|violation| match violation.pointer.split('/').nth(1) {
        Some("stays") => stays.is_some_and(|changes| concerns_change(booking, changes, violation)),
        Some("guest") => guest.is_some(),
        Some("rate_plan_id") => plan.is_some(),
        _ => true,
    });
    violations
}

fn concerns_change(booking: &Booking, changes: &[StayModification], violation: &FieldError) -> bool {
    let mut parts = violation.pointer.split('/').skip(2);
    let (Some(index), Some(field)) = (parts.next().and_then(|index| index.parse::<usize>().ok()), parts.next()) else {
        // Of all stays together: how many there are and how many sleep in them, if that grows.
        let before: u64 = booking.stays.iter().map(|stay| u64::from(stay.guests)).sum();
        let after: u64 = changes.iter().map(|change| u64::from(change.stay.guests)).sum();
        return changes.len() > booking.stays.len() || after > before || changes.is_empty();
    };
    let Some(change) = changes.get(index) else { return true };
    let Some(before) = change.continues.and_then(|place| booking.stays.get(place)) else { return true };
    match field {
        "arrival" => before.arrival != change.stay.arrival,
        "departure" => before.nights() != change.stay.nights(),
        "guests" => before.guests != change.stay.guests || before.room_type_id != change.stay.room_type_id,
        "room_type_id" => before.room_type_id != change.stay.room_type_id,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
