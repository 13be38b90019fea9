//! Workload of bookings and searches, and the properties it is about. Request `n` of a series is always the same, so
//! that nothing need be stored.

use chrono::{Days, NaiveDate, NaiveTime, Utc};
use pvt_domain::booking::{Guest, Source, StayRequest};
use pvt_domain::demo;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::inventory::{DormGender, Inventory, Property, RatePlan, Room, RoomKind, RoomType};
use pvt_domain::messages::RequestBooking;
use pvt_domain::rates::Deposit;
use std::borrow::Cow;
use std::io::Write;

/// Days from tomorrow on that arrivals fall on.
const ARRIVAL_DAYS: u64 = 500;
const NIGHTS_MAX: u64 = 3;
/// Prefix of properties whose bookings are held until they are paid.
pub(super) const PREPAID: &str = "prepaid";
/// The searched property: its room types, and the days of its searches and bookings.
const SEARCHED: &str = "searched";
const SEARCHED_TYPES: u16 = 30;
const SEARCHED_DAYS: u64 = 90;
const SEARCHED_NIGHTS_MAX: u64 = 7;
/// One search in this many is for all the days.
const WHOLE_IN: u64 = 8;
const ROOM_BEDS: u16 = 10;
const ROOM_TYPES: [(&str, i64); 2] = [("dorm-mixed", 4_200), ("dorm-female", 4_800)];
const RATE_PLAN: &str = "standard";
/// Digits of `Content-Length`, which is written before the body is.
const LENGTH_DIGITS: usize = 4;

/// A series of booking requests for single guests, spread over properties, room types and dates.
#[derive(Debug, Clone)]
pub(super) struct BookingSeries {
    /// Distinguishes the series of a run: part of each idempotency key.
    series: String,
    /// Prefix of the property ids.
    prefix: &'static str,
    properties: u16,
    /// Days that arrivals fall on, and the longest stay.
    days: u64,
    nights_max: u64,
    today: NaiveDate,
    /// Seconds to hold each request until its booking is decided.
    wait_s: Option<u32>,
}

/// The stay of a request.
struct RequestedStay {
    property: u16,
    room_type: Cow<'static, str>,
    arrival: NaiveDate,
    departure: NaiveDate,
}

impl BookingSeries {
    /// A series for this many properties.
    pub(super) fn new(series: String, prefix: &'static str, properties: u16) -> Self {
        Self {
            series,
            prefix,
            properties: properties.max(1),
            days: ARRIVAL_DAYS,
            nights_max: NIGHTS_MAX,
            today: Utc::now().date_naive(),
            wait_s: None,
        }
    }

    /// A series for the searched property.
    pub(super) fn for_searched_property(series: String) -> Self {
        Self {
            days: SEARCHED_DAYS - SEARCHED_NIGHTS_MAX,
            nights_max: SEARCHED_NIGHTS_MAX,
            ..Self::new(series, SEARCHED, 1)
        }
    }

    /// Waits for the decision for so many seconds.
    pub(super) fn waiting(mut self, seconds: u32) -> Self {
        self.wait_s = Some(seconds);
        self
    }

    fn requested_stay(&self, number: u64) -> RequestedStay {
        let random = scatter(number);
        // The nights of a property fill evenly; property and date are scattered.
        let arrival = self.today + Days::new(1 + (random >> 16) % self.days);
        RequestedStay {
            property: u16::try_from(random % u64::from(self.properties)).unwrap_or_default(),
            room_type: if self.prefix == SEARCHED {
                searched_type((random >> 40) % u64::from(SEARCHED_TYPES)).into()
            } else {
                room_type(random >> 40).into()
            },
            arrival,
            departure: arrival + Days::new(1 + (random >> 48) % self.nights_max),
        }
    }

