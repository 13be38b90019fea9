//! The description of the API for programs: OpenAPI 3.1, built from the table of routes and from what is said of each
//! route.
//!
//! Who may use a route and what that can be refused with comes from its rule; forms and answers are described in
//! `routes/described`. Nothing here may describe a route that the table does not have: a test compares the two.

pub(crate) mod asyncapi;
mod document;
mod operation;
pub(crate) mod schema;
pub(crate) mod schemas;
mod signature;

pub(crate) use document::{document, operations};
pub(crate) use operation::{Operation, delete, get, patch, post, put};
pub(crate) use signature::{DescribeInput, DescribeOutput, Signature};

use serde_json::Value;

/// The operations of one subject, with the forms that they speak of.
pub(crate) struct Group {
    /// The subject, for example `Bookings`.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) about: &'static str,
    pub(crate) operations: Vec<Operation>,
    /// Named forms, which [`schema::named`] refers to.
    pub(crate) schemas: Vec<(&'static str, Value)>,
}

#[cfg(test)]
pub(crate) mod tests;
