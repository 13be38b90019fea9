//! Progress reports of steps that take time.

/// Receives one line of plain text for each step that takes time, such as an installation or a start.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);
