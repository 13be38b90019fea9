//! Creation and change of properties. Currency and time zone, by which everything is counted, never change.

use super::PropertyView;
use crate::auth::policy::Caller;
use crate::commands::idempotency::IdempotentRequest;
use crate::form::form;
use crate::form::presence::{Presence as _, optional, reported, required};
use crate::form::types::{FieldType, integer, inventory_id, list, one_line, one_of, trimmed, value};
use crate::http::extract::{Form, IdempotencyKey, IfMatch, PathId};
use crate::http::problem::{self, Problem};
use crate::http::response::{Created, Tagged};
use crate::resources::properties::change::{self, EditOutcome, PropertyChange};
use crate::resources::properties::tax_forms::taxes;
use crate::state::SharedApp;
use axum::extract::State;
use chrono::NaiveTime;
use chrono_tz::Tz;
use pvt_domain::ids::PropertyId;
use pvt_domain::intake::MAX_NAME_CHARS;
use pvt_domain::inventory::{DEFAULT_CUTOFF, DEFAULT_HOLD_MINUTES, HOLD_MINUTES, Property, TaxRule};
use pvt_domain::money::Currency;
use serde_json::json;

/// When guests may come and must leave where nothing else is said.
const CHECK_IN_FROM: NaiveTime = time(15);
const CHECK_OUT_UNTIL: NaiveTime = time(11);
/// Longest address, in characters.
pub(crate) const MAX_ADDRESS_CHARS: usize = 300;
/// Languages that mails are written in.
const LANGUAGES: [(&str, &str); 2] = [("fr", "fr"), ("en", "en")];

const fn time(hour: u32) -> NaiveTime {
    match NaiveTime::from_hms_opt(hour, 0, 0) {
        Some(time) => time,
        None => NaiveTime::MIN,
    }
}

form! {
    /// A new property.
    pub(crate) struct NewPropertyForm {
        id: PropertyId = required(inventory_id()),
        /// An IANA name. It never changes: nights are counted by it.
        time_zone: Tz = reported(time_zone()).after_missing(&["name", "address", "time_zone", "currency"]),
        /// ISO 4217. It never changes.
        currency: Currency = reported(priced_currency()),
        name: String = reported(name()),
        address: String = reported(address()),
        /// 15:00 by default.
        check_in_from: Option<NaiveTime> = optional(time_of_day()),
        /// 11:00 by default.
        check_out_until: Option<NaiveTime> = optional(time_of_day()),
        /// Until when after midnight the business day before continues; 04:00 by default.
        business_day_cutoff: Option<NaiveTime> = optional(time_of_day()),
        /// Until when guests may book the night that begins, after midnight if it is before `business_day_cutoff`;
        /// 00:00 by default.
        same_day_until: Option<NaiveTime> = optional(time_of_day()),
        /// Languages of mails to guests who named none, the preferred one first.
        locales: Option<Vec<String>> = optional(locales()),
        /// In the order in which they are added.
        taxes: Option<Vec<TaxRule>> = optional(taxes()),
        /// How long beds are held for a payment; 30 by default.
        hold_minutes: Option<u32> = optional(hold_minutes()),
    }
    example json!({
        "id": "pvt-quebec", "name": "PVT Québec", "address": "19 rue Sainte-Ursule, Québec",
        "time_zone": "America/Toronto", "currency": "CAD", "locales": ["fr", "en"],
        "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50000 }],
    });
}

form! {
    /// A change of a property: what is missing stays.
    pub(crate) struct PropertyChangeForm {
        name: Option<String> = optional(name()).not_null(),
        address: Option<String> = optional(address()).not_null(),
        /// 15:00 by default.
        check_in_from: Option<NaiveTime> = optional(time_of_day()).not_null(),
        /// 11:00 by default.
        check_out_until: Option<NaiveTime> = optional(time_of_day()).not_null(),
        /// Until when after midnight the business day before continues; 04:00 by default.
        business_day_cutoff: Option<NaiveTime> = optional(time_of_day()).not_null(),
        /// Until when guests may book the night that begins, after midnight if it is before `business_day_cutoff`;
        /// 00:00 by default.
        same_day_until: Option<NaiveTime> = optional(time_of_day()).not_null(),
        /// Languages of mails to guests who named none, the preferred one first.
        locales: Option<Vec<String>> = optional(locales()).not_null(),
        /// In the order in which they are added.
        taxes: Option<Vec<TaxRule>> = optional(taxes()).not_null(),
        /// How long beds are held for a payment; 30 by default.
        hold_minutes: Option<u32> = optional(hold_minutes()).not_null(),
    }
    example json!({ "check_in_from": "14:00" });
}

