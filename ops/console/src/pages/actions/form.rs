//! Forms of the actions, made of a booking.

use super::amounts::typed;
use super::{Action, Surroundings, TakenBeds, room};
use crate::forms::FormFields;
use crate::pages::shown;
use pvt_domain::booking::{Action as HistoryAction, Stay, StayProgress};
use pvt_domain::decide::undone_by_reinstatement;
use pvt_domain::ids::BedId;
use pvt_domain::inventory::{Cleanliness, RoomKind};

/// A field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FieldView {
    /// What was chosen on the page before.
    Fixed { name: &'static str, value: String },
    /// A box to tick.
    Check { name: &'static str, value: String, label: String, is_checked: bool },
    /// A list to choose from.
    Choice { name: String, label: String, choices: Vec<ChoiceView> },
    /// A line of text.
    Text { name: &'static str, label: &'static str, value: String, is_required: bool },
}

/// An option of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChoiceView {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// What a user has typed: nothing yet, or a form that was sent.
pub(super) struct Typed<'a> {
    fields: &'a FormFields,
    is_first: bool,
}

impl<'a> Typed<'a> {
    /// A form that is shown for the first time, for the stay that is named.
    pub(super) fn first(fields: &'a FormFields) -> Self {
        Self { fields, is_first: true }
    }

    /// A form that was sent.
    pub(super) fn again(fields: &'a FormFields) -> Self {
        Self { fields, is_first: false }
    }

    /// All fields.
    pub(super) fn fields(&self) -> &'a FormFields {
        self.fields
    }

    fn is_ticked(&self, name: &str, value: &str) -> bool {
        self.fields.all(name).any(|one| one == value)
    }

    /// Whether a stay is ticked: as it was sent; at first the one that is named, or those that are due.
    fn is_meant(&self, id: u32, is_due: bool) -> bool {
        let named = self.fields.get("stay");
        if self.is_first && named.is_empty() { is_due } else { self.is_ticked("stay", &id.to_string()) }
    }
}

/// The name of the field with the bed of a place.
pub(super) fn bed_field(stay: u32, place: usize) -> String {
    format!("bed-{stay}-{place}")
}

/// A stay in words.
pub(super) fn stay_label(around: &Surroundings, stay: &Stay) -> String {
    let room_type = around.inventory.room_type(&stay.room_type_id).map_or(stay.room_type_id.as_str(), |one| &one.name);
    let beds = stay.beds_on(stay.night_nearest(around.today)).iter().map(|bed| bed_label(around, bed));
    let progress = match around.booking.progress_of(stay) {
        StayProgress::Expected => "expected",
        StayProgress::CheckedIn => "checked in",
        StayProgress::CheckedOut => "checked out",
    };
    let (guests, beds) = (stay.guests, beds.collect::<Vec<_>>().join(", "));
    format!("{room_type}, {} – {}, {guests} guests, {progress}, beds {beds}", stay.arrival, stay.departure)
}

pub(super) fn bed_label(around: &Surroundings, bed: &BedId) -> String {
    let is_clean = around.inventory.cleanliness_of(bed) == Some(Cleanliness::Clean);
    if is_clean { bed.to_string() } else { format!("{bed} (to be cleaned)") }
}

