//! Form of a modification, read and applied to the booking as it is: every violation reported at once.

use super::command_forms::{beds, index, stay_id};
use crate::form::form;
use crate::form::people::{email_address, language_tag, name, phone_number};
use crate::form::presence::{Presence as _, defaulted, optional, patch, reported_if, required_if};
use crate::form::types::{FieldType, boolean, date, free_text, list, object, one_of, text};
use crate::resources::bookings::form::{age, count_alone, guest_ages, guests, staff_only, tax_exemptions};
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Guest, PartyGender, Stay, StayRequest, TaxExemption};
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
        })
        .not_null(),
        guest: Option<GuestChangeForm<WHOLE>> = reported_if(WHOLE, object()).not_null(),
        rate_plan_id: Option<RatePlanId> = optional(text()).not_null(),
        reprice: Option<bool> = optional(boolean()).not_null(),
        /// For staff.
        override_restrictions: bool = defaulted(boolean()).not_null(),
        /// For staff: waives the fees of the guest's earlier changes; needs a reason.
        waive_change_fees: bool = defaulted(boolean()).not_null(),
        /// Of all stays as they are to be.
        quote: Option<String> = optional(text()).not_null(),
        reason: Option<String> = required_if(waive_change_fees == Some(true), free_text("invalid_reason")).not_null(),
        /// Only return what it would cost.
        dry_run: bool = defaulted(boolean()).not_null(),
    }
    named if WHOLE { "WholeBookingChange" } else { "BookingChange" };
    exempt crate::resources::bookings::form::CARD_CHECK_EXEMPT;
    body assumed;
    example json!({
        "stays": [{ "id": 0, "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-12",
            "guests": 2 }],
        "guest": { "first_name": "Ada", "last_name": "King", "email": "ada@example.com" },
    });
}

form! {
    /// A stay; what is missing stays as it is in the stay that is continued.
    pub(crate) struct StayChangeForm<const WHOLE: bool> {
        /// The present stay, by its id.
        id: Option<u32> = optional(stay_id()).not_null(),
        /// The present stay, by its index, instead of its id.
        continues: Option<usize> = optional(index()).after_missing(if WHOLE {
            &["room_type_id", "arrival", "departure", "guests"]
        } else {
            &[]
        })
        .not_null(),
        room_type_id: Option<RoomTypeId> = reported_if(WHOLE, text()).not_null(),
        arrival: Option<NaiveDate> = reported_if(WHOLE, date()).not_null(),
        departure: Option<NaiveDate> = reported_if(WHOLE, date()).not_null(),
        guests: Option<u32> = reported_if(WHOLE, guests()).not_null(),
        /// `null`: no longer only for one gender.
        gender: Option<Option<PartyGender>> = patch(one_of(&PartyGender::ALL)),
        /// `null`: of adults. It takes the place of `guest_ages`, unless both are sent.
        youngest_age: Option<Option<u8>> = patch(age()),
        /// Ages of guests whose age matters; `null`: of none. They take the place of `youngest_age`.
        guest_ages: Option<Option<Vec<u8>>> = patch(guest_ages()),
        /// Guests who are exempt from taxes, as in a request for beds; `null`: none. What is missing stays.
        tax_exemptions: Option<Option<Vec<TaxExemption>>> = patch(tax_exemptions()),
        /// For staff.
        beds: Option<Vec<BedId>> = optional(beds()).not_null(),
    }
    elsewhere &[("locked", "staff lock beds with POST /api/bookings/{id}/assign")];
}

