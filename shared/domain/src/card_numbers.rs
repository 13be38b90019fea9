//! Card numbers in text, so that none ever enters a queue, a store or a log.
//!
//! Whether digits are a card number shows in all of these together: the range of an issuer, its lengths, the groups
//! that cards are written in, and the check digit. Dates, phone numbers, bar codes and bank accounts are none.

use crate::people::text::{fold_digits, shown};

/// Digits of the shortest card number that issuers still give out.
pub const MIN_CARD_DIGITS: usize = 14;
const MAX_CARD_DIGITS: usize = 19;
/// Most groups that a card number is written in.
const MAX_GROUPS: usize = 5;
/// Most groups of digits that stand alone and are a card number however they are grouped. Two dates have six.
const FREE_GROUPS: usize = 3;
/// Most characters between two groups.
const MAX_GAP: usize = 3;
/// Most digits of a phone number after its `+` (E.164).
const MAX_PHONE_DIGITS: usize = 15;
/// Lengths of an international bank account number (ISO 13616).
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;

/// Ranges of the first six digits by issuer, with the lengths of their numbers (ISO/IEC 7812).
const ISSUERS: [(std::ops::RangeInclusive<u32>, &[usize]); 23] = [
    // Visa
    (400_000..=499_999, &[16, 19]),
    // Mastercard
    (222_100..=272_099, &[16]),
    (510_000..=559_999, &[16]),
    // American Express
    (340_000..=349_999, &[15]),
    (370_000..=379_999, &[15]),
    // Diners Club
    (300_000..=305_999, &[14, 16]),
    (309_500..=309_599, &[14, 16]),
    (360_000..=369_999, &[14, 16]),
    (380_000..=399_999, &[14, 16]),
    // JCB
    (352_800..=358_999, &[16, 19]),
    // Discover
    (601_100..=601_199, &[16, 19]),
    (644_000..=659_999, &[16, 19]),
    // UnionPay
    (620_000..=629_999, &[16, 17, 18, 19]),
    (810_000..=817_199, &[16, 17, 18, 19]),
    // Maestro
    (501_800..=503_899, &[16, 18, 19]),
    (560_000..=589_999, &[16, 18, 19]),
    (630_400..=630_499, &[16, 18, 19]),
    (670_000..=679_999, &[16, 18, 19]),
    // Mir
    (220_000..=220_499, &[16, 18, 19]),
    // RuPay
    (508_500..=508_999, &[16]),
    (606_985..=608_499, &[16]),
    (820_000..=829_999, &[16]),
    // Troy
    (979_200..=979_289, &[16]),
];

/// Whether the text holds a card number, in digits of any script.
pub fn contains_card_number(text: &str) -> bool {
    has_enough_digits(text) && {
        let text = shown(text);
        let visible: Vec<char> = fold_digits(&text).chars().collect();
        runs(&without_ibans(visible)).iter().any(Run::contains_card_number)
    }
}

/// Whether the text has as many digits as a card number.
pub fn has_enough_digits(text: &str) -> bool {
    text.len() >= MIN_CARD_DIGITS && text.chars().filter(|c| c.is_numeric()).count() >= MIN_CARD_DIGITS
}

/// Groups of digits that are parted by little.
#[derive(Default)]
struct Run {
    groups: Vec<String>,
    after_plus: bool,
}

impl Run {
    fn contains_card_number(&self) -> bool {
        let is_phone = self.after_plus && self.groups.iter().map(String::len).sum::<usize>() <= MAX_PHONE_DIGITS;
        !is_phone
            && (self.groups.len() <= FREE_GROUPS && is_of_issuer(&self.groups.concat())
                || (0..self.groups.len()).any(|first| {
                    let groups = &self.groups[first..];
                    let written = |count: usize| is_written_as_card(&groups[..count]);
                    (1..=groups.len().min(MAX_GROUPS))
                        .any(|count| written(count) && is_of_issuer(&groups[..count].concat()))
                }))
    }
}

