//! Private words in names and module docs: the list, the matcher, and the exceptions.
//!
//! docs/glossary.md says what each thing is called. Names are split into words at underscores and capitals, so that
//! `WishList` and `wish_list` are the same. Wire names live in string literals, which are not looked at.

/// Words that no name of a module, type or function may contain, and the word that stands in their place.
const REFUSED: [(&str, &str); 41] = [
    ("argue", "dispute"),
    ("ask", "request"),
    ("asked", "requested"),
    ("asks", "requests"),
    ("barracks", "property"),
    ("catalogue", "catalog, or inventory cache"),
    ("corner", "namespace"),
    ("crew", "worker context"),
    ("described", "OpenAPI description"),
    ("desk", "front desk"),
    ("errand", "planned mail"),
    ("everybody", "the actor"),
    ("farewell", "close"),
    ("fate", "send state"),
    ("gear", "channels"),
    ("goodbye", "close"),
    ("guilty", "poison"),
    ("hear", "subscribe"),
    ("heard", "observed"),
    ("hostel", "property"),
    ("house", "property"),
    ("judge", "decide"),
    ("ladder", "retry schedule"),
    ("letter", "mail, or dead letter"),
    ("letters", "mails, or dead letters"),
    ("news", "change"),
    ("nobody", "the actor"),
    ("portion", "pending batch"),
    ("rung", "retry delay"),
    ("rungs", "retry delays"),
    ("somebody", "the actor"),
    ("tell", "observe, notify or report"),
    ("telling", "observation"),
    ("tells", "observes, notifies or reports"),
    ("told", "observed, notified or reported"),
    ("verdict", "decision, or outcome"),
    ("who", "the actor"),
    ("whoever", "the actor"),
    ("whose", "the actor"),
    ("wish", "request"),
    ("wishes", "requests"),
];

/// Words that are right after another one.
const RIGHT_AFTER: [(&str, &str); 3] = [("front", "desk"), ("dead", "letter"), ("dead", "letters")];

/// Successive words for money and for messages that come and go.
const REFUSED_PHRASES: [(&[&str], &str); 7] = [
    (&["comes", "to"], "totals"),
    (&["give", "back"], "refund"),
    (&["gives", "back"], "refunds"),
    (&["given", "back"], "refunded"),
    (&["send", "home"], "replay"),
    (&["sends", "home"], "replays"),
    (&["is", "away"], "is unreachable"),
];

/// Whole names that mean something else in this field.
const REFUSED_NAMES: [(&str, &str); 7] = [
    ("Line", "Row, or what the line is of"),
    ("Once", "idempotency"),
    ("Order", "command header, or refund instruction"),
    ("Orders", "pending replies"),
    ("found", "create"),
    ("once", "idempotency"),
    ("together", "group commit"),
];

/// Names that contain a refused word for a reason, with their file.
const ALLOWED: [(&str, &str, &str); 1] =
    [("letters", "ops/dev/stripe-simulator/src/ids.rs", "letters of the alphabet")];

/// Words with which a name or a module doc becomes a clause instead of naming a thing.
const CLAUSE_OPENERS: [&str; 10] =
    ["what", "whatever", "who", "whoever", "whose", "where", "how", "which", "whether", "why"];

/// The names that this source declares for modules, types and functions, each with its line number.
pub(crate) fn declared_names(text: &str) -> Vec<(usize, String)> {
    const KEYWORDS: [&str; 8] = ["mod", "fn", "struct", "enum", "trait", "type", "union", "macro_rules!"];
    let mut names = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        let mut words = code.split_whitespace();
        while let Some(word) = words.next() {
            // A literal begins: what follows is prose.
            if word.contains('"') {
                break;
            }
            if KEYWORDS.iter().any(|keyword| word.trim_start_matches(['(', '{', '|']) == *keyword)
                && let Some(next) = words.clone().next()
            {
                let name: String = next.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !name.is_empty() {
                    names.push((number, name));
                }
            }
        }
    }
    names
}

/// Why a name in this file is refused, if it is.
pub(crate) fn refusal(path: &str, name: &str) -> Option<String> {
    if ALLOWED.iter().any(|(allowed, file, _)| *allowed == name && *file == path) {
        return None;
    }
    let instead = |bad: &str, good: &str| Some(format!("`{bad}`: say {good}"));
    if let Some((bad, good)) = REFUSED_NAMES.iter().find(|(bad, _)| *bad == name) {
        return instead(bad, good);
    }
    let words = words_of(name);
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| &words[before]);
        if RIGHT_AFTER.contains(&(before, word)) {
            continue;
        }
        if let Some((bad, good)) = REFUSED.iter().find(|(bad, _)| bad == word) {
            return instead(bad, good);
        }
    }
    let phrase = REFUSED_PHRASES.iter().find(|(phrase, _)| words.windows(phrase.len()).any(|words| words == *phrase));
    if let Some((bad, good)) = phrase {
        return instead(&bad.join(" "), good);
    }
    let opens_a_clause = words.len() > 1 && CLAUSE_OPENERS.contains(&&*words[0]);
    opens_a_clause.then(|| format!("opens with `{}`: state the subject", words[0]))
}

/// The first word of a module's documentation if it is one that opens a clause.
pub(crate) fn clause_opener(text: &str) -> Option<&str> {
    let first = text.lines().next()?.strip_prefix("//!")?.trim_start().split([' ', ',', '\'']).next()?;
    CLAUSE_OPENERS.contains(&&*first.to_lowercase()).then_some(first)
}

/// The words of a name in lower case: `HTTPServer_of` is `http`, `server`, `of`.
fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        let begins = letter.is_uppercase()
            && (before.is_some_and(|before| !before.is_uppercase()) || after.is_some_and(|after| after.is_lowercase()));
        if *letter == '_' || begins || words.is_empty() {
            words.push(String::new());
        }
        if *letter != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn names_are_split_into_words() {
    assert_eq!(words_of("HTTPServer_of2"), ["http", "server", "of2"]);
    assert_eq!(words_of("__pay_now"), ["pay", "now"]);
}

#[test]
fn private_words_are_refused_in_any_spelling() {
    for name in ["Wish", "RefundWish", "as_told_of", "TOLD", "desk", "Letter", "found", "given_back_late", "is_away"] {
        assert!(refusal("a.rs", name).is_some(), "{name}");
    }
    for name in ["what_is_left", "how_it_ends", "who_pays"] {
        assert!(refusal("a.rs", name).is_some(), "{name}");
    }
    for name in ["FrontDesk", "dead_letter", "DeadLetters", "founded", "refund", "what", "line_items", "ordered"] {
        assert_eq!(refusal("a.rs", name), None, "{name}");
    }
    assert_eq!(refusal("ops/dev/stripe-simulator/src/ids.rs", "letters"), None);
}

#[test]
fn declarations_are_read_and_literals_are_not() {
    let text =
        "pub(crate) async fn tell() {}\n// fn comment() {}\nlet a = \"fn literal() mod x\";\nenum House<T> { A }\n";
    assert_eq!(declared_names(text), [(1, "tell".to_owned()), (4, "House".to_owned())]);
}

#[test]
fn clauses_are_no_module_documentation() {
    assert_eq!(clause_opener("//! What it is for.\n"), Some("What"));
    assert_eq!(clause_opener("//! Whether, and when.\n"), Some("Whether"));
    assert_eq!(clause_opener("//! Group commit of batches.\n"), None);
}
