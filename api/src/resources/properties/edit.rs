//! Making and changing properties. What everything there is counted by (currency, time zone) is chosen once.

use super::PropertyView;
use crate::commands::idempotency::IdempotentRequest;
use crate::form;
use crate::form::json::Node;
use crate::form::reader::{Field, Fields, Pointer, Reader};
use crate::http::headers;
use crate::http::problem::{self, HandlerResult};
use crate::resources::properties::change::{self, EditOutcome, PropertyChange};
use crate::resources::properties::responses::{made, shown, worker_of};
use crate::state::SharedApp;
use axum::extract::{Path, Request, State};
use chrono::NaiveTime;
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::check::PPM;
use pvt_domain::inventory::{DEFAULT_CUTOFF, DEFAULT_HOLD_MINUTES, HOLD_MINUTES, Property, TaxRule};
use pvt_domain::money::Currency;

/// When guests may come and must leave where nothing else is said.
const CHECK_IN_FROM: NaiveTime = time(15);
const CHECK_OUT_UNTIL: NaiveTime = time(11);
/// Most tax rules of a property.
pub(crate) const MAX_TAXES: usize = 20;
/// Longest address, in characters.
pub(crate) const MAX_ADDRESS_CHARS: usize = 300;
/// Languages that mails are written in.
const LANGUAGES: [(&str, &str); 2] = [("fr", "fr"), ("en", "en")];
const CHANGEABLE: [&str; 8] =
    ["name", "address", "check_in_from", "check_out_until", "business_day_cutoff", "locales", "taxes", "hold_minutes"];

const fn time(hour: u32) -> NaiveTime {
    match NaiveTime::from_hms_opt(hour, 0, 0) {
        Some(time) => time,
        None => NaiveTime::MIN,
    }
}

/// What may be said of a property at any time.
struct PropertyFields {
    name: Option<String>,
    address: Option<String>,
    check_in_from: Option<NaiveTime>,
    check_out_until: Option<NaiveTime>,
    business_day_cutoff: Option<NaiveTime>,
    locales: Option<Vec<String>>,
    taxes: Option<Vec<TaxRule>>,
    hold_minutes: Option<u32>,
}

/// `POST /api/properties`: 201 with the property, which has no rooms and sells nothing yet.
pub(crate) async fn create(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let key = headers::idempotency_key(&parts.headers)?;
    let (property, fingerprint) = form::read(&parts.headers, body, read_new).await?;
    let caller = worker_of(&parts, &property.id)?;
    let once =
        IdempotentRequest::begin_audited(&app, &caller, key, fingerprint, &change::subject(&property.id, "")).await?;
    let (house, is_new) = match change::create_property(&app, &property, &caller.actor(), once.id()).await? {
        Some(house) => (house, true),
        None => (change::read(&app, &property.id).await?.into(), false),
    };
    if house.property != property && !once.is_replay() {
        return Err(problem::ALREADY_EXISTS.into());
    }
    once.done();
    made(house.rev, is_new, &format!("/api/properties/{}", property.id), PropertyView::new(&house))
}

/// `PATCH /api/properties/{id}`: what is not sent stays.
pub(crate) async fn change(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let expected = Some(headers::if_match(&parts.headers)?);
    let property = PropertyId::new(id);
    let caller = worker_of(&parts, &property)?;
    let (said, _) = form::read(&parts.headers, body, |node, reader| {
        reader.object(node, &Pointer::Root, &CHANGEABLE).map(|fields| read(fields, reader))
    })
    .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "property.change",
        subject: String::new(),
        expected,
        wish: None,
    };
    let (house, _) = change
        .apply(&app, |house| {
            let before = house.property.clone();
            house.property = said.upon(before.clone());
            Ok(if house.property == before {
                EditOutcome::Unchanged
            } else {
                EditOutcome::ChangedAt("/property".to_owned())
            })
        })
        .await?;
    shown(house.rev, PropertyView::new(&house))
}

impl PropertyFields {
    fn upon(&self, before: Property) -> Property {
        Property {
            name: self.name.clone().unwrap_or(before.name),
            address: self.address.clone().unwrap_or(before.address),
            check_in_from: self.check_in_from.unwrap_or(before.check_in_from),
            check_out_until: self.check_out_until.unwrap_or(before.check_out_until),
            business_day_cutoff: self.business_day_cutoff.unwrap_or(before.business_day_cutoff),
            locales: self.locales.clone().unwrap_or(before.locales),
            taxes: self.taxes.clone().unwrap_or(before.taxes),
            hold_minutes: self.hold_minutes.unwrap_or(before.hold_minutes),
            ..before
        }
    }
}

