//! Refusals in the words of the desk: what is wrong in which field, and what to do. The API's own words are for those
//! who program against it.

use super::Refusal;
use super::answer::FieldError;
use crate::pages::actions::Action;
use pvt_domain::ids::BedId;

/// What is right for every failure after which the same may be sent again.
const LATER: &str = "This is not possible at the moment. Send the form again as it is in a moment: it is done once.";
const CHANGED: &str =
    "The booking was changed since this page was opened. Look at it as it is now; if this is still right, do it again.";
const OTHER_GUESTS: &str = "These guests have arrived or left already, or the booking has other stays since this page \
    was opened. Look at it as it is now, and choose again.";

impl Refusal {
    /// What is wrong, in a few words.
    pub(crate) fn heading(&self) -> &str {
        match self.code.as_str() {
            "precondition_failed" | "concurrent_change" => "The booking has changed",
            "validation_failed" => "Something is missing or not right",
            "still_processing" => "It is still being done",
            "maintenance" => "No changes during maintenance",
            "forbidden" | "unauthenticated" => "Not allowed",
            "not_found" => "No such booking",
            "card_number_refused" => &self.title,
            _ if self.status == 409 => &self.title,
            _ if self.status >= 500 || self.status == 429 => "Not possible at the moment",
            _ => "Not done",
        }
    }

    /// What to do when an action is refused, or a move of a plan.
    pub(crate) fn advice(&self, action: Option<Action>) -> &'static str {
        match self.code.as_str() {
            "bed_taken" if self.bookings.is_empty() => {
                "A block or another stay of this booking is in the way. Lift it, or choose another bed."
            }
            "wrong_status" if action.is_none() => {
                "The booking is in another state than this needs: guests are moved while it is confirmed or checked in."
            }
            "not_cancellable" | "wrong_status" => {
                "The booking is in another state than this needs. What it allows is listed below."
            }
            "validation_failed" => "Correct what is named here, and send the form again.",
            "card_number_refused" => "Never write the number of a card here: guests enter it on the page to pay.",
            "still_processing" => {
                "Send the form again as it is in a moment to see what has become of it: it is done once."
            }
            "maintenance" => "Send the form again as it is after the maintenance: it is done once.",
            "forbidden" | "unauthenticated" => "Your account may not do this. Sign in again, or ask an administrator.",
            "not_found" => "There is no such booking at your properties any more.",
            code => of_action(action, code).or_else(|| of_decision(code)).unwrap_or(match self.status {
                429 | 500.. => LATER,
                _ => "It was not done. Look at the booking, and open the form again.",
            }),
        }
    }

    /// What exactly is wrong: what forbids it, fields, and what is possible instead.
    pub(crate) fn lines(&self) -> Vec<String> {
        let alternatives = self.alternatives.iter().map(|one| {
            let stays = one.stays.iter().map(|stay| {
                format!("{} for {}, {} – {}", stay.room_type_id, stay.guests, stay.arrival, stay.departure)
            });
            format!("Possible instead: {}, {} in all", stays.collect::<Vec<_>>().join("; "), one.total)
        });
        self.causes().into_iter().chain(self.errors.iter().map(FieldError::in_words)).chain(alternatives).collect()
    }

    fn causes(&self) -> Vec<String> {
        let cause = &self.cause;
        let restrictions = cause.restrictions.iter().map(|one| format!("The rate is restricted on {}.", one.date));
        let shortages = cause.shortages.iter().map(|short| {
            let nights: Vec<String> = short.nights.iter().map(ToString::to_string).collect();
            format!("Too few beds of {} are free on {}.", short.room_type_id, nights.join(", "))
        });
        let dirty = cause.dirty_beds.iter().map(|dirty| {
            let clean: Vec<&str> = dirty.clean.iter().map(BedId::as_str).collect();
            match clean.is_empty() {
                true => format!("Bed {} is not clean, and no clean one of its room type is free.", dirty.bed),
                false => format!("Bed {} is not clean; clean and free: {}.", dirty.bed, clean.join(", ")),
            }
        });
        let from = cause.possible_from.iter().map(|day| format!("It is possible from {day} on."));
        restrictions.chain(shortages).chain(dirty).chain(from).collect()
    }
}

