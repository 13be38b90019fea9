//! Signatures of quotes: a client carries the guaranteed price with our signature.
//!
//! Nothing is stored. A quote with any other signature is not accepted, whatever it says.

use crate::http::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use pvt_domain::booking::StayRequest;
use pvt_domain::ids::{PropertyId, RatePlanId};
use pvt_domain::intake::FieldError;
use pvt_domain::rates::quote::Quote;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// What the key is derived for; another use of the same secret derives another key.
const PURPOSE: &[u8] = b"pvt-booking/quote/v1";

/// The key that signs quotes.
pub(crate) struct QuoteKey {
    signing: Hmac<Sha256>,
    /// While the secret is being rotated, the key of the one before.
    previous: Option<Hmac<Sha256>>,
}

impl QuoteKey {
    /// Derives the keys from the configured secret and, while it is being rotated, the one before.
    ///
    /// # Errors
    /// Never for any secret: HMAC takes keys of every length. The type says otherwise, so the caller may see it.
    pub(crate) fn derive(
        secret: &SecretString,
        previous: Option<&SecretString>,
    ) -> Result<Self, hmac::digest::InvalidLength> {
        let key = |secret: &SecretString| {
            let mut derivation = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())?;
            derivation.update(PURPOSE);
            Hmac::new_from_slice(&derivation.finalize().into_bytes())
        };
        Ok(Self { signing: key(secret)?, previous: previous.map(key).transpose()? })
    }

    /// The quote and its signature as one text.
    pub(crate) fn sign(&self, quote: &Quote) -> String {
        let bytes = quote.to_bytes();
        let signature = self.signing.clone().chain_update(&bytes).finalize().into_bytes();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(signature))
    }

    /// The quote in a text that was signed here; `None` for any other. Says nothing of whether its time is over.
    pub(crate) fn verify(&self, text: &str) -> Option<Quote> {
        let (quote, signature) = text.split_once('.')?;
        let (bytes, signature) = (URL_SAFE_NO_PAD.decode(quote).ok()?, URL_SAFE_NO_PAD.decode(signature).ok()?);
        let mut keys = std::iter::once(&self.signing).chain(&self.previous);
        let is_ours = keys.any(|key| key.clone().chain_update(&bytes).verify_slice(&signature).is_ok());
        is_ours.then(|| Quote::from_bytes(&bytes)).flatten()
    }

    /// The quote in a text that came with a request for these stays. Whether its price still holds is decided with the
    /// request.
    ///
    /// # Errors
    /// 422 for what is no quote, or one of something else.
    pub(crate) fn of(
        &self,
        text: &str,
        (property, plan, stays): (&PropertyId, &RatePlanId, &[StayRequest]),
    ) -> Result<Quote, Problem> {
        let violation = |code, message| Problem::fields(vec![FieldError::new("/quote", code, message)]);
        let quote = self
            .verify(text)
            .ok_or_else(|| violation("invalid_quote", "send what POST /api/quotes gave as `quote`, unchanged"))?;
        // Who asks for a price does not say who was parted off whom.
        let are_alike =
            |one: &StayRequest, other: &StayRequest| *one == StayRequest { part_of: one.part_of, ..other.clone() };
        let are_same =
            quote.stays.len() == stays.len() && quote.stays.iter().zip(stays).all(|(one, other)| are_alike(one, other));
        if are_same && quote.property_id == *property && quote.rate_plan_id == *plan {
            Ok(quote)
        } else {
            Err(violation("quote_of_other_stays", "the quote is for another property, rate plan or other stays"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QuoteKey;
    use chrono::DateTime;
    use pvt_domain::booking::StayRequest;
    use pvt_domain::demo;
    use pvt_domain::pricing::price;
    use pvt_domain::rates::Rates;
    use pvt_domain::rates::quote::Quote;
    use secrecy::SecretString;

    #[test]
    fn quotes_are_of_parted_stays_too() {
        let inventory = demo::inventory();
        let mut stays =
            vec![StayRequest::new("dorm-6-mixed", "2027-01-10".parse().unwrap(), "2027-01-13".parse().unwrap(), 2)];
        let (property, plan) = (&inventory.property.id, &inventory.rate_plans[0].id);
        let price = price(&inventory, &Rates::default(), &inventory.rate_plans[0], &stays).unwrap();
        let quote = Quote::new(property.clone(), plan.clone(), stays.clone(), price, DateTime::UNIX_EPOCH.into());
        let key = QuoteKey::derive(&"a".into(), None).unwrap();
        let text = key.sign(&quote);
        stays[0].part_of = Some(0);
        assert_eq!(key.of(&text, (property, plan, &stays)).ok(), Some(quote));
        assert!(key.of(&text, (property, plan, &[])).is_err());
        stays[0].guests = 1;
        assert!(key.of(&text, (property, plan, &stays)).is_err());
    }

    #[test]
    fn foreign_signatures_are_refused() {
        let inventory = demo::inventory();
        let stays =
            vec![StayRequest::new("dorm-6-mixed", "2027-01-10".parse().unwrap(), "2027-01-13".parse().unwrap(), 2)];
        let price = price(&inventory, &Rates::default(), &inventory.rate_plans[0], &stays).unwrap();
        let quote = Quote::new(inventory.property.id, "standard".into(), stays, price, DateTime::UNIX_EPOCH.into());
        let key = |secret: &str| QuoteKey::derive(&SecretString::from(secret), None).unwrap();
        let text = key("a").sign(&quote);
        assert_eq!(key("a").verify(&text), Some(quote.clone()));
        assert_eq!(key("b").verify(&text), None, "another secret is another key");
        let rotating = QuoteKey::derive(&"b".into(), Some(&"a".into())).unwrap();
        assert_eq!(rotating.verify(&text), Some(quote.clone()));
        assert_eq!(rotating.sign(&quote), key("b").sign(&quote));
        let (body, signature) = text.split_once('.').unwrap();
        let mut cheaper = quote;
        cheaper.price.total = 1;
        let forged = key("b").sign(&cheaper);
        for bad in [
            "",
            ".",
            body,
            &format!("{body}."),
            &format!("{}.{signature}", forged.split_once('.').unwrap().0),
            &format!("{text}x"),
        ] {
            assert_eq!(key("a").verify(bad), None, "{bad}");
        }
    }
}
