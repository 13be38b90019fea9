//! Selections of dead letters, as addresses and forms name them, and what was shown of one.

use super::PAGE_SIZE;
use crate::failure::Failure;
use crate::forms::FormFields;
use chrono::Utc;
use pvt_domain::timestamp::Timestamp;
use pvt_operations::dead_letters::in_words;
use pvt_stores::mongo::dead_letters::{DeadLetterFilter, Matched};
use std::borrow::Cow;
use url::form_urlencoded;
use uuid::Uuid;

/// Which dead letters are meant. What is absent excludes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Their own ids, or those of their messages; empty for all.
    pub(super) ids: Vec<Uuid>,
    pub(super) queue: Option<String>,
    pub(super) class: Option<String>,
    pub(super) group: Option<String>,
}

impl Selection {
    /// The selection of an address, and the number of its page from 1.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for an id that is none, and for a list of which nothing was selected: it never means all.
    pub(super) fn of_query(query: Option<&str>) -> Result<(Self, u64), Failure> {
        let pairs: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
        let number = pairs.iter().find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok());
        Ok((Self::of(pairs.into_iter())?, number.unwrap_or(1).max(1)))
    }

    /// The selection of a form.
    ///
    /// # Errors
    /// As [`Self::of_query`].
    pub(super) fn of_fields(fields: &FormFields) -> Result<Self, Failure> {
        Self::of(fields.pairs().map(|(name, value)| (name.into(), value.into())))
    }

    fn of<'f>(pairs: impl Iterator<Item = (Cow<'f, str>, Cow<'f, str>)>) -> Result<Self, Failure> {
        let (mut selection, mut is_of_boxes) = (Self::default(), false);
        for (name, value) in pairs {
            let text = Some(value.trim().to_owned()).filter(|text| !text.is_empty());
            match (name.as_ref(), text) {
                ("id", Some(id)) => {
                    let id = Uuid::try_parse(&id);
                    selection.ids.push(id.map_err(|_| Failure::Invalid("An id is not one.".to_owned()))?);
                }
                ("queue", text) => selection.queue = text,
                ("class", text) => selection.class = text,
                ("group", text) => selection.group = text,
                ("selected", _) => is_of_boxes = true,
                _ => {}
            }
        }
        if is_of_boxes && selection.ids.is_empty() {
            return Err(Failure::Invalid("Select at least one dead letter.".to_owned()));
        }
        Ok(selection)
    }

    /// The same as fields of a form.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let ids = self.ids.iter().map(|id| ("id", id.to_string()));
        let texts = [("queue", &self.queue), ("class", &self.class), ("group", &self.group)];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
        ids.chain(texts).collect()
    }

    /// The same as a query.
    pub(super) fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.fields()).finish()
    }

    /// The dead letters, of which those that died later than `until` are none.
    pub(super) fn filter(&self, until: Option<Timestamp>) -> DeadLetterFilter {
        DeadLetterFilter {
            ids: Some(self.ids.clone()).filter(|ids| !ids.is_empty()),
            queues: self.queue.clone().map(|queue| vec![queue]),
            class: self.class.clone(),
            group: self.group.clone(),
            until,
            ..DeadLetterFilter::default()
        }
    }

    /// The class for its field.
    pub(super) fn class(&self) -> &str {
        self.class.as_deref().unwrap_or_default()
    }

    /// The group for its field.
    pub(super) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    pub(super) fn is_queue(&self, queue: &str) -> bool {
        self.queue.as_deref() == Some(queue)
    }
}

/// A selection as a review shows it: what a reading says of those that are dead now, and what its form returns.
pub(super) struct Review<T> {
    pub(super) words: String,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) count: u64,
    /// The rest of the reading.
    pub(super) read: T,
}

impl<T> Review<T> {
    /// Reviews the selection of an address by `reading`, which gets the filter and says what it matches. Its form has
    /// `id_field` with a new id, under which it counts once however often it is sent.
    ///
    /// # Errors
    /// As [`Selection::of_query`] and the reading; [`Failure::NotFound`] when nothing is dead.
    pub(super) async fn new<R>(
        query: Option<&str>,
        id_field: &'static str,
        reading: impl FnOnce(DeadLetterFilter) -> R,
    ) -> Result<Self, Failure>
    where
        R: Future<Output = Result<(Matched, T), Failure>>,
    {
        let (selection, _) = Selection::of_query(query)?;
        let until = Utc::now().into();
        let (matched, read) = reading(selection.filter(Some(until))).await?;
        let count = matched.count;
        if count == 0 {
            return Err(Failure::NotFound("None of them is dead any more.".to_owned()));
        }
        let mut fields = selection.fields();
        fields.extend(Shown { until, matched }.fields());
        fields.push((id_field, Uuid::now_v7().to_string()));
        Ok(Self { words: in_words(&selection.filter(None)), fields, count, read })
    }
}