    /// Writes the HTTP request `number`.
    pub(super) fn write(&self, number: u64, request: &mut Vec<u8>) {
        let RequestedStay { property, room_type, arrival, departure } = self.requested_stay(number);
        let (series, prefix) = (&self.series, self.prefix);
        let mut put = |text: std::fmt::Arguments<'_>| {
            // Writing into a vector cannot fail.
            let _ = request.write_fmt(text);
        };
        put(format_args!(
            "POST /api/bookings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nIdempotency-Key: \
                {series}-{number}\r\n"
        ));
        if let Some(seconds) = self.wait_s {
            put(format_args!("Prefer: wait={seconds}\r\n"));
        }
        write_body(
            request,
            format_args!(
                "{{\"property_id\":\"{prefix}-{property:03}\",\"rate_plan_id\":\"{RATE_PLAN}\",\
                    \"source\":\"direct\",\"stays\":[{{\"room_type_id\":\"{room_type}\",\
                    \"arrival\":\"{arrival}\",\"departure\":\"{departure}\",\"guests\":1}}],\
                    \"guest\":{{\"first_name\":\"Ada\",\"last_name\":\"Lovelace\",\
                    \"email\":\"ada.{number}@example.com\",\"phone\":\"+15145550100\",\"locale\":\"en\"}}}}"
            ),
        );
    }

    /// The command that the API makes of request `number`, except for its fingerprint.
    pub(super) fn command(&self, number: u64) -> RequestBooking {
        let RequestedStay { property, room_type, arrival, departure } = self.requested_stay(number);
        let fingerprint = format!("{number:064x}");
        RequestBooking {
            booking_id: BookingId::derive(None, &format!("{}-{number}", self.series), &fingerprint),
            client: None,
            fingerprint,
            fingerprint_as_sent: None,
            property_id: property_id(self.prefix, property),
            rate_plan_id: RATE_PLAN.into(),
            source: Source::Direct,
            stays: vec![StayRequest::new(&*room_type, arrival, departure, 1)],
            guest: Guest {
                first_name: "Ada".to_owned(),
                last_name: "Lovelace".to_owned(),
                email: format!("ada.{number}@example.com"),
                phone: Some("+15145550100".to_owned()),
                locale: Some("en".to_owned()),
            },
            requested_at: Utc::now().into(),
            quote: None,
            override_restrictions: false,
        }
    }
}

/// Writes the last header, which says how long the body is, and the body.
pub(super) fn write_body(request: &mut Vec<u8>, body: std::fmt::Arguments<'_>) {
    // Writing into a vector cannot fail.
    let _ = write!(request, "Content-Length: {:0LENGTH_DIGITS$}\r\n\r\n", 0);
    let body_begin = request.len();
    let _ = request.write_fmt(body);
    let length = format!("{:0LENGTH_DIGITS$}", request.len() - body_begin);
    let place = body_begin - 4 - LENGTH_DIGITS;
    if let Some(digits) = request.get_mut(place..place + LENGTH_DIGITS) {
        digits.copy_from_slice(length.as_bytes());
    }
}

/// The id of a property.
pub(super) fn property_id(prefix: &str, number: u16) -> PropertyId {
    PropertyId::new(format!("{prefix}-{number:03}"))
}

/// Room types in turn.
fn room_type(number: u64) -> &'static str {
    ROOM_TYPES.get(usize::from(number & 1 == 1)).map_or("", |(id, _)| id)
}

fn searched_type(number: u64) -> String {
    format!("dorm-{number:02}")
}

/// Bed-nights of the searched property.
pub(super) fn searched_bed_nights() -> u64 {
    u64::from(SEARCHED_TYPES) * u64::from(ROOM_BEDS) * SEARCHED_DAYS
}

/// Mean nights of a stay there.
pub(super) fn searched_nights_mean() -> u64 {
    SEARCHED_NIGHTS_MAX.div_ceil(2)
}

/// The searched property: many room types of one room each.
pub(super) fn searched_property() -> Inventory {
    let mut property = dorm_property(SEARCHED, 0, SEARCHED_TYPES * ROOM_BEDS);
    let ids = || (0..SEARCHED_TYPES).map(|number| searched_type(number.into()));
    property.room_types = ids().map(|id| RoomType::new(id.as_str(), &id, RoomKind::Dorm, DormGender::Mixed)).collect();
    for (room, id) in property.rooms.iter_mut().zip(ids()) {
        room.room_type_id = id.as_str().into();
    }
    for plan in &mut property.rate_plans {
        plan.nightly = ids().map(|id| (id.as_str().into(), 4_200)).collect();
    }
    property
}