fn runs(text: &[char]) -> Vec<Run> {
    let is_gap = |c: char| c.is_whitespace() || matches!(c, '-' | '.' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let (mut runs, mut gap) = (vec![Run::default()], 0);
    for (place, c) in text.iter().enumerate() {
        let after_digit = place.checked_sub(1).is_some_and(|before| text[before].is_ascii_digit());
        match runs.last_mut() {
            Some(run) if c.is_ascii_digit() => {
                match run.groups.last_mut().filter(|_| after_digit) {
                    Some(group) => group.push(*c),
                    None => run.groups.push(c.to_string()),
                }
                gap = 0;
            }
            Some(run) if !run.groups.is_empty() && is_gap(*c) && gap < MAX_GAP => gap += 1,
            _ => {
                runs.push(Run { groups: Vec::new(), after_plus: *c == '+' });
                gap = 0;
            }
        }
    }
    runs
}

fn is_of_issuer(digits: &str) -> bool {
    let is_in_range =
        |first: u32| ISSUERS.iter().any(|(range, lengths)| range.contains(&first) && lengths.contains(&digits.len()));
    let first = digits.get(..6).filter(|_| digits.len() <= MAX_CARD_DIGITS).and_then(|first| first.parse().ok());
    first.is_some_and(is_in_range) && has_check_digit(digits)
}

/// Undivided, in fours, or as an issuer prints it. Asked of a part of longer digits only: what stands alone may be
/// grouped in any way.
fn is_written_as_card(groups: &[String]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(String::len).collect();
    match lengths.as_slice() {
        [_] | [8, 8] | [4, 6, 4 | 5] | [6, 13] => true,
        [fours @ .., last] => fours.iter().all(|length| *length == 4) && *last <= 4,
        [] => false,
    }
}

/// ISO/IEC 7812-1 annex B (Luhn).
fn has_check_digit(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| match (place % 2, u32::from(byte - b'0')) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => 2 * digit - 9,
            (_, digit) => 2 * digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The text with `?` for bank account numbers.
fn without_ibans(mut text: Vec<char>) -> Vec<char> {
    let mut place = 0;
    while place < text.len() {
        let begins_word = place == 0 || !text[place - 1].is_ascii_alphanumeric();
        match begins_word.then(|| iban_length(&text[place..])).flatten() {
            Some(length) => {
                text[place..place + length].fill('?');
                place += length;
            }
            None => place += 1,
        }
    }
    text
}

/// The length of the bank account number that the text begins with: a country, two check digits, the account.
fn iban_length(text: &[char]) -> Option<usize> {
    let [a, b, c, d, ..] = text else { return None };
    if !(a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    let (mut compact, mut found) = (Vec::new(), None);
    for (place, c) in text.iter().enumerate() {
        if compact.len() > *IBAN_CHARS.end() {
            break;
        }
        let goes_on = text.get(place + 1).is_some_and(char::is_ascii_alphanumeric);
        if c.is_ascii_alphanumeric() {
            compact.push(*c);
            if !goes_on && IBAN_CHARS.contains(&compact.len()) && has_iban_check_digits(&compact) {
                found = Some(place + 1);
            }
        } else if !goes_on || !(c.is_whitespace() || *c == '-') {
            break;
        }
    }
    found
}

/// ISO 7064 MOD 97-10, with the first four characters at the end.
fn has_iban_check_digits(compact: &[char]) -> bool {
    let (head, account) = compact.split_at(4);
    let remainder = account.iter().chain(head).filter_map(|c| c.to_digit(36)).fold(0, |remainder, value| {
        let shift = if value < 10 { 10 } else { 100 };
        (remainder * shift + value) % 97
    });
    remainder == 1
}

#[cfg(test)]
mod tests {
    use super::{ISSUERS, contains_card_number};
    use proptest::prelude::*;

    #[test]
    fn card_numbers_are_found() {
        for text in [
            "4242424242424242",
            "my card 4242 4242 4242 4242, thanks",
            "5555-5555-5555-4444",
            "2223003122003222",
            "3782 822463 10005",
            "3056 930902 5904",
            "x6011111111111117y",
            "6200000000000005",
            "6205500000000000004",
            "3566 0020 2036 0505",
            "4242 4242 4242 4242 4242 4242 4242 4242",
            "2027 4242.4242.4242.4242",
            "4242 - 4242 - 4242 - 4242",
            "42424242 42424242",
            "4242 42424242 4242",
            "424242 4242424242",
            "٤٢٤٢ ٤٢٤٢ ٤٢٤٢ ٤٢٤٢",
            "４２４２４２４２４２４２４２４２",
            "4242\u{200b}4242\u{200b}4242\u{200b}4242",
            "4242424242424242 12/27 123",
            "IBAN DE89 3704 0044 0532 0130 00 or card 4242 4242 4242 4242",
        ] {
            assert!(contains_card_number(text), "{text}");
        }
    }

    /// Texts come from anonymous callers, up to the size of a body.
    #[test]
    fn long_texts_are_read_in_linear_time() {
        let long = |count: usize| "aa11 ".repeat(count);
        let time = |text: &str| {
            let begun = std::time::Instant::now();
            assert!(!contains_card_number(text));
            begun.elapsed()
        };
        let short = (0..5).map(|_| time(&long(1_300))).min().unwrap();
        let tenfold = (0..5).map(|_| time(&long(13_000))).min().unwrap();
        assert!(tenfold < 40 * short, "{short:?}, {tenfold:?}");
    }

    #[test]
    fn other_numbers_pass() {
        for text in [
            "4242424242424241",
            "4242 4242 4242 / 4242",
            "0123456789012345678901234567890",
            "arrives 2027-01-10 15:30, leaves 2027-01-13 11:00",
            "10.01.2027 - 13.01.2027",
            "20270110 20270113",
            "2024 2025 2026 2027",
            "+378282246310005",
            "+49 (0) 151 2345 6789 or +49 30 1234 5678",
            "0033 6 12 34 56 78",
            "DE89 3704 0044 0532 0130 00",
            "fr7630006000011234567890189",
            "GB29 NWBK 6016 1331 9268 19",
            "4006381333931",
            "EAN 4012345678901, ISBN 978-3-16-148410-0",
            "PVT-0123456789 and PVT-4242424242",
            "11111111-2222-5333-8444-555555555555",
            "4242",
            "",
        ] {
            assert!(!contains_card_number(text), "{text}");
        }
    }

    /// A number of an issuer: its range, as many digits as it has, and a right check digit.
    fn card() -> impl Strategy<Value = String> {
        (0..ISSUERS.len(), any::<prop::sample::Index>(), any::<u32>(), any::<u64>()).prop_map(
            |(issuer, length, first, rest)| {
                let (range, lengths) = &ISSUERS[issuer];
                let length = lengths[length.index(lengths.len())];
                let first = range.start() + first % (range.end() - range.start() + 1);
                let body: String = format!("{first}{rest:020}").chars().take(length - 1).collect();
                let check = (0..10).map(|digit| format!("{body}{digit}")).find(|whole| super::has_check_digit(whole));
                check.unwrap()
            },
        )
    }

    fn in_fours(card: &str, gap: &str) -> String {
        card.as_bytes().chunks(4).map(|four| std::str::from_utf8(four).unwrap()).collect::<Vec<_>>().join(gap)
    }

    proptest! {
        #[test]
        fn every_issuer_is_recognised(card in card(), gap in "[ .-]", before in "[a-z ,]{0,9}",
            zero in prop::sample::select(
            vec!['0', '٠', '०', '０', '໐'],
        )) {
            let in_script =
                |text: &str| -> String { text.chars().map(|c| c.to_digit(10).and_then(|digit|
                    char::from_u32(u32::from(zero) + digit)).unwrap_or(c)).collect() };
            prop_assert!(contains_card_number(&in_script(&card)));
            let text = format!("{before} {}", in_script(&in_fours(&card, &gap)));
            prop_assert!(contains_card_number(&text));
        }

        #[test]
        fn dates_phone_numbers_and_bar_codes_pass(
            year in 2020..2100_u32, month in 1..13_u32, day in 1..29_u32, nights in 1..9_u32,
            phone in "\\+[1-9][0-9]{1,2} [0-9]{2,3} [0-9]{3,4} [0-9]{2,4}", code in "[0-9]{12,13}",
        ) {
            for text in [
                format!("{year}-{month:02}-{day:02} {year}-{month:02}-{:02}", day + nights),
                format!("{day:02}.{month:02}.{year} - {:02}.{month:02}.{year}", day + nights),
                format!("{year}{month:02}{day:02}T153000 {year}{month:02}{:02}T110000", day + nights),
                phone.clone(),
                format!("call {phone} or {phone}"),
                format!("code {code}"),
            ] {
                prop_assert!(!contains_card_number(&text), "{}", text);
            }
        }
    }
}
