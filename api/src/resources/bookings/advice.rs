//! Advice with a refusal: what its caller can do, by command and cause.
//!
//! A guest is never advised to do what only staff can.

use pvt_domain::booking::{RefusalCause, Status};
use pvt_domain::ids::BedId;
use pvt_domain::messages::{
    BOOKING_ASSIGN, BOOKING_CANCEL, BOOKING_CHECK_IN, BOOKING_CHECK_OUT, BOOKING_CONFIRM, BOOKING_MARK_NO_SHOW,
    BOOKING_MODIFY, BOOKING_REINSTATE, RefusalCode,
};

/// What to do when `command` is not possible because the booking has this status.
pub(super) fn on_status(command: &str, status: Status, to_staff: bool) -> &'static str {
    if !to_staff {
        return for_guest(command, status);
    }
    match (command, status) {
        (_, Status::Rejected | Status::Expired) => "It holds no beds: make a new booking.",
        (BOOKING_CANCEL, Status::Cancelled) => {
            "Its fee stands: return what is to be returned with POST /api/payments/{id}/refund."
        }
        (BOOKING_CANCEL, Status::CheckedIn) => "Check the guests out instead: unused nights are released.",
        (BOOKING_CANCEL, Status::NoShow) => "Its beds are released already; reinstate it if the guests came.",
        (_, Status::Cancelled) => "A cancellation is final: make a new booking.",
        (BOOKING_CHECK_OUT, Status::CheckedOut) => "The guests are checked out already.",
        (_, Status::CheckedOut) => "The stay is over: make a new booking for another one.",
        (BOOKING_MARK_NO_SHOW, Status::NoShow) => "It is a no-show already.",
        (_, Status::NoShow) => "Reinstate it first.",
        (BOOKING_REINSTATE, _) => "There is no check-in and no no-show to undo.",
        (BOOKING_CONFIRM, _) => "It is confirmed already.",
        (BOOKING_CHECK_OUT, Status::Confirmed) => "Check the guests in first.",
        (_, Status::Held) => "Confirm it first, or wait for its payment.",
        (_, Status::Requested) => "Wait until it is decided.",
        _ => "Read the booking again.",
    }
}

fn for_guest(command: &str, status: Status) -> &'static str {
    match (command, status) {
        (_, Status::Requested) => "Wait until it is decided.",
        (_, Status::Held) => "Pay for it first, or cancel it and make a new booking.",
        (_, Status::Confirmed | Status::CheckedIn) => "Ask the front desk.",
        (BOOKING_CANCEL, Status::Cancelled) => "It is cancelled already.",
        (_, Status::NoShow) => "Ask the property.",
        (_, Status::CheckedOut | Status::Rejected | Status::Cancelled | Status::Expired) => "Make a new booking.",
    }
}

/// What to do about a refusal of `command`; `None` where its code says enough.
pub(super) fn on_refusal(command: &str, code: RefusalCode, to_staff: bool) -> Option<&'static str> {
    use RefusalCode as Code;
    Some(match (command, code) {
        (BOOKING_REINSTATE, Code::NoAvailability) => {
            "The beds were sold in the meantime. Free beds on these nights, or make a new booking for others."
        }
        (BOOKING_REINSTATE, Code::TooLate) => {
            "Ask an administrator: staff reinstate a booking on the business day of its check-in or no-show, and none \
            is reinstated after its departure."
        }
        (BOOKING_CANCEL, Code::TooLate) => on_status(BOOKING_CANCEL, Status::Cancelled, to_staff),
        (BOOKING_CHECK_IN, Code::TooEarly) => {
            "Check in from the business day of arrival; for guests who are to sleep here before, change the arrival to \
            the present business day first."
        }
        (BOOKING_CHECK_IN, Code::TooLate) => "The departure has passed: mark a no-show, or extend the stay first.",
        (BOOKING_CHECK_OUT, Code::TooEarly) => {
            "No stay has begun: undo the check-in with POST …/reinstate, then cancel the booking or change its dates."
        }
        (BOOKING_MARK_NO_SHOW, Code::TooEarly) => "Mark a no-show after the business day of arrival, or cancel.",
        (BOOKING_MODIFY, Code::NoAvailability) => "Send the change with other dates or another room type.",
        (BOOKING_MODIFY, Code::InvalidDates) => {
            "Send the change with dates from today on; nights that were slept stay as they are."
        }
        (BOOKING_MODIFY, Code::WrongProgress) if to_staff => {
            "`stays` is the whole list, and it leaves out a stay of guests who are in house or have left: name every \
            stay that is to go on by its id, and check guests out who leave."
        }
        (BOOKING_MODIFY, Code::WrongProgress) => {
            "`stays` is the whole list: name the stays of guests who are in house or have left, too."
        }
        (BOOKING_ASSIGN, Code::InvalidDates) => "Name a night of the stay from tonight on, or none.",
        (BOOKING_MODIFY, Code::OverCapacity) => "Send the change with fewer guests per stay.",
        (BOOKING_MODIFY, Code::Closed) => "Look up what the property sells, and send the change with that.",
        (BOOKING_MODIFY, Code::Restriction) if to_staff => {
            "Send the change with other dates, or with override_restrictions."
        }
        (BOOKING_MODIFY, Code::Restriction) => "Send the change with other dates.",
        (BOOKING_MODIFY, Code::PriceChanged) => {
            "Request a new quote of all stays as they are to be, and send the change with it."
        }
        (BOOKING_MODIFY, Code::Gender | Code::Age) => "Send the change with another room type.",
        (BOOKING_MODIFY, Code::PaymentUnderWay) if to_staff => {
            "The guest has paid in another currency: settle that first, then send the change again."
        }
        (BOOKING_MODIFY, Code::PaymentUnderWay) => "A payment in another currency is being settled: ask the property.",
        (_, Code::ReasonMissing) => "Send the command with a reason.",
        (_, Code::TooManyChanges) if !to_staff => "Ask the property: its staff can still change the booking.",
        _ => return None,
    })
}

