//! Search for bookings by whatever an operator has in hand: a reference, an id, an address, the guest's name, the id of
//! a message or of an object of Stripe.

use anyhow::Result;
use pvt_domain::booking::Booking;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::bookings::{BookingFilter, BookingScope};
use serde::Deserialize;
use uuid::Uuid;

/// Most bookings that a search finds; the newest of an address or a name.
pub const MAX_FOUND: i64 = 50;

/// Prefixes of Stripe's ids: payment intents, charges, checkout sessions, refunds, disputes.
const STRIPE_OBJECTS: [&str; 8] = ["pi_", "ch_", "py_", "cs_", "re_", "pyr_", "dp_", "du_"];
const STRIPE_EVENT: &str = "evt_";
const REFERENCE_PREFIX: &str = "PVT-";

/// What a text names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// A booking, a message that caused or reported a revision or is a dead letter, or a payment.
    Id(Uuid),
    Address(String),
    StripeObject(String),
    StripeEvent(String),
    Reference(BookingId, BookingId),
    /// A reference without its prefix, or a name of as many characters.
    ReferenceOrName(BookingId, BookingId, String),
    Name(String),
    Nothing,
}

impl Named {
    fn read(text: &str) -> Self {
        let text = text.trim();
        if let Ok(id) = Uuid::try_parse(text) {
            return Self::Id(id);
        }
        if text.contains('@') {
            return Self::Address(text.to_owned());
        }
        if text.starts_with(STRIPE_EVENT) {
            return Self::StripeEvent(text.to_owned());
        }
        if STRIPE_OBJECTS.iter().any(|prefix| text.starts_with(prefix)) {
            return Self::StripeObject(text.to_owned());
        }
        match BookingId::range_of_reference(text) {
            Some((least, greatest)) if !has_prefix(text) => Self::ReferenceOrName(least, greatest, text.to_owned()),
            Some((least, greatest)) => Self::Reference(least, greatest),
            None if is_name(text) && !has_prefix(text) => Self::Name(text.to_owned()),
            None => Self::Nothing,
        }
    }
}

/// Whether a text may be a name, or the beginning of one: two letters or digits at least, as groups have names such as
/// "Team 42".
fn is_name(text: &str) -> bool {
    text.chars().filter(|one| one.is_alphanumeric()).count() >= 2
}

fn has_prefix(text: &str) -> bool {
    text.get(..REFERENCE_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(REFERENCE_PREFIX))
}

/// Whether the search for this text may read a whole collection, because it has no index.
pub fn may_scan(text: &str) -> bool {
    matches!(Named::read(text), Named::Id(_) | Named::StripeObject(_) | Named::StripeEvent(_))
}

/// The bookings of these properties that a text names: none, one, or those of an address or a name, newest first.
///
/// # Errors
/// When MongoDB fails, or a search without an index takes too long.
pub async fn search(mongo: &Mongo, properties: &[PropertyId], text: &str) -> Result<Vec<Booking>> {
    let filter = |email: Option<String>, ids| BookingFilter {
        scope: BookingScope::Properties(properties.to_vec()),
        property_id: None,
        status: None,
        arrival_from: None,
        arrival_until: None,
        email,
        ids,
    };
    let mut found = match Named::read(text) {
        Named::Nothing => Vec::new(),
        Named::Id(id) => of_id(mongo, id).await?,
        Named::Address(address) => mongo.bookings().list(&filter(Some(address), None), None, MAX_FOUND).await?,
        Named::Reference(least, greatest) => {
            mongo.bookings().list(&filter(None, Some((least, greatest))), None, MAX_FOUND).await?
        }
        Named::ReferenceOrName(least, greatest, name) => {
            let referred = mongo.bookings().list(&filter(None, Some((least, greatest))), None, MAX_FOUND).await?;
            if referred.is_empty() { mongo.bookings().of_guest(properties, &name, MAX_FOUND).await? } else { referred }
        }
        Named::Name(name) => mongo.bookings().of_guest(properties, &name, MAX_FOUND).await?,
        Named::StripeObject(id) => of_objects(mongo, &[&id]).await?,
        Named::StripeEvent(id) => of_stripe_event(mongo, &id).await?,
    };
    found.retain(|booking| properties.contains(&booking.property_id));
    Ok(found)
}

