//! OpenAPI 3.1 description of the API, assembled from the routes and the signatures of their handlers.
//!
//! The rule of a route says who may use it and what that can be refused with; the rest comes from the types that its
//! handler takes and returns.

pub(crate) mod asyncapi;
mod document;
pub(crate) mod groups;
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
