//! Authentication and authorization: credentials, callers, the rules of routes, and rate limits.

pub(crate) mod api_key_cache;
pub(crate) mod booking_access;
pub(crate) mod credentials;
pub(crate) mod guard;
pub(crate) mod passwords;
pub(crate) mod policy;
pub(crate) mod quote_key;
pub(crate) mod rate_limits;
pub(crate) mod rules;
