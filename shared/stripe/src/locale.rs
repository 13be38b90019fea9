//! In which languages Stripe's pages are to be had.

use pvt_domain::people::language;

/// Stripe chooses by the guest's browser.
const AUTO: &str = "auto";
/// Values of a session's `locale` (API reference, "Create a Checkout Session").
const SPOKEN: [&str; 41] = [
    "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th",
    "tr", "vi", "zh", "zh-HK", "zh-TW", AUTO,
];

/// The nearest that Stripe has: another one would be refused together with the payment.
pub(crate) fn nearest(locale: &str) -> &'static str {
    language::nearest([locale], &SPOKEN).unwrap_or(AUTO)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_language_is_better_than_none() {
        for (wanted, given) in [
            ("fr-CA", "fr-CA"),
            ("fr_ca", "fr-CA"),
            ("fr-CH", "fr"),
            ("en-CA", "en"),
            ("tlh", "auto"),
            ("", "auto"),
            ("es-419-u-nu-latn", "es-419"),
        ] {
            assert_eq!(nearest(wanted), given, "{wanted}");
        }
    }
}
