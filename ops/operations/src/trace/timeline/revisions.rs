//! Revisions of a booking: who asked for each, the way of its command, what was decided and claimed, and when the mart
//! had it.

use super::order::Step;
use super::{Timeline, queues, sanitized};
use chrono::NaiveDate;
use pvt_domain::QueueHop;
use pvt_domain::booking::history::RevisionState;
use pvt_domain::booking::{Action, Booking, HistoryEntry, Status, Stay};
use pvt_domain::ids::BedId;
use std::collections::HashSet;

/// The key of a revision.
pub(super) fn key(rev: u32) -> String {
    format!("rev {rev}")
}

impl Timeline<'_> {
    pub(super) fn revision_steps(&self) -> Vec<Step> {
        let booking = self.booking;
        let accepted = format!("accepted, from {}", booking.source.as_str());
        let accepted = Step::new("accepted", booking.created_at, "api", accepted);
        let mut steps = vec![accepted.of_message(booking.id.request_command_id())];
        for entry in &booking.history {
            steps.extend(self.request_of(entry));
            let mut cause = (entry.rev == 1).then(|| "accepted".to_owned());
            if let Some(hop) = &entry.hop {
                let (request, requested_at) = match entry.rev {
                    1 => ("accepted".to_owned(), Some(booking.created_at)),
                    rev => (format!("request {rev}"), hop.requested_at),
                };
                let (what, hop) = (format!("command for rev {}", entry.rev), QueueHop::clone(hop));
                let hop = QueueHop { requested_at, ..hop };
                let hops = queues::hop(&key(entry.rev), (&what, &self.bookings_queue), &hop, Some(request));
                steps.extend(hops.into_iter().map(|step| step.of_message(entry.command_id)));
                cause = Some(format!("hop rev {}", entry.rev));
            }
            let revision = Step::new(key(entry.rev), entry.at, "booking", self.revision_text(entry));
            steps.push(Step { cause, ..revision.of_message(entry.event_id) });
            steps.extend(self.load_of(entry));
        }
        steps
    }

    /// Who asked for a later revision, and when.
    fn request_of(&self, entry: &HistoryEntry) -> Option<Step> {
        let at = entry.hop.as_deref().filter(|_| entry.rev > 1)?.requested_at?;
        let place = match &entry.actor {
            actor if actor.is_schedule() => "scheduler",
            actor if actor.is_guest() || actor.is_staff() => "api",
            _ => "worker",
        };
        let what = format!("{} requested by {} (rev {})", entry.action.as_str(), entry.actor, entry.rev);
        Some(Step::new(format!("request {}", entry.rev), at, place, what).of_message(entry.command_id))
    }

    /// When the mart had the event of a revision, where it knows that.
    fn load_of(&self, entry: &HistoryEntry) -> Option<Step> {
        let at = (*self.loads.as_ref()?.get(&entry.event_id)?)?;
        let step = Step::new(format!("load {}", entry.rev), at, "mart", format!("event of rev {} loaded", entry.rev));
        Some(step.after(key(entry.rev)).of_message(entry.event_id))
    }

    fn revision_text(&self, entry: &HistoryEntry) -> String {
        let step = match entry.from == entry.to {
            true => entry.to.as_str().to_owned(),
            false => format!("{} → {}", entry.from.as_str(), entry.to.as_str()),
        };
        let mut what = format!("rev {}  {}: {step}, by {}", entry.rev, entry.action.as_str(), entry.actor);
        if let Some(reason) = &entry.reason {
            what.push_str(&format!(" ({})", sanitized(reason)));
        }
        if let Some(rejection) = self.booking.rejection.filter(|_| entry.to == Status::Rejected) {
            what.push_str(&format!(", because of {}", rejection.as_str()));
        }
        what.push_str(&claims_text(self.booking, entry));
        if entry.action == Action::Move {
            what.push_str(", to make room for another booking");
        }
        if !entry.moved.is_empty() {
            let moved: Vec<String> = entry.moved.iter().map(|id| id.reference()).collect();
            what.push_str(&format!(", {} other bookings reassigned: {}", moved.len(), moved.join(", ")));
        }
        self.add_amounts(entry, &mut what);
        if self.loads.as_ref().is_some_and(|loads| !loads.contains_key(&entry.event_id)) {
            what.push_str(", not in the mart");
        }
        what
    }

    fn add_amounts(&self, entry: &HistoryEntry, what: &mut String) {
        let Some(change) = entry.changes.as_deref().and_then(|changes| changes.payment.as_ref()) else { return };
        let (was, is) = (change.before.ledger(), change.after.ledger());
        let totals = [
            ("paid", was.captured, is.captured),
            ("refunded", was.refunded, is.refunded),
            ("charged back", was.charged_back, is.charged_back),
            ("refundable in all", change.before.to_refund, change.after.to_refund),
        ];
        for (name, _, is) in totals.into_iter().filter(|(_, was, is)| was != is) {
            what.push_str(&format!(", {name} {}", self.amount(is)));
        }
    }
}

/// The bed-nights that a revision claimed and released, and the beds that changed. What a pending change holds is not
/// in the history.
fn claims_text(booking: &Booking, entry: &HistoryEntry) -> String {
    let after = booking.state_at(entry.rev);
    let before = (entry.rev > 1).then(|| booking.state_at(entry.rev - 1));
    let claimed = nights(entry.to, Some(&after));
    let held = nights(entry.from, before.as_ref());
    let (added, freed) = (claimed.difference(&held).count(), held.difference(&claimed).count());
    let mut text = String::new();
    for (verb, count) in [("claims", added), ("releases", freed)] {
        if count > 0 {
            text.push_str(&format!(", {verb} {count} bed-nights"));
        }
    }
    if let Some(before) = before.filter(|_| entry.from.holds_beds() && entry.to.holds_beds()) {
        let beds = |stays: &[Stay]| stays.iter().map(|stay| names(&stay.assigned_beds)).collect::<Vec<_>>().join(" + ");
        let (was, is) = (beds(&before.stays), beds(&after.stays));
        if was != is {
            text.push_str(&format!(", beds {was} → {is}"));
        }
    }
    text
}

fn nights(status: Status, state: Option<&RevisionState>) -> HashSet<(&BedId, NaiveDate)> {
    let stays = state.filter(|_| status.holds_beds()).map_or(&[][..], |state| state.stays.as_slice());
    stays.iter().flat_map(Stay::bed_nights).collect()
}

fn names(beds: &[BedId]) -> String {
    beds.iter().map(BedId::as_str).collect::<Vec<_>>().join(" ")
}
