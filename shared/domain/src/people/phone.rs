//! Phone numbers: read as people write them, stored in E.164.

use super::text::{fold_digits, normal, shown};
use phonenumber::Mode;
use phonenumber::metadata::DATABASE;

/// Longest text that is read as a phone number, in characters.
const MAX_PHONE_CHARS: usize = 64;
/// Longest code of a country, in digits.
const MAX_CODE_DIGITS: usize = 3;
/// Longest extension, in digits.
const MAX_EXTENSION_DIGITS: usize = 10;
const INVALID: &str = "no such number exists: a digit is wrong, missing or too many";
/// What an extension is written after, the longest spelling first: RFC 3966, and people.
const EXTENSION_MARKS: [&str; 8] = [";ext=", "extension", "poste", "extn", "ext", "#", "x", ";"];

/// The number in E.164, and an extension after it as RFC 3966 writes one: `+15145550100`, `+15145550100;ext=12`.
///
/// Read are spaces, brackets, dashes, dots, slashes and digits of every script. A number without its country's code
/// could be of any country, so it is refused.
///
/// # Errors
/// What is wrong with it, in words that do not repeat it.
pub fn parse(text: &str) -> Result<String, &'static str> {
    let text = normal(text);
    if text.chars().count() > MAX_PHONE_CHARS {
        return Err("it is too long");
    }
    let text = fold_digits(&shown(&text)).to_ascii_lowercase();
    let text = text.strip_prefix("tel:").unwrap_or(&text);
    let (number, extension) = split_extension(text)?;
    let digits = international(number)?;
    let number = existing(&digits).ok_or(INVALID)?;
    Ok(if extension.is_empty() { number } else { format!("{number};ext={extension}") })
}

/// The number and the digits of its extension.
fn split_extension(text: &str) -> Result<(&str, String), &'static str> {
    let Some((mark, place)) = EXTENSION_MARKS.iter().find_map(|mark| Some((mark, text.find(mark)?))) else {
        return Ok((text, String::new()));
    };
    let (number, rest) = (&text[..place], &text[place + mark.len()..]);
    let extension = rest.trim_matches(|c: char| c.is_whitespace() || ".:=#".contains(c));
    let is_extension = !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_digit());
    if is_extension && extension.len() <= MAX_EXTENSION_DIGITS {
        Ok((number.trim_end_matches([' ', ',', ';']), extension.to_owned()))
    } else {
        Err("its extension is no number")
    }
}

/// The digits after the `+` or `00` that begins an international number.
fn international(number: &str) -> Result<String, &'static str> {
    let is_layout = |c: char| c.is_whitespace() || "()[]-./\u{2010}\u{2011}\u{2012}\u{2013}\u{2212}".contains(c);
    let compact: String = number.chars().filter(|c| !is_layout(*c)).collect();
    let digits = compact.strip_prefix(['+', '\u{ff0b}']).or_else(|| compact.strip_prefix("00"));
    match digits.unwrap_or(&compact) {
        "" => Err("it holds no digit"),
        digits if !digits.bytes().all(|byte| byte.is_ascii_digit()) => Err("it holds more than digits"),
        _ if digits.is_none() => Err("the country is missing"),
        digits if digits.starts_with('0') => Err("no country's code begins with 0"),
        digits => Ok(digits.to_owned()),
    }
}

/// The number in E.164, if its country has such numbers.
fn existing(digits: &str) -> Option<String> {
    let is_of_country = |(code, national): (&str, &str)| {
        let regions = code.parse().ok().and_then(|code: u16| DATABASE.by_code(&code)).unwrap_or_default();
        let is_whole = |start: usize, end: usize| (start, end) == (0, national.len());
        regions.iter().any(|region| {
            let pattern = region.descriptors().general().national_number();
            pattern.find(national).is_some_and(|found| is_whole(found.start(), found.end()))
        })
    };
    if (1..=MAX_CODE_DIGITS).filter_map(|length| digits.split_at_checked(length)).any(is_of_country) {
        return Some(format!("+{digits}"));
    }
    // With the prefix of calls within the country, as in +44 (0)20. Tried second: the library takes the 8 of +7 800
    // for one.
    let number = phonenumber::parse(None, format!("+{digits}")).ok().filter(phonenumber::is_valid)?;
    Some(number.format().mode(Mode::E164).to_string())
}
