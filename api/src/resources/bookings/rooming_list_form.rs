//! Form of a rooming list: JSON, or the same list as CSV, read by the same rules. A violation in CSV names its line and
//! column, too.

use super::command_forms::{position_in_stay, stay_id};
use crate::form::card_numbers;
use crate::form::csv;
use crate::form::fingerprint::Fingerprint;
use crate::form::form;
use crate::form::json::Node;
use crate::form::people::name;
use crate::form::presence::{defaulted, optional, required};
use crate::form::reader::Pointer;
use crate::form::types::{FieldType, date, list, object, parsed, refusal};
use crate::form::{read_form, read_node_as};
use crate::http::body::read_csv;
use crate::http::headers::is_csv;
use crate::http::problem::{self, Problem};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeInput, Operation};
use axum::extract::{FromRequest, Request};
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, PlaceGuest, PlaceProgress};
use pvt_domain::intake::FieldError;
use pvt_domain::people::countries::country;
use pvt_domain::people::text::normal;
use pvt_domain::rooming_list::{MAX_LISTED_GUESTS, NO_PLACE};
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Columns of the list that say what cannot be changed here. They may be sent back.
const SHOWN_COLUMNS: [&str; 5] = ["room_type_id", "arrival", "departure", "bed", "progress"];

form! {
    /// The rooming list as it is to be: places that it leaves out are nobody's.
    pub(crate) struct RoomingListForm {
        guests: Vec<ListedGuestForm> = required(list(object(), MAX_LISTED_GUESTS)),
    }
    named "RoomingListChange";
    body assumed;
    example json!({ "guests": [{ "stay_id": 0, "position": 0, "first_name": "Ada", "last_name": "Lovelace",
        "birth_date": "1995-12-10", "nationality": "GB" }] });
}

form! {
    /// The guest of a place.
    pub(crate) struct ListedGuestForm {
        /// The id of the stay; with `position` left out, the next place that is expected and that the list does not
        /// name.
        stay_id: Option<u32> = optional(stay_id()),
        /// The position in the stay, from 0.
        position: Option<u32> = optional(position_in_stay()),
        /// One name is enough, this or the other. Without a name and anything else, the place is nobody's.
        first_name: String = defaulted(name()),
        last_name: String = defaulted(name()),
        /// From 1900 on.
        birth_date: Option<NaiveDate> = optional(date()),
        /// ISO 3166-1 alpha-2, in any case.
        nationality: Option<String> = optional(nationality()),
    }
    check(at, reader) {
        let is_missing = |given: Option<Option<u32>>| given == Some(None);
        let is_given = |given: Option<Option<u32>>| matches!(given, Some(Some(_)));
        for (key, this, other) in [("stay_id", stay_id, position), ("position", position, stay_id)] {
            let place = Pointer::Key(at, key);
            if is_missing(this) && is_given(other) && !reader.is_reported(&place) {
                reader.violation(&place, "required", "name a place by stay_id and position, or by neither");
            }
        }
    }
}

fn nationality() -> impl FieldType<Value = String> {
    parsed(|text| match country(text) {
        Some(code) => Ok(code.to_owned()),
        None => refusal("unknown_country", "must be the code of a country such as CA (ISO 3166-1 alpha-2)"),
    })
    .pattern("^[A-Za-z]{2}$")
    .canonical()
}

/// A list as it was sent.
pub(super) struct SentList {
    form: RoomingListForm,
    pub(super) fingerprint: Fingerprint,
    /// Where its cells are, if it is CSV.
    layout: Option<Layout>,
}

/// Lines of the guests and names of the columns.
struct Layout {
    lines: Vec<usize>,
    columns: Vec<String>,
}

impl fmt::Debug for SentList {
    /// Without the list: it is personal data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SentList").finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromRequest<S> for SentList {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if is_csv(&parts.headers) {
            return Self::of_csv(&read_csv(&parts.headers, body).await?);
        }
        let (form, fingerprint) = read_form(&parts.headers, body).await?;
        Ok(Self { form, fingerprint, layout: None })
    }
}

impl DescribeInput for SentList {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        let form = schemas.form::<RoomingListForm>();
        operation.body(form.schema, form.example.unwrap_or_default()).or_csv(EXAMPLE)
    }
}

/// A list as a spreadsheet would save it.
const EXAMPLE: &str = "first_name,last_name,birth_date,nationality\r\nAda,Lovelace,1995-12-10,GB\r\n";

