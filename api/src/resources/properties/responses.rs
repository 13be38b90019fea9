//! Steps that the handlers of an inventory's parts share.

use crate::auth::policy::Caller;
use crate::commands::idempotency::IdempotentRequest;
use crate::http::problem::{self, Problem};
use crate::read_models::inventory::Lookup;
use crate::resources::properties::change::{EditOutcome, stored_inventory};
use crate::state::App;
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;
use std::sync::Arc;

/// The inventory as this instance knows it, or as another instance has just created it.
pub(crate) async fn known(app: &App, property: &PropertyId) -> Result<Arc<Inventory>, Problem> {
    match app.inventory_cache.find(property.as_str()).await {
        Lookup::Found(inventory) => Ok(inventory),
        Lookup::Unknown(_) => Err(problem::NOT_FOUND.into()),
        Lookup::Unavailable => Err(problem::NOT_READY.into()),
    }
}

/// The inventory for this caller: staff change it by the revision that they read, so they get it as it is stored.
/// Workers change it too (a bed that was left is dirty), and this instance learns of that only later.
pub(super) async fn shown_to(app: &App, caller: &Caller, property: &PropertyId) -> Result<Arc<Inventory>, Problem> {
    if caller.is_staff_of(property) { stored_inventory(app, property).await } else { known(app, property).await }
}

/// Adds to a list what is not there yet. `place` is the list's pointer in the inventory. A request that was
/// handled before adds nothing, whatever happened since to what it created.
pub(crate) fn add<T: Clone + PartialEq>(
    list: &mut Vec<T>,
    new: &T,
    once: &IdempotentRequest<'_>,
    same: impl Fn(&T) -> bool,
    place: &str,
) -> Result<EditOutcome, Problem> {
    match list.iter().find(|one| same(one)) {
        Some(there) if there == new || once.is_replay() => Ok(EditOutcome::Unchanged),
        Some(_) => Err(problem::ALREADY_EXISTS.into()),
        None if once.is_replay() => Err(Problem::new(
            problem::NOT_FOUND,
            "It was created under this key and has been deleted. Use a new key to create it again.",
        )),
        None => {
            list.push(new.clone());
            Ok(EditOutcome::ChangedAt(format!("{place}/{}", list.len() - 1)))
        }
    }
}