/// What a selection matched when it was shown, as a form returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) until: Timestamp,
    pub(super) matched: Matched,
}

impl Shown {
    /// The same as fields of a form.
    pub(super) fn fields(self) -> [(&'static str, String); 3] {
        let Matched { count, digest } = self.matched;
        [("until", self.until.to_string()), ("count", count.to_string()), ("digest", digest)]
    }

    /// What the form of a page says that it has shown.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a form that says nothing of it.
    pub(super) fn of_fields(fields: &FormFields) -> Result<Self, Failure> {
        let until = serde_json::from_value(fields.get("until").into()).ok();
        let (count, digest) = (fields.get("count").parse().ok(), fields.get("digest").to_owned());
        until
            .zip(count)
            .map(|(until, count)| Self { until, matched: Matched { count, digest } })
            .ok_or_else(|| Failure::Invalid("Open the page again: the form is incomplete.".to_owned()))
    }
}

/// Pages of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pages {
    number: u64,
    pub(super) words: String,
    /// The address of the page before.
    pub(super) previous: Option<String>,
    /// The address of the page after.
    pub(super) next: Option<String>,
}

impl Pages {
    /// The page of this number, or the last one, of `count` rows in the list at `path`.
    pub(super) fn new(number: u64, count: u64, path: &str, query: &str) -> Self {
        let last = count.div_ceil(PAGE_SIZE).max(1);
        let number = number.min(last);
        let (from, to) = ((number - 1) * PAGE_SIZE + 1, (number * PAGE_SIZE).min(count));
        let separator = if query.is_empty() { "" } else { "&" };
        let address = |number: u64| format!("{path}?{query}{separator}page={number}");
        Self {
            number,
            words: if last > 1 { format!("{from} to {to} of {count}") } else { String::new() },
            previous: (number > 1).then(|| address(number - 1)),
            next: (number < last).then(|| address(number + 1)),
        }
    }

    /// Rows before the page.
    pub(super) fn skip(&self) -> u64 {
        (self.number - 1) * PAGE_SIZE
    }

    /// The rows of the page out of all.
    pub(super) fn of<T>(&self, all: Vec<T>) -> impl Iterator<Item = T> + use<T> {
        let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        all.into_iter().skip(count(self.skip())).take(count(PAGE_SIZE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_is_the_same_in_address_and_form() {
        let id = Uuid::from_u128(7);
        let query = format!("queue=emails&class=&group=ab%26c&id={id}&page=3&other=1");
        let (selection, number) = Selection::of_query(Some(&query)).unwrap();
        let expected =
            Selection { ids: vec![id], queue: Some("emails".to_owned()), class: None, group: Some("ab&c".to_owned()) };
        assert_eq!((&selection, number), (&expected, 3));
        assert_eq!(Selection::of_query(Some(&selection.query())).unwrap(), (expected, 1));
        for nothing in ["id=nonsense", "selected=1", "selected=1&id=&group=a"] {
            assert!(Selection::of_query(Some(nothing)).is_err(), "{nothing}: never all of them instead");
        }
        assert_eq!(Selection::of_query(None).unwrap().0.filter(None), DeadLetterFilter::default());
    }

    #[test]
    fn pages_end_with_the_list() {
        let page = Pages::new(2, 120, "/x", "queue=a");
        assert_eq!((page.words.as_str(), page.skip()), ("51 to 100 of 120", 50));
        assert_eq!(page.previous.as_deref(), Some("/x?queue=a&page=1"));
        assert_eq!(page.next.as_deref(), Some("/x?queue=a&page=3"));
        assert_eq!(page.of((0..120).collect::<Vec<_>>()).collect::<Vec<_>>(), (50..100).collect::<Vec<_>>());
        let last = Pages::new(9, 120, "/x", "");
        assert_eq!((last.words.as_str(), last.next), ("101 to 120 of 120", None));
        assert_eq!(Pages::new(1, 0, "/x", ""), Pages::new(1, 3, "/x", ""));
    }
}
