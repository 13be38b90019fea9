//! Change of an inventory: read whole, edited, checked as a whole, stored unless another change was faster, published.
//!
//! The revision of the property counts every change of it and of its prices; it is the entity tag of everything that
//! belongs to it. Beds are taken and released only by commands.

use crate::http::entity_tags::Revisions;
use crate::http::problem::{self, Problem};
use crate::state::{App, SharedApp};
use crate::store_call;
use axum::http::{HeaderValue, header};
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_domain::events::InventoryChanged;
use pvt_domain::ids::{BlockId, PropertyId};
use pvt_domain::intake::FieldError;
use pvt_domain::inventory::check::check_inventory;
use pvt_domain::inventory::{Inventory, Property};
use pvt_domain::rates::{RateCalendar, Rates};
use pvt_messaging::Outgoing;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::transactions::Attempts;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;
use uuid::Uuid;

/// How long a change that names no revision is tried against others.
pub(crate) const CHANGE_BUDGET: Duration = Duration::from_secs(2);

/// Longest description of what was changed, in characters.
const MAX_DETAIL_CHARS: usize = 2_000;

/// A change of a property: the actor, what is recorded about it, and the revision it applies to.
pub(crate) struct PropertyChange {
    pub(crate) property: PropertyId,
    pub(crate) actor: Actor,
    /// Action in the audit, for example `room.create`.
    pub(crate) action: &'static str,
    /// The changed part of the property, as the audit names it.
    pub(crate) subject: String,
    /// The revisions it applies to.
    pub(crate) expected: Revisions,
    /// Id of its audit entry: that of the idempotent request, if there is one; see [`crate::commands::idempotency`].
    pub(crate) audit_id: Option<Uuid>,
}

/// What an edit did.
pub(crate) enum EditOutcome {
    /// Nothing: the inventory was so already.
    Unchanged,
    /// The part of the inventory at this pointer. Pointers of violations below it are pointers in the body.
    ChangedAt(String),
}

/// Waits before a further attempt.
///
/// # Errors
/// 409 when others were faster for [`CHANGE_BUDGET`].
pub(crate) async fn pause_or_refuse(attempts: &mut Attempts) -> Result<(), Problem> {
    if attempts.pause().await { Ok(()) } else { Err(problem::PROPERTY_BUSY.into()) }
}

impl PropertyChange {
    /// Applies the edit. Returns the inventory as it is now, and whether it changed.
    ///
    /// # Errors
    /// 404 without such a property, 412 when it has another revision, 422 for what makes no sense in the inventory,
    /// and those of the edit.
    pub(crate) async fn apply(
        &self,
        app: &SharedApp,
        edit: impl Fn(&mut Inventory) -> Result<EditOutcome, Problem>,
    ) -> Result<(Arc<Inventory>, bool), Problem> {
        let mut attempts = Attempts::within(CHANGE_BUDGET);
        loop {
            let before = self.read(app).await?;
            if let Some(done) = self.apply_to(app, before, &[], &edit).await? {
                return Ok(done);
            }
            pause_or_refuse(&mut attempts).await?;
        }
    }

    /// As [`PropertyChange::apply`], but only on the inventory as it was read and while these blocks are active; `None`
    /// when the one has changed or one of the others was lifted.
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
        let mut inventory = before.clone();
        let EditOutcome::ChangedAt(place) = edit(&mut inventory)? else { return Ok(Some((Arc::new(before), false))) };
        if inventory == before {
            return Ok(Some((Arc::new(before), false)));
        }
        check_changed_inventory(&before, &inventory, &place)?;
        inventory.rev = before.rev + 1;
        let entry = self.entry(&difference(&before, &inventory, &place));
        let (mongo, stored, holds) = (app.mongo.clone(), inventory.clone(), holds.to_vec());
        let is_stored =
            store_call::write(async move { mongo.inventories().replace(&stored, before.rev, &entry, &holds).await })
                .await?;
        Ok(if is_stored { Some((publish_change(app, inventory, false).await, true)) } else { None })
    }

    /// Changes rate calendars by the edit, which returns those to store; `detail` is what the audit says was set.
    ///
    /// # Errors
    /// As [`PropertyChange::apply`].
    pub(crate) async fn apply_rates(
        &self,
        app: &SharedApp,
        detail: &str,
        edit: impl Fn(&Inventory, &Rates) -> Result<Vec<RateCalendar>, Problem>,
    ) -> Result<Arc<Inventory>, Problem> {
        let mut attempts = Attempts::within(CHANGE_BUDGET);
        loop {
            let mut inventory = self.read(app).await?;
            let rates = stored_rates(app, &self.property).await?;
            let calendars = edit(&inventory, &rates)?;
            let (mongo, property, rev, entry) =
                (app.mongo.clone(), self.property.clone(), inventory.rev, self.entry(detail));
            if store_call::write(async move { mongo.rates().save(&property, rev, &calendars, &entry).await }).await? {
                inventory.rev += 1;
                return Ok(publish_change(app, inventory, true).await);
            }
            pause_or_refuse(&mut attempts).await?;
        }
    }

    /// Checks the expected revision.
    ///
    /// # Errors
    /// 412 with the current revision.
    fn check(&self, inventory: &Inventory) -> Result<(), Problem> {
        if self.expected.include(inventory.rev) {
            return Ok(());
        }
        Err(Problem::from(problem::PRECONDITION_FAILED).with_header(header::ETAG, etag(inventory.rev)))
    }

    /// The inventory that it applies to.
    ///
    /// # Errors
    /// 404 without one, 412 when it has another revision.
    pub(crate) async fn read(&self, app: &App) -> Result<Inventory, Problem> {
        let inventory = stored_inventory(app, &self.property).await?;
        self.check(&inventory)?;
        Ok(Inventory::clone(&inventory))
    }

    fn entry(&self, detail: &str) -> AuditEntry {
        let subject = subject(&self.property, &self.subject);
        AuditEntry::new(
            self.audit_id.unwrap_or_else(Uuid::new_v4),
            Utc::now().into(),
            &self.actor,
            self.action.to_owned(),
            &subject,
            &truncated(detail, MAX_DETAIL_CHARS),
        )
    }
}

