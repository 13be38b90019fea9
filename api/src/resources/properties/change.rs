//! Change of an inventory: read whole, edited, checked as a whole, stored unless another change was faster, published.
//!
//! The revision of the property counts every change of it and of its prices; it is the entity tag of everything that
//! belongs to it. Beds are taken and released only by commands.

use crate::http::problem::{self, Problem};
use crate::state::{App, SharedApp};
use crate::store_call;
use axum::http::HeaderValue;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_domain::events::InventoryChanged;
use pvt_domain::ids::{BlockId, PropertyId};
use pvt_domain::intake::FieldError;
use pvt_domain::inventory::check::check_inventory;
use pvt_domain::inventory::{Inventory, Property};
use pvt_domain::rates::RateCalendar;
use pvt_messaging::Outgoing;
use pvt_stores::mongo::audit::AuditEntry;
use std::sync::Arc;
use tracing::warn;
use uuid::Uuid;

/// How often a change that names no revision is tried against others.
pub(crate) const ATTEMPTS: usize = 20;

/// Longest description of what was changed, in characters.
const MAX_DETAIL_CHARS: usize = 2_000;

/// Who changes a house, and what is written down about it.
pub(crate) struct PropertyChange {
    pub(crate) property: PropertyId,
    pub(crate) actor: Actor,
    /// For the audit, for example `room.create`.
    pub(crate) action: &'static str,
    /// Of what within the property.
    pub(crate) subject: String,
    /// The revision that it is meant for; absent: whatever it is now.
    pub(crate) expected: Option<u32>,
    /// The wish that it fulfils, if that has a name; see [`crate::commands::idempotency`].
    pub(crate) wish: Option<Uuid>,
}

/// What an edit did.
pub(crate) enum EditOutcome {
    /// Nothing: the house was so already.
    Unchanged,
    /// Something whose faults stand at this pointer of the inventory; what follows it is the pointer in the body.
    ChangedAt(String),
}

impl PropertyChange {
    /// Applies the edit. Gives the house as it is now, and whether it changed.
    ///
    /// # Errors
    /// 404 without such a property, 412 when it has another revision, 422 for what makes no sense in the house, and
    /// those of the edit.
    pub(crate) async fn apply(
        &self,
        app: &SharedApp,
        edit: impl Fn(&mut Inventory) -> Result<EditOutcome, Problem>,
    ) -> Result<(Arc<Inventory>, bool), Problem> {
        for _ in 0..ATTEMPTS {
            let before = self.read(app).await?;
            if let Some(done) = self.apply_to(app, before, &[], &edit).await? {
                return Ok(done);
            }
        }
        Err(problem::PROPERTY_BUSY.into())
    }

    /// As [`PropertyChange::apply`], on the inventory as it was read and while these blocks hold their beds; `None`
    /// when one or the other is over.
    ///
    /// # Errors
    /// As [`PropertyChange::apply`].
    pub(crate) async fn apply_to(
        &self,
        app: &SharedApp,
        before: Inventory,
        holds: &[BlockId],
        edit: impl Fn(&mut Inventory) -> Result<EditOutcome, Problem>,
    ) -> Result<Option<(Arc<Inventory>, bool)>, Problem> {
        let mut house = before.clone();
        let EditOutcome::ChangedAt(place) = edit(&mut house)? else { return Ok(Some((Arc::new(before), false))) };
        if house == before {
            return Ok(Some((Arc::new(before), false)));
        }
        check_changed_inventory(&before, &house, &place)?;
        house.rev = before.rev + 1;
        let entry = self.entry(&difference(&before, &house, &place));
        let (mongo, stored, holds) = (app.mongo.clone(), house.clone(), holds.to_vec());
        let is_stored =
            store_call::write(async move { mongo.inventories().replace(&stored, before.rev, &entry, &holds).await })
                .await?;
        Ok(if is_stored { Some((publish_change(app, house, false).await, true)) } else { None })
    }

    /// Changes price calendars by the edit, which gives those that are to be stored; `detail` says in the audit what
    /// was set.
    ///
    /// # Errors
    /// As [`PropertyChange::apply`].
    pub(crate) async fn apply_rates(
        &self,
        app: &SharedApp,
        detail: &str,
        edit: impl Fn(&Inventory, &pvt_domain::rates::Rates) -> Result<Vec<RateCalendar>, Problem>,
    ) -> Result<Arc<Inventory>, Problem> {
        for _ in 0..ATTEMPTS {
            let mut house = self.read(app).await?;
            let (mongo, property) = (app.mongo.clone(), self.property.clone());
            let rates = store_call::read(async move { mongo.rates().of_property(&property).await }).await?;
            let calendars = edit(&house, &rates)?;
            let (mongo, property, rev, entry) =
                (app.mongo.clone(), self.property.clone(), house.rev, self.entry(detail));
            if store_call::write(async move { mongo.rates().save(&property, rev, &calendars, &entry).await }).await? {
                house.rev += 1;
                return Ok(publish_change(app, house, true).await);
            }
        }
        Err(problem::PROPERTY_BUSY.into())
    }

