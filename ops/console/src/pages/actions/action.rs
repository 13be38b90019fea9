//! Actions: when each is offered, and the requests of the API that it is.

use super::amounts::minor_units;
use super::sending::{Route, Step};
use super::{Surroundings, form, room};
use crate::forms::FormFields;
use crate::pages::moves::is_movable;
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Status, StayProgress};
use pvt_domain::business_day::business_date;
use pvt_domain::decide::undone_by_reinstatement;
use pvt_domain::inventory::Property;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const NAME_GUESTS: &str = "Choose at least one stay or place.";
const NAME_ABSENT: &str = "Choose guests who did not arrive.";
const NAME_REASON: &str = "Reason: is missing.";
const NAME_AMOUNT: &str = "Write the amount as 79.80, with a minus when it was returned to the guest.";

/// What staff can do with a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    CheckIn,
    CheckOut,
    NoShow,
    /// The latest check-in or no-show is undone.
    Reinstate,
    /// Guests come after all, while others of their booking have come before.
    BringBack,
    Confirm,
    Cancel,
    Payment,
    Room,
}

/// A link to the form of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) path: &'static str,
    pub(crate) label: String,
}

impl Action {
    const ALL: [Self; 9] = [
        Self::CheckIn,
        Self::CheckOut,
        Self::NoShow,
        Self::Reinstate,
        Self::BringBack,
        Self::Confirm,
        Self::Payment,
        Self::Room,
        Self::Cancel,
    ];