/// The difference that an edit made at `place`, for people.
fn difference(before: &Inventory, after: &Inventory, place: &str) -> String {
    let part = |inventory: &Inventory| {
        let inventory = serde_json::to_value(inventory).unwrap_or_default();
        inventory.pointer(place).map_or_else(|| "nothing".to_owned(), ToString::to_string)
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

/// The name of a part of a property in the audit; the property itself is the empty part.
pub(crate) fn subject(property: &PropertyId, part: &str) -> String {
    if part.is_empty() { property.to_string() } else { format!("{property}|{part}") }
}

/// The inventory as it is stored, which this instance knows from then on.
///
/// # Errors
/// 404 when there is none.
pub(crate) async fn stored_inventory(app: &App, property: &PropertyId) -> Result<Arc<Inventory>, Problem> {
    let (mongo, id) = (app.mongo.clone(), property.clone());
    let found = store_call::read(async move { mongo.inventories().find(&id).await }).await?;
    let inventory = Arc::new(found.ok_or_else(|| Problem::from(problem::NOT_FOUND))?);
    app.inventory_cache.insert_newer(&inventory);
    Ok(inventory)
}

/// The rate calendars as they are stored.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn stored_rates(app: &App, property: &PropertyId) -> Result<Rates, Problem> {
    let (mongo, property) = (app.mongo.clone(), property.clone());
    store_call::read(async move { mongo.rates().of_property(&property).await }).await
}

/// Stores a new property with an empty inventory. `None` when its id is taken.
///
/// # Errors
/// 422 for what makes no sense.
pub(crate) async fn create_property(
    app: &SharedApp,
    property: &Property,
    actor: &Actor,
    audit_id: Uuid,
) -> Result<Option<Arc<Inventory>>, Problem> {
    let inventory = Inventory {
        property: property.clone(),
        room_types: vec![],
        rooms: vec![],
        rate_plans: vec![],
        cancellation_policies: vec![],
        rev: 0,
    };
    let violations = check_inventory(&inventory)
        .into_iter()
        .map(|violation| within("/property", violation))
        .map(|violation| renamed(violation, "/_id", "/id"))
        .collect();
    reject_if_any(violations)?;
    let id = property.id.to_string();
    let entry = AuditEntry::new(audit_id, Utc::now().into(), actor, "property.create".to_owned(), &id, "");
    let (mongo, stored) = (app.mongo.clone(), inventory.clone());
    let created = store_call::write(async move { mongo.inventories().create(&stored, &entry).await }).await?;
    Ok(if created { Some(publish_change(app, inventory, false).await) } else { None })
}

/// Updates this instance at once and notifies the others by an event. If that is lost they find the change in the
/// store, only later.
async fn publish_change(app: &SharedApp, inventory: Inventory, rates: bool) -> Arc<Inventory> {
    let inventory = Arc::new(inventory);
    app.inventory_cache.insert_newer(&inventory);
    app.occupancy.invalidate(&inventory.property.id);
    let event = InventoryChanged::of_property(inventory.property.id.clone(), inventory.rev, rates, Utc::now().into());
    if app.publish(Outgoing::event(event.event_id, &event), |_| {}).await.is_err() {
        warn!(property = %inventory.property.id, rev = inventory.rev, "a change of a property could not be announced");
    }
    inventory
}

/// Refuses the violations that an edit introduced.
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

/// The violation with its pointer in the caller's body.
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
