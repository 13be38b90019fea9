//! Repository.
pub(crate) const INDEXES: &[super::Index] = &[];
