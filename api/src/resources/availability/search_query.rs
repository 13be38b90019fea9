//! Parameters of a search.

use crate::form::query::QueryFields;
use crate::http::problem::Problem;
use chrono::NaiveDate;
use pvt_domain::booking::{PartyGender, StayRequest};
use pvt_domain::ids::{PropertyId, RatePlanId, RoomTypeId};
use pvt_domain::intake::{MAX_AGE_YEARS, MAX_GROUP_GUESTS, MAX_NIGHTS};
use pvt_domain::inventory::{Inventory, RoomKind, RoomType};
use pvt_domain::nights::Nights;
use schemars::JsonSchema;
use serde::Deserialize;

/// Most properties that one search names.
const MAX_NAMED: usize = 200;

/// What every list of ages matches that [`guest_ages`] reads.
const AGES_PATTERN: &str = "^(0?[0-9]{1,2}|1[01][0-9]|120)(,(0?[0-9]{1,2}|1[01][0-9]|120))*$";

const YES_OR_NO: [(&str, bool); 2] = [("true", true), ("false", false)];

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParameters {
    /// First night.
    #[schemars(with = "NaiveDate")]
    arrival: Option<String>,
    /// Day of departure, at most a year later.
    #[schemars(with = "NaiveDate")]
    departure: Option<String>,
    /// Number of guests; 1 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = MAX_GROUP_GUESTS))]
    guests: Option<String>,
    /// Only such room types.
    #[schemars(with = "Option<RoomKind>")]
    kind: Option<String>,
    /// The guests' gender.
    #[schemars(with = "Option<PartyGender>")]
    gender: Option<String>,
    /// Age of the youngest guest in years.
    #[schemars(with = "Option<u8>", range(max = MAX_AGE_YEARS))]
    youngest_age: Option<String>,
    /// Ages in years of the guests whose age matters, such as children, separated by commas; the others are adults.
    #[schemars(with = "Option<String>", extend("pattern" = AGES_PATTERN, "examples" = ["4,7"]))]
    guest_ages: Option<String>,
    /// Only this room type.
    room_type_id: Option<String>,
    /// Only offers of this plan.
    rate_plan_id: Option<String>,
    /// Only these properties, separated by commas.
    property_id: Option<String>,
    /// Only properties with this in their address.
    city: Option<String>,
    /// Lowest price of the whole stay in minor units, taxes included.
    #[schemars(with = "Option<i64>")]
    min_price: Option<String>,
    /// Highest price, likewise.
    #[schemars(with = "Option<i64>")]
    max_price: Option<String>,
    /// Only what can be booked as it is.
    #[schemars(with = "Option<bool>")]
    bookable: Option<String>,
    // Read by `PageQuery`.
    #[serde(rename = "limit")]
    #[schemars(skip)]
    _limit: Option<String>,
    #[serde(rename = "cursor")]
    #[schemars(skip)]
    _cursor: Option<String>,
}

/// A search as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SearchQuery {
    pub(super) nights: Nights,
    pub(super) guests: u32,
    pub(super) rate_plan: Option<RatePlanId>,
    /// Bounds of the whole price, taxes included, in minor units.
    pub(super) prices: (Option<i64>, Option<i64>),
    /// Only what can be booked as it is.
    pub(super) bookable_only: bool,
    /// The language of names.
    pub(super) language: Option<String>,
    kind: Option<RoomKind>,
    gender: Option<PartyGender>,
    youngest_age: Option<u8>,
    guest_ages: Vec<u8>,
    room_type: Option<RoomTypeId>,
    /// None named means all.
    properties: Vec<PropertyId>,
    /// In lower case.
    city: Option<String>,
}