form! {
    /// The guest; what is missing stays, unless everything is sent.
    pub(crate) struct GuestChangeForm<const WHOLE: bool> {
        /// One name is enough, this or the other: an empty one or `null` clears it.
        first_name: Option<Option<String>> = patch(name()),
        last_name: Option<Option<String>> = patch(name()),
        /// As in a request for beds; `null` clears it.
        email: Option<Option<String>> = patch(email_address()),
        /// `null` clears it.
        phone: Option<Option<String>> = patch(phone_number()),
        /// `null` clears it.
        locale: Option<Option<String>> = patch(language_tag()),
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

impl Modification {
    /// Whether it corrects the guest's details and nothing else.
    pub(crate) fn is_guest_alone(&self) -> bool {
        let others = self.stays.is_some() || self.rate_plan_id.is_some() || self.quote.is_some();
        self.guest.is_some() && !others && !self.reprice && !self.waive_change_fees
    }
}

impl<const WHOLE: bool> GuestChangeForm<WHOLE> {
    fn apply_to(self, before: &Guest) -> Guest {
        let kept = if WHOLE { Guest::default() } else { before.clone() };
        Guest {
            phone: self.phone.unwrap_or(kept.phone),
            locale: self.locale.unwrap_or(kept.locale),
            first_name: self.first_name.map_or(kept.first_name, Option::unwrap_or_default),
            last_name: self.last_name.map_or(kept.last_name, Option::unwrap_or_default),
            email: self.email.map_or(kept.email, Option::unwrap_or_default),
        }
    }
}

impl<const WHOLE: bool> ModificationForm<WHOLE> {
    /// Applies it to the booking and checks it against what the property sells; `first_night` is the first that can be
    /// booked.
    ///
    /// # Errors
    /// Every violation, each place once.
    pub(crate) fn validate(
        self,
        booking: &Booking,
        inventory: &Inventory,
        first_night: NaiveDate,
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
            first_night,
            by_staff,
        ));
        count_alone(&mut violations);
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
    before.is_none_or(|before| !before.as_request().is_sold_as(&change.stay))
}

/// All stays as they are to be. Unless some say which present stay they continue, each continues the one at its place.
fn changes<const WHOLE: bool>(
    drafts: Vec<StayChangeForm<WHOLE>>,
    booking: &Booking,
    by_staff: bool,
    violations: &mut Vec<FieldError>,
) -> Vec<StayModification> {
    let by_place = drafts.iter().all(|draft| draft.continues.is_none() && draft.id.is_none());
    let mut continued = HashSet::new();
    let mut changes = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let named = draft.id.is_some() || draft.continues.is_some();
        let place = match by_place {
            true => Some(index).filter(|index| *index < booking.stays.len()),
            false => booking.named_stay(draft.continues, draft.id),
        };
        let before = place.and_then(|place| booking.stays.get(place));
        if place.is_some_and(|place| !continued.insert(place)) || (named && before.is_none()) {
            let key = if draft.id.is_some() { "id" } else { "continues" };
            let advice = "names each stay of the booking at most once";
            violations.push(FieldError::new(format!("/stays/{index}/{key}"), "unknown_stay", advice));
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
        // A whole stay is for those whom it names.
        stay.gender = self.gender.unwrap_or(if WHOLE { None } else { stay.gender });
        if WHOLE || self.youngest_age.is_some() || self.guest_ages.is_some() {
            stay.youngest_age = self.youngest_age.flatten();
            stay.guest_ages = self.guest_ages.flatten().unwrap_or_default();
        }
        if let Some(exemptions) = self.tax_exemptions {
            stay.tax_exemptions = exemptions.unwrap_or_default();
        }
        stay
    }
}

/// The rules of a request, for what is changed: what was sold stays sold.
fn check(
    booking: &Booking,
    inventory: &Inventory,
    (stays, guest, plan): (Option<&[StayModification]>, Option<&Guest>, Option<&RatePlanId>),
    first_night: NaiveDate,
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
        first_night,
        limits,
    );
    violations.retain(|violation| match violation.pointer.split('/').nth(1) {
        Some("stays") => stays.is_some_and(|changes| concerns_change(booking, changes, violation)),
        // A guest whom staff booked without an address stays without one.
        Some("guest") if violation.pointer == "/guest/email" && booking.guest.mail_address().is_none() => false,
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
        // Nobody who changes dates knows what staff declared; nobody is exempt who is gone.
        _ if before.guests != change.stay.guests && matches!(violation.code, "too_many" | "too_many_guests") => true,
        "guest_ages" | "youngest_age" => {
            before.guest_ages != change.stay.guest_ages || before.youngest_age != change.stay.youngest_age
        }
        "tax_exemptions" => before.tax_exemptions != change.stay.tax_exemptions,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