impl SentList {
    fn of_csv(body: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body).map_err(|_| Problem::from(problem::UNSUPPORTED_CHARSET))?;
        let refused = |line: usize, column: usize, code, why: &str| {
            Problem::fields(vec![FieldError::new("", code, format!("line {line}, column {column}: {why}"))])
        };
        let rows = csv::parse(text).map_err(|error| refused(error.line, error.column, "invalid_csv", error.reason))?;
        let mut rows = rows.into_iter();
        let Some(header) = rows.next() else {
            return Err(refused(1, 1, "invalid_csv", "the first row names the columns, such as first_name,last_name"));
        };
        let columns: Vec<String> =
            header.cells.iter().map(|cell| normal(cell).to_lowercase().replace([' ', '-'], "_")).collect();
        let mut known = HashSet::new();
        for (index, column) in columns.iter().enumerate() {
            let is_field = <ListedGuestForm as crate::form::RequestForm>::FIELDS.contains(&column.as_str());
            if !(is_field || SHOWN_COLUMNS.contains(&column.as_str())) {
                return Err(refused(header.line, index + 1, "unknown_column", "no column has this name"));
            }
            if !known.insert(column) {
                return Err(refused(header.line, index + 1, "named_twice", "another column has this name"));
            }
        }
        let (mut guests, mut lines) = (Vec::new(), Vec::new());
        for row in rows {
            if row.cells.len() > columns.len() {
                return Err(refused(row.line, columns.len() + 1, "invalid_csv", "the first row names fewer columns"));
            }
            let cells = columns.iter().zip(row.cells).filter(|(name, _)| !SHOWN_COLUMNS.contains(&name.as_str()));
            let members = cells.filter_map(|(name, cell)| Some((Cow::Owned(name.clone()), node(name, cell)?)));
            guests.push(Node::Object(members.collect()));
            lines.push(row.line);
        }
        let layout = Layout { lines, columns };
        let node = Node::Object(vec![("guests".into(), Node::List(guests))]);
        if let Some(pointer) = card_numbers::find(&node, &[]) {
            let kind = problem::CARD_NUMBER_REFUSED;
            return Err(Problem::new(kind, format!("{} It stands on {}.", kind.advice, layout.place(&pointer))));
        }
        let (form, fingerprint) =
            read_node_as(&node).map_err(|violations| Problem::fields(layout.located(violations)))?;
        Ok(Self { form, fingerprint, layout: Some(layout) })
    }

    /// The guests, each with its index in the list. Those without a place get the next ones that are expected and not
    /// named; entries without any name are left out.
    pub(super) fn guests(self, booking: &Booking, today: NaiveDate) -> (Vec<(usize, PlaceGuest)>, Located) {
        let mut named = HashSet::new();
        let places = self.form.guests.iter().filter_map(|guest| guest.stay_id.zip(guest.position));
        named.extend(places);
        let all = booking.places(today);
        let free = all.iter().filter(|place| place.progress == PlaceProgress::Expected);
        let mut free = free.map(|place| (place.stay_id, place.position)).filter(|place| !named.contains(place));
        let mut guests = Vec::with_capacity(self.form.guests.len());
        for (index, form) in self.form.guests.into_iter().enumerate() {
            let ListedGuestForm { stay_id, position, first_name, last_name, birth_date, nationality } = form;
            let is_nobody =
                first_name.is_empty() && last_name.is_empty() && birth_date.is_none() && nationality.is_none();
            if is_nobody {
                continue;
            }
            let (stay_id, position) = stay_id.zip(position).or_else(|| free.next()).unwrap_or(NO_PLACE);
            guests.push((index, PlaceGuest { stay_id, position, first_name, last_name, birth_date, nationality }));
        }
        (guests, Located(self.layout))
    }
}

/// Tells where in a list as it was sent something is wrong.
pub(super) struct Located(Option<Layout>);

impl Located {
    /// The violations as a problem.
    pub(super) fn problem(&self, violations: Vec<FieldError>) -> Problem {
        Problem::fields(match &self.0 {
            Some(layout) => layout.located(violations),
            None => violations,
        })
    }
}

impl Layout {
    /// The line and column of a pointer into the list.
    fn place(&self, pointer: &str) -> String {
        let mut steps = pointer.split('/').skip(2);
        let line = steps.next().and_then(|index| self.lines.get(index.parse::<usize>().ok()?)).copied().unwrap_or(1);
        let column = steps.next().and_then(|name| self.columns.iter().position(|column| column == name));
        column.map_or_else(|| format!("line {line}"), |column| format!("line {line}, column {}", column + 1))
    }

    fn located(&self, violations: Vec<FieldError>) -> Vec<FieldError> {
        let located = |error: FieldError| {
            let message = format!("{}: {}", self.place(&error.pointer), error.message);
            FieldError { message, ..error }
        };
        violations.into_iter().map(located).collect()
    }
}

/// The JSON that a cell stands for; an empty one is missing.
fn node<'a>(column: &str, cell: Cow<'a, str>) -> Option<Node<'a>> {
    let trimmed = normal(&cell).into_owned();
    if trimmed.is_empty() {
        return None;
    }
    match (column, trimmed.parse::<i128>()) {
        ("stay_id" | "position", Ok(number)) => Some(Node::Int(number)),
        _ => Some(Node::Text(trimmed.into())),
    }
}

#[cfg(test)]
mod tests;