impl SearchQuery {
    /// Checks the parameters; names are to be in `language`.
    ///
    /// # Errors
    /// 400 that names every parameter that cannot be used.
    pub(super) fn new(parameters: SearchParameters, language: Option<String>) -> Result<Self, Problem> {
        let mut fields = QueryFields::default();
        let nights = nights(&mut fields, parameters.arrival.as_deref(), parameters.departure.as_deref());
        let guests = fields.optional("guests", parameters.guests.as_deref(), "a number").unwrap_or(1);
        if !(1..=MAX_GROUP_GUESTS).contains(&guests) {
            fields.violation(format!("`guests` takes 1 to {MAX_GROUP_GUESTS}"));
        }
        let youngest_age = youngest_age(&mut fields, parameters.youngest_age.as_deref());
        let guest_ages = guest_ages(&mut fields, parameters.guest_ages.as_deref(), guests);
        if youngest_age.is_some() && youngest_age != guest_ages.iter().min().copied().or(youngest_age) {
            fields.violation("`youngest_age` takes the lowest of `guest_ages`, or is left out");
        }
        let price = "an amount in minor units, taxes included";
        let prices = (
            fields.optional("min_price", parameters.min_price.as_deref(), price),
            fields.optional("max_price", parameters.max_price.as_deref(), price),
        );
        let properties: Vec<PropertyId> = parameters
            .property_id
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .filter(|id| !id.is_empty())
            .map(PropertyId::from)
            .collect();
        if properties.len() > MAX_NAMED {
            fields.violation(format!("`property_id` takes at most {MAX_NAMED} ids"));
        }
        let read = nights.map(|nights| Self {
            nights,
            guests,
            prices,
            properties,
            language,
            kind: fields.one_of("kind", parameters.kind.as_deref(), &RoomKind::ALL),
            gender: fields.one_of("gender", parameters.gender.as_deref(), &PartyGender::ALL),
            youngest_age,
            guest_ages,
            bookable_only: fields.one_of("bookable", parameters.bookable.as_deref(), &YES_OR_NO).unwrap_or(false),
            rate_plan: parameters.rate_plan_id.as_deref().map(RatePlanId::from),
            room_type: parameters.room_type_id.as_deref().map(RoomTypeId::from),
            city: parameters.city.map(|city| city.to_lowercase()),
        });
        fields.finish(read)
    }

    /// Whether this property is one of the requested ones.
    pub(super) fn wants_property(&self, inventory: &Inventory) -> bool {
        let property = &inventory.property;
        (self.properties.is_empty() || self.properties.contains(&property.id))
            && self.city.as_ref().is_none_or(|city| property.address.to_lowercase().contains(city.as_str()))
    }

    /// Whether this room type is one of the requested ones.
    pub(super) fn wants_type(&self, room_type: &RoomType) -> bool {
        self.kind.is_none_or(|kind| room_type.kind == kind)
            && self.room_type.as_ref().is_none_or(|id| room_type.id == *id)
    }

    /// Whether a price is within the bounds.
    pub(super) fn wants_price(&self, total: i64) -> bool {
        let (least, most) = self.prices;
        least.is_none_or(|least| total >= least) && most.is_none_or(|most| total <= most)
    }

    /// The stay in this room type.
    pub(super) fn stay(&self, room_type: &RoomType) -> StayRequest {
        let parameters =
            StayRequest::new(room_type.id.as_str(), self.nights.arrival, self.nights.departure, self.guests);
        StayRequest {
            gender: self.gender,
            youngest_age: self.youngest_age,
            guest_ages: self.guest_ages.clone(),
            ..parameters
        }
    }
}

fn youngest_age(fields: &mut QueryFields, text: Option<&str>) -> Option<u8> {
    let expects = format!("an age of at most {MAX_AGE_YEARS} years");
    let age: u8 = fields.optional("youngest_age", text, &expects)?;
    if age > MAX_AGE_YEARS {
        fields.violation(format!("`youngest_age` takes {expects}"));
    }
    Some(age)
}

/// The ages that are listed; none if one of them cannot be read.
fn guest_ages(fields: &mut QueryFields, text: Option<&str>, guests: u32) -> Vec<u8> {
    let Some(text) = text else { return Vec::new() };
    let age = |digits: &str| {
        let is_number = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|years| is_number && *years <= MAX_AGE_YEARS)
    };
    match text.split(',').map(age).collect::<Option<Vec<u8>>>() {
        Some(ages) if u32::try_from(ages.len()).is_ok_and(|ages| ages <= guests) => ages,
        Some(_) => {
            fields.violation("`guest_ages` takes at most one age for each guest");
            Vec::new()
        }
        None => {
            fields.violation(format!("`guest_ages` takes ages of at most {MAX_AGE_YEARS} years, such as 4,7"));
            Vec::new()
        }
    }
}