    /// The action of this path.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.path() == path)
    }

    /// Its part of an address.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::CheckIn => "check-in",
            Self::CheckOut => "check-out",
            Self::NoShow => "no-show",
            Self::Reinstate => "reinstate",
            Self::BringBack => "bring-back",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Payment => "payment",
            Self::Room => "room",
        }
    }

    /// What its button and the link to its form say that it will do; an entry of this business day by its time.
    pub(crate) fn label(self, booking: &Booking, (property, today): (&Property, NaiveDate)) -> String {
        match (self, undone_by_reinstatement(booking)) {
            (Self::Reinstate, Some((entry, _))) => {
                let what = if entry.action == pvt_domain::booking::Action::NoShow { "no-show" } else { "check-in" };
                let at = entry.at.as_datetime().with_timezone(&property.time_zone);
                let is_today = business_date(property, entry.at) == today;
                let when = at.format(if is_today { "%H:%M" } else { "%Y-%m-%d %H:%M" });
                format!("Undo the {what} of {when}")
            }
            _ => self.name().to_owned(),
        }
    }

    /// A link to its form.
    pub(crate) fn offer(self, booking: &Booking, day: (&Property, NaiveDate)) -> Offer {
        Offer { path: self.path(), label: self.label(booking, day) }
    }

    /// Its name, whatever the booking.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CheckIn => "Check in",
            Self::CheckOut => "Check out",
            Self::NoShow => "No-show",
            Self::Reinstate => "Undo check-in or no-show",
            Self::BringBack => "Bring back guests who did not arrive",
            Self::Confirm => "Confirm without payment",
            Self::Cancel => "Cancel the booking",
            Self::Payment => "Record a payment",
            Self::Room => "Move to another room type",
        }
    }

    /// What was done.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::CheckIn => "Checked in",
            Self::CheckOut => "Checked out",
            Self::NoShow => "Marked as a no-show",
            Self::Reinstate => "Undone",
            Self::BringBack => "Brought back",
            Self::Confirm => "Confirmed",
            Self::Cancel => "Cancelled",
            Self::Payment => "Payment recorded",
            Self::Room => "Moved to another room type",
        }
    }

    /// Whether it is not done without a reason.
    pub(super) fn needs_reason(self) -> bool {
        matches!(self, Self::Reinstate | Self::BringBack | Self::Room)
    }

    /// The end of its route of the API.
    pub(super) fn route(self) -> &'static str {
        match self {
            Self::CheckIn => "checkin",
            Self::CheckOut => "checkout",
            Self::NoShow => "no-show",
            Self::Reinstate | Self::BringBack => "reinstate",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Payment | Self::Room => "",
        }
    }

    /// Whether the status of the booking allows it, as far as the console knows; the API decides.
    pub(crate) fn is_offered(self, booking: &Booking) -> bool {
        let has = |progress| booking.stays.iter().any(|stay| booking.progress_of(stay) == progress);
        let is_open = matches!(booking.status, Status::Confirmed | Status::CheckedIn);
        match self {
            Self::CheckIn | Self::NoShow => is_open && has(StayProgress::Expected),
            Self::CheckOut => booking.status == Status::CheckedIn && has(StayProgress::CheckedIn),
            Self::Reinstate => {
                matches!(booking.status, Status::CheckedIn | Status::NoShow)
                    && undone_by_reinstatement(booking).is_some()
            }
            Self::BringBack => !booking.absent_stays().is_empty(),
            Self::Confirm => booking.status == Status::Held,
            Self::Cancel => matches!(booking.status, Status::Held | Status::Confirmed),
            Self::Room => is_open && booking.stays.iter().any(|stay| is_movable(booking.status, stay)),
            Self::Payment => booking.price.is_some() && !matches!(booking.status, Status::Requested | Status::Rejected),
        }
    }

    /// What the booking allows, apart from one.
    pub(crate) fn offers(booking: &Booking, day: (&Property, NaiveDate), apart_from: Option<Self>) -> Vec<Offer> {
        let offered = Self::ALL.into_iter().filter(|action| Some(*action) != apart_from && action.is_offered(booking));
        offered.map(|action| action.offer(booking, day)).collect()
    }

    /// The requests that a form means for this state of the booking, in their order.
    ///
    /// # Errors
    /// Advice where the form means none.
    pub(super) fn steps(
        self,
        around: &Surroundings,
        booking: &Booking,
        fields: &FormFields,
    ) -> Result<Vec<Step>, String> {
        let mut body = Map::new();
        let reason = fields.get("reason");
        if self == Self::Payment {
            return payment(around, fields).map(|step| vec![step]);
        }
        if reason.is_empty() && self.needs_reason() {
            return Err(NAME_REASON.to_owned());
        }
        if self == Self::Room {
            return room::step(around, booking, fields).map(|step| vec![step]);
        }
        if !reason.is_empty() {
            body.insert("reason".to_owned(), reason.into());
        }
        let mut steps = Vec::new();
        match self {
            Self::CheckIn | Self::CheckOut | Self::NoShow => {
                let chosen = chosen(booking, around.today, fields)?;
                if self == Self::CheckIn {
                    steps.extend(other_beds(booking, around.today, &chosen, fields));
                }
                body.insert("stays".to_owned(), chosen.into_iter().map(Chosen::selection).collect());
            }
            Self::BringBack => {
                let absent = fields.all("stay").filter_map(|id| id.parse::<u32>().ok());
                let absent: Vec<Value> = absent.map(|id| json!({ "id": id })).collect();
                if absent.is_empty() {
                    return Err(NAME_ABSENT.to_owned());
                }
                body.insert("stays".to_owned(), absent.into());
            }
            Self::Reinstate | Self::Confirm | Self::Cancel | Self::Payment | Self::Room => {}
        }
        let switches: &[&str] = match self {
            Self::CheckOut => &["reprice", "allow_open_balance"],
            Self::Cancel => &["waive_fee"],
            _ => &[],
        };
        for name in switches.iter().filter(|name| fields.get(name) == "yes") {
            body.insert((*name).to_owned(), true.into());
        }
        steps.push(Step { route: Route::Action, body: body.into() });
        Ok(steps)
    }
}

