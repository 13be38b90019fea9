//! Links in mails to one booking: to pay it, to see its receipt, and to change it; they need no login.
//!
//! The token in them is the booking's own (`pvt_service::tokens`), in its present epoch and good for no more than the
//! link is for: it must never reach a log, a metric or an error.

use super::MailError;
use pvt_domain::booking::Booking;
use pvt_service::tokens::{Purpose, TokenKeys};
use secrecy::SecretString;
use url::Url;

/// The base address and the keys of links.
#[derive(Debug, Clone)]
pub struct Links {
    public_url: Url,
    keys: TokenKeys,
}

impl Links {
    /// Links to this address (`PUBLIC_URL`), with tokens of the secret that the API checks them with (`JWT_SECRET`).
    ///
    /// # Errors
    /// [`MailError::Secret`] when the secret cannot be used.
    pub fn new(public_url: Url, secret: &SecretString) -> Result<Self, MailError> {
        Ok(Self { public_url, keys: TokenKeys::derive(secret, None).map_err(|_| MailError::Secret)? })
    }

    /// The public address of the API.
    pub(crate) fn public_url(&self) -> &Url {
        &self.public_url
    }

    /// The link to pay this booking.
    pub(super) fn pay(&self, booking: &Booking) -> String {
        self.page(booking, "pay")
    }

    /// The link to its receipt.
    pub(super) fn receipt(&self, booking: &Booking) -> String {
        self.page(booking, "receipt")
    }

    /// The link to the page of the property's site where guests change or cancel it. The token is in the fragment,
    /// which browsers send to no server.
    pub(super) fn manage(&self, booking: &Booking) -> String {
        let token = self.keys.token(booking.id, Purpose::Manage, booking.token_epoch);
        format!("{}/bookings/{}#token={token}", self.base(), booking.id)
    }

    fn page(&self, booking: &Booking, page: &str) -> String {
        let token = self.keys.token(booking.id, Purpose::View, booking.token_epoch);
        format!("{}/api/bookings/{}/{page}?token={token}", self.base(), booking.id)
    }

    fn base(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }
}
