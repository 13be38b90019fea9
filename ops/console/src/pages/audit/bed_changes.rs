//! Changes of beds in the histories of bookings. Pure.

use super::filter::Selection;
use crate::actors::ActorNames;
use crate::pages::shown;
use pvt_domain::booking::{HistoryEntry, Stay};
use pvt_domain::ids::BedId;
use pvt_stores::mongo::booking_search::{ChangedBooking, MAX_ENTRIES};
use std::collections::BTreeSet;

/// A revision that gave a stay other beds.
pub(super) struct BedChange<'a> {
    booking: &'a ChangedBooking,
    pub(super) entry: &'a HistoryEntry,
    before: &'a Stay,
    after: &'a Stay,
}

/// The same as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChangeRow {
    pub(super) at: String,
    pub(super) actor: String,
    pub(super) booking_id: String,
    pub(super) reference: String,
    pub(super) guest: String,
    pub(super) property: String,
    pub(super) beds: String,
    pub(super) action: &'static str,
    pub(super) reason: String,
}

/// The changes that are selected, newest first.
pub(super) fn of<'a>(bookings: &'a [ChangedBooking], selection: &Selection) -> Vec<BedChange<'a>> {
    let all = bookings.iter().flat_map(|booking| booking.history.iter().map(move |entry| (booking, entry)));
    let mut found: Vec<BedChange<'a>> = all
        .flat_map(|(booking, entry)| changes(booking, entry))
        .filter(|change| selection.bed.as_ref().is_none_or(|bed| change.concerns(bed)))
        .collect();
    found.sort_by_key(|change| std::cmp::Reverse(change.entry.at));
    found
}

/// Whether there may be more than what was read: at most so many bookings, and the latest entries of each.
pub(super) fn is_cut(bookings: &[ChangedBooking], selection: &Selection, most: usize) -> bool {
    let most_entries = usize::try_from(MAX_ENTRIES).unwrap_or(usize::MAX);
    let has_most = |one: &ChangedBooking| one.history.len() >= most_entries;
    bookings.len() >= most || (selection.beds.booking.is_none() && bookings.iter().any(has_most))
}

fn changes<'a>(booking: &'a ChangedBooking, entry: &'a HistoryEntry) -> impl Iterator<Item = BedChange<'a>> {
    let stays = entry.changes.iter().flat_map(|changes| &changes.stays);
    // A stay that is only divided keeps the beds of its guests.
    let before: BTreeSet<_> =
        stays.clone().filter_map(|change| change.before.as_ref()).flat_map(Stay::bed_nights).collect();
    let after: BTreeSet<_> =
        stays.clone().filter_map(|change| change.after.as_ref()).flat_map(Stay::bed_nights).collect();
    stays.filter(move |_| before != after).filter_map(move |change| {
        let (before, after) = (change.before.as_ref()?, change.after.as_ref()?);
        let is_other = before.assigned_beds != after.assigned_beds || before.earlier_beds != after.earlier_beds;
        is_other.then_some(BedChange { booking, entry, before, after })
    })
}

impl BedChange<'_> {
    fn concerns(&self, bed: &BedId) -> bool {
        self.before.assigned_beds.contains(bed) || self.after.assigned_beds.contains(bed)
    }

    /// As it is shown.
    pub(super) fn row(&self, names: &ActorNames) -> ChangeRow {
        let listed = |beds: &[BedId]| match beds {
            [] => "none".to_owned(),
            beds => beds.iter().map(BedId::as_str).collect::<Vec<_>>().join(", "),
        };
        let first = self.after.earlier_beds.last().filter(|_| self.before.earlier_beds != self.after.earlier_beds);
        let from = first.map_or_else(String::new, |earlier| format!(", from the night of {}", earlier.until));
        ChangeRow {
            at: shown(self.entry.at),
            actor: names.of(&self.entry.actor),
            booking_id: self.booking.id.to_string(),
            reference: self.booking.reference.clone(),
            guest: self.booking.guest.full_name(),
            property: self.booking.property_id.to_string(),
            beds: format!("{} → {}{from}", listed(&self.before.assigned_beds), listed(&self.after.assigned_beds)),
            action: self.entry.action.as_str(),
            reason: self.entry.reason.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Selection;
    use super::{ChangedBooking, MAX_ENTRIES, is_cut, of};
    use chrono::{DateTime, Utc};
    use pvt_stores::mongo::audit::AuditFilter;
    use pvt_stores::mongo::booking_search::BedChangeFilter;
    use serde_json::{Value, json};

    fn stay(beds: &[&str]) -> Value {
        json!({ "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-12", "guests": beds.len(),
            "assigned_beds": beds })
    }

    fn booking(changes: &[Value]) -> ChangedBooking {
        let entry = |(rev, stays): (usize, &Value)| {
            json!({ "rev": rev, "at": format!("2026-12-01T12:00:{rev:02}.010Z"), "action": "assign",
                "from": "confirmed", "to": "confirmed", "actor": "staff:1", "command_id": uuid::Uuid::from_u128(1),
                "event_id": uuid::Uuid::from_u128(2), "changes": { "stays": stays } })
        };
        let history: Vec<Value> = changes.iter().enumerate().map(entry).collect();
        serde_json::from_value(json!({ "_id": uuid::Uuid::from_u128(7), "reference": "PVT-1", "property_id": "here",
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "" }, "history": history }))
        .unwrap()
    }

    fn selection(bed: Option<&str>) -> Selection {
        let beds = BedChangeFilter {
            properties: vec!["here".into()],
            booking: None,
            actor: None,
            from: DateTime::UNIX_EPOCH.into(),
            until: Utc::now().into(),
        };
        Selection { log: AuditFilter::default(), beds, bed: bed.map(Into::into) }
    }

    #[test]
    fn only_guests_in_other_beds_were_moved() {
        let moved = json!([{ "index": 0, "before": stay(&["a", "b"]), "after": stay(&["a", "c"]) }]);
        let divided = json!([{ "index": 0, "before": stay(&["a", "b"]), "after": stay(&["a"]) },
            { "index": 1, "after": stay(&["b"]) }]);
        let added = json!([{ "index": 1, "after": stay(&["d"]) }]);
        let bookings = [booking(&[moved, divided, added])];
        let revisions = |bed| of(&bookings, &selection(bed)).iter().map(|one| one.entry.rev).collect::<Vec<_>>();
        assert_eq!(revisions(None), [0]);
        assert_eq!((revisions(Some("c")), revisions(Some("d"))), (vec![0], vec![]));
    }

    #[test]
    fn what_was_not_read_is_said() {
        let moved = json!([{ "index": 0, "before": stay(&["a"]), "after": stay(&["b"]) }]);
        let few = [booking(std::slice::from_ref(&moved))];
        let many = [booking(&vec![moved; usize::try_from(MAX_ENTRIES).unwrap()])];
        let all = selection(None);
        let mut named = selection(None);
        named.beds.booking = Some(many[0].id);
        let cut = |found: &[ChangedBooking], selection, most| is_cut(found, selection, most);
        assert!(!cut(&few, &all, 2) && cut(&few, &all, 1) && cut(&many, &all, 2));
        assert!(!cut(&many, &named, 2), "all of a booking that is named");
    }
}