fn nights(fields: &mut QueryFields, arrival: Option<&str>, departure: Option<&str>) -> Option<Nights> {
    let dates: (Option<NaiveDate>, Option<NaiveDate>) =
        (fields.date("arrival", arrival), fields.date("departure", departure));
    let nights = Nights::new(dates.0?, dates.1?);
    if !(1..=MAX_NIGHTS).contains(&nights.count()) {
        fields.violation(format!("`departure` takes a date 1 to {MAX_NIGHTS} days after `arrival`"));
    }
    Some(nights)
}

#[cfg(test)]
mod tests {
    use super::{SearchParameters, SearchQuery};
    use crate::http::headers;
    use pvt_domain::demo;
    use pvt_domain::intake::MAX_AGE_YEARS;
    use serde_json::json;

    fn read(query: &str) -> Result<SearchQuery, String> {
        headers::query(&format!("/api/rooms/search?{query}").parse().unwrap())
            .and_then(|parameters| SearchQuery::new(parameters, None))
            .map_err(|problem| String::from_utf8(problem.document("r")).unwrap())
    }

    #[test]
    fn all_violations_are_reported() {
        let violations =
            read("departure=soon&guests=41&kind=cave&min_price=cheap&youngest_age=-1&bookable=perhaps").unwrap_err();
        for name in ["`arrival` is missing", "`departure` takes", "`guests` takes 1 to 40", "`min_price` takes"] {
            assert!(violations.contains(name), "{name}: {violations}");
        }
        let violations =
            read("arrival=2027-01-10&departure=2027-01-10&kind=cave&youngest_age=-1&bookable=perhaps").unwrap_err();
        for name in [
            "1 to 365 days after",
            "`kind` takes one of dorm, private",
            "`youngest_age` takes",
            "`bookable` takes one of true, false",
        ] {
            assert!(violations.contains(name), "{name}: {violations}");
        }
        for (ages, text) in [
            ("4,,7", "at most 120 years, such as 4,7"),
            ("+4", "at most 120 years"),
            ("121", "at most 120 years"),
            ("0004", "at most 120 years"),
            ("", "at most 120 years"),
            ("4,7,30", "at most one age for each guest"),
            ("9,30&youngest_age=8", "`youngest_age` takes the lowest"),
        ] {
            let violations = read(&format!("arrival=2027-01-10&departure=2027-01-12&guests=2&guest_ages={ages}"));
            assert!(violations.as_ref().is_err_and(|named| named.contains(text)), "{ages}: {violations:?}");
        }
        for (query, is_read) in [
            ("youngest_age=120", true),
            ("youngest_age=121", false),
            ("youngest_age=255", false),
            ("youngest_age=-1", false),
            ("guest_ages=120", true),
            ("guest_ages=007,99", true),
        ] {
            let read = read(&format!("arrival=2027-01-10&departure=2027-01-12&guests=2&{query}"));
            assert_eq!(read.is_ok(), is_read, "{query}: {:?}", read.err());
        }
        assert!(read("arrival=2027-01-10&departure=2027-01-12&colour=red").unwrap_err().contains("invalid_query"));
    }

    #[test]
    fn schema_bounds_ages_as_they_are_read() {
        let schema = schemars::schema_for!(SearchParameters).to_value();
        let properties = &schema["properties"];
        let age = format!("(0?[0-9]{{1,2}}|1[01][0-9]|{MAX_AGE_YEARS})");
        assert_eq!(properties["guest_ages"]["pattern"], json!(format!("^{age}(,{age})*$")));
        assert_eq!(properties["youngest_age"]["maximum"], json!(MAX_AGE_YEARS));
    }

    #[test]
    fn properties_are_filtered_by_id_or_city() {
        let wants = |filter: &str| {
            read(&format!("arrival=2027-01-10&departure=2027-01-12&{filter}"))
                .unwrap()
                .wants_property(&demo::inventory())
        };
        assert!(wants("limit=3") && wants("city=montr%C3%A9al") && wants("property_id=x,pvt-montreal"));
        assert!(!wants("city=qu%C3%A9bec%20city") && !wants("property_id=x"));
    }
}
