//! What can be booked, for everybody to see.

pub(super) mod edit;

use super::parts::shown;
use super::rate_plans::PlanView;
use crate::app::SharedApp;
use crate::headers;
use crate::problem::{self, Answer, Problem};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{NaiveTime, Timelike as _};
use pvt_domain::inventory::{DormGender, Inventory, RoomKind, RoomType, TaxRule};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// Properties of one page unless the caller says otherwise, and at most.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

#[derive(Debug, Deserialize)]
struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<Summary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Summary<'a> {
    id: &'a str,
    name: &'a str,
    address: &'a str,
    time_zone: &'static str,
    currency: &'static str,
    check_in_from: String,
    check_out_until: String,
    links: Links,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    this: String,
}

#[derive(Serialize)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    business_day_cutoff: String,
    locales: &'a [String],
    room_types: Vec<RoomTypeView<'a>>,
    rate_plans: Vec<PlanView<'a>>,
    taxes: &'a [TaxRule],
}

#[derive(Serialize)]
struct RoomTypeView<'a> {
    id: &'a str,
    name: &'a str,
    /// `dorm` is sold by the bed, `private` by the room.
    kind: RoomKind,
    gender: DormGender,
    rooms: usize,
    beds: usize,
    /// Most guests of one stay.
    max_guests: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_age: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_group: Option<u32>,
}

/// `GET /api/properties`: all of them by id, a page at a time.
pub(super) async fn list(State(app): State<SharedApp>, uri: Uri) -> Answer {
    let query: ListQuery = headers::query(&uri)?;
    let limit = query.limit.as_deref().map_or(Ok(DEFAULT_LIMIT), read_limit)?;
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let all = app.catalogue.all();
    let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = all.range::<str, _>((from, Bound::Unbounded)).map(|(_, inventory)| &**inventory);
    let shown: Vec<&Inventory> = rest.by_ref().take(limit).collect();
    let next_cursor = rest.next().and(shown.last()).map(|last| URL_SAFE_NO_PAD.encode(last.property.id.as_str()));
    let link = next_cursor.as_ref().map(|cursor| format!("</api/properties?limit={limit}&cursor={cursor}>; rel=\"next\""));
    let mut answer = Json(Page { items: shown.into_iter().map(Summary::new).collect(), next_cursor }).into_response();
    if let Some(link) = link {
        answer.headers_mut().insert(header::LINK, HeaderValue::try_from(link).map_err(Problem::internal)?);
    }
    Ok(answer)
}

fn read_limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::new(problem::INVALID_QUERY, format!("`limit` takes a number from 1 to {MAX_LIMIT}.")))
}

fn read_cursor(text: &str) -> Result<String, Problem> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| Problem::new(problem::INVALID_QUERY, "`cursor` takes what an earlier page gave as next_cursor."))
}

/// `GET /api/properties/{id}`: what it sells and for how much.
pub(super) async fn show(State(app): State<SharedApp>, Path(id): Path<String>) -> Answer {
    let all = app.catalogue.all();
    let inventory = all.get(id.as_str()).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    shown(inventory.rev, Whole::new(inventory))
}

/// A time on the wall.
fn clock(time: NaiveTime) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

impl<'a> Summary<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let property = &inventory.property;
        Self {
            id: property.id.as_str(),
            name: &property.name,
            address: &property.address,
            time_zone: property.time_zone.name(),
            currency: property.currency.code(),
            check_in_from: clock(property.check_in_from),
            check_out_until: clock(property.check_out_until),
            links: Links { this: format!("/api/properties/{}", property.id) },
        }
    }
}

impl<'a> Whole<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        Self {
            summary: Summary::new(inventory),
            business_day_cutoff: clock(inventory.property.business_day_cutoff),
            locales: &inventory.property.locales,
            room_types: inventory.room_types.iter().map(|room_type| RoomTypeView::new(inventory, room_type)).collect(),
            rate_plans: inventory.rate_plans.iter().map(|plan| PlanView::new(inventory, plan)).collect(),
            taxes: &inventory.property.taxes,
        }
    }
}

impl<'a> RoomTypeView<'a> {
    fn new(inventory: &'a Inventory, room_type: &'a RoomType) -> Self {
        let rooms = || inventory.rooms_of(&room_type.id);
        Self {
            id: room_type.id.as_str(),
            name: &room_type.name,
            kind: room_type.kind,
            gender: room_type.gender,
            rooms: rooms().count(),
            beds: rooms().map(|room| room.beds.len()).sum(),
            max_guests: inventory.capacity(room_type),
            minimum_age: room_type.minimum_age,
            max_group: room_type.max_group,
        }
    }
}
