//! Stripe's webhook signature: `Stripe-Signature: t=<unix seconds>,v1=<hex>…` where `v1` is HMAC-SHA256 of `t`, a dot
//! and the raw body, under the endpoint's signing secret. See "Verify webhook signatures manually" in Stripe's
//! documentation.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How far the signature's time may lie from ours, either way, in seconds: Stripe's own tolerance.
const TOLERANCE_SECS: i64 = 300;
/// Most signatures of one header. Stripe sends one for each active secret.
const MAX_SIGNATURES: usize = 16;
/// Longest header, in bytes. Stripe's have a few hundred.
const MAX_HEADER_BYTES: usize = 8 * 1024;
const SIGNATURE_BYTES: usize = 32;

type HmacSha256 = Hmac<Sha256>;

/// Reason for refusing an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// The header is not of the documented form.
    Malformed,
    /// The time is too far off: an old message is being replayed, or a clock is wrong.
    Stale,
    /// No secret of ours made any of the signatures.
    Mismatch,
}

impl SignatureError {
    /// For metrics and the problem's detail.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "The Stripe-Signature header is missing or malformed.",
            Self::Stale => "The signature's time is more than five minutes off: check the clocks.",
            Self::Mismatch => {
                "No signature matches: check that STRIPE_WEBHOOK_SECRETS lists this endpoint's secret and that no \
                proxy alters the body."
            }
        }
    }
}

/// The signing secrets, newest first; during a rotation there are two.
#[derive(Clone)]
pub(crate) struct WebhookSecrets(Vec<HmacSha256>);

