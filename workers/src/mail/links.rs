//! Links in mails to one booking, to pay it and to see its receipt; they need no login.
//!
//! The token in them is the booking's own (`pvt_service::tokens`): it must never reach a log, a metric or an error.

use super::MailError;
use pvt_domain::ids::BookingId;
use pvt_service::tokens::TokenKey;
use secrecy::SecretString;
use url::Url;

/// The base address and the key of links.
#[derive(Debug, Clone)]
pub struct Links {
    public_url: Url,
    key: TokenKey,
}

impl Links {
    /// Links to this address (`PUBLIC_URL`), with tokens of the secret that the API checks them with (`JWT_SECRET`).
    ///
    /// # Errors
    /// [`MailError::Secret`] when the secret cannot be used.
    pub fn new(public_url: Url, secret: &SecretString) -> Result<Self, MailError> {
        Ok(Self { public_url, key: TokenKey::derive(secret).map_err(|_| MailError::Secret)? })
    }

    /// The public address of the API.
    pub(crate) fn public_url(&self) -> &Url {
        &self.public_url
    }

    /// The link to pay this booking.
    pub(super) fn pay(&self, id: BookingId) -> String {
        self.page(id, "pay")
    }

    /// The link to its receipt.
    pub(super) fn receipt(&self, id: BookingId) -> String {
        self.page(id, "receipt")
    }

    fn page(&self, id: BookingId, page: &str) -> String {
        let base = self.public_url.as_str().trim_end_matches('/');
        format!("{base}/api/bookings/{id}/{page}?token={}", self.key.token(id))
    }
}