/// The booking with this id; else that of the dead letter, of the command or event, or of the payment with this id.
/// What has an index is looked up first.
async fn of_id(mongo: &Mongo, id: Uuid) -> Result<Vec<Booking>, StoreError> {
    if let Some(booking) = mongo.bookings().find(BookingId::from_uuid(id)).await? {
        return Ok(vec![booking]);
    }
    let dead_letters = mongo.dead_letters().find(id).await?;
    let owners = dead_letters.into_iter().filter_map(|dead| dead.booking_id);
    let found: Vec<Booking> = mongo.bookings().find_by_ids(owners).await?.into_values().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let found = mongo.bookings().of_message(id, MAX_FOUND).await?;
    if found.is_empty() { of_objects(mongo, &[&id.to_string()]).await } else { Ok(found) }
}

async fn of_objects(mongo: &Mongo, ids: &[&str]) -> Result<Vec<Booking>, StoreError> {
    let owners = mongo.ledgers().bookings_of_objects(ids, MAX_FOUND).await?;
    Ok(mongo.bookings().find_by_ids(owners).await?.into_values().collect())
}

/// The parts of an event of Stripe that lead to a booking.
#[derive(Deserialize)]
struct Payload {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: ObjectIds,
}

#[derive(Deserialize)]
struct ObjectIds {
    id: String,
    payment_intent: Option<String>,
    charge: Option<String>,
}

async fn of_stripe_event(mongo: &Mongo, id: &str) -> Result<Vec<Booking>, StoreError> {
    let Some(event) = mongo.stripe_events().find(id).await? else { return Ok(Vec::new()) };
    let payload = serde_json::to_value(&event.payload).and_then(serde_json::from_value::<Payload>);
    let Ok(Payload { data: Data { object } }) = payload else { return Ok(Vec::new()) };
    let related = [object.payment_intent.as_deref(), object.charge.as_deref()].into_iter().flatten();
    let ids: Vec<&str> = [id, object.id.as_str()].into_iter().chain(related).collect();
    of_objects(mongo, &ids).await
}

#[cfg(test)]
mod tests {
    use super::{Named, may_scan};
    use uuid::Uuid;

    #[test]
    fn texts_name_what_they_look_like() {
        let id = Uuid::from_u128(7);
        assert_eq!(Named::read(&format!(" {id} ")), Named::Id(id));
        assert_eq!(Named::read("Ada@Example.com"), Named::Address("Ada@Example.com".to_owned()));
        assert_eq!(Named::read("pi_1"), Named::StripeObject("pi_1".to_owned()));
        assert_eq!(Named::read("cs_test_1"), Named::StripeObject("cs_test_1".to_owned()));
        assert_eq!(Named::read("evt_1"), Named::StripeEvent("evt_1".to_owned()));
        assert!(matches!(Named::read("pvt-hmy8ymkd1q"), Named::Reference(..)));
        assert!(matches!(Named::read("PVT-Montgomery"), Named::Reference(..)));
        for name in ["Richardson", "montgomery", "hmy8ymkd1q"] {
            assert!(matches!(Named::read(name), Named::ReferenceOrName(_, _, read) if read == name), "{name}");
        }
        assert!(may_scan(&id.to_string()) && may_scan("pi_1") && !may_scan("ada@example.com") && !may_scan("PVT-1"));
        for name in ["Lovelace", "Ada Lovelace", "Łó", "李明", "Team 42", "Anna2", "42"] {
            assert_eq!(Named::read(name), Named::Name(name.to_owned()), "{name}");
        }
        for nothing in ["", "L", "o’", "PVT-1", "pvt-anna2", "?", "7"] {
            assert_eq!(Named::read(nothing), Named::Nothing, "{nothing}");
        }
    }
}