/// What to do where a decision means something else for an action than for others.
fn of_action(action: Option<Action>, code: &str) -> Option<&'static str> {
    Some(match (action?, code) {
        (Action::CheckIn, "too_early") => {
            "Guests are checked in from the business day of arrival on. For a guest who is to sleep here before, have \
            the arrival changed to the present business day first."
        }
        (Action::CheckIn, "too_late") => "The departure has passed: mark a no-show, or have the stay extended first.",
        (Action::CheckOut, "too_early") => {
            "No stay has begun: undo the check-in, then cancel the booking or have its dates changed."
        }
        (Action::NoShow, "too_early") => {
            "A no-show is marked once the business day of arrival is over. Until then, cancel the booking."
        }
        (Action::Reinstate | Action::BringBack, "no_availability") => {
            "The beds were sold in the meantime. Free beds on these nights, or make a new booking."
        }
        (Action::Reinstate | Action::BringBack, "too_late") => {
            "Ask an administrator: what was done on an earlier business day is undone by one, and nothing is undone \
            after the departure."
        }
        _ => return None,
    })
}

/// What to do about a decision against it; none of a code that no decision has.
fn of_decision(code: &str) -> Option<&'static str> {
    Some(match code {
        "no_availability" => "No bed is free on all of these nights. Choose other nights, or another room type.",
        "invalid_dates" => "These nights are not possible. Choose nights of the stay, from today on.",
        "over_capacity" => "So many guests do not fit there. Choose another room type, or divide them.",
        "closed" => "The room type or the rate is not on sale. Choose another one.",
        "restriction" => {
            "The rate is restricted on these dates. Choose another room type, or sell against the restrictions of the \
            rate."
        }
        "price_changed" => "The price has changed since it was shown. Open the form again.",
        "gender" => "The dorm is for guests of another gender. Choose another room type.",
        "age" => "A guest is too young for the room type. Choose another one.",
        "too_early" => "It is too early for this: it is possible on a later day.",
        "too_late" => {
            "The time for this has passed. Guests are checked in before their day of departure only, and what was done \
            before today is undone by an administrator."
        }
        "balance_open" => {
            "Record the payment first; or tick “Leave the balance open”, give a reason, and check out again."
        }
        "payment_under_way" => "A payment was made or is under way. Wait until it is known what became of it.",
        "beds_missing" => "A stay has too few beds. Give each guest a bed first, on the tape chart.",
        "bed_not_clean" => "Have the bed cleaned, or choose another one.",
        "bed_occupied" => "A guest who has not checked out lies in the bed. Check them out, or choose another bed.",
        "beds_unnamed" => "Guests in house would have to change beds tonight. Choose their beds by hand.",
        "bed_taken" => "The bed is taken on some of these nights. Choose another one, or move who has it first.",
        "bed_unfit" => {
            "The beds do not fit: one bed in service for each guest of a dorm, or all beds of one private room."
        }
        "unknown_stay" | "unknown_guests" | "wrong_progress" => OTHER_GUESTS,
        "concurrent_change" | "precondition_failed" => CHANGED,
        "too_many_changes" => "The booking was changed too often. Make a new one, and cancel this one.",
        _ => return None,
    })
}

impl FieldError {
    fn in_words(&self) -> String {
        format!("{} {}.", self.field(), self.fault())
    }

