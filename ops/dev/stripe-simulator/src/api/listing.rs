//! Stripe's lists: newest first, by cursor, by time. <https://docs.stripe.com/api/pagination>

use crate::error::ApiError;
use crate::params::Params;
use crate::table::{Row, Table};
use serde_json::{Value, json};

/// Rows of a page by default, and at most.
const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;

/// Parameters of every list.
pub(super) const NAMES: [&str; 5] = ["limit", "starting_after", "ending_before", "created", "expand"];

struct Created {
    from: i64,
    /// Exclusive.
    until: i64,
}

impl Created {
    fn read(params: &Params) -> Result<Self, ApiError> {
        if !params.has("created") {
            return Ok(Self { from: i64::MIN, until: i64::MAX });
        }
        let Ok(range) = params.child("created") else {
            let at = params.integer("created")?.unwrap_or_default();
            return Ok(Self { from: at, until: at.saturating_add(1) });
        };
        range.only(&["gt", "gte", "lt", "lte"])?;
        let after = |name| Ok::<_, ApiError>(range.integer(name)?.map(|at| at.saturating_add(1)));
        let from = range.integer("gte")?.into_iter().chain(after("gt")?).max().unwrap_or(i64::MIN);
        let until = range.integer("lt")?.into_iter().chain(after("lte")?).min().unwrap_or(i64::MAX);
        Ok(Self { from, until })
    }
}

/// The source of a list.
pub(super) enum Rows<'a, T> {
    /// A whole table.
    All(&'a Table<T>),
    /// Known rows, newest first, without a search of the table.
    Few(Vec<&'a T>),
}

impl<'a, T: Row> Rows<'a, T> {
    /// The rows of a table with these ids, which are ordered oldest first.
    pub(super) fn of(table: &'a Table<T>, ids: &[String]) -> Self {
        Self::Few(ids.iter().rev().filter_map(|id| table.get(id)).collect())
    }

    fn has(&self, id: &str) -> bool {
        match self {
            Self::All(table) => table.get(id).is_some(),
            Self::Few(rows) => rows.iter().any(|row| row.id() == id),
        }
    }

    fn newest(&self) -> Box<dyn Iterator<Item = &'a T> + '_> {
        match self {
            Self::All(table) => Box::new(table.newest()),
            Self::Few(rows) => Box::new(rows.iter().copied()),
        }
    }

    fn older_than(&self, id: &'a str) -> Box<dyn Iterator<Item = &'a T> + '_> {
        match self {
            Self::All(table) => Box::new(table.older_than(id)),
            Self::Few(rows) => Box::new(rows.iter().copied().skip_while(move |row| row.id() != id).skip(1)),
        }
    }

    /// Oldest first.
    fn newer_than(&self, id: &'a str) -> Box<dyn Iterator<Item = &'a T> + '_> {
        match self {
            Self::All(table) => Box::new(table.newer_than(id)),
            Self::Few(rows) => Box::new(rows.iter().rev().copied().skip_while(move |row| row.id() != id).skip(1)),
        }
    }
}

/// One page of a list. `names` are the filters of the list, `wanted` applies them, `render` makes the JSON of a row.
pub(super) fn page<T: Row>(
    rows: &Rows<'_, T>,
    params: &Params,
    url: &str,
    names: &[&str],
    wanted: impl Fn(&T) -> bool,
    render: impl Fn(&T) -> Value,
) -> Result<Value, ApiError> {
    params.only(&[&NAMES, names].concat())?;
    let limit = params.integer("limit")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(
            ApiError::invalid(format!("Invalid integer: limit must be between 1 and {MAX_LIMIT}")).param("limit")
        );
    }
    let limit = usize::try_from(limit).unwrap_or(1);
    let created = Created::read(params)?;
    let (after, before) = (params.text("starting_after")?, params.text("ending_before")?);
    for (name, id) in [("starting_after", &after), ("ending_before", &before)] {
        if let Some(id) = id.as_deref().filter(|id| !rows.has(id)) {
            return Err(ApiError::missing("object", id, name));
        }
    }
    let fits = |row: &&T| (created.from..created.until).contains(&row.created()) && wanted(row);
    // Rows are in the order of creation, so nothing after an older one can be in the range.
    let recent = |row: &&T| row.created() >= created.from;
    let mut found: Vec<Value> = match (&after, &before) {
        (Some(id), _) => rows.older_than(id).take_while(recent).filter(fits).take(limit + 1).map(&render).collect(),
        (None, Some(id)) => rows.newer_than(id).filter(fits).take(limit + 1).map(&render).collect(),
        (None, None) => rows.newest().take_while(recent).filter(fits).take(limit + 1).map(&render).collect(),
    };
    let has_more = found.len() > limit;
    found.truncate(limit);
    if after.is_none() && before.is_some() {
        found.reverse();
    }
    Ok(json!({ "object": "list", "data": found, "has_more": has_more, "url": url }))
}
