//! Amounts as people type them.

use pvt_domain::money::Currency;

/// The minor units of an amount such as `79.80` or `-5`; none when it has too many places or is no number.
pub(super) fn minor_units(text: &str, currency: Currency) -> Option<i64> {
    let places = usize::from(currency.exponent().unwrap_or(2));
    let text = text.trim().replace(',', ".");
    let (sign, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(digits) => (-1, digits),
        None => (1, text.as_str()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > places {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse::<i64>().ok()?.checked_mul(sign)
}

/// An amount as [`minor_units`] reads it.
pub(super) fn typed(amount: i64, currency: Currency) -> String {
    let places = u32::from(currency.exponent().unwrap_or(2));
    let unit = 10_u64.pow(places);
    let sign = if amount < 0 { "-" } else { "" };
    let (whole, fraction) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
    match places {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction:0width$}", width = usize::try_from(places).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::{minor_units, typed};
    use pvt_domain::money::Currency;

    #[test]
    fn amounts_are_read_to_the_minor_unit() {
        for (text, amount) in [("79.80", 7_980), ("79,8", 7_980), ("-5", -500), ("0.01", 1), (" 12 ", 1_200)] {
            assert_eq!(minor_units(text, Currency::CAD), Some(amount), "{text}");
        }
        for text in ["", "-", ".5", "1.234", "1e3", "1 000", "12 CAD", "--1", "99999999999999999999"] {
            assert_eq!(minor_units(text, Currency::CAD), None, "{text}");
        }
        assert_eq!((minor_units("900", Currency::JPY), minor_units("9.5", Currency::JPY)), (Some(900), None));
        for (amount, currency) in [(7_980, Currency::CAD), (-5, Currency::CAD), (900, Currency::JPY)] {
            assert_eq!(minor_units(&typed(amount, currency), currency), Some(amount));
        }
        assert_eq!((typed(-5, Currency::CAD), typed(900, Currency::JPY)), ("-0.05".to_owned(), "900".to_owned()));
    }
}
