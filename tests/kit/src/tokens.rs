//! Booking tokens of the versions before there were purposes, as mails still hold them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// The token of this booking, signed with this `JWT_SECRET`: 16 bytes of an HMAC of its id.
///
/// # Panics
/// Never: HMAC takes keys of any length.
pub fn earlier_booking_token(secret: &str, booking: Uuid) -> String {
    let mac = |key: &[u8], text: &[u8]| {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
        mac.chain_update(text).finalize().into_bytes()
    };
    let key = mac(secret.as_bytes(), b"pvt-booking/booking-token/v1");
    let signature = mac(&key, booking.as_bytes());
    URL_SAFE_NO_PAD.encode(&signature[..16])
}
