//! Properties of the HTML of mails that keep their layout in Outlook, which renders with Word: only tables have a
//! width, only cells have a padding, only they and tables a background, and styles are inline.

use std::collections::BTreeMap;

/// Elements without content.
const VOID: [&str; 3] = ["br", "meta", "img"];
/// Comments that only Outlook reads: a table of fixed width around the one that has a maximal width elsewhere.
const OUTLOOK_BEGINS: &str = "<!--[if mso]><table role=\"presentation\" width=\"600\" cellpadding=\"0\" \
    cellspacing=\"0\" border=\"0\"><tr><td><![endif]-->";
const OUTLOOK_ENDS: &str = "<!--[if mso]></td></tr></table><![endif]-->";

struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
}

impl Element {
    /// The inside of a start tag. The templates quote every value, with double quotes.
    fn of(tag: &str) -> Self {
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = BTreeMap::new();
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("no closing quote in <{tag}>"));
            attributes.insert(name.trim().to_owned(), value.to_owned());
            rest = after;
        }
        assert!(rest.trim().is_empty() || name == "!doctype", "`{rest}` in <{tag}>");
        Self { name: name.to_owned(), attributes }
    }

    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The value of a property of its inline style.
    fn style(&self, property: &str) -> Option<&str> {
        let declarations = self.attribute("style").split(';').filter_map(|one| one.split_once(':'));
        declarations.filter(|(name, _)| *name == property).map(|(_, value)| value).next()
    }
}

/// Every element with its parent, checking that elements nest.
fn elements(html: &str) -> Vec<(Element, Option<usize>)> {
    let mut found: Vec<(Element, Option<usize>)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("no end of <{part}"));
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop().map(|index| found[index].0.name.clone());
            assert_eq!(last.as_deref(), Some(name), "elements nest");
        } else if tag != "!doctype html" {
            found.push((Element::of(tag), open.last().copied()));
            if !VOID.contains(&found[found.len() - 1].0.name.as_str()) {
                open.push(found.len() - 1);
            }
        }
    }
    assert!(open.is_empty(), "every element ends");
    found
}

/// Asserts that a mail keeps its width and its buttons in Outlook, and that its text has the same links.
pub(super) fn assert_layout(html: &str, text: &str) {
    let (before, rest) = html.split_once(OUTLOOK_BEGINS).expect("a table of fixed width for Outlook");
    let (inside, after) = rest.split_once(OUTLOOK_ENDS).expect("its end");
    let font_begins = before.find("<!--[if mso]>").expect("a font for Outlook");
    let font_ends = before.find("<![endif]-->").expect("its end") + "<![endif]-->".len();
    let for_others = [&before[..font_begins], &before[font_ends..], inside, after].concat();
    let elements = elements(&for_others);
    let named =
        |name: &'static str| elements.iter().map(|(element, _)| element).filter(move |element| element.name == name);

    let page = named("html").next().unwrap();
    assert!(["en", "fr"].contains(&page.attribute("lang")) && page.attribute("dir") == "ltr");
    assert_eq!(named("div").count(), 0, "Word lays out tables only");
    for table in named("table") {
        assert_eq!(table.attribute("role"), "presentation", "not read as data");
        for spacing in ["cellpadding", "cellspacing", "border"] {
            assert_eq!(table.attribute(spacing), "0", "{spacing}");
        }
    }
    let wide: Vec<_> = named("table").filter_map(|table| table.style("max-width")).collect();
    assert_eq!(wide, ["600px"], "as wide as for Outlook");

    for (element, _) in &elements {
        let name = element.name.as_str();
        if let Some(color) = element.style("background") {
            assert!(["body", "table", "td"].contains(&name) && element.attribute("bgcolor") == color, "<{name}>");
        }
        let has_padding = element.style("padding").is_some_and(|padding| padding != "0");
        assert!(!has_padding || name == "td", "padding of <{name}>");
        if ["h1", "h2", "p"].contains(&name) {
            assert!(element.style("margin").is_some(), "each program has margins of its own for <{name}>");
        }
        if ["a", "h1", "h2"].contains(&name) {
            assert!(element.style("color").is_some(), "color of <{name}>");
        }
    }
    for (button, parent) in elements.iter().filter(|(element, _)| element.attribute("class") == "button") {
        let cell = &elements[parent.unwrap()].0;
        assert_eq!((button.name.as_str(), cell.name.as_str()), ("a", "td"));
        assert!(cell.style("padding").is_some() && cell.attribute("bgcolor").starts_with('#'), "{:?}", cell.attributes);
    }
    for link in named("a") {
        let url = link.attribute("href").replace("&#38;", "&");
        assert!(text.contains(&url), "`{url}` is missing in\n{text}");
    }
}

/// The number of buttons.
pub(super) fn buttons(html: &str) -> usize {
    html.matches("<a class=\"button\"").count()
}
