//! `Stripe-Signature` header: <https://docs.stripe.com/webhooks#verify-manually>. Time and body are signed with each
//! active secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write as _;

/// The header's value: `t=…,v1=…`, with one `v1` a secret.
pub(crate) fn header(secrets: &[String], at: i64, body: &str) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { continue };
        mac.update(format!("{at}.").as_bytes());
        mac.update(body.as_bytes());
        header.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            let _ = write!(header, "{byte:02x}");
        }
    }
    header
}

#[cfg(test)]
mod tests {
    #[test]
    fn signature_matches_reference_value() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test
        let expected = "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";
        assert_eq!(super::header(&["whsec_test".to_owned()], 1_700_000_000, "{}"), expected);
    }
}
