//! Form of a request for beds: read once, checked by the rules of the property, every violation reported at once.

use crate::form::fingerprint::Fingerprints;
use crate::form::json::Node;
use crate::form::people::{email_address, language_tag, name, phone_number};
use crate::form::presence::{Presence as _, defaulted, optional, required, spelled_out};
use crate::form::reader::{Pointer, Reader, merge};
use crate::form::types::{FieldType, boolean, count, date, list, object, one_of, refusal, text};
use crate::form::{RequestForm as _, form};
use chrono::{DateTime, Days, NaiveDate, Utc};
use pvt_domain::booking::{Guest, PartyGender, Source, StayRequest, TaxExemption};
use pvt_domain::ids::{RatePlanId, RoomTypeId};
use pvt_domain::intake::{
    FieldError, MAX_AGE_YEARS, MAX_EXEMPTIONS, MAX_GROUP_GUESTS, MAX_GROUP_STAYS, MAX_STAYS, PartyLimits, check_request,
};
use pvt_domain::inventory::Inventory;
use serde_json::json;

/// Texts that may look like a card number: the guest's phone number, and our own signature.
pub(crate) const CARD_CHECK_EXEMPT: &[&str] = &["/guest/phone", "/quote"];

/// Of beds in a request.
const ASSIGNED_LATER: &str = "book first; then staff name beds, and lock them, with POST /api/bookings/{id}/assign";

/// Violations that depend on the property; without one they mean nothing.
const PROPERTY_CODES: &[&str] = &[
    "unknown_rate_plan",
    "unknown_room_type",
    "not_sold",
    "over_capacity",
    "unknown_tax",
    "unknown_exemption",
    "staff_only",
];

form! {
    /// A request for beds.
    pub(crate) struct NewBookingForm {
        property_id: Option<String> = required(text()).lenient(),
        rate_plan_id: Option<RatePlanId> = required(text()).lenient(),
        source: Source = spelled_out(one_of(&Source::ALL)),
        /// More than 8, or for more than 8 guests, only as the property's staff.
        stays: Option<Vec<StayForm>> = required(stays()).lenient(),
        guest: Option<GuestForm> = required(object()).lenient(),
        /// As POST /api/quotes returned it, for exactly these stays.
        quote: Option<String> = optional(text()),
        /// For staff.
        override_restrictions: bool = defaulted(boolean()),
    }
    named "NewBooking";
    exempt CARD_CHECK_EXEMPT;
    example json!({
        "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2 }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+15145550100",
            "locale": "en" },
    });
}

form! {
    /// A request for a price.
    pub(crate) struct QuoteForm {
        property_id: Option<String> = required(text()).lenient(),
        rate_plan_id: Option<RatePlanId> = required(text()).lenient(),
        stays: Option<Vec<StayForm>> = required(stays()).lenient(),
    }
    example json!({
        "property_id": "pvt-montreal", "rate_plan_id": "standard",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2 }],
    });
}

form! {
    /// A stay as it is requested.
    #[derive(Default)]
    pub(crate) struct StayForm {
        room_type_id: Option<RoomTypeId> = required(text()).lenient(),
        arrival: Option<NaiveDate> = required(date()).lenient(),
        departure: Option<NaiveDate> = required(date()).lenient(),
        guests: Option<u32> = required(guests()).lenient(),
        gender: Option<PartyGender> = optional(one_of(&PartyGender::ALL)),
        /// `guest_ages` says more; with it this is the lowest of them, or left out.
        youngest_age: Option<u8> = optional(age()),
        /// Ages in years of guests whose age matters, such as children: some taxes exempt them. Those without are
        /// adults.
        guest_ages: Vec<u8> = defaulted(guest_ages()),
        /// Guests who are exempt from a tax for a reason that its `exemptions` list; guests may send those that are
        /// `by_guests`.
        tax_exemptions: Vec<TaxExemption> = defaulted(tax_exemptions()),
    }
    elsewhere &[("beds", ASSIGNED_LATER), ("locked", ASSIGNED_LATER)];
}

