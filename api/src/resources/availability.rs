//! What could be booked, for everybody to see.

pub(crate) mod nights;
pub(crate) mod search;
mod search_query;
mod search_view;

#[cfg(test)]
mod tests;
