//! Filter of the audit, as the address has it.

use crate::app::App;
use crate::failure::Failure;
use crate::store;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use pvt_domain::accounts::Email;
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_domain::business_day::instant_of;
use pvt_domain::ids::{BedId, BookingId, PropertyId};
use pvt_domain::timestamp::Timestamp;
use pvt_operations::trace;
use pvt_stores::mongo::audit::AuditFilter;
use pvt_stores::mongo::booking_search::BedChangeFilter;
use serde::Deserialize;

/// Days of which changes of beds are shown when no day is named.
const DAYS_BACK: u64 = 7;

#[derive(Default, Deserialize)]
pub(crate) struct AuditQuery {
    pub(super) property: Option<String>,
    pub(super) bed: Option<String>,
    /// A reference or an id.
    pub(super) booking: Option<String>,
    /// An address, or an actor as histories have it.
    pub(super) actor: Option<String>,
    pub(super) day: Option<String>,
    pub(super) subject: Option<String>,
    /// The entry before the first one of the page: its time and its id.
    pub(super) before: Option<String>,
}

impl AuditQuery {
    /// What a field holds, unless it is empty.
    pub(super) fn value(field: &Option<String>) -> Option<&str> {
        field.as_deref().map(str::trim).filter(|value| !value.is_empty())
    }

    /// What a field holds, for its input.
    pub(super) fn text(&self, field: &Option<String>) -> String {
        Self::value(field).unwrap_or_default().to_owned()
    }

    /// Its fields, apart from the position.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [
            ("property", &self.property),
            ("bed", &self.bed),
            ("booking", &self.booking),
            ("actor", &self.actor),
            ("day", &self.day),
            ("subject", &self.subject),
        ];
        fields.into_iter().filter_map(|(name, field)| Some((name, Self::value(field)?)))
    }
}

/// What is looked for.
pub(super) struct Selection {
    pub(super) log: AuditFilter,
    pub(super) beds: BedChangeFilter,
    pub(super) bed: Option<BedId>,
}

impl Selection {
    /// Resolves names to ids.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a date that is none, [`Failure::NotFound`] for a property, a booking or an address that
    /// is not there.
    pub(super) async fn read(app: &App, query: &AuditQuery, all: &[PropertyId]) -> Result<Self, Failure> {
        let property = AuditQuery::value(&query.property);
        let none = || Failure::NotFound("There is no such property.".to_owned());
        let property =
            property.map(|id| all.iter().find(|known| known.as_str() == id).cloned().ok_or_else(none)).transpose()?;
        let day = AuditQuery::value(&query.day).map(str::parse::<NaiveDate>).transpose();
        let day = day.map_err(|_| Failure::Invalid("Write the day as 2027-01-31.".to_owned()))?;
        let booking = booking(app, AuditQuery::value(&query.booking), all).await?;
        let actor = actor(app, AuditQuery::value(&query.actor)).await?;
        let bed = AuditQuery::value(&query.bed).map(BedId::from);
        let properties = property.clone().map_or_else(|| all.to_vec(), |one| vec![one]);
        let (from, until) = within(app, property.as_ref(), day, booking.is_some()).await?;
        let subject = AuditQuery::value(&query.subject).map(str::to_owned);
        let of_bed = property.as_ref().zip(bed.as_ref()).map(|(property, bed)| format!("{property}|bed:{bed}"));
        let subject = subject.or_else(|| booking.as_ref().map(|one| one.id.to_string())).or(of_bed);
        let of_day = |at: Timestamp| day.map(|_| at);
        let log = AuditFilter { subject, property, actor: actor.clone(), from: of_day(from), until: of_day(until) };
        let id: Option<BookingId> = booking.map(|one| one.id);
        let beds = BedChangeFilter { properties, booking: id, actor, from, until };
        Ok(Self { log, beds, bed })
    }

    /// The extent of the changes of beds, in words.
    pub(super) fn extent(&self, is_cut: bool) -> String {
        let span = match (self.log.from, self.beds.booking) {
            (Some(_), _) => "Of this day.",
            (None, Some(_)) => "Of this booking, of all its days.",
            (None, None) => "Of the last seven days; name a day for older ones.",
        };
        let cut = if is_cut {
            " There are more than the newest ones below: name a day, a property, a booking or an actor."
        } else {
            ""
        };
        format!("{span}{cut}")
    }
}

/// The instants that a day has at the property; without one, all of a booking, or those of the last days.
async fn within(
    app: &App,
    property: Option<&PropertyId>,
    day: Option<NaiveDate>,
    is_of_booking: bool,
) -> Result<(Timestamp, Timestamp), Failure> {
    let now = Utc::now();
    let Some(day) = day else {
        let from = if is_of_booking { DateTime::UNIX_EPOCH } else { now - Days::new(DAYS_BACK) };
        return Ok((from.into(), (now + Days::new(1)).into()));
    };
    let zone = match property.cloned() {
        Some(property) => {
            let mongo = app.mongo.clone();
            let inventory = store::read(app, async move { mongo.inventories().find(&property).await }).await?;
            inventory.map(|inventory| inventory.property.time_zone)
        }
        None => None,
    };
    let begin = |day: NaiveDate| {
        let midnight = day.and_time(NaiveTime::MIN);
        zone.map_or_else(|| midnight.and_utc(), |zone| instant_of(zone, midnight))
    };
    Ok((begin(day).into(), begin(day.succ_opt().unwrap_or(day)).into()))
}

async fn booking(app: &App, named: Option<&str>, all: &[PropertyId]) -> Result<Option<Booking>, Failure> {
    let Some(named) = named else { return Ok(None) };
    let (mongo, properties, text) = (app.mongo.clone(), all.to_vec(), named.to_owned());
    let search = async move { trace::search(&mongo, &properties, &text).await };
    let mut found = store::read_in_turn(app, &app.scans, search).await?;
    match found.len() {
        1 => Ok(found.pop()),
        0 => Err(Failure::NotFound("There is no such booking.".to_owned())),
        _ => Err(Failure::Invalid("Several bookings match: name one by its reference.".to_owned())),
    }
}

async fn actor(app: &App, named: Option<&str>) -> Result<Option<Actor>, Failure> {
    let Some(named) = named else { return Ok(None) };
    if !named.contains('@') {
        return Ok(Some(named.into()));
    }
    let none = || Failure::NotFound("There is no account with this address.".to_owned());
    let address = Email::parse(named).map_err(|_| none())?;
    let mongo = app.mongo.clone();
    let found = store::read(app, async move { mongo.users().find_by_email(&address).await }).await?;
    found.map(|user| Some(Actor::staff(user.id))).ok_or_else(none)
}
