//! Names of the actors that a page shows.

use crate::app::App;
use crate::store;
use pvt_domain::actor::Actor;
pub(crate) use pvt_operations::actor_names::{ActorNames, named_in};
use pvt_stores::StoreError;

/// Reads the names of these actors; none where they cannot be read, because the page is of use with ids, too.
pub(crate) async fn names<'a>(app: &App, actors: impl IntoIterator<Item = &'a Actor>) -> ActorNames {
    let (mongo, actors) = (app.mongo.clone(), actors.into_iter().cloned().collect::<Vec<_>>());
    let read = async move { Ok::<_, StoreError>(ActorNames::read(&mongo, &actors).await) };
    store::read(app, read).await.unwrap_or_default()
}
