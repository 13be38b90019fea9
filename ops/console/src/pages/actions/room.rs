//! A move to beds of another room type: a better bed for a guest, or any bed when a room cannot be slept in.
//!
//! It is a change of the stay, which the API decides and prices. Its dry run does not look at beds, so that they are
//! looked at here before.

use super::form::{ChoiceView, FieldView, stay_label};
use super::sending::{Route, Step};
use super::{BedChoice, Surroundings, TakenBeds};
use crate::api::Call;
use crate::forms::FormFields;
use crate::pages::moves::is_movable;
use pvt_domain::booking::{Booking, Stay};
use pvt_domain::ids::{BedId, RoomTypeId};
use pvt_domain::inventory::RoomKind;
use pvt_domain::money::Money;
use serde_json::{Value, json};

const NAME_STAY: &str = "Choose the stay that is moved.";
const NAME_BEDS: &str = "Choose the beds.";
const NAME_PRICE: &str = "Choose which price is paid.";
/// The agreed total stays, or the other room type is paid.
const PRICES: [(&str, &str); 2] =
    [("keep", "Keep the agreed price (a courtesy)"), ("new", "Charge the price of the other room type")];
/// Whatever price is paid, the rate may restrict the nights.
pub(super) const OVERRIDE: &str = "override_restrictions";
/// Between the beds of a field; ids hold none.
const SEPARATOR: char = ',';

/// What is to be chosen before it can be said what it would cost.
pub(super) fn choice(around: &Surroundings, taken: &TakenBeds, fields: &FormFields) -> Vec<FieldView> {
    let movable: Vec<Stay> = movable(&around.booking);
    let Some(stay) = chosen_stay(&movable, fields) else {
        let choices = movable.iter().filter_map(|stay| {
            Some(ChoiceView { value: stay.id?.to_string(), label: stay_label(around, stay), is_chosen: false })
        });
        return vec![FieldView::Choice {
            name: "stay".to_owned(),
            label: "Stay".to_owned(),
            choices: choices.collect(),
        }];
    };
    let price = fields.get("price");
    let prices = PRICES.map(|(value, label)| ChoiceView {
        value: value.to_owned(),
        label: label.to_owned(),
        is_chosen: value == price,
    });
    vec![
        FieldView::Fixed { name: "stay", value: stay.id.unwrap_or_default().to_string() },
        FieldView::Choice {
            name: "to".to_owned(),
            label: format!("To, instead of {}", stay_label(around, stay)),
            choices: targets(around, taken, stay, fields.get("to")),
        },
        FieldView::Choice { name: "price".to_owned(), label: "Price".to_owned(), choices: prices.into() },
        FieldView::Check {
            name: OVERRIDE,
            value: "yes".to_owned(),
            label: "Sell against the restrictions of the rate".to_owned(),
            is_checked: fields.get(OVERRIDE) == "yes",
        },
    ]
}

/// What was chosen, as the form carries it on.
pub(super) fn fixed(fields: &FormFields) -> Vec<FieldView> {
    ["stay", "to", "price", OVERRIDE].map(|name| FieldView::Fixed { name, value: fields.get(name).to_owned() }).into()
}

fn movable(booking: &Booking) -> Vec<Stay> {
    booking.numbered_stays().into_iter().filter(|stay| is_movable(booking.status, stay)).collect()
}

/// The stay that is named, or the only one.
fn chosen_stay<'a>(movable: &'a [Stay], fields: &FormFields) -> Option<&'a Stay> {
    let named = fields.get("stay").parse::<u32>().ok();
    match movable {
        [only] if named.is_none() => Some(only),
        stays => stays.iter().find(|stay| named.is_some() && stay.id == named),
    }
}

