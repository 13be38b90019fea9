//! Exit codes that scripts rely on.

use pvt_operations::OperationError;

/// The exit code of a failed command: 3 not found, 5 differences or a conflict, 75 (`EX_TEMPFAIL` of sysexits.h) try
/// later, else 1.
pub(crate) fn of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<OperationError>().map(OperationError::without_hint) {
        Some(OperationError::NotFound(_)) => 3,
        Some(OperationError::Different(_) | OperationError::Conflict(_)) => 5,
        Some(OperationError::TryLater(_)) => 75,
        Some(OperationError::Hinted(..)) | None => 1,
    }
}
