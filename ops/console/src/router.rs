//! Routes of the console, and the layers around them.

use crate::app::SharedApp;
use crate::failure::Failure;
use crate::live::stream;
use crate::pages::dead_letters;
use crate::protection::protect;
use crate::{assets, login, pages};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

/// Every route.
pub(crate) fn router(app: &SharedApp) -> Router {
    Router::new()
        .route("/", get(pages::overview::show))
        .route("/login", get(login::show).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/queues", get(pages::queues::show))
        .route("/queues/pause", post(pages::queues::pause))
        .route("/queues/resume", post(pages::queues::resume))
        .route("/dead-letters", get(dead_letters::show))
        .route("/dead-letters/groups/{group}", get(dead_letters::group::show))
        .route("/dead-letters/messages/{id}", get(dead_letters::show_message))
        .route("/dead-letters/messages/{id}/whole", post(dead_letters::show_whole))
        .route("/dead-letters/messages/{id}/review", post(dead_letters::edit::review))
        .route("/dead-letters/messages/{id}/edit", post(dead_letters::edit::apply))
        .route("/dead-letters/replay", get(dead_letters::replay::review).post(dead_letters::replay::begin))
        .route("/dead-letters/discard", get(dead_letters::discard::review).post(dead_letters::discard::discard))
        .route("/dead-letters/operations", get(dead_letters::operations::list))
        .route("/dead-letters/operations/{id}", get(dead_letters::operations::show))
        .route("/dead-letters/operations/{id}/cancel", post(dead_letters::operations::cancel))
        .route("/bookings", get(pages::bookings::search))
        .route("/bookings/{id}", get(pages::bookings::show))
        .route("/bookings/{id}/actions/{action}", get(pages::actions::show).post(pages::actions::act))
        .route("/bookings/{id}/move", get(pages::moves::choose))
        .route("/chart/plan", get(pages::moves::preview).post(pages::moves::carry_out))
        .route("/front-desk", get(pages::front_desk::show))
        .route("/chart", get(pages::chart::show))
        .route("/payments", get(pages::payments::show))
        .route("/reconciliations", get(pages::reconciliations::show))
        .route("/workers", get(pages::workers::show))
        .route("/schedules", get(pages::schedules::show))
        .route("/schedules/run", post(pages::schedules::run))
        .route("/audit", get(pages::audit::show))
        .route("/live", get(stream::live))
        .merge(assets::router())
        .fallback(async || Failure::NotFound("There is no such page.".to_owned()))
        .layer(from_fn_with_state(app.clone(), protect))
        .with_state(app.clone())
        // Probes address a process by any name.
        .merge(pvt_service::http::probes(app.health.clone()))
}