/// What exactly forbids it, as sentences; empty where nothing is named.
pub(super) fn named(cause: &RefusalCause) -> String {
    let restrictions = cause.restrictions.iter().map(|on| match on.limit {
        0 => format!("Stay {} violates {} of {}.", on.stay, on.kind, on.date),
        limit => format!("Stay {} violates {} ({limit}) of {}.", on.stay, on.kind, on.date),
    });
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
    let early = cause.possible_from.iter().map(|day| format!("It is possible from {day} on."));
    restrictions.chain(shortages).chain(dirty).chain(early).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{named, on_refusal, on_status};
    use pvt_domain::booking::{DirtyBed, RefusalCause, Shortage, Status};
    use pvt_domain::ids::BedId;
    use pvt_domain::messages::{
        BOOKING_ASSIGN, BOOKING_CANCEL, BOOKING_CHECK_IN, BOOKING_CHECK_OUT, BOOKING_CONFIRM, BOOKING_MARK_NO_SHOW,
        BOOKING_MODIFY, BOOKING_REINSTATE, RefusalCode,
    };
    use pvt_domain::rates::restrictions::{RestrictionKind, RestrictionViolation};

    const STAFF_COMMANDS: [(&str, &[Status]); 8] = [
        (BOOKING_ASSIGN, &[Status::Confirmed, Status::CheckedIn]),
        (BOOKING_CANCEL, &[Status::Held, Status::Confirmed]),
        (BOOKING_CHECK_IN, &[Status::Confirmed, Status::CheckedIn]),
        (BOOKING_CHECK_OUT, &[Status::CheckedIn]),
        (BOOKING_CONFIRM, &[Status::Held]),
        (BOOKING_MARK_NO_SHOW, &[Status::Confirmed, Status::CheckedIn]),
        (BOOKING_MODIFY, &[Status::Confirmed, Status::CheckedIn]),
        (BOOKING_REINSTATE, &[Status::CheckedIn, Status::NoShow]),
    ];

    #[test]
    fn every_wrong_status_has_its_own_advice() {
        for (command, from) in STAFF_COMMANDS {
            for (name, status) in Status::ALL.into_iter().filter(|(_, status)| !from.contains(status)) {
                let advice = on_status(command, status, true);
                assert_ne!(advice, "Read the booking again.", "{command} of a {name} booking");
                let suggests = |word: &str, needs: &[Status]| !advice.contains(word) || needs.contains(&status);
                assert!(suggests("Reinstate it", &[Status::CheckedIn, Status::NoShow]), "{command}, {name}: {advice}");
                assert!(suggests("Confirm it", &[Status::Held]), "{command}, {name}: {advice}");
                assert!(suggests("Check the guests in", &[Status::Confirmed]), "{command}, {name}: {advice}");
                assert!(suggests("Check the guests out", &[Status::CheckedIn]), "{command}, {name}: {advice}");
            }
        }
    }

    #[test]
    fn guests_are_not_advised_to_act_as_staff() {
        for command in [BOOKING_CANCEL, BOOKING_MODIFY] {
            let by_status = Status::ALL.map(|(_, status)| on_status(command, status, false));
            let by_code = RefusalCode::ALL.map(|(_, code)| on_refusal(command, code, false));
            for advice in by_status.into_iter().chain(by_code.into_iter().flatten()) {
                for word in ["POST", "override", "Confirm", "Reinstate", "Check the guests", "no-show"] {
                    assert!(!advice.contains(word), "{advice}");
                }
            }
        }
    }

    #[test]
    fn advice_depends_on_the_command() {
        let too_late = [BOOKING_CANCEL, BOOKING_CHECK_IN, BOOKING_REINSTATE]
            .map(|command| on_refusal(command, RefusalCode::TooLate, true).unwrap());
        assert!(too_late[0] != too_late[1] && too_late[1] != too_late[2] && too_late[0] != too_late[2]);
    }

    #[test]
    fn causes_are_named_in_words() {
        let date = "2027-01-11".parse().unwrap();
        let restriction = |kind, limit| RestrictionViolation { stay: 0, date, kind, limit };
        let cause = RefusalCause {
            restrictions: vec![
                restriction(RestrictionKind::StopSell, 0),
                restriction(RestrictionKind::MinStayThrough, 3),
            ],
            shortages: vec![Shortage { room_type_id: "dorm".into(), nights: vec![date] }],
            ..RefusalCause::default()
        };
        assert_eq!(
            named(&cause),
            "Stay 0 violates stop_sell of 2027-01-11. Stay 0 violates min_stay_through (3) of 2027-01-11. Too few \
            beds of dorm are free on 2027-01-11."
        );
        let dirty = |bed: &str, clean: &[&str]| DirtyBed {
            bed: bed.into(),
            clean: clean.iter().map(|bed| BedId::from(*bed)).collect(),
        };
        let cause = RefusalCause {
            dirty_beds: vec![dirty("a-1", &["a-3", "a-4"]), dirty("b-1", &[])],
            possible_from: Some(date),
            ..RefusalCause::default()
        };
        assert_eq!(
            named(&cause),
            "Bed a-1 is not clean; clean and free: a-3, a-4. Bed b-1 is not clean, and no clean one of its room type \
            is free. It is possible from 2027-01-11 on."
        );
        assert_eq!(named(&RefusalCause::default()), "");
    }
}
