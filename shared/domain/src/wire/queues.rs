//! Base names of the work queues, without the prefix of a deployment. Messaging derives bindings and policies from them
//! and from the catalog; no other place spells one.

/// Commands that change availability, one queue per partition of properties.
pub const BOOKINGS: &str = "bookings";
/// Events pushed by Stripe.
pub const PAYMENTS: &str = "payments";
/// Commands that call Stripe.
pub const STRIPE: &str = "stripe";
/// Payments that staff take themselves.
pub const RECORDS: &str = "records";
/// Mails to send, and the events that guests are notified of.
pub const EMAILS: &str = "emails";
/// Every event, for the mart.
pub const ANALYTICS: &str = "analytics";
/// Consistency checks.
pub const RECONCILIATION: &str = "reconciliation";

/// Every work queue.
pub const ALL: [&str; 7] = [BOOKINGS, PAYMENTS, STRIPE, RECORDS, EMAILS, ANALYTICS, RECONCILIATION];
/// Queues that are split into partitions by property.
pub const PARTITIONED: [&str; 1] = [BOOKINGS];
/// Queues that receive every event.
pub const ALL_EVENTS: [&str; 1] = [ANALYTICS];