impl From<NewPropertyForm> for Property {
    fn from(form: NewPropertyForm) -> Self {
        Self {
            id: form.id,
            name: form.name,
            address: form.address,
            time_zone: form.time_zone,
            currency: form.currency,
            check_in_from: form.check_in_from.unwrap_or(CHECK_IN_FROM),
            check_out_until: form.check_out_until.unwrap_or(CHECK_OUT_UNTIL),
            business_day_cutoff: form.business_day_cutoff.unwrap_or(DEFAULT_CUTOFF),
            same_day_until: form.same_day_until.unwrap_or(NaiveTime::MIN),
            locales: form.locales.unwrap_or_else(|| vec!["en".to_owned()]),
            taxes: form.taxes.unwrap_or_default(),
            hold_minutes: form.hold_minutes.unwrap_or(DEFAULT_HOLD_MINUTES),
        }
    }
}

fn name() -> impl FieldType<Value = String> {
    trimmed(1, MAX_NAME_CHARS)
}

fn address() -> impl FieldType<Value = String> {
    one_line("invalid_address", MAX_ADDRESS_CHARS)
}

fn time_zone() -> impl FieldType<Value = Tz> {
    value("an IANA name such as America/Toronto", |text| text.parse().ok())
}

fn priced_currency() -> impl FieldType<Value = Currency> {
    let priced = |text: &str| Currency::from_code(text).filter(|currency| currency.exponent().is_some());
    value("an ISO 4217 code such as CAD", priced)
}

fn time_of_day() -> impl FieldType<Value = NaiveTime> {
    value("a time such as 15:00", |text| NaiveTime::parse_from_str(text, "%H:%M").ok())
        .pattern("^[0-2][0-9]:[0-5][0-9]$")
}

fn locales() -> impl FieldType<Value = Vec<String>> {
    list(one_of(&LANGUAGES).map(str::to_owned), LANGUAGES.len()).at_least(1)
}

fn hold_minutes() -> impl FieldType<Value = u32> {
    integer(i64::from(*HOLD_MINUTES.start())..=i64::from(*HOLD_MINUTES.end()))
}

/// `POST /api/properties`: 201 with the property, which has no rooms and sells nothing yet.
pub(super) async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Form { value: form, fingerprint }: Form<NewPropertyForm>,
) -> Result<Created<PropertyView<'static>>, Problem> {
    let property = Property::from(form);
    let caller = caller.staff_of(&property.id)?;
    let once =
        IdempotentRequest::begin_audited(&app, &caller, &key, fingerprint, &change::subject(&property.id, "")).await?;
    let (inventory, is_new) = match change::create_property(&app, &property, &caller.actor(), once.id()).await? {
        Some(inventory) => (inventory, true),
        None => (change::stored_inventory(&app, &property.id).await?, false),
    };
    if inventory.property != property && !once.is_replay() {
        return Err(problem::ALREADY_EXISTS.into());
    }
    once.done();
    Created::at(inventory.rev, is_new, &format!("/api/properties/{}", property.id), &PropertyView::new(&inventory))
}

/// `PATCH /api/properties/{id}`: what is not sent stays.
pub(super) async fn change(
    State(app): State<SharedApp>,
    PathId(property): PathId<PropertyId>,
    caller: Caller,
    IfMatch(expected): IfMatch,
    Form { value: form, .. }: Form<PropertyChangeForm>,
) -> Result<Tagged<PropertyView<'static>>, Problem> {
    let caller = caller.staff_of(&property)?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "property.change",
        subject: String::new(),
        expected,
        audit_id: None,
    };
    let (inventory, _) = change
        .apply(&app, |inventory| {
            let before = inventory.property.clone();
            inventory.property = form.apply_to(before.clone());
            Ok(if inventory.property == before {
                EditOutcome::Unchanged
            } else {
                EditOutcome::ChangedAt("/property".to_owned())
            })
        })
        .await?;
    Ok(Tagged::at(inventory.rev, &PropertyView::new(&inventory)))
}

impl PropertyChangeForm {
    fn apply_to(&self, before: Property) -> Property {
        Property {
            name: self.name.clone().unwrap_or(before.name),
            address: self.address.clone().unwrap_or(before.address),
            check_in_from: self.check_in_from.unwrap_or(before.check_in_from),
            check_out_until: self.check_out_until.unwrap_or(before.check_out_until),
            business_day_cutoff: self.business_day_cutoff.unwrap_or(before.business_day_cutoff),
            same_day_until: self.same_day_until.unwrap_or(before.same_day_until),
            locales: self.locales.clone().unwrap_or(before.locales),
            taxes: self.taxes.clone().unwrap_or(before.taxes),
            hold_minutes: self.hold_minutes.unwrap_or(before.hold_minutes),
            ..before
        }
    }
}