form! {
    /// Guests of a stay who are exempt from a tax.
    struct TaxExemptionForm {
        /// Code of the tax.
        code: String = required(text()),
        /// Code of the reason.
        reason: String = required(text()),
        /// How many of the guests.
        guests: u32 = required(guests()),
    }
}

impl From<TaxExemptionForm> for TaxExemption {
    fn from(TaxExemptionForm { code, reason, guests }: TaxExemptionForm) -> Self {
        Self { code, reason, guests }
    }
}

form! {
    /// The guest of a request.
    pub(crate) struct GuestForm {
        /// One name is enough, this or the other.
        first_name: String = defaulted(name()),
        last_name: String = defaulted(name()),
        /// May be missing when the property's staff book; then no mail is sent. Stored in lower case, an international
        /// domain in ASCII.
        email: Option<String> = optional(email_address()),
        /// With the country's code, for example +1 (514) 555-0100 ext. 12; stored as +15145550100;ext=12.
        phone: Option<String> = optional(phone_number()),
        /// A language tag (BCP 47): `fr`, `en-CA`, `zh-Hant`.
        locale: Option<String> = optional(language_tag()),
    }
}

fn stays() -> impl FieldType<Value = Vec<StayForm>> {
    // A stay that is no object keeps its place, so that rules name the others by theirs.
    list(object::<StayForm>().or_default(), MAX_GROUP_STAYS).counted("stay_count", || {
        format!("send 1 to {MAX_GROUP_STAYS} stays; more than {MAX_STAYS} only as the property's staff")
    })
}

/// The guests of a stay.
pub(super) fn guests() -> impl FieldType<Value = u32> {
    count(1, Some(MAX_GROUP_GUESTS.into()))
}

/// The ages of guests of a stay.
pub(super) fn guest_ages() -> impl FieldType<Value = Vec<u8>> {
    list(age(), usize::try_from(MAX_GROUP_GUESTS).unwrap_or(usize::MAX))
}

/// The exemptions from taxes that a stay declares.
pub(super) fn tax_exemptions() -> impl FieldType<Value = Vec<TaxExemption>> {
    list(object::<TaxExemptionForm>().map(TaxExemption::from), MAX_EXEMPTIONS)
}

/// The age of a guest, in years.
pub(super) fn age() -> impl FieldType<Value = u8> {
    let believed = |years: &u32| match *years {
        years if years > MAX_AGE_YEARS.into() => {
            refusal("out_of_range", format!("must be an age in years, at most {MAX_AGE_YEARS}"))
        }
        _ => Ok(()),
    };
    count(0, Some(MAX_AGE_YEARS.into())).verify(believed).map(|years| u8::try_from(years).unwrap_or(MAX_AGE_YEARS))
}

/// A request as far as it could be read.
pub(crate) struct BookingDraft {
    /// The property, if it was readable.
    pub(crate) property_id: Option<String>,
    rate_plan_id: Option<RatePlanId>,
    source: Source,
    stays: Vec<StayForm>,
    guest: Guest,
    override_restrictions: bool,
    quote: Option<String>,
    /// Only a price is requested: there is no guest yet.
    price_only: bool,
    violations: Vec<FieldError>,
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
    /// The signed quote, as it was sent.
    pub(crate) quote: Option<String>,
}

/// Reads the body of a request for beds.
pub(crate) fn read(node: &Node<'_>) -> (BookingDraft, Fingerprints) {
    let mut reader = Reader::default();
    let form = NewBookingForm::read(node, &Pointer::Root, &mut reader);
    let fingerprints = reader.fingerprints(node);
    let draft = form.map_or_else(|| BookingDraft::empty(false), BookingDraft::from);
    (BookingDraft { violations: reader.into_violations(), ..draft }, fingerprints)
}

/// Reads the body of a request for a price.
pub(crate) fn read_quote(node: &Node<'_>) -> BookingDraft {
    let mut reader = Reader::default();
    let form = QuoteForm::read(node, &Pointer::Root, &mut reader);
    let draft = form.map_or_else(|| BookingDraft::empty(true), BookingDraft::from);
    BookingDraft { violations: reader.into_violations(), ..draft }
}

