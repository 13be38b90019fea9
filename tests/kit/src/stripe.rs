//! Stripe's signature of a webhook call, implemented from its documentation and without the product's code.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write as _;

/// The header `Stripe-Signature` for this body, sent at `unix_seconds`: `t=<time>,v1=<hex of HMAC-SHA256 over
/// "<time>.<body>">`.
///
/// # Panics
/// Never: HMAC takes keys of any length.
pub fn stripe_signature(secret: &str, unix_seconds: i64, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(format!("{unix_seconds}.").as_bytes());
    mac.update(body);
    let mut header = format!("t={unix_seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        let _ = write!(header, "{byte:02x}");
    }
    header
}
