//! Probes of dependencies: whether an engine answers that failed for some message.

use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::{MONGODB_UNAVAILABLE, POSTGRES_LOCKED, POSTGRES_UNAVAILABLE};

/// Failure class of an unavailable mail server.
pub(crate) const SMTP: &str = "smtp_unavailable";

/// Whether MongoDB takes writes, if the failure class names it.
pub(crate) async fn mongodb(class: &str, mongo: &Mongo) -> Option<bool> {
    if class != MONGODB_UNAVAILABLE {
        return None;
    }
    Some(mongo.probe().await.is_ok())
}

/// Whether PostgreSQL takes writes, if the failure class names it.
pub(crate) async fn postgres(class: &str, mart: &Mart) -> Option<bool> {
    if ![POSTGRES_UNAVAILABLE, POSTGRES_LOCKED].contains(&class) {
        return None;
    }
    Some(mart.probe().await.is_ok())
}