    /// The label of the field of a form.
    fn field(&self) -> &'static str {
        // Positions in lists name nothing.
        let names: Vec<&str> = self.pointer.split('/').skip(1).filter(|part| part.parse::<u32>().is_err()).collect();
        match (names.first().copied().unwrap_or_default(), names.last().copied().unwrap_or_default()) {
            ("reason", _) => "Reason:",
            ("amount", _) => "Amount:",
            ("method", _) => "Paid by:",
            ("note", _) => "Note:",
            ("waive_fee", _) => "Waive the fee:",
            (_, "beds") | ("assignments", _) => "Bed:",
            (_, "from") => "First night there:",
            (_, "room_type_id") => "Room type:",
            (_, "arrival" | "departure") => "Nights:",
            ("stays", _) => "Guests:",
            _ => "The form:",
        }
    }

    fn fault(&self) -> &'static str {
        match self.code.as_str() {
            "required" => "is missing",
            "invalid_reason" | "invalid_note" | "too_long" => "is blank or too long",
            "out_of_range" => "cannot be zero, and not as much as this",
            "wrong_currency" => "is in another currency than the booking",
            "staff_only" => "is for staff of the property only",
            "named_twice" | "duplicate" => "is chosen twice",
            "unknown_bed" | "unknown_room_type" => "is not one of the property",
            "too_young" | "age" => "is not possible for the age of a guest",
            "over_capacity" | "too_many_guests" => "has room for fewer guests",
            _ => "is not accepted like this",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Refusal};
    use pvt_domain::messages::RefusalCode;
    use serde_json::{Value, json};

    fn refusal(status: u16, code: &str, members: &Value) -> Refusal {
        let mut problem = json!({ "title": "A title", "status": status, "code": code });
        problem.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(problem).unwrap()
    }

    #[test]
    fn every_decision_has_advice_of_its_own() {
        for (code, known) in RefusalCode::ALL {
            let expected = known != RefusalCode::ReasonMissing;
            assert_eq!(super::of_decision(code).is_some(), expected, "{code}");
        }
    }

    #[test]
    fn advice_leads_to_what_the_action_allows() {
        let advice = |action, code| refusal(409, code, &json!({})).advice(action);
        for (action, code, way_out) in [
            (Action::CheckIn, "too_early", "arrival changed"),
            (Action::CheckIn, "too_late", "no-show"),
            (Action::CheckOut, "too_early", "undo the check-in"),
            (Action::NoShow, "too_early", "cancel"),
            (Action::Reinstate, "too_late", "administrator"),
            (Action::BringBack, "no_availability", "new booking"),
            (Action::Room, "restriction", "sell against the restrictions"),
            (Action::Room, "no_availability", "another room type"),
        ] {
            assert!(advice(Some(action), code).contains(way_out), "{action:?}: {}", advice(Some(action), code));
        }
        assert!(!advice(None, "wrong_status").contains("listed"), "a plan lists nothing");
    }

    /// Every code of the API's page is shown without a word of its protocol.
    #[test]
    fn no_word_of_the_protocol_reaches_the_front_desk() {
        let listed = include_str!("../../../../docs/http.md").lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            Some((cells.next()?.parse::<u16>().ok()?, cells.next()?.trim_matches('`'), cells.next()?))
        });
        let mut count = 0;
        for (status, code, text) in listed {
            count += 1;
            let title = text.split(". ").next().unwrap_or_default();
            let members = json!({ "title": title, "errors": [{ "pointer": "/stays/0/id", "code": code }] });
            let refusal = refusal(status, code, &members);
            let shown = format!("{} {} {}", refusal.heading(), refusal.advice(None), refusal.lines().join(" "));
            for word in ["Idempotency", "If-Match", "ETag", "JSON", "POST", "GET ", "Retry-After", "`", "_", "header"] {
                assert!(!shown.contains(word), "{word} of {code}: {shown}");
            }
        }
        assert!(count > 60, "{count} problems are listed");
    }

    #[test]
    fn faults_name_fields_of_the_form() {
        let errors = [
            ("/reason", "required", "Reason: is missing."),
            ("/amount/amount", "out_of_range", "Amount: cannot be zero, and not as much as this."),
            ("/stays/0/beds/1", "unknown", "Bed: is not accepted like this."),
            ("/stays/0/beds", "unknown_bed", "Bed: is not one of the property."),
            ("/stays/0/places", "named_twice", "Guests: is chosen twice."),
            ("", "nothing_to_do", "The form: is not accepted like this."),
        ];
        for (pointer, code, words) in errors {
            let refused =
                refusal(422, "validation_failed", &json!({ "errors": [{ "pointer": pointer, "code": code }] }));
            assert_eq!(refused.lines(), [words], "{pointer}");
        }
        let block = refusal(409, "bed_taken", &json!({}));
        assert!(block.advice(None).contains("block"), "{}", block.advice(None));
        let booking = uuid::Uuid::from_u128(7);
        assert!(!refusal(409, "bed_taken", &json!({ "bookings": [booking] })).advice(None).contains("block"));
    }
}
