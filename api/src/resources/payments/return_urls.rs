//! Return addresses for Stripe's page: our own pages only. No client may make Stripe send a guest anywhere else.

use axum::http::Uri;
use pvt_domain::ids::BookingId;
use pvt_domain::intake::FieldError;
use pvt_service::Config;
use pvt_service::config::Environment;
use uuid::Uuid;

/// Longest address, in bytes.
pub(crate) const MAX_URL_BYTES: usize = 2_000;
/// Names of the local host.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The addresses that guests may be sent to.
pub(crate) struct ReturnUrls {
    /// Where the API is reached, without a slash at the end.
    base: String,
    /// Its path.
    path: String,
    /// `https://host[:port]`, in lower case.
    origins: Vec<String>,
    /// Whether pages on the local host may be without TLS.
    development: bool,
}

impl ReturnUrls {
    /// Those of `PUBLIC_URL` and of the pages that may call this API.
    pub(crate) fn new(config: &Config) -> Self {
        let own = config.public_url.origin().ascii_serialization();
        let origins =
            config.cors_origins.iter().cloned().chain([own]).map(|origin| origin.to_ascii_lowercase()).collect();
        let without_end = |text: &str| text.trim_end_matches('/').to_owned();
        Self {
            base: without_end(config.public_url.as_str()),
            path: without_end(config.public_url.path()),
            origins,
            development: config.environment == Environment::Development,
        }
    }

    /// Our own page of a payment, to which Stripe may send guests back: it holds no token.
    pub(crate) fn of_payment(&self, payment: Uuid) -> String {
        format!("{}/api/payments/{payment}/return", self.base)
    }

    /// Our own page of a booking, as a path for redirects within our host: `part` is empty or begins with a slash,
    /// `token` is the one that the caller sent.
    pub(crate) fn path_of_booking(&self, id: BookingId, part: &str, token: Option<&str>) -> String {
        let query = token.map(|token| format!("?token={token}")).unwrap_or_default();
        format!("{}/api/bookings/{id}{part}{query}", self.path)
    }

    /// The violation of an address at `pointer` that guests may not be sent to.
    pub(crate) fn violation(&self, pointer: &str, url: Option<&str>) -> Option<FieldError> {
        let refused = || {
            let message = format!(
                "an address of at most {MAX_URL_BYTES} bytes that begins with https:// and one of our own origins"
            );
            FieldError::new(pointer, "foreign_url", message)
        };
        url.filter(|url| !self.allows(url)).map(|_| refused())
    }

    fn allows(&self, text: &str) -> bool {
        let Some(uri) = Some(text).filter(|text| text.len() <= MAX_URL_BYTES).and_then(|text| text.parse::<Uri>().ok())
        else {
            return false;
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
        let encrypted =
            scheme == "https" || (scheme == "http" && self.development && LOOPBACK.contains(&authority.host()));
        let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
        encrypted && self.origins.contains(&origin)
    }
}

#[cfg(test)]
mod tests {
    use super::ReturnUrls;
    use pvt_domain::ids::BookingId;
    use pvt_service::Config;
    use uuid::Uuid;

    fn urls(base: &str, development: bool) -> ReturnUrls {
        ReturnUrls {
            base: base.to_owned(),
            path: String::new(),
            origins: vec![base.to_owned(), "https://app.example.com".to_owned()],
            development,
        }
    }

    #[test]
    fn only_own_origins_are_accepted() {
        let ours = urls("https://book.example.com", false);
        for good in ["https://book.example.com/thanks?b=1", "https://app.example.com", "https://APP.example.com/x"] {
            assert!(ours.allows(good), "{good}");
        }
        for bad in [
            "https://evil.example.com/",
            "https://app.example.com.evil.test/",
            "https://app.example.com@evil.test/",
            "https://app.example.com:8443/",
            "http://app.example.com/",
            "//app.example.com/",
            "/thanks",
            "javascript:alert(1)",
            "",
            &format!("https://app.example.com/{}", "x".repeat(2_000)),
        ] {
            assert!(!ours.allows(bad), "{bad}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_in_development() {
        assert!(urls("http://127.0.0.1:8080", true).allows("http://127.0.0.1:8080/done"));
        assert!(!urls("http://127.0.0.1:8080", false).allows("http://127.0.0.1:8080/done"));
        assert!(!urls("http://book.example.com", true).allows("http://book.example.com/done"));
    }

    #[test]
    fn return_page_holds_no_token() {
        let payment = Uuid::nil();
        let expected = "https://book.example.com/api/payments/00000000-0000-0000-0000-000000000000/return";
        assert_eq!(urls("https://book.example.com", false).of_payment(payment), expected);
        let below = ReturnUrls::new(
            &Config::from_pairs(
                [
                    ("PUBLIC_URL", "https://book.example.com/hostels/"),
                    ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
                ]
                .into_iter()
                .chain([("STRIPE_WEBHOOK_SECRETS", "whsec_of_the_test")]),
            )
            .unwrap(),
        );
        assert_eq!(
            below.of_payment(payment),
            "https://book.example.com/hostels/api/payments/00000000-0000-0000-0000-000000000000/return"
        );
        let id = BookingId::from_uuid(Uuid::nil());
        let receipt = "/hostels/api/bookings/00000000-0000-0000-0000-000000000000/receipt";
        assert_eq!(below.path_of_booking(id, "/receipt", None), receipt);
        assert_eq!(below.path_of_booking(id, "/receipt", Some("t")), format!("{receipt}?token=t"));
    }
}
