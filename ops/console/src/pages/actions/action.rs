//! Actions: when each is offered, and the requests of the API that it is.

use super::amounts::minor_units;
use super::sending::{Route, Step};
use super::{Surroundings, form};
use crate::api::Call;
use crate::forms::FormFields;
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Status, StayProgress};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const NAME_GUESTS: &str = "Choose at least one stay or place.";
const NAME_AMOUNT: &str = "Write the amount as 79.80, with a minus when it was returned to the guest.";

/// What staff can do with a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    CheckIn,
    CheckOut,
    NoShow,
    Reinstate,
    Confirm,
    Cancel,
    Payment,
}

/// A link to the form of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) path: &'static str,
    pub(crate) label: &'static str,
}

impl Action {
    const ALL: [Self; 7] =
        [Self::CheckIn, Self::CheckOut, Self::NoShow, Self::Reinstate, Self::Confirm, Self::Cancel, Self::Payment];

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
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Payment => "payment",
        }
    }

    /// Its name on buttons and pages.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::CheckIn => "Check in",
            Self::CheckOut => "Check out",
            Self::NoShow => "No-show",
            Self::Reinstate => "Undo check-in or no-show",
            Self::Confirm => "Confirm without payment",
            Self::Cancel => "Cancel",
            Self::Payment => "Record a payment",
        }
    }

    /// What was done.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::CheckIn => "Checked in",
            Self::CheckOut => "Checked out",
            Self::NoShow => "Marked as a no-show",
            Self::Reinstate => "Undone",
            Self::Confirm => "Confirmed",
            Self::Cancel => "Cancelled",
            Self::Payment => "Payment recorded",
        }
    }

    /// The end of its route of the API.
    pub(super) fn route(self) -> &'static str {
        match self {
            Self::CheckIn => "checkin",
            Self::CheckOut => "checkout",
            Self::NoShow => "no-show",
            Self::Reinstate => "reinstate",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Payment => "",
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
                matches!(booking.status, Status::CheckedIn | Status::NoShow) || !booking.no_shows.is_empty()
            }
            Self::Confirm => booking.status == Status::Held,
            Self::Cancel => matches!(booking.status, Status::Held | Status::Confirmed),
            Self::Payment => booking.price.is_some() && !matches!(booking.status, Status::Requested | Status::Rejected),
        }
    }

    /// What the booking allows, apart from one.
    pub(crate) fn offers(booking: &Booking, apart_from: Option<Self>) -> Vec<Offer> {
        let offered = Self::ALL.into_iter().filter(|action| Some(*action) != apart_from && action.is_offered(booking));
        offered.map(|action| Offer { path: action.path(), label: action.label() }).collect()
    }

    /// The request that only says what it would cost.
    pub(super) fn dry_run(self, booking: &Booking) -> Option<Call> {
        let path = format!("/api/bookings/{}/cancel", booking.id);
        (self == Self::Cancel).then(|| Call::post(path, json!({ "dry_run": true })))
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
            Self::Reinstate => {
                let absent = fields.all("stay").filter_map(|id| id.parse::<u32>().ok());
                let absent: Vec<Value> = absent.map(|id| json!({ "id": id })).collect();
                if !absent.is_empty() {
                    body.insert("stays".to_owned(), absent.into());
                }
            }
            Self::Confirm | Self::Cancel | Self::Payment => {}
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
    let body = || json!({ "assignments": assignments, "reason": "chosen at check-in" });
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