fn payment(around: &Surroundings, fields: &FormFields) -> Result<Step, String> {
    let currency = around.money(0).currency;
    let amount = minor_units(fields.get("amount"), currency).ok_or(NAME_AMOUNT)?;
    let mut body = json!({ "booking_id": around.booking.id, "method": fields.get("method"),
        "amount": { "amount": amount, "currency": currency } });
    if !fields.get("note").is_empty() {
        body["note"] = fields.get("note").into();
    }
    Ok(Step { route: Route::Payment, body })
}

/// A stay of a form, or some of its places.
struct Chosen {
    id: u32,
    places: Option<Vec<u32>>,
}

impl Chosen {
    fn selection(self) -> Value {
        match self.places {
            Some(places) => json!({ "id": self.id, "places": places }),
            None => json!({ "id": self.id }),
        }
    }
}

/// The stays and places that a form names: a stay of which every place is named is named as a whole.
fn chosen(booking: &Booking, today: NaiveDate, fields: &FormFields) -> Result<Vec<Chosen>, String> {
    let whole: Vec<u32> = fields.all("stay").filter_map(|id| id.parse().ok()).collect();
    let mut places: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (id, position) in fields.all("place").filter_map(|place| place.split_once('.')) {
        if let (Ok(id), Ok(position)) = (id.parse(), position.parse()) {
            places.entry(id).or_default().push(position);
        }
    }
    let of_places = places.into_iter().filter(|(id, _)| !whole.contains(id)).map(|(id, positions)| {
        let all = booking.places(today).iter().filter(|place| place.stay_id == id).count();
        Chosen { id, places: (positions.len() < all).then_some(positions) }
    });
    let mut chosen: Vec<Chosen> = of_places.collect();
    chosen.extend(whole.iter().map(|id| Chosen { id: *id, places: None }));
    chosen.sort_by_key(|one| one.id);
    if chosen.is_empty() { Err(NAME_GUESTS.to_owned()) } else { Ok(chosen) }
}

/// The assignment of the beds that were chosen instead of those of the stays.
fn other_beds(booking: &Booking, today: NaiveDate, chosen: &[Chosen], fields: &FormFields) -> Option<Step> {
    let stays = booking.numbered_stays();
    let assignments: Vec<Value> = stays
        .iter()
        .filter_map(|stay| {
            let id = stay.id.filter(|id| chosen.iter().any(|one| one.id == *id))?;
            let present = stay.beds_on(stay.night_nearest(today));
            let fields_of = (0..present.len()).map(|place| fields.get(&form::bed_field(id, place)));
            let named: Vec<&str> = fields_of.collect();
            let beds: Vec<&str> = named
                .iter()
                .zip(present)
                .map(|(named, present)| if named.is_empty() { present.as_str() } else { named })
                .collect();
            // Also when they are there already: a form that is sent again is the same requests.
            named.iter().any(|bed| !bed.is_empty()).then(|| json!({ "id": id, "beds": beds }))
        })
        .collect();
    let typed = Some(fields.get("reason")).filter(|reason| !reason.is_empty());
    let body = || json!({ "assignments": assignments, "reason": typed.unwrap_or("chosen at check-in") });
    (!assignments.is_empty()).then(|| Step { route: Route::Beds, body: body() })
}

/// What a dry run says, in lines.
pub(super) fn preview_lines(preview: &Value) -> Vec<String> {
    let money = |name: &str| serde_json::from_value::<pvt_domain::money::Money>(preview.get(name)?.clone()).ok();
    let text = |name: &str| preview.get(name).and_then(Value::as_str).map(str::to_owned);
    let parts = [
        ("Policy", text("policy")),
        ("Free of charge until", text("free_until")),
        ("Fee", money("fee").map(|money| money.to_string())),
        ("Refund", money("refund").map(|money| money.to_string())),
        ("Of it to be returned by you", money("refund_manual").map(|money| money.to_string())),
        ("Of it disputed", money("refund_disputed").map(|money| money.to_string())),
    ];
    parts.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value?))).collect()
}