impl WebhookSecrets {
    /// Prepares the configured secrets.
    ///
    /// # Errors
    /// Never for any secret: HMAC takes keys of every length.
    pub(crate) fn new(secrets: &[SecretString]) -> Result<Self, hmac::digest::InvalidLength> {
        secrets
            .iter()
            .map(|secret| HmacSha256::new_from_slice(secret.expose_secret().as_bytes()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Checks the header against the body as it came over the wire; `now` in Unix seconds.
    pub(crate) fn verify(&self, header: &str, body: &[u8], now: i64) -> Result<(), SignatureError> {
        let (time, signatures) = parse(header).ok_or(SignatureError::Malformed)?;
        let expected: Vec<_> = self.0.iter().map(|key| sign(key, time, body)).collect();
        // Every pair is compared, so that the time taken tells nothing about which one matched.
        let matched = expected
            .iter()
            .flat_map(|ours| signatures.iter().map(move |theirs| ours.ct_eq(theirs)))
            .fold(subtle::Choice::from(0), |any, one| any | one);
        if !bool::from(matched) {
            return Err(SignatureError::Mismatch);
        }
        let seconds: i64 = time.parse().map_err(|_| SignatureError::Malformed)?;
        if now.abs_diff(seconds) > TOLERANCE_SECS.unsigned_abs() { Err(SignatureError::Stale) } else { Ok(()) }
    }
}

fn sign(key: &HmacSha256, time: &str, body: &[u8]) -> [u8; SIGNATURE_BYTES] {
    let mut mac = key.clone();
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// The time as written and the signatures of scheme `v1`. Other schemes are ignored, as Stripe asks, so that none can
/// be used to weaken this one.
fn parse(header: &str) -> Option<(&str, Vec<[u8; SIGNATURE_BYTES]>)> {
    if header.len() > MAX_HEADER_BYTES {
        return None;
    }
    let pairs = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
    let time = pairs().find(|(name, _)| *name == "t").map(|(_, time)| time)?;
    let is_time = !time.is_empty() && time.len() <= 12 && time.bytes().all(|b| b.is_ascii_digit());
    let written = || pairs().filter(|(name, _)| *name == "v1");
    // More are sent by attackers only: none is checked.
    if written().nth(MAX_SIGNATURES).is_some() {
        return None;
    }
    let signatures: Vec<_> = written().filter_map(|(_, hex)| decode(hex)).collect();
    (is_time && !signatures.is_empty()).then_some((time, signatures))
}

fn decode(hex: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    if hex.len() != 2 * SIGNATURE_BYTES || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{SignatureError, WebhookSecrets, sign};
    use secrecy::SecretString;

    const BODY: &[u8] = br#"{"id":"evt_1","type":"charge.succeeded"}"#;
    const NOW: i64 = 1_800_000_000;

    fn secrets(list: &[&str]) -> WebhookSecrets {
        WebhookSecrets::new(&list.iter().map(|secret| SecretString::from(*secret)).collect::<Vec<_>>()).unwrap()
    }

    fn signature(secret: &str, time: i64, body: &[u8]) -> String {
        sign(&secrets(&[secret]).0[0], &time.to_string(), body).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn header(secret: &str, time: i64) -> String {
        format!(
            "t={time},v1={},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
            signature(secret, time, BODY)
        )
    }

    #[test]
    fn signature_is_hmac_sha256_of_timestamp_dot_body() {
        // printf '1.{}' | openssl dgst -sha256 -hmac whsec_test
        assert_eq!(
            signature("whsec_test", 1, b"{}"),
            "7500d5d4be4b3ef07af1fe56f7d522d135cdaa7530de557e67cc1049c52de094"
        );
    }

    #[test]
    fn only_valid_signatures_are_accepted() {
        let ours = secrets(&["whsec_a"]);
        assert_eq!(ours.verify(&header("whsec_a", NOW), BODY, NOW), Ok(()));
        assert_eq!(ours.verify(&header("whsec_b", NOW), BODY, NOW), Err(SignatureError::Mismatch));
        assert_eq!(ours.verify(&header("whsec_a", NOW), b"{}", NOW), Err(SignatureError::Mismatch));
        let retimed = header("whsec_a", NOW).replace(&NOW.to_string(), &(NOW + 1).to_string());
        assert_eq!(ours.verify(&retimed, BODY, NOW), Err(SignatureError::Mismatch));
    }

    #[test]
    fn both_secrets_are_accepted_during_rotation() {
        let both = secrets(&["whsec_new", "whsec_old"]);
        assert_eq!(both.verify(&header("whsec_new", NOW), BODY, NOW), Ok(()));
        assert_eq!(both.verify(&header("whsec_old", NOW), BODY, NOW), Ok(()));
        let two =
            format!("t={NOW},v1={},v1={}", signature("whsec_unknown", NOW, BODY), signature("whsec_old", NOW, BODY));
        assert_eq!(both.verify(&two, BODY, NOW), Ok(()));
    }

    #[test]
    fn timestamps_outside_tolerance_are_refused() {
        let ours = secrets(&["whsec_a"]);
        for (time, expected) in [
            (NOW - 300, Ok(())),
            (NOW - 301, Err(SignatureError::Stale)),
            (NOW + 300, Ok(())),
            (NOW + 301, Err(SignatureError::Stale)),
        ] {
            assert_eq!(ours.verify(&header("whsec_a", time), BODY, NOW), expected, "{}", time - NOW);
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let ours = secrets(&["whsec_a"]);
        let v1 = signature("whsec_a", NOW, BODY);
        for bad in [
            "",
            "t=",
            &format!("v1={v1}"),
            &format!("t=x,v1={v1}"),
            &format!("t=-5,v1={v1}"),
            &format!("t={NOW}"),
            &format!("t={NOW},v1=zz"),
            &format!("t={NOW},v0={v1}"),
        ] {
            assert_eq!(ours.verify(bad, BODY, NOW), Err(SignatureError::Malformed), "{bad}");
        }
    }

    #[test]
    fn oversized_headers_are_refused() {
        let ours = secrets(&["whsec_a"]);
        let padded = |count: usize| {
            format!("t={NOW},{}v1={}", format!("v1={},", "0".repeat(64)).repeat(count), signature("whsec_a", NOW, BODY))
        };
        assert_eq!(ours.verify(&padded(15), BODY, NOW), Ok(()));
        assert_eq!(ours.verify(&padded(16), BODY, NOW), Err(SignatureError::Malformed), "one signature too many");
        let long = format!("{},v0={}", header("whsec_a", NOW), "0".repeat(8 * 1024));
        assert_eq!(ours.verify(&long, BODY, NOW), Err(SignatureError::Malformed));
    }
}
