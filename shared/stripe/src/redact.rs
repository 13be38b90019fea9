//! Redaction of texts from outside: no keys, card numbers or e-mail addresses, and a bounded length.

/// Longest message, in characters.
const MAX_CHARS: usize = 300;
/// Card numbers have this many digits (ISO/IEC 7812-1).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// What secrets of Stripe begin with, or have within.
const SECRETS: [&str; 4] = ["sk_", "rk_", "whsec_", "_secret_"];

/// The text without what must not be shown.
pub(crate) fn redacted(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().map(shown).collect();
    without_card_numbers(&words.join(" ")).chars().take(MAX_CHARS).collect()
}

fn shown(word: &str) -> &str {
    if SECRETS.iter().any(|secret| word.contains(secret)) {
        "[secret]"
    } else if word.contains('@') {
        "[address]"
    } else {
        word
    }
}

/// People group digits by blanks and dashes, so a number may be several words.
fn without_card_numbers(text: &str) -> String {
    let (mut shown, mut run) = (String::with_capacity(text.len()), String::new());
    for letter in text.chars() {
        let goes_on = letter.is_ascii_digit() || (!run.is_empty() && matches!(letter, ' ' | '-' | '.'));
        if goes_on {
            run.push(letter);
        } else {
            shown.push_str(&number(&run));
            run.clear();
            shown.push(letter);
        }
    }
    shown + &number(&run)
}

fn number(run: &str) -> String {
    let digits = run.chars().filter(char::is_ascii_digit).count();
    if !CARD_DIGITS.contains(&digits) {
        return run.to_owned();
    }
    let tail = run.trim_end_matches([' ', '-', '.']).len();
    format!("[number]{}", &run[tail..])
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHARS, redacted};

    #[test]
    fn secrets_cards_and_addresses_are_left_out() {
        assert_eq!(redacted("Invalid API Key provided: sk_test_51Habc"), "Invalid API Key provided: [secret]");
        assert_eq!(redacted("card 4242 4242-4242 4242 was declined"), "card [number] was declined");
        assert_eq!(redacted("4242424242424242."), "[number].");
        assert_eq!(redacted("pi_1_secret_abc of guest@example.com"), "[secret] of [address]");
        assert_eq!(
            redacted("Refund amount ($1,234.50) is greater than 1800000000"),
            "Refund amount ($1,234.50) is greater than 1800000000"
        );
        assert_eq!(redacted(&"x".repeat(10_000)).len(), MAX_CHARS);
    }
}