/// Whether a violation is about this body: without a guest, none is about one.
fn applies(violation: &FieldError, price_only: bool) -> bool {
    !price_only || !violation.pointer.starts_with("/guest/")
}

impl From<NewBookingForm> for BookingDraft {
    fn from(form: NewBookingForm) -> Self {
        Self {
            property_id: form.property_id,
            rate_plan_id: form.rate_plan_id,
            source: form.source,
            stays: form.stays.unwrap_or_default(),
            guest: form.guest.map(Guest::from).unwrap_or_default(),
            override_restrictions: form.override_restrictions,
            quote: form.quote,
            price_only: false,
            violations: Vec::new(),
        }
    }
}

impl From<QuoteForm> for BookingDraft {
    fn from(QuoteForm { property_id, rate_plan_id, stays }: QuoteForm) -> Self {
        Self { property_id, rate_plan_id, stays: stays.unwrap_or_default(), ..Self::empty(true) }
    }
}

impl From<GuestForm> for Guest {
    fn from(form: GuestForm) -> Self {
        Self {
            first_name: form.first_name,
            last_name: form.last_name,
            email: form.email.unwrap_or_default(),
            phone: form.phone,
            locale: form.locale,
        }
    }
}

impl BookingDraft {
    fn empty(price_only: bool) -> Self {
        Self {
            property_id: None,
            rate_plan_id: None,
            source: Source::Direct,
            stays: Vec::new(),
            guest: Guest::default(),
            override_restrictions: false,
            quote: None,
            price_only,
            violations: Vec::new(),
        }
    }

    /// Checks it against what the property sells; `first_night` is the first that can be booked. Staff may book for
    /// groups and in spite of restrictions.
    ///
    /// # Errors
    /// Every violation of form and of rules, each place once.
    pub(crate) fn validate(
        self,
        inventory: &Inventory,
        first_night: NaiveDate,
        by_staff: bool,
    ) -> Result<BookingRequest, Vec<FieldError>> {
        let price_only = self.price_only;
        let (request, mut violations) = self.fill_gaps(first_night);
        let limits = if by_staff { PartyLimits::STAFF } else { PartyLimits::GUEST };
        merge(
            &mut violations,
            check_request(inventory, &request.rate_plan_id, &request.stays, &request.guest, first_night, limits),
        );
        violations.retain(|violation| applies(violation, price_only));
        count_alone(&mut violations);
        if request.override_restrictions && !by_staff {
            violations.push(staff_only("/override_restrictions"));
        }
        if violations.is_empty() { Ok(request) } else { Err(violations) }
    }

    /// Every violation that can be found without the property; `any` is any inventory, `yesterday` is a date that is
    /// past at every property.
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
        count_alone(&mut violations);
        violations
    }

    /// Fills what could not be read with values that break no rule of their own.
    fn fill_gaps(self, first_night: NaiveDate) -> (BookingRequest, Vec<FieldError>) {
        let one_night = Days::new(1);
        let stays = self.stays.into_iter().map(|stay| {
            let arrival = stay
                .arrival
                .or_else(|| stay.departure.and_then(|date| date.checked_sub_days(one_night)))
                .unwrap_or(first_night);
            let departure = stay.departure.or_else(|| arrival.checked_add_days(one_night)).unwrap_or(arrival);
            let room_type = stay.room_type_id.unwrap_or_else(|| RoomTypeId::from(""));
            // At least those of whom something is declared.
            let ages = u32::try_from(stay.guest_ages.len()).unwrap_or(u32::MAX);
            let of_tax = |code: &str| {
                let same = stay.tax_exemptions.iter().filter(|exemption| exemption.code == code);
                same.map(|exemption| exemption.guests).fold(0, u32::saturating_add)
            };
            let declared = stay.tax_exemptions.iter().map(|exemption| of_tax(&exemption.code));
            let guests = stay.guests.unwrap_or_else(|| declared.fold(ages.max(1), u32::max));
            let request = StayRequest::new(room_type, arrival, departure, guests);
            StayRequest {
                gender: stay.gender,
                youngest_age: stay.youngest_age,
                guest_ages: stay.guest_ages,
                tax_exemptions: stay.tax_exemptions,
                ..request
            }
        });
        let request = BookingRequest {
            stays: stays.collect(),
            rate_plan_id: self.rate_plan_id.unwrap_or_else(|| RatePlanId::from("")),
            source: self.source,
            guest: self.guest,
            override_restrictions: self.override_restrictions,
            quote: self.quote,
        };
        (request, self.violations)
    }
}

