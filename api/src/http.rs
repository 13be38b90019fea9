//! HTTP: what every request passes through, headers, bodies, problems and pages.

pub(crate) mod body;
pub(crate) mod cors;
pub(crate) mod entity_tags;
pub(crate) mod extract;
pub(crate) mod headers;
pub(crate) mod html_page;
pub(crate) mod language;
pub(crate) mod metrics;
pub(crate) mod middleware;
pub(crate) mod pagination;
pub(crate) mod problem;
pub(crate) mod response;
