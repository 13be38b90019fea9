//! Ids in Stripe's format: a prefix that names the kind, then letters and digits.

use uuid::Uuid;

fn letters() -> String {
    Uuid::new_v4().simple().to_string()
}

/// For example `pi_3` and 23 more.
pub(crate) fn short(prefix: &str) -> String {
    format!("{prefix}_3{}", &letters()[..23])
}

/// The id of a Checkout Session, much longer than others as at Stripe.
pub(crate) fn session() -> String {
    format!("cs_test_a1{}{}", letters(), &letters()[..24])
}

/// The id of a request, for its log line.
pub(crate) fn request() -> String {
    format!("req_{}", &letters()[..14])
}

/// The secret with which a browser confirms one payment.
pub(crate) fn client_secret(intent: &str) -> String {
    format!("{intent}_secret_{}", &letters()[..25])
}