/// The fields of an action; other beds can be chosen where it is known which are taken.
pub(super) fn fields(
    action: Action,
    around: &Surroundings,
    taken: Option<&TakenBeds>,
    typed: &Typed<'_>,
) -> Vec<FieldView> {
    let mut fields = match action {
        Action::CheckIn | Action::NoShow => guests(around, typed, StayProgress::Expected, taken),
        Action::CheckOut => guests(around, typed, StayProgress::CheckedIn, taken),
        Action::BringBack => absent(around, typed),
        Action::Payment => return payment(around, typed),
        Action::Room => room::fixed(typed.fields),
        Action::Reinstate | Action::Confirm | Action::Cancel => Vec::new(),
    };
    let switches: &[(&'static str, &str)] = match action {
        Action::CheckOut => &[
            ("reprice", "Deduct the nights that were not slept"),
            ("allow_open_balance", "Leave the balance open (needs a reason)"),
        ],
        Action::Cancel => &[("waive_fee", "Waive the fee (needs a reason)")],
        _ => &[],
    };
    fields.extend(switches.iter().map(|(name, label)| FieldView::Check {
        name,
        value: "yes".to_owned(),
        label: (*label).to_owned(),
        is_checked: typed.is_ticked(name, "yes"),
    }));
    fields.push(FieldView::Text {
        name: "reason",
        label: "Reason",
        value: typed.fields.get("reason").to_owned(),
        is_required: action.needs_reason(),
    });
    fields
}

/// Stays whose guests are so far; those with several places by the bed place by place.
fn guests(
    around: &Surroundings,
    typed: &Typed<'_>,
    progress: StayProgress,
    taken: Option<&TakenBeds>,
) -> Vec<FieldView> {
    let mut fields = Vec::new();
    for stay in around.booking.numbered_stays() {
        let Some(id) = stay.id.filter(|_| around.booking.progress_of(&stay) == progress) else { continue };
        let is_due = match progress {
            StayProgress::Expected => stay.arrival <= around.today,
            _ => true,
        };
        let is_meant = typed.is_meant(id, is_due);
        let kind = around.inventory.room_type(&stay.room_type_id).map(|one| one.kind);
        let is_by_bed = kind == Some(RoomKind::Dorm);
        let is_divisible = is_by_bed && stay.guests > 1;
        let label = stay_label(around, &stay);
        if !is_divisible {
            fields.push(FieldView::Check { name: "stay", value: id.to_string(), label, is_checked: is_meant });
        }
        let beds = taken.filter(|_| is_by_bed).map(|taken| taken.choices(around, &stay, &stay.room_type_id));
        let free = beds.map(|beds| beds.iter().filter(|bed| bed.is_ready()).map(|bed| bed.bed.clone()).collect());
        let free: Option<Vec<BedId>> = free;
        for place in around.booking.places(around.today).iter().filter(|place| place.stay_id == id) {
            if is_divisible {
                let value = format!("{id}.{}", place.position);
                let name = place.guest.map_or_else(|| format!("Guest {}", place.position + 1), |one| one.full_name());
                let bed = place.bed.map_or_else(String::new, |bed| bed_label(around, bed));
                let label = format!("{name}, bed {bed}, {} – {}", stay.arrival, stay.departure);
                let is_checked = is_meant || typed.is_ticked("place", &value);
                fields.push(FieldView::Check { name: "place", value, label, is_checked });
            }
            fields.extend(
                place.bed.and_then(|bed| bed_choice(around, typed, (id, place.position), bed, free.as_deref())),
            );
        }
    }
    fields
}

/// The bed of a place, or another one that is ready; where these are not known, the one that was chosen before.
fn bed_choice(
    around: &Surroundings,
    typed: &Typed<'_>,
    (stay, position): (u32, u32),
    bed: &BedId,
    free: Option<&[BedId]>,
) -> Option<FieldView> {
    let name = bed_field(stay, usize::try_from(position).unwrap_or_default());
    let named = BedId::from(typed.fields.get(&name));
    let is_named = !named.as_str().is_empty();
    let before = is_named.then(|| std::slice::from_ref(&named));
    let own = ChoiceView { value: String::new(), label: bed_label(around, bed), is_chosen: !is_named };
    let others = free.or(before)?.iter().map(|bed| ChoiceView {
        value: bed.to_string(),
        label: bed.to_string(),
        is_chosen: named == *bed,
    });
    let choices = std::iter::once(own).chain(others).collect();
    Some(FieldView::Choice { name, label: format!("In bed (instead of {bed})"), choices })
}

/// What is undone.
pub(super) fn undone(around: &Surroundings) -> Vec<String> {
    let Some((entry, ids)) = undone_by_reinstatement(&around.booking) else { return Vec::new() };
    let stays = around.booking.numbered_stays().into_iter().chain(around.booking.absent_stays());
    let undone = stays.filter(|stay| stay.id.is_some_and(|id| ids.contains(&id)));
    let what = if entry.action == HistoryAction::NoShow { "no-show" } else { "check-in" };
    let head = format!("Undone: the {what} of {}.", shown(entry.at));
    std::iter::once(head).chain(undone.map(|stay| stay_label(around, &stay))).collect()
}

/// Stays whose guests did not arrive while others did.
fn absent(around: &Surroundings, typed: &Typed<'_>) -> Vec<FieldView> {
    let absent = around.booking.absent_stays();
    let field = |stay: &Stay| {
        let value = stay.id?.to_string();
        let label = format!("Did not arrive: {}", stay_label(around, stay));
        Some(FieldView::Check { name: "stay", is_checked: typed.is_ticked("stay", &value), value, label })
    };
    absent.iter().filter_map(field).collect()
}

fn payment(around: &Surroundings, sent: &Typed<'_>) -> Vec<FieldView> {
    let methods = [("cash", "Cash"), ("terminal", "Terminal"), ("bank_transfer", "Bank transfer")];
    let chosen = if sent.is_first { "cash" } else { sent.fields.get("method") };
    let choice = |(value, label): (&str, &str)| ChoiceView {
        value: value.to_owned(),
        label: label.to_owned(),
        is_chosen: value == chosen,
    };
    // What staff are to return is a negative amount.
    let (owed, to_return) = (around.booking.outstanding(), around.booking.payment.refunds_due().manual);
    let due = around.money(if owed == 0 { -to_return } else { owed });
    let amount = if sent.is_first { typed(due.amount, due.currency) } else { sent.fields.get("amount").to_owned() };
    vec![
        FieldView::Choice {
            name: "method".to_owned(),
            label: "Paid by".to_owned(),
            choices: methods.into_iter().map(choice).collect(),
        },
        FieldView::Text {
            name: "amount",
            label: "Amount, with a minus when it was returned to the guest",
            value: amount,
            is_required: true,
        },
        FieldView::Text { name: "note", label: "Note", value: sent.fields.get("note").to_owned(), is_required: false },
    ]
}
