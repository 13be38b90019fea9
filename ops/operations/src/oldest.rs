//! Ages of the first messages of queues, in words.

use crate::trace::time_span;
use pvt_messaging::Oldest;

/// How long the first message has waited, as far as that is known.
pub fn waited(Oldest { seconds, is_at_least }: Oldest) -> String {
    let span = time_span(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
    if is_at_least { format!("at least {span}") } else { span }
}

#[cfg(test)]
mod tests {
    use super::waited;
    use pvt_messaging::Oldest;

    #[test]
    fn bound_is_named_as_such() {
        let of = |is_at_least| waited(Oldest { seconds: 100, is_at_least });
        assert_eq!((of(false).as_str(), of(true).as_str()), ("1 min", "at least 1 min"));
    }
}