/// Leaves one violation of too many stays: what is wrong with each of them, or with all together, is of no use then.
pub(super) fn count_alone(violations: &mut Vec<FieldError>) {
    let is_count = |violation: &FieldError| violation.pointer == "/stays" && violation.code == "stay_count";
    if violations.iter().any(is_count) {
        violations.retain(|violation| is_count(violation) || !violation.pointer.starts_with("/stays"));
    }
}

/// The violation of a field that only the property's staff may send.
pub(crate) fn staff_only(pointer: impl Into<String>) -> FieldError {
    FieldError::new(pointer, "staff_only", "only the property's staff may send this")
}

/// A date that is in the past at every property.
pub(crate) fn yesterday(now: DateTime<Utc>) -> NaiveDate {
    let today = now.date_naive();
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
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
        let found = read(&node).0.validate(&demo::inventory(), today(), false).unwrap_err();
        found.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    }

    #[test]
    fn valid_body_is_accepted() {
        let text = good().to_string();
        let node = parse(text.as_bytes()).unwrap();
        let (draft, _) = read(&node);
        assert_eq!(draft.property_id.as_deref(), Some("pvt-montreal"));
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
        let expected = [("/stays", "stay_count"), ("/override_restrictions", "staff_only")];
        assert_eq!(violations(&body), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let request = read(&node).0.validate(&demo::inventory(), today(), true).unwrap();
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
    fn too_many_stays_are_one_violation() {
        let mut body = good();
        let stay = json!({ "room_type_id": "castle", "arrival": "2020-01-10", "departure": "2020-01-09", "guests": 0 });
        for count in [9, 40, 41, 1_000] {
            body["stays"] = json!(vec![stay.clone(); count]);
            assert_eq!(violations(&body), [("/stays".to_owned(), "stay_count")], "{count}");
        }
        body["stays"] = json!(vec![json!({ "pillow": "soft" }); 41]);
        assert_eq!(violations(&body), [("/stays".to_owned(), "stay_count")]);
        body["stays"] = json!(vec![stay; 8]);
        assert!(violations(&body).len() >= 8, "of as many as there may be, each is named");
    }

    #[test]
    fn optional_fields_may_be_missing_or_null() {
        let mut body = good();
        body.as_object_mut().unwrap().remove("source");
        body["guest"]["phone"] = Value::Null;
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let request = read(&node).0.validate(&demo::inventory(), today(), false).unwrap();
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
            ("/guest/email", "invalid_email"),
            ("/stays/0/arrival", "arrival_in_past"),
            ("/stays/0/departure", "stay_too_long"),
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
    fn declared_guests_are_not_too_many_when_guests_are_missing() {
        let mut body = good();
        body["stays"][0]["guests"] = json!("two");
        body["stays"][0]["guest_ages"] = json!([4, 5]);
        let exempt = |code: &str, reason: &str| json!({ "code": code, "reason": reason, "guests": 2 });
        body["stays"][0]["tax_exemptions"] = json!([exempt("a", "x"), exempt("a", "y"), exempt("b", "x")]);
        let mut expected = vec![("/stays/0/guests".to_owned(), "wrong_type")];
        expected.extend((0..3).map(|at| (format!("/stays/0/tax_exemptions/{at}/code"), "unknown_tax")));
        assert_eq!(violations(&body), expected);
    }

    #[test]
    fn guest_is_read_in_the_stored_form() {
        let mut body = good();
        body["guest"] = json!({ "last_name": " Zoe\u{308} ", "email": "Ada@B\u{fc}cher.example", "phone":
            "001 (514) 555-0100 ext. 12", "locale": "FR-ca" });
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let guest = read(&node).0.validate(&demo::inventory(), today(), false).unwrap().guest;
        assert_eq!((guest.first_name.as_str(), guest.last_name.as_str()), ("", "Zoë"));
        assert_eq!(guest.email, "ada@xn--bcher-kva.example");
        assert_eq!((guest.phone.as_deref(), guest.locale.as_deref()), (Some("+15145550100;ext=12"), Some("fr-CA")));
        body["guest"] = json!({ "email": "ada", "phone": "514 555 0100", "locale": "fr_CA" });
        let expected = [
            ("/guest/email", "invalid_email"),
            ("/guest/phone", "invalid_phone"),
            ("/guest/locale", "invalid_locale"),
            ("/guest/first_name", "required"),
        ];
        assert_eq!(violations(&body), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn only_staff_book_without_an_address() {
        let mut body = good();
        body["guest"] = json!({ "first_name": "Ada" });
        assert_eq!(violations(&body), [("/guest/email".to_owned(), "required")]);
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let request = read(&node).0.validate(&demo::inventory(), today(), true).unwrap();
        assert_eq!(request.guest.mail_address(), None);
    }

    #[test]
    fn spelling_of_a_request_does_not_change_its_canonical_fingerprint() {
        let fingerprints = |body: &Value| read(&parse(body.to_string().as_bytes()).unwrap()).1;
        let mut plain = good();
        plain["source"] = json!("direct");
        let ours = fingerprints(&plain);
        assert_eq!(ours.earlier(), None, "the canonical form has the fingerprint of earlier versions");
        let spellings: [fn(&mut Value); 9] = [
            |body| drop(body.as_object_mut().unwrap().remove("source")),
            |body| body["source"] = Value::Null,
            |body| body["quote"] = Value::Null,
            |body| body["override_restrictions"] = json!(false),
            |body| body["stays"][0]["gender"] = Value::Null,
            |body| body["guest"]["first_name"] = json!(" Ada "),
            |body| body["guest"]["email"] = json!("ADA@Example.com "),
            |body| body["guest"]["phone"] = json!("00 1 (514) 555-0100"),
            |body| body["guest"]["locale"] = json!("EN"),
        ];
        for (number, spell) in spellings.into_iter().enumerate() {
            let mut other = plain.clone();
            spell(&mut other);
            let other = fingerprints(&other);
            assert_eq!(other.canonical, ours.canonical, "{number}");
            assert_ne!(other.as_sent, ours.as_sent, "{number}");
            assert!(other.matches(&ours.canonical.to_string()) && other.matches(&other.as_sent.to_string()));
        }
        let others: [fn(&mut Value); 4] = [
            |body| body["source"] = json!("api"),
            |body| body["stays"][0]["guests"] = json!(1),
            |body| body["guest"]["last_name"] = Value::Null,
            |body| body["guest"]["phone"] = json!("+15145550100;ext=1"),
        ];
        for change in others {
            let mut other = plain.clone();
            change(&mut other);
            assert_ne!(fingerprints(&other).canonical, ours.canonical);
        }
    }

    #[test]
    fn unknown_property_does_not_hide_other_violations() {
        let mut body = good();
        body["property_id"] = json!("castle");
        body["rate_plan_id"] = json!("of the castle");
        body["stays"][0]["departure"] = json!("2027-01-10");
        body["guest"]["first_name"] = json!("a\nb");
        let text = body.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let found: Vec<_> = read(&node)
            .0
            .violations_without_property(&demo::inventory(), today())
            .into_iter()
            .map(|violation| violation.code)
            .collect();
        assert_eq!(found, ["unknown_property", "departure_not_after_arrival", "invalid_name"]);
    }
}
