//! In which languages Stripe's pages are to be had.

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
    let locale = locale.replace('_', "-");
    let spoken = |wanted: &str| SPOKEN.into_iter().find(|spoken| spoken.eq_ignore_ascii_case(wanted));
    spoken(&locale).or_else(|| spoken(locale.split('-').next().unwrap_or_default())).unwrap_or(AUTO)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_language_is_better_than_none() {
        for (wanted, given) in
            [("fr-CA", "fr-CA"), ("fr_ca", "fr-CA"), ("fr-CH", "fr"), ("en-CA", "en"), ("tlh", "auto"), ("", "auto")]
        {
            assert_eq!(nearest(wanted), given, "{wanted}");
        }
    }
}
