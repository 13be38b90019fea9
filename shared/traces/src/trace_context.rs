//! W3C Trace Context: the `traceparent` header that links a request with its messages and their effects.
//!
//! It writes version `00` only and never reads or writes `tracestate`. A malformed header counts as absent.

use rand::RngExt as _;
use std::fmt;
use std::str::FromStr;

/// Length of a version-00 header.
const LEN: usize = 55;

/// One span of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceParent {
    /// The first span of a new, sampled trace, with random ids.
    pub fn generate() -> Self {
        let mut rng = rand::rng();
        // The standard forbids ids of zero.
        Self { trace_id: rng.random::<u128>().max(1), span_id: rng.random::<u64>().max(1), sampled: true }
    }

    /// A child span in the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: rand::rng().random::<u64>().max(1), ..*self }
    }

    /// A child of the span in this header, or a new trace when the header is absent or malformed.
    pub fn continue_or_generate(header: Option<&str>) -> Self {
        header.and_then(|text| text.parse().ok()).map_or_else(Self::generate, |parent: Self| parent.child())
    }

    /// The span with these ids. Zero ids name no span.
    pub(crate) fn of_ids(trace_id: u128, span_id: u64, sampled: bool) -> Self {
        Self { trace_id, span_id, sampled }
    }

    /// The ids of the trace and of the span.
    pub(crate) fn ids(&self) -> (u128, u64) {
        (self.trace_id, self.span_id)
    }

    /// The trace id as 32 lower-case hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The span id as 16 lower-case hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// The `sampled` flag.
    pub fn sampled(&self) -> bool {
        self.sampled
    }
}

/// The trace id of a header, without validation: for log lines on the hot path.
pub fn trace_id_of(header: &str) -> Option<&str> {
    header.get(3..35)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// A malformed `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent header")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().splitn(4, '-');
        let mut field = |len: usize| parts.next().filter(|part| is_hex(part, len)).ok_or(InvalidTraceParent);
        let (version, trace_id, span_id) = (field(2)?, field(32)?, field(16)?);
        let rest = parts.next().ok_or(InvalidTraceParent)?;
        let flags = rest.get(..2).filter(|flags| is_hex(flags, 2)).ok_or(InvalidTraceParent)?;
        // Version ff is forbidden; a version later than 00 may carry more fields, 00 may not.
        if version == "ff"
            || (version == "00" && text.trim().len() != LEN)
            || !matches!(rest.get(2..3), None | Some("-"))
        {
            return Err(InvalidTraceParent);
        }
        let trace_id = u128::from_str_radix(trace_id, 16).map_err(|_| InvalidTraceParent)?;
        let span_id = u64::from_str_radix(span_id, 16).map_err(|_| InvalidTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceParent)?;
        if trace_id == 0 || span_id == 0 {
            return Err(InvalidTraceParent);
        }
        Ok(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// Exactly `len` lower-case hexadecimal digits, as the standard requires.
fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn w3c_example_round_trips() {
        let parsed: TraceParent = EXAMPLE.parse().unwrap();
        assert_eq!(parsed.to_string(), EXAMPLE);
        assert_eq!(parsed.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace_id_of(EXAMPLE), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert!(parsed.sampled());
    }

    #[test]
    fn child_keeps_the_trace_id() {
        let parent: TraceParent = EXAMPLE.parse().unwrap();
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
        assert_eq!(TraceParent::continue_or_generate(Some(EXAMPLE)).trace_id(), parent.trace_id());
    }

    #[test]
    fn malformed_traceparents_are_refused() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01é",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert!(later.parse::<TraceParent>().is_ok(), "a later version may carry more fields");
    }

    #[test]
    fn malformed_header_starts_a_new_trace() {
        let made = TraceParent::continue_or_generate(Some("nonsense"));
        assert!(made.to_string().parse::<TraceParent>().is_ok());
    }
}
