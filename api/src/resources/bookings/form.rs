//! The body of `POST /api/bookings`: read once, every fault named at once, nothing accepted that has one.

use crate::form::json::Node;
use crate::form::reader::{Fields, Pointer, Reader, merge};
use chrono::{Days, NaiveDate};
use pvt_domain::booking::{Guest, PartyGender, Source, StayRequest};
use pvt_domain::ids::RatePlanId;
use pvt_domain::intake::{FieldError, MAX_GROUP_STAYS, MAX_STAYS, PartyLimits, check_request};
use pvt_domain::inventory::Inventory;

/// What may look like a card number and is none: the guest's phone number, and our own signature.
pub(crate) const CARD_CHECK_EXEMPT: [&str; 2] = ["/guest/phone", "/quote"];

const BODY: &[&str] = &["property_id", "rate_plan_id", "source", "stays", "guest", "override_restrictions", "quote"];
/// What a quote is asked for with.
const QUOTE_BODY: &[&str] = &["property_id", "rate_plan_id", "stays"];
const STAY: &[&str] = &["room_type_id", "arrival", "departure", "guests", "gender", "youngest_age"];
/// What a guest consists of.
pub(crate) const GUEST: &[&str] = &["first_name", "last_name", "email", "phone", "locale"];

/// Codes of faults that depend on what the property has; without the property they say nothing.
const PROPERTY_CODES: &[&str] = &["unknown_rate_plan", "unknown_room_type", "not_sold", "over_capacity"];

/// Who the guests of a stay may say that they are.
/// Oldest age that is believed, in years.
const MAX_AGE_YEARS: u8 = 120;

/// A request as asked; what could not be read is absent and has been reported.
pub(crate) struct BookingDraft<'n> {
    /// The hostel, if it was readable.
    pub(crate) property_id: Option<&'n str>,
    rate_plan_id: Option<&'n str>,
    source: Source,
    stays: Vec<StayDraft<'n>>,
    guest: Guest,
    override_restrictions: bool,
    quote: Option<&'n str>,
    /// Nobody is named yet: only a price is asked for.
    price_only: bool,
    violations: Vec<FieldError>,
}

struct StayDraft<'n> {
    room_type_id: Option<&'n str>,
    arrival: Option<NaiveDate>,
    departure: Option<NaiveDate>,
    guests: Option<u32>,
    gender: Option<PartyGender>,
    youngest_age: Option<u8>,
}

/// A request that can be decided.
#[derive(Debug, PartialEq)]
pub(crate) struct BookingRequest {
    pub(crate) rate_plan_id: RatePlanId,
    pub(crate) source: Source,
    pub(crate) stays: Vec<StayRequest>,
    pub(crate) guest: Guest,
    /// Staff sell it in spite of restrictions.
    pub(crate) override_restrictions: bool,
    /// The signed quote, as it came.
    pub(crate) quote: Option<String>,
}

/// Reads the form of the body.
pub(crate) fn read<'n>(node: &'n Node<'_>) -> BookingDraft<'n> {
    let mut reader = Reader::default();
    let mut draft = empty(false);
    if let Some(fields) = reader.object(node, &Pointer::Root, BODY) {
        draft.property_id = reader.required(fields, "property_id").and_then(|field| reader.text(field));
        draft.rate_plan_id = reader.required(fields, "rate_plan_id").and_then(|field| reader.text(field));
        if let Some(source) = fields.optional("source").and_then(|field| reader.one_of(field, &Source::ALL)) {
            draft.source = source;
        }
        draft.stays = read_stays(fields, &mut reader);
        if let Some(field) = reader.required(fields, "guest")
            && let Some(fields) = reader.object(field.node(), &field.at(), GUEST)
        {
            draft.guest = read_guest(fields, &mut reader);
        }
        draft.quote = fields.optional("quote").and_then(|field| reader.text(field));
        draft.override_restrictions =
            fields.optional("override_restrictions").and_then(|field| reader.boolean(field)).unwrap_or_default();
    }
    draft.violations = reader.into_violations();
    draft
}

