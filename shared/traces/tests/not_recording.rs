//! Cost of spans in a process that records none.

use pvt_traces::{ReceivedMessage, SentMessage, Span, Store, names};
use std::hint::black_box;
use uuid::Uuid;

const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn every_span() {
    let sent = SentMessage {
        exchange: "commands",
        routing_key: "bookings.2",
        id: Uuid::from_u128(1),
        kind: "booking.request.v1",
        conversation: Some(Uuid::from_u128(2)),
        body_bytes: 500,
        traceparent: Some(HEADER),
    };
    let received = ReceivedMessage { sent, queue: "bookings.2", attempt: 1 };
    let request = Span::request("POST", Some("/api/bookings"), Some(HEADER));
    let batch = Span::handle("confirmations", "bookings.2", [received; 100].into_iter());
    let process = Span::process("confirmations", &received, &batch);
    let others = [Span::send(&sent), Span::decide(Some(HEADER)), Span::mail(Some(HEADER))];
    let store = Span::store(Store::MongoDb, "commit", "bookings");
    let stripe = Span::stripe("refund", "POST");
    for span in [&request, &batch, &process, &store, &stripe].into_iter().chain(&others) {
        assert!(span.context().is_none());
        span.set(names::OUTCOME, "confirmed");
        span.end_with(Some("store_stale"));
    }
    request.end_answered(500);
    let call = process.scope(async { pvt_traces::in_current(async { 7 }).await });
    assert_eq!(futures_util::FutureExt::now_or_never(call), Some(7));
}

#[test]
fn spans_that_are_not_recorded_allocate_nothing() {
    let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| every_span()));
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    let control = allocation_counter::measure(|| drop(black_box(Box::new(1))));
    assert_eq!(control.count_total, 1, "allocations are counted");
}
