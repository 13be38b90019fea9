//! Failures of hashing a password, as callers meet them.

use crate::http::problem::{self, Problem};
use pvt_service::passwords::HasherError;

/// `Retry-After` when too many ask at once, in seconds.
const RETRY_AFTER_SECS: u32 = 2;

impl From<HasherError> for Problem {
    fn from(error: HasherError) -> Self {
        match error {
            HasherError::Busy => Self::from(problem::OVERLOADED).retry_after(RETRY_AFTER_SECS),
            HasherError::Failed(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HasherError, Problem};

    #[test]
    fn busy_hasher_is_overload() {
        assert_eq!(Problem::from(HasherError::Busy).code(), "overloaded");
    }
}