/// Reads the form of a body that asks for a price.
pub(crate) fn read_quote<'n>(node: &'n Node<'_>) -> BookingDraft<'n> {
    let mut reader = Reader::default();
    let mut draft = empty(true);
    if let Some(fields) = reader.object(node, &Pointer::Root, QUOTE_BODY) {
        draft.property_id = reader.required(fields, "property_id").and_then(|field| reader.text(field));
        draft.rate_plan_id = reader.required(fields, "rate_plan_id").and_then(|field| reader.text(field));
        draft.stays = read_stays(fields, &mut reader);
    }
    draft.violations = reader.into_violations();
    draft
}

/// Whether a fault is one of this body: while nobody is named, none is of the guest.
fn applies(violation: &FieldError, price_only: bool) -> bool {
    !price_only || !violation.pointer.starts_with("/guest/")
}

fn empty<'n>(price_only: bool) -> BookingDraft<'n> {
    BookingDraft {
        property_id: None,
        rate_plan_id: None,
        source: Source::Direct,
        stays: Vec::new(),
        guest: empty_guest(),
        override_restrictions: false,
        quote: None,
        price_only,
        violations: Vec::new(),
    }
}

fn read_stays<'n>(fields: Fields<'n, '_, '_>, reader: &mut Reader) -> Vec<StayDraft<'n>> {
    let Some(field) = reader.required(fields, "stays") else { return Vec::new() };
    let Some(items) = reader.list(field) else { return Vec::new() };
    if items.is_empty() || items.len() > MAX_GROUP_STAYS {
        reader.violation(
            &field.at(),
            "stay_count",
            format!("send 1 to {MAX_GROUP_STAYS} stays; more than {MAX_STAYS} only as the hostel's staff"),
        );
    }
    let at = field.at();
    items
        .iter()
        .take(MAX_GROUP_STAYS)
        .enumerate()
        .map(|(index, item)| read_stay(item, &Pointer::Index(&at, index), reader))
        .collect()
}

fn read_stay<'n>(node: &'n Node<'_>, at: &Pointer<'_>, reader: &mut Reader) -> StayDraft<'n> {
    let Some(fields) = reader.object(node, at, STAY) else {
        return StayDraft {
            room_type_id: None,
            arrival: None,
            departure: None,
            guests: None,
            gender: None,
            youngest_age: None,
        };
    };
    StayDraft {
        room_type_id: reader.required(fields, "room_type_id").and_then(|field| reader.text(field)),
        arrival: reader.required(fields, "arrival").and_then(|field| reader.date(field)),
        departure: reader.required(fields, "departure").and_then(|field| reader.date(field)),
        guests: reader.required(fields, "guests").and_then(|field| reader.count(field)),
        gender: read_gender(fields, reader),
        youngest_age: read_age(fields, reader),
    }
}

