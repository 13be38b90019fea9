//! Notices: the outcome of an action, in the words of the desk.

use super::Action;
use crate::api::{Refusal, Unanswered};
use crate::failure::Failure;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;

/// A notice at the head of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Class of the style sheet.
    pub(crate) kind: &'static str,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) lines: Vec<String>,
    /// Bookings to look at, with the names of their guests where these are known.
    pub(crate) bookings: Vec<(BookingId, String)>,
}

impl Notice {
    fn new(kind: &'static str, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { kind, title: title.into(), text: text.into(), lines: Vec::new(), bookings: Vec::new() }
    }

    /// It is done.
    pub(crate) fn done(what: &str) -> Self {
        Self::new("done", what, "It is recorded.")
    }

    /// It is accepted, and not decided yet.
    pub(crate) fn accepted() -> Self {
        Self::new(
            "unknown",
            "Accepted, not decided yet",
            "It waits for its turn. Send the form again as it is to see what has become of it: it is done once.",
        )
    }

    /// The API has refused an action, or a move of a plan.
    pub(crate) fn refused(refusal: &Refusal, action: Option<Action>) -> Self {
        let lines = refusal.lines();
        let bookings = refusal.bookings.iter().map(|id| (*id, id.to_string())).collect();
        Self { lines, bookings, ..Self::new("refused", refusal.heading(), refusal.advice(action)) }
    }

    /// With names for bookings.
    pub(crate) fn naming(mut self, name: impl Fn(BookingId) -> Option<String>) -> Self {
        for (id, shown) in &mut self.bookings {
            if let Some(known) = name(*id) {
                *shown = known;
            }
        }
        self
    }

    /// The form was sent before with something else.
    pub(crate) fn key_reused() -> Self {
        Self::new(
            "unknown",
            "This form was sent before",
            "What was sent before with other values may be done. Nothing else was done now. Look at the booking first, \
            and open the form anew for what is still to be done.",
        )
    }

    /// There is no answer.
    pub(crate) fn unanswered(unanswered: &Unanswered) -> Self {
        Self::new("unknown", "No answer", unanswered.to_string())
    }

    /// It could not be read what the booking is now.
    pub(super) fn without_booking(mut self) -> Self {
        self.lines.push("The booking cannot be read at the moment, so it is not shown as it is now.".to_owned());
        self
    }

    /// It could not be read which beds are free.
    pub(super) fn without_beds(failure: &Failure) -> Self {
        let text = format!("{} Open the form again to be offered other beds.", failure.text());
        Self::new("refused", "It cannot be read which beds are free", text)
    }

    /// The form makes no sense.
    pub(crate) fn invalid(advice: &str) -> Self {
        Self::new("refused", "Not understood", advice)
    }

    /// The booking's status does not allow it.
    pub(super) fn not_offered(action: Action, booking: &Booking) -> Self {
        let text = format!("The booking is {}; what it allows is listed below.", booking.status.as_str());
        Self::new("refused", format!("{}: not now", action.name()), text)
    }
}
