//! What could be booked, for everybody to see.

pub(super) mod nights;
pub(super) mod search;
mod search_query;
mod search_view;

#[cfg(test)]
mod tests;
