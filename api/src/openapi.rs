//! OpenAPI 3.1 description of the API, assembled from the routes and the signatures of their handlers.
//!
//! The rule of a route says who may use it and what that can be refused with; the rest comes from the types that its
//! handler takes and returns.

pub(crate) mod asyncapi;
mod document;
mod operation;
pub(crate) mod schema;
pub(crate) mod schemas;
mod signature;

pub(crate) use document::{document, operations};
pub(crate) use operation::Operation;
pub(crate) use signature::{DescribeInput, DescribeOutput, Signature};

#[cfg(test)]
pub(crate) mod tests;