    /// Whether it is meant for this house.
    ///
    /// # Errors
    /// 412 with the revision that the house has.
    fn check(&self, house: &Inventory) -> Result<(), Problem> {
        match self.expected {
            Some(expected) if u64::from(expected) != house.rev => {
                Err(Problem::from(problem::PRECONDITION_FAILED).with_header(axum::http::header::ETAG, etag(house.rev)))
            }
            _ => Ok(()),
        }
    }

    /// The house that it is meant for.
    ///
    /// # Errors
    /// 404 without it, 412 when it has another revision.
    pub(crate) async fn read(&self, app: &App) -> Result<Inventory, Problem> {
        let house = read(app, &self.property).await?;
        self.check(&house)?;
        Ok(house)
    }

    fn entry(&self, detail: &str) -> AuditEntry {
        let subject = subject(&self.property, &self.subject);
        AuditEntry::new(
            self.wish.unwrap_or_else(Uuid::new_v4),
            Utc::now().into(),
            &self.actor,
            self.action.to_owned(),
            &subject,
            &truncated(detail, MAX_DETAIL_CHARS),
        )
    }
}

/// What an edit made of the part at `place`, for people.
fn difference(before: &Inventory, after: &Inventory, place: &str) -> String {
    let part = |house: &Inventory| {
        let house = serde_json::to_value(house).unwrap_or_default();
        house.pointer(place).map_or_else(|| "nothing".to_owned(), ToString::to_string)
    };
    format!(
        "{} became {}",
        truncated(&part(before), MAX_DETAIL_CHARS / 3),
        truncated(&part(after), MAX_DETAIL_CHARS / 3)
    )
}

fn truncated(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most).chain(['…']).collect() }
}

/// How a part of a house is named in the audit; the house itself is the empty part.
pub(crate) fn subject(property: &PropertyId, part: &str) -> String {
    if part.is_empty() { property.to_string() } else { format!("{property}|{part}") }
}

/// The house as it is stored.
///
/// # Errors
/// 404 when there is none.
pub(crate) async fn read(app: &App, property: &PropertyId) -> Result<Inventory, Problem> {
    let (mongo, id) = (app.mongo.clone(), property.clone());
    store_call::read(async move { mongo.inventories().find(&id).await }).await?.ok_or_else(|| problem::NOT_FOUND.into())
}

/// Stores a new house, which is empty. `None` when there is one of its id.
///
/// # Errors
/// 422 for what makes no sense.
pub(crate) async fn create_property(
    app: &SharedApp,
    property: &Property,
    actor: &Actor,
    wish: Uuid,
) -> Result<Option<Arc<Inventory>>, Problem> {
    let house = Inventory {
        property: property.clone(),
        room_types: vec![],
        rooms: vec![],
        rate_plans: vec![],
        cancellation_policies: vec![],
        rev: 0,
    };
    let violations = check_inventory(&house)
        .into_iter()
        .map(|violation| within("/property", violation))
        .map(|violation| renamed(violation, "/_id", "/id"))
        .collect();
    reject_if_any(violations)?;
    let id = property.id.to_string();
    let entry = AuditEntry::new(wish, Utc::now().into(), actor, "property.create".to_owned(), &id, "");
    let (mongo, stored) = (app.mongo.clone(), house.clone());
    let created = store_call::write(async move { mongo.inventories().create(&stored, &entry).await }).await?;
    Ok(if created { Some(publish_change(app, house, false).await) } else { None })
}

/// This instance knows it at once; the others and whoever listens are told. What is stored is followed without that,
/// only later.
async fn publish_change(app: &SharedApp, house: Inventory, rates: bool) -> Arc<Inventory> {
    let house = Arc::new(house);
    app.inventory_cache.insert_newer(&house);
    app.occupancy.invalidate(&house.property.id);
    let event = InventoryChanged::of_property(house.property.id.clone(), house.rev, rates, Utc::now().into());
    if app.publish(Outgoing::event(event.event_id, &event), |_| {}).await.is_err() {
        warn!(property = %house.property.id, rev = house.rev, "a change of a property could not be announced");
    }
    house
}

/// Refuses the faults that an edit brought.
fn check_changed_inventory(before: &Inventory, after: &Inventory, place: &str) -> Result<(), Problem> {
    let known = check_inventory(before);
    reject_if_any(
        check_inventory(after)
            .into_iter()
            .filter(|violation| !known.contains(violation))
            .map(|violation| within(place, violation))
            .collect(),
    )
}

fn reject_if_any(violations: Vec<FieldError>) -> Result<(), Problem> {
    if violations.is_empty() { Ok(()) } else { Err(Problem::fields(violations)) }
}

/// The fault as the caller's body has it.
fn within(place: &str, violation: FieldError) -> FieldError {
    let pointer = violation.pointer.strip_prefix(place).unwrap_or_default().to_owned();
    FieldError { pointer, ..violation }
}

fn renamed(violation: FieldError, from: &str, to: &str) -> FieldError {
    if violation.pointer == from { FieldError { pointer: to.to_owned(), ..violation } } else { violation }
}

/// The revision as an entity tag.
pub(crate) fn etag(rev: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{rev}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}