/// Writes the search `number`: all room types of a property, for a stay within the days of searches.
pub(super) fn write_search(number: u64, today: NaiveDate, property: &PropertyId, request: &mut Vec<u8>) {
    let random = scatter(number);
    let nights = if number.is_multiple_of(WHOLE_IN) { SEARCHED_DAYS } else { 1 + (random >> 48) % SEARCHED_NIGHTS_MAX };
    let arrival = today + Days::new(1 + (random >> 16) % (SEARCHED_DAYS - nights + 1));
    let (departure, guests) = (arrival + Days::new(nights), 1 + (random >> 32) % 4);
    // Writing into a vector cannot fail.
    let _ = write!(
        request,
        "GET /api/rooms/search?arrival={arrival}&departure={departure}&guests={guests}&property_id={property} \
            HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    );
}

/// A property of dorms, with the taxes and prices of the demonstration property.
pub(super) fn dorm_property(prefix: &str, number: u16, beds: u16) -> Inventory {
    let id = property_id(prefix, number);
    let property =
        Property { name: format!("Bench {number}"), check_in_from: NaiveTime::MIN, id, ..demo::inventory().property };
    let kind = |(id, _): &(&str, i64)| RoomType::new(*id, *id, RoomKind::Dorm, DormGender::Mixed);
    let room = |number: u16| {
        let room_type = room_type(number.into());
        let beds = 1..=ROOM_BEDS.min(beds - number * ROOM_BEDS);
        Room::new(
            format!("r{number}").as_str(),
            room_type,
            beds.map(|bed| format!("r{number}-{bed}").as_str().into()).collect(),
        )
    };
    Inventory {
        property,
        room_types: ROOM_TYPES.iter().map(kind).collect(),
        rooms: (0..beds.div_ceil(ROOM_BEDS)).map(room).collect(),
        rate_plans: vec![RatePlan {
            id: RATE_PLAN.into(),
            name: "Standard".to_owned(),
            names: Default::default(),
            nightly: ROOM_TYPES.iter().map(|(id, cents)| ((*id).into(), *cents)).collect(),
            cancellation_policy_id: None,
            deposit: (prefix == PREPAID).then_some(Deposit::Full),
        }],
        cancellation_policies: Vec::new(),
        rev: 0,
    }
}

/// SplitMix64's finisher (Steele, Lea, Flood 2014): scatters consecutive numbers.
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{BookingSeries, SEARCHED_DAYS, SEARCHED_TYPES, dorm_property, searched_property, write_search};
    use chrono::{Days, NaiveDate, Utc};

    #[test]
    fn content_length_matches_body_and_body_matches_command() {
        let workload = BookingSeries::new("t".to_owned(), "bench", 200).waiting(10);
        for number in [0, 7, 123_456] {
            let mut request = Vec::new();
            workload.write(number, &mut request);
            let text = String::from_utf8(request).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length: usize = head.rsplit_once("Content-Length: ").unwrap().1.parse().unwrap();
            assert_eq!(length, body.len());
            let sent: serde_json::Value = serde_json::from_str(body).unwrap();
            let command = serde_json::to_value(workload.command(number)).unwrap();
            for part in ["property_id", "rate_plan_id", "source", "stays", "guest"] {
                assert_eq!(sent[part], command[part]);
            }
        }
    }

    #[test]
    fn searches_and_bookings_name_existing_room_types() {
        let property = searched_property();
        assert_eq!(
            (property.room_types.len(), property.rooms.len()),
            (usize::from(SEARCHED_TYPES), usize::from(SEARCHED_TYPES))
        );
        let workload = BookingSeries::for_searched_property("t".to_owned());
        for number in 0..1_000 {
            let command = workload.command(number);
            assert_eq!(command.property_id, property.property.id);
            assert!(property.room_type(&command.stays[0].room_type_id).is_some());
        }
        let today = Utc::now().date_naive();
        let date = |text: &str, name: &str| -> NaiveDate {
            text.split_once(&format!("{name}=")).unwrap().1[..10].parse().unwrap()
        };
        for number in 0..1_000 {
            let mut request = Vec::new();
            write_search(number, today, &property.property.id, &mut request);
            let text = String::from_utf8(request).unwrap();
            let (arrival, departure) = (date(&text, "arrival"), date(&text, "departure"));
            assert!(
                today < arrival && arrival < departure && departure <= today + Days::new(1 + SEARCHED_DAYS),
                "{text}"
            );
            assert!(text.contains(&format!("property_id={} ", property.property.id)), "{text}");
        }
    }

    #[test]
    fn property_has_requested_number_of_beds() {
        for beds in [1, 10, 50, 55] {
            let beds_made: usize = dorm_property("bench", 3, beds).rooms.iter().map(|room| room.beds.len()).sum();
            assert_eq!(beds_made, usize::from(beds));
        }
    }
}