/// Beds for all guests of a stay in one room of another room type, those that are ready first.
fn targets(around: &Surroundings, taken: &TakenBeds, stay: &Stay, named: &str) -> Vec<ChoiceView> {
    let guests = usize::try_from(stay.guests).unwrap_or(usize::MAX);
    let mut targets: Vec<(bool, ChoiceView)> = Vec::new();
    for room_type in around.inventory.room_types.iter().filter(|one| one.id != stay.room_type_id) {
        let beds = taken.choices(around, stay, &room_type.id);
        for in_room in beds.chunk_by(|one, other| one.room.id == other.room.id) {
            let is_whole = room_type.kind == RoomKind::Private;
            if in_room.len() < guests {
                continue;
            }
            let sets: Vec<Vec<&BedChoice<'_>>> = match (is_whole, guests) {
                (true, _) => vec![in_room.iter().collect()],
                (false, 1) => in_room.iter().map(|bed| vec![bed]).collect(),
                (false, _) => first_beds(in_room, guests, named).into_iter().collect(),
            };
            targets.extend(sets.iter().map(|beds| target(&room_type.name, beds, named)));
        }
    }
    targets.sort_by_key(|(is_ready, _)| !is_ready);
    targets.into_iter().map(|(_, view)| view).collect()
}

/// So many beds of a dorm, those that are named first and those that are ready before the others; none where too many
/// are taken.
fn first_beds<'a>(beds: &'a [BedChoice<'a>], count: usize, named: &str) -> Option<Vec<&'a BedChoice<'a>>> {
    let mut free: Vec<&BedChoice<'_>> = beds.iter().filter(|bed| !bed.is_taken).collect();
    let is_named = |bed: &BedChoice<'_>| named.split(SEPARATOR).any(|one| one == bed.bed.as_str());
    free.sort_by_key(|bed| (!is_named(bed), !bed.is_ready()));
    free.truncate(count);
    (free.len() == count).then_some(free)
}

fn target(room_type: &str, beds: &[&BedChoice<'_>], named: &str) -> (bool, ChoiceView) {
    let ids: Vec<&str> = beds.iter().map(|bed| bed.bed.as_str()).collect();
    let worst = beds.iter().find(|bed| bed.is_taken).or_else(|| beds.iter().find(|bed| !bed.is_ready()));
    let notes = worst.map_or_else(|| "free".to_owned(), |bed| bed.notes());
    let room = beds.first().map_or_else(String::new, |bed| bed.room.id.to_string());
    let is_chosen = !named.is_empty() && named.split(SEPARATOR).all(|bed| ids.contains(&bed));
    let label = format!("{room_type}, room {room}, {}: {notes}", ids.join(" and "));
    (worst.is_none(), ChoiceView { value: ids.join(&SEPARATOR.to_string()), label, is_chosen })
}

/// A stay and the beds of another room type that its guests move to.
struct RoomMove {
    stay: Stay,
    room_type: RoomTypeId,
    beds: Vec<BedId>,
    is_repriced: bool,
}

/// The move that a form means for this state of the booking.
///
/// # Errors
/// Advice where it means none.
fn chosen(around: &Surroundings, booking: &Booking, fields: &FormFields) -> Result<RoomMove, String> {
    let movable = movable(booking);
    let stay = chosen_stay(&movable, fields).ok_or(NAME_STAY)?.clone();
    let beds = beds_of(around, &stay, fields)?;
    let price = PRICES.iter().find(|(value, _)| *value == fields.get("price")).ok_or(NAME_PRICE)?.0;
    let room = beds.first().and_then(|bed| around.inventory.room_of(bed)).ok_or(NAME_BEDS)?;
    Ok(RoomMove { stay, room_type: room.room_type_id.clone(), beds, is_repriced: price == "new" })
}

/// The change that a form means for this state of the booking.
///
/// # Errors
/// Advice where it means none.
pub(super) fn step(around: &Surroundings, booking: &Booking, fields: &FormFields) -> Result<Step, String> {
    let chosen = chosen(around, booking, fields)?;
    let stays: Vec<Value> = booking
        .numbered_stays()
        .iter()
        .map(|other| match other.id == chosen.stay.id {
            true => json!({ "id": other.id, "room_type_id": chosen.room_type, "beds": chosen.beds }),
            false => json!({ "id": other.id }),
        })
        .collect();
    let mut body = json!({ "stays": stays, "reprice": chosen.is_repriced });
    if fields.get(OVERRIDE) == "yes" {
        body[OVERRIDE] = true.into();
    }
    if !fields.get("reason").is_empty() {
        body["reason"] = fields.get("reason").into();
    }
    Ok(Step { route: Route::Stays, body })
}

/// The beds that are named, or all of the private room of which one is.
fn beds_of(around: &Surroundings, stay: &Stay, fields: &FormFields) -> Result<Vec<BedId>, String> {
    let named: Vec<BedId> = fields.get("to").split(SEPARATOR).filter(|bed| !bed.is_empty()).map(BedId::from).collect();
    let room = named.first().and_then(|bed| around.inventory.room_of(bed)).ok_or(NAME_BEDS)?;
    if room.room_type_id == stay.room_type_id {
        return Err("This bed is of the same room type: move the guests there by “Move to another bed”.".to_owned());
    }
    let kind = around.inventory.room_type(&room.room_type_id).map(|room_type| room_type.kind);
    let guests = usize::try_from(stay.guests).unwrap_or(usize::MAX);
    match kind {
        Some(RoomKind::Private) if room.beds.len() >= guests => Ok(room.beds.clone()),
        Some(RoomKind::Dorm) if named.len() == guests => Ok(named),
        _ => Err(format!("The stay has {guests} guests: choose beds for all of them.")),
    }
}

/// The request that only says what the move would cost.
///
/// # Errors
/// Advice where the form means none, or where beds are taken.
pub(super) fn dry_run(around: &Surroundings, taken: &TakenBeds, fields: &FormFields) -> Result<Call, String> {
    let booking = &around.booking;
    check_free(around, taken, fields)?;
    let mut step = step(around, booking, fields)?;
    step.body["dry_run"] = true.into();
    Ok(Call::patch(format!("/api/bookings/{}", booking.id), step.body).at_rev(Some(booking.rev)))
}

/// Checks that nothing has the beds, which a dry run does not.
///
/// # Errors
/// Advice that names the beds which are taken.
fn check_free(around: &Surroundings, taken: &TakenBeds, fields: &FormFields) -> Result<(), String> {
    let chosen = chosen(around, &around.booking, fields)?;
    let entered = entered(around, taken, &chosen);
    let taken: Vec<&str> = entered.iter().filter(|bed| bed.is_taken).map(|bed| bed.bed.as_str()).collect();
    match taken.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "Taken on some of these nights: {}. Choose other beds, or move who has them first.",
            taken.join(", ")
        )),
    }
}

