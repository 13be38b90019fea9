//! Failures of requests to Stripe, and what each means for the message being handled.

use pvt_domain::failure::{Cause, Failure};
use std::time::Duration;
use thiserror::Error;

/// A failed call, sorted by what helps. Messages carry neither keys nor card numbers nor mail addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StripeError {
    /// Stripe does not do it (400, 402, 404 and the like), and will not if the same request is sent again.
    #[error("Stripe refused ({kind}{}): {message}", code.as_ref().map(|code| format!(", {code}")).unwrap_or_default())]
    Refused {
        /// Stripe's name for it, for example `resource_missing`, `card_declined`, `charge_already_refunded`.
        code: Option<String>,
        /// Stripe's `type`, for example `invalid_request_error`, `card_error`.
        kind: String,
        /// Stripe's words, for operators.
        message: String,
        /// The parameter that is wrong.
        param: Option<String>,
        /// Why the guest's bank declined, for example `insufficient_funds`.
        decline_code: Option<String>,
    },
    /// The key is wrong: the configuration must be changed.
    #[error("Stripe does not accept the key: {0}")]
    Unauthorized(String),
    /// The key lacks the permission for this operation; others may succeed.
    #[error("the key lacks a permission at Stripe: {0}; add it to the restricted key in Stripe's dashboard")]
    Forbidden(String),
    /// Too many calls; this one had no effect.
    #[error("Stripe asks for fewer calls")]
    RateLimited {
        /// For how long, if Stripe said so.
        retry_after: Option<Duration>,
    },
    /// This one call did not go through though Stripe is up: another one holds its object or its key, or Stripe keeps a
    /// failure of its own as the answer to this key. The effect is unknown: look for it, or ask again later with the
    /// same key.
    #[error("Stripe could not do this one now: {0}")]
    Transient(String),
    /// No connection, no answer in time, or a failure of Stripe's own. The effect is unknown: ask again with the same
    /// key.
    #[error("Stripe is unavailable for {operation}: {message}")]
    Unavailable {
        /// The operation that failed.
        operation: &'static str,
        /// What happened.
        message: String,
    },
    /// Stripe was not called, because earlier calls of the operation failed like this or wait for their answer.
    #[error("not called: {0}")]
    NotCalled(Box<StripeError>),
    /// The key was used before for something else: a defect of ours.
    #[error("the idempotency key cannot be used: {0}")]
    Idempotency(String),
    /// An answer that is not what Stripe documents. The call may have had its effect.
    #[error("Stripe's answer cannot be read: {0}")]
    Unreadable(String),
}

impl StripeError {
    /// Whether asking the same again, with the same key, may soon have another answer.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Transient(_) | Self::Unavailable { .. })
    }

    /// Stripe's name for a refusal, if it has one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// Whether the requested object does not exist.
    pub fn is_missing(&self) -> bool {
        self.code() == Some("resource_missing")
    }

    /// A label for metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::Transient(_) => "transient",
            Self::Unavailable { .. } => "unavailable",
            Self::NotCalled(_) => "not_called",
            Self::Idempotency(_) => "idempotency",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl From<StripeError> for Failure {
    fn from(error: StripeError) -> Self {
        match &error {
            StripeError::NotCalled(earlier) => match Self::from(StripeError::clone(earlier)) {
                Self::Unavailable(cause) => {
                    Self::Unavailable(Cause { not_called: true, message: error.to_string(), ..cause })
                }
                failure => failure,
            },
            StripeError::Refused { .. } => Self::reject("stripe_refused", error),
            // Every message would fail alike until the key is changed: waiting costs nothing, giving up healthy
            // messages would.
            StripeError::Unauthorized(_) => Self::unavailable_operation("stripe_unauthorized", "authentication", error),
            // Operations that the key permits go on.
            StripeError::Forbidden(_) => Self::retry("stripe_forbidden", error),
            StripeError::RateLimited { retry_after: Some(delay) } => {
                Self::RetryAfter(Cause::new("stripe_rate_limited", &error), *delay)
            }
            StripeError::RateLimited { retry_after: None } => Self::retry("stripe_rate_limited", error),
            StripeError::Transient(_) => Self::retry("stripe_contention", error),
            StripeError::Unavailable { operation, .. } => {
                Self::unavailable_operation("stripe_unavailable", operation, error)
            }
            StripeError::Idempotency(_) => Self::reject("stripe_idempotency", error),
            StripeError::Unreadable(_) => Self::retry("stripe_unreadable", error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StripeError;
    use pvt_domain::failure::Failure;
    use std::time::Duration;

    #[test]
    fn general_failures_cost_no_attempt_and_name_their_operation() {
        let word = String::from;
        let down = StripeError::Unavailable { operation: "create_refund", message: word("down") };
        assert!(matches!(Failure::from(down.clone()),
                Failure::Unavailable(cause) if !cause.not_called && cause.operation == Some("create_refund")));
        assert!(matches!(Failure::from(StripeError::Unauthorized(word("key"))),
                Failure::Unavailable(cause) if cause.operation.is_some()));
        let refused = |earlier| Failure::from(StripeError::NotCalled(Box::new(earlier)));
        assert!(matches!(refused(down),
                Failure::Unavailable(cause) if cause.not_called && cause.operation == Some("create_refund")));
        assert!(matches!(refused(StripeError::Unauthorized(word("key"))),
                Failure::Unavailable(cause) if cause.not_called && cause.class == "stripe_unauthorized"));
        assert!(matches!(Failure::from(StripeError::Forbidden(word("right"))), Failure::Retry(_)));
        assert!(matches!(Failure::from(StripeError::Transient(word("held"))), Failure::Retry(_)));
        assert!(matches!(Failure::from(StripeError::Unreadable(word("odd"))), Failure::Retry(_)));
        assert!(matches!(Failure::from(StripeError::Idempotency(word("defect"))), Failure::Reject(_)));
        let wait = Duration::from_secs(7);
        assert!(matches!(Failure::from(StripeError::RateLimited { retry_after: Some(wait) }),
                Failure::RetryAfter(_, delay) if delay == wait));
    }
}
