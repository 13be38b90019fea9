//! Tests of what is accepted, and that the stored form is stable under a second reading.

use super::text::{fold_digits, normal, shown};
use super::{email, language, phone};
use proptest::prelude::*;

#[test]
fn phone_numbers_are_read_as_people_write_them() {
    for (written, stored) in [
        ("+1 (514) 555-0100", "+15145550100"),
        ("001 514 555 0100", "+15145550100"),
        ("+1.514.555.0100", "+15145550100"),
        ("tel:+1-514-555-0100", "+15145550100"),
        (" +1\u{a0}514\u{202f}555\u{2011}0100 ", "+15145550100"),
        ("(+44) 020 7946 0958", "+442079460958"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+39 06 698 12345", "+390669812345"),
        ("+49 151/23456789", "+4915123456789"),
        ("+7 800 555-35-35", "+78005553535"),
        ("＋３３ １ ４２ ６８ ５３ ００", "+33142685300"),
        ("+٩٧١ ٥٠ ١٢٣ ٤٥٦٧", "+971501234567"),
        ("\u{202a}+1 514 555 0100\u{202c}", "+15145550100"),
        ("+1 514 555 0100 ext. 12", "+15145550100;ext=12"),
        ("+1 514 555 0100, poste 12", "+15145550100;ext=12"),
        ("+1 514 555 0100 x012", "+15145550100;ext=012"),
        ("+15145550100;ext=12", "+15145550100;ext=12"),
    ] {
        assert_eq!(phone::parse(written).as_deref(), Ok(stored), "{written}");
    }
}

#[test]
fn wrong_phone_numbers_are_refused_by_name() {
    for (written, words) in [
        ("514 555 0100", "country"),
        ("0151 23456789", "country"),
        ("+1 514 555 010", "no such number"),
        ("+49 30 1234567890123456", "no such number"),
        ("+999 123 456 789", "no such number"),
        ("+", "no digit"),
        ("call me", "more than digits"),
        ("+1 514 555 0100 ext. many", "extension"),
        ("+1 514 555 0100 / 0101", "no such number"),
    ] {
        let refused = phone::parse(written).unwrap_err();
        assert!(refused.contains(words), "{written}: {refused}");
    }
}

#[test]
fn addresses_have_one_form() {
    for (written, stored) in [
        (" Ada.Lovelace@Example.COM ", "ada.lovelace@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BU\u{308}CHER.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("info@例え.テスト", "info@xn--r8jz45g.xn--zckzah"),
        ("ada.lovelace+pvt@mail.example.co.uk", "ada.lovelace+pvt@mail.example.co.uk"),
    ] {
        assert_eq!(email::parse(written).as_deref(), Ok(stored), "{written}");
    }
}

#[test]
fn wrong_addresses_are_refused_by_name() {
    for (written, words) in [
        ("", "no @"),
        ("ada", "no @"),
        ("ada@", "after the @"),
        ("@example.com", "nothing stands before"),
        ("ada@example", "no dot"),
        ("ada@ada@example.com", "more than one @"),
        ("a da@example.com", "space before"),
        ("ada@exam ple.com", "space after"),
        ("adä@example.com", "accent"),
        ("ada@example.com\r\nBcc: x@y.z", "more than one @"),
        ("ada@-x.com", "dash"),
        (".ada@example.com", "before the @ a dot"),
        ("ada@example..com", "after the @ a dot"),
        ("ada@exam_ple.com", "domains do not have"),
        ("Ada <ada@example.com>", "space before"),
        ("ada@bü\u{2028}cher.example", "space after"),
        ("ada@a\u{ff0f}b.example", "cannot be the name"),
    ] {
        let refused = email::parse(written).unwrap_err();
        assert!(refused.contains(words), "{written:?}: {refused}");
    }
}

#[test]
fn well_formed_language_tags_are_accepted() {
    for (written, stored) in [
        ("fr", "fr"),
        ("EN-ca", "en-CA"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sr-Latn-RS", "sr-Latn-RS"),
        ("de-CH-1996", "de-CH-1996"),
        ("gsw", "gsw"),
        ("en-US-u-hc-h12", "en-US-u-hc-h12"),
        ("i-klingon", "i-klingon"),
        ("x-hostel", "x-hostel"),
    ] {
        assert_eq!(language::parse(written).as_deref(), Some(stored), "{written}");
    }
    for bad in ["", "french_Canada", "fr_CA", "f", "fr-", "é", "en-a", "abcdefghi"] {
        assert_eq!(language::parse(bad), None, "{bad}");
    }
}

#[test]
fn nearest_language_is_found() {
    let spoken = ["en", "fr", "fr-CA", "zh"];
    for (wanted, found) in [
        (&["fr-CA"][..], Some("fr-CA")),
        (&["fr_ca"], Some("fr-CA")),
        (&["fr-CH-1996"], Some("fr")),
        (&["FRA"], Some("fr")),
        (&["zh-Hant-TW"], Some("zh")),
        (&["x-fr", "gsw", "en-GB"], Some("en")),
        (&["frr", "tlh"], None),
    ] {
        assert_eq!(language::nearest(wanted.iter().copied(), &spoken), found, "{wanted:?}");
    }
}

#[test]
fn shown_text_holds_nothing_that_deceives() {
    assert_eq!(shown("Ada\u{202e}gnp.exe\u{200b}"), "Adagnp.exe");
    assert_eq!(shown("Ad\u{200d}a"), "Ada", "nothing to join");
    assert_eq!(shown("می\u{200c}خواهم"), "می\u{200c}خواهم", "the joiner shapes the letters");
    assert_eq!(normal(" Zoe\u{308}\u{a0}"), "Zoë");
    assert_eq!(normal("\u{200b}\u{200d}\u{3164}"), "", "a name of nothing that can be seen is none");
    assert_eq!(fold_digits("٤۲４𝟚x½"), "4242x½");
}

fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        "[ +0-9().;ext/-]{0,24}",
        "[a-zA-Zäß.@ -]{0,24}",
        "\\+[1-9][0-9]{6,16}",
        "[a-z]{2,4}(-[A-Za-z0-9]{1,9}){0,3}",
        "[\u{5d0}-\u{5ea}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{300}-\u{308}a-e]{0,12}",
    ]
}

proptest! {
    #[test]
    fn stored_form_reads_as_itself(text in typed()) {
        let once = normal(&text).into_owned();
        prop_assert_eq!(&normal(&once), &once);
        let visible = shown(&text).into_owned();
        prop_assert_eq!(&shown(&visible), &visible);
        if let Ok(stored) = email::parse(&text) {
            prop_assert_eq!(email::parse(&stored), Ok(stored.clone()));
            prop_assert_eq!(email::parse(&text.to_ascii_uppercase()), Ok(stored.clone()));
        }
        if let Ok(stored) = phone::parse(&text) {
            prop_assert_eq!(phone::parse(&stored), Ok(stored.clone()));
        }
        if let Some(stored) = language::parse(&text) {
            prop_assert_eq!(language::parse(&stored), Some(stored.clone()));
            prop_assert_eq!(language::parse(&text.to_ascii_uppercase()), Some(stored.clone()));
        }
    }

    #[test]
    fn spelling_of_a_phone_number_does_not_matter(
        area in 200..999_u32, rest in "[2-9][0-9]{6}", gaps in prop::collection::vec("[ .()-]{0,2}", 3), zeros: bool,
    ) {
        let prefix = if zeros { "00" } else { "+" };
        let spaced = format!("{prefix}1{}{area}{}{}{}{}", gaps[0], gaps[1], &rest[..3], gaps[2], &rest[3..]);
        prop_assert_eq!(phone::parse(&spaced), phone::parse(&format!("+1{area}{rest}")));
    }
}