/// The beds of a move, with what they are on the nights of their stay.
fn entered<'a>(around: &'a Surroundings, taken: &TakenBeds, chosen: &'a RoomMove) -> Vec<BedChoice<'a>> {
    let mut beds = taken.choices(around, &chosen.stay, &chosen.room_type);
    beds.retain(|bed| chosen.beds.contains(bed.bed));
    beds
}

/// What a dry run says, in lines.
pub(super) fn preview_lines(
    around: &Surroundings,
    taken: &TakenBeds,
    fields: &FormFields,
    preview: &Value,
) -> Vec<String> {
    let money = |value: &Value| serde_json::from_value::<Money>(value.clone()).ok();
    let present = around.booking.price.as_ref().map(|price| Money::new(price.total, price.currency));
    let total = money(&preview["price"]["total"]).map(|total| match present {
        Some(present) if present == total => format!("Price: {total}, as now"),
        Some(present) => format!("Price: {total} instead of {present}"),
        None => format!("Price: {total}"),
    });
    let some = |name: &str, label: &str| {
        let amount = money(&preview[name]).filter(|amount| amount.amount != 0);
        amount.map(|amount| format!("{label}: {amount}"))
    };
    let due = money(&preview["due"]).map(|due| format!("Due afterwards: {due}"));
    let priced = [total, due, some("payable", "To be paid before it takes effect"), some("refund", "Refund")];
    let chosen = chosen(around, &around.booking, fields).ok();
    let beds = chosen.iter().flat_map(|chosen| entered(around, taken, chosen)).map(|bed| {
        let room_type = around.inventory.room_type(&bed.room.room_type_id).map_or("", |one| one.name.as_str());
        format!("To bed {}, {room_type}, room {}: {}", bed.bed, bed.room.id, bed.notes())
    });
    beds.chain(priced.into_iter().flatten()).collect()
}