fn read_new(node: &Node<'_>, reader: &mut Reader) -> Option<Property> {
    let fields = reader.object(node, &Pointer::Root, &[&["id", "time_zone", "currency"], &CHANGEABLE[..]].concat())?;
    let id = form::text(fields, "id", reader);
    for key in ["name", "address", "time_zone", "currency"] {
        reader.required(fields, key);
    }
    let time_zone =
        form::parsed(fields, "time_zone", reader, "an IANA name such as America/Toronto", |text| text.parse().ok());
    let priced = |text: &str| Currency::from_code(text).filter(|currency| currency.exponent().is_some());
    let currency = form::parsed(fields, "currency", reader, "an ISO 4217 code such as CAD", priced);
    let said = read(fields, reader);
    let empty = Property {
        id: id?.into(),
        name: String::new(),
        address: String::new(),
        time_zone: time_zone?,
        currency: currency?,
        check_in_from: CHECK_IN_FROM,
        check_out_until: CHECK_OUT_UNTIL,
        business_day_cutoff: DEFAULT_CUTOFF,
        locales: vec!["en".to_owned()],
        taxes: Vec::new(),
        hold_minutes: DEFAULT_HOLD_MINUTES,
    };
    Some(said.upon(empty))
}

fn read(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> PropertyFields {
    let clock = |key, reader: &mut Reader| {
        form::parsed(fields, key, reader, "a time such as 15:00", |text| NaiveTime::parse_from_str(text, "%H:%M").ok())
    };
    let address = form::optional_text(fields, "address", reader);
    if address.is_some_and(|text| {
        text.trim().is_empty() || text.chars().count() > MAX_ADDRESS_CHARS || text.chars().any(char::is_control)
    }) {
        reader.violation(
            &Pointer::Key(&Pointer::Root, "address"),
            "invalid_address",
            format!("1 to {MAX_ADDRESS_CHARS} characters, no control characters"),
        );
    }
    let bounds = i64::from(*HOLD_MINUTES.start())..=i64::from(*HOLD_MINUTES.end());
    let hold = fields.optional("hold_minutes").and_then(|field| reader.integer(field, bounds));
    PropertyFields {
        name: form::optional_text(fields, "name", reader).map(str::to_owned),
        address: address.map(str::to_owned),
        check_in_from: clock("check_in_from", reader),
        check_out_until: clock("check_out_until", reader),
        business_day_cutoff: clock("business_day_cutoff", reader),
        locales: form::optional_items(fields, "locales", LANGUAGES.len(), reader, |node, at, reader| {
            reader.one_of(Field::located(node, *at), &LANGUAGES).map(str::to_owned)
        }),
        taxes: form::optional_items(fields, "taxes", MAX_TAXES, reader, read_tax),
        hold_minutes: hold.and_then(|minutes| u32::try_from(minutes).ok()),
    }
}

fn read_tax(node: &Node<'_>, at: &Pointer<'_>, reader: &mut Reader) -> Option<TaxRule> {
    let fields = reader.object(node, at, &["code", "name", "rate_ppm", "compounds_on", "valid_from", "valid_until"])?;
    let (code, name) = (form::text(fields, "code", reader), form::text(fields, "name", reader));
    let rate = reader
        .required(fields, "rate_ppm")
        .and_then(|field| reader.integer(field, 0..=PPM.into()))
        .and_then(|rate| u32::try_from(rate).ok());
    let compounds_on = form::optional_items(fields, "compounds_on", MAX_TAXES, reader, |node, at, reader| {
        reader.item_text(node, at).map(str::to_owned)
    });
    let mut date = |key| fields.optional(key).and_then(|field| reader.date(field));
    let (valid_from, valid_until) = (date("valid_from"), date("valid_until"));
    Some(TaxRule {
        code: code?.to_owned(),
        name: name?.to_owned(),
        rate_ppm: rate?,
        compounds_on: compounds_on.unwrap_or_default(),
        valid_from,
        valid_until,
    })
}
