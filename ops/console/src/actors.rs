//! Names of the actors that a page shows.

use crate::app::App;
use crate::failure::Failure;
use crate::store;
use pvt_domain::actor::Actor;
pub(crate) use pvt_operations::actor_names::{ActorNames, named_in};

/// Reads the names of these actors.
///
/// # Errors
/// [`Failure::Down`] when MongoDB cannot be read.
pub(crate) async fn names<'a>(app: &App, actors: impl IntoIterator<Item = &'a Actor>) -> Result<ActorNames, Failure> {
    let (mongo, actors) = (app.mongo.clone(), actors.into_iter().cloned().collect::<Vec<_>>());
    store::read(app, async move { ActorNames::read(&mongo, &actors).await }).await
}

/// A text with names instead of the actors in it; with their ids where these cannot be read.
pub(crate) async fn named(app: &App, text: &str) -> String {
    let actors: Vec<Actor> = named_in(text).collect();
    names(app, &actors).await.unwrap_or_default().within(text)
}