/// Who the guests of a stay are, if they say so.
pub(crate) fn read_gender(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<PartyGender> {
    fields.optional("gender").and_then(|field| reader.one_of(field, &PartyGender::ALL))
}

/// Age of the youngest guest of a stay, if they say so.
pub(crate) fn read_age(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<u8> {
    let field = fields.optional("youngest_age")?;
    let years = reader.count(field)?;
    let age = u8::try_from(years).ok().filter(|age| *age <= MAX_AGE_YEARS);
    if age.is_none() {
        reader.violation(&field.at(), "out_of_range", format!("must be an age in years, at most {MAX_AGE_YEARS}"));
    }
    age
}

fn read_guest(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Guest {
    let mut required =
        |key| reader.required(fields, key).and_then(|field| reader.text(field)).unwrap_or_default().to_owned();
    let (first_name, last_name, email) = (required("first_name"), required("last_name"), required("email"));
    let mut optional = |key| fields.optional(key).and_then(|field| reader.text(field)).map(str::to_owned);
    Guest { first_name, last_name, email, phone: optional("phone"), locale: optional("locale") }
}

fn empty_guest() -> Guest {
    Guest { first_name: String::new(), last_name: String::new(), email: String::new(), phone: None, locale: None }
}

impl BookingDraft<'_> {
    /// Checks it against what the property sells; `today` is the date at the property. Staff may book for groups and in
    /// spite of restrictions.
    ///
    /// # Errors
    /// Every fault of form and of rules, each place once.
    pub(crate) fn validate(
        self,
        inventory: &Inventory,
        today: NaiveDate,
        by_staff: bool,
    ) -> Result<BookingRequest, Vec<FieldError>> {
        let price_only = self.price_only;
        let (request, mut violations) = self.fill_gaps(today);
        let limits = if by_staff { PartyLimits::STAFF } else { PartyLimits::GUEST };
        merge(
            &mut violations,
            check_request(inventory, &request.rate_plan_id, &request.stays, &request.guest, today, limits),
        );
        violations.retain(|violation| applies(violation, price_only));
        if request.override_restrictions && !by_staff {
            violations.push(staff_only("/override_restrictions"));
        }
        if violations.is_empty() { Ok(request) } else { Err(violations) }
    }

    /// Every fault that can be told without a property; `any` is any inventory, `yesterday` may be today at no
    /// property.
    pub(crate) fn violations_without_property(self, any: &Inventory, yesterday: NaiveDate) -> Vec<FieldError> {
        let (named, price_only) = (self.property_id.is_some(), self.price_only);
        let (request, mut violations) = self.fill_gaps(yesterday);
        if named {
            violations.insert(
                0,
                FieldError::new(
                    "/property_id",
                    "unknown_property",
                    "there is no such property; GET /api/properties lists them",
                ),
            );
        }
        let mut rule_violations =
            check_request(any, &request.rate_plan_id, &request.stays, &request.guest, yesterday, PartyLimits::GUEST);
        rule_violations.retain(|violation| !PROPERTY_CODES.contains(&violation.code) && applies(violation, price_only));
        merge(&mut violations, rule_violations);
        violations
    }

    /// Fills what could not be read with values that break no rule of their own.
    fn fill_gaps(self, today: NaiveDate) -> (BookingRequest, Vec<FieldError>) {
        let one_night = Days::new(1);
        let stays = self.stays.iter().map(|stay| {
            let arrival = stay
                .arrival
                .or_else(|| stay.departure.and_then(|date| date.checked_sub_days(one_night)))
                .unwrap_or(today);
            let departure = stay.departure.or_else(|| arrival.checked_add_days(one_night)).unwrap_or(arrival);
            let request =
                StayRequest::new(stay.room_type_id.unwrap_or_default(), arrival, departure, stay.guests.unwrap_or(1));
            StayRequest { gender: stay.gender, youngest_age: stay.youngest_age, ..request }
        });
        let request = BookingRequest {
            stays: stays.collect(),
            rate_plan_id: self.rate_plan_id.unwrap_or_default().into(),
            source: self.source,
            guest: self.guest,
            override_restrictions: self.override_restrictions,
            quote: self.quote.map(str::to_owned),
        };
        (request, self.violations)
    }
}

/// The fault of a field that only the hostel's staff may send.
pub(crate) fn staff_only(pointer: impl Into<String>) -> FieldError {
    FieldError::new(pointer, "staff_only", "only the hostel's staff may send this")
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::form::json::parse;
    use chrono::NaiveDate;
    use pvt_domain::booking::{PartyGender, Source};
    use pvt_domain::demo;
    use serde_json::{Value, json};

    fn today() -> NaiveDate {
        "2026-12-01".parse().unwrap()
    }

    fn good() -> Value {
        json!({
            "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "booking_com",
            "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13",
            "guests": 2 }],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
            "phone": "+15145550100", "locale": "en" },
        })
    }

    fn violations(body: &Value) -> Vec<(String, &'static str)> {
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let found = read(&node).validate(&demo::inventory(), today(), false).unwrap_err();
        found.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    }

    #[test]
    fn valid_body_is_accepted() {
        let text = good().to_string();
        let node = parse(text.as_bytes()).unwrap();
        let draft = read(&node);
        assert_eq!(draft.property_id, Some("pvt-montreal"));
        let request = draft.validate(&demo::inventory(), today(), false).unwrap();
        assert_eq!((request.source, request.stays.len(), request.stays[0].guests), (Source::BookingCom, 1, 2));
        assert_eq!(request.guest.email, "ada@example.com");
    }

    #[test]
    fn only_staff_book_groups_and_override_restrictions() {
        let mut body = good();
        let stay = json!({ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13",
            "guests": 1, "gender": "female", "youngest_age": 19 });
        body["stays"] = json!(vec![stay; 12]);
        body["override_restrictions"] = json!(true);
        let expected =
            [("/stays", "stay_count"), ("/stays", "too_many_guests"), ("/override_restrictions", "staff_only")];
        assert_eq!(violations(&body), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let request = read(&node).validate(&demo::inventory(), today(), true).unwrap();
        assert_eq!(
            (request.stays.len(), request.stays[11].gender, request.stays[11].youngest_age),
            (12, Some(PartyGender::Female), Some(19))
        );
        assert!(request.override_restrictions);
        body["stays"] = json!([{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13",
            "guests": 1, "gender": "they", "youngest_age": 121 }]);
        let expected = [
            ("/stays/0/gender", "unknown_value"),
            ("/stays/0/youngest_age", "out_of_range"),
            ("/override_restrictions", "staff_only"),
        ];
        assert_eq!(violations(&body), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn optional_fields_may_be_missing_or_null() {
        let mut body = good();
        body.as_object_mut().unwrap().remove("source");
        body["guest"]["phone"] = Value::Null;
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let request = read(&node).validate(&demo::inventory(), today(), false).unwrap();
        assert_eq!((request.source, request.guest.phone), (Source::Direct, None));
    }

    #[test]
    fn schema_and_rule_violations_are_reported_together() {
        let mut body = good();
        body["stays"][0]["arrival"] = json!("2020-01-01");
        body["stays"][0]["guests"] = json!("two");
        body["stays"][0]["smoking"] = json!(true);
        body["guest"]["email"] = json!("ada");
        body["rate_plan_id"] = json!(7);
        body["total"] = json!(1);
        let expected = [
            ("/total", "unknown_field"),
            ("/rate_plan_id", "wrong_type"),
            ("/stays/0/smoking", "unknown_field"),
            ("/stays/0/guests", "wrong_type"),
            ("/stays/0/arrival", "arrival_in_past"),
            ("/stays/0/departure", "stay_too_long"),
            ("/guest/email", "invalid_email"),
        ];
        assert_eq!(violations(&body), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn missing_object_is_reported_once() {
        assert_eq!(
            violations(&json!({})).iter().map(|(pointer, _)| pointer.as_str()).collect::<Vec<_>>(),
            ["/property_id", "/rate_plan_id", "/stays", "/guest"]
        );
        assert_eq!(violations(&json!([])), [(String::new(), "wrong_type")]);
        let mut body = good();
        body["stays"][0] = json!({ "departure": "2027-01-13" });
        assert_eq!(
            violations(&body).iter().map(|(pointer, _)| pointer.as_str()).collect::<Vec<_>>(),
            ["/stays/0/room_type_id", "/stays/0/arrival", "/stays/0/guests"]
        );
        body["stays"] = json!([]);
        assert_eq!(violations(&body), [("/stays".to_owned(), "stay_count")]);
    }

    #[test]
    fn unknown_property_does_not_hide_other_violations() {
        let mut body = good();
        body["property_id"] = json!("castle");
        body["rate_plan_id"] = json!("of the castle");
        body["stays"][0]["departure"] = json!("2027-01-10");
        body["guest"]["first_name"] = json!("");
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let found: Vec<_> = read(&node)
            .violations_without_property(&demo::inventory(), today())
            .into_iter()
            .map(|violation| violation.code)
            .collect();
        assert_eq!(found, ["unknown_property", "departure_not_after_arrival", "invalid_name"]);
    }
}
