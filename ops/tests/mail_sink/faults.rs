//! Outcomes of the client under each fault, and its recovery afterwards.

use crate::{LIMITS, Sink, count, outgoing_mail, outgoing_mails};
use pvt_workers::mail::smtp::DeliveryOutcome;
use std::collections::HashSet;
use std::time::Instant;

const MANY: usize = 60;

/// The number of kept mails, and of their distinct recipients.
fn kept(sink: &Sink) -> (usize, usize) {
    let mails = sink.store.newest(None, 10_000);
    let distinct: HashSet<_> = mails.iter().map(|mail| mail.to[0].clone()).collect();
    (mails.len(), distinct.len())
}

/// The sink keeps every mail with the outcome `Accepted`, and no other.
fn assert_outcomes_match_store(sink: &Sink, outcomes: &[DeliveryOutcome]) {
    for (number, outcome) in outcomes.iter().enumerate() {
        let kept = sink.store.newest(Some(&format!("guest-{number}@example.com")), 10).len();
        assert_eq!(kept, usize::from(*outcome == DeliveryOutcome::Accepted), "guest {number}: {outcome:?}");
    }
}

#[tokio::test]
async fn mails_arrive_unaltered_over_kept_connections() {
    let sink = Sink::start().await;
    let client = sink.client();
    for _ in 0..3 {
        let outcomes = client.send_all(&outgoing_mails(MANY)).await;
        assert_eq!(count(&outcomes, "accepted"), MANY, "{outcomes:?}");
    }
    let mails = sink.store.newest(Some("guest-7@example.com"), 10);
    assert_eq!(mails.len(), 3);
    assert_eq!(mails[0].from, "bookings@pvt.test");
    assert_eq!(String::from_utf8_lossy(&mails[0].raw), outgoing_mail("guest-7@example.com").message);
    sink.stop().await;
}

#[tokio::test]
async fn refused_connections_leave_mails_unsent() {
    let sink = Sink::start().await;
    let client = sink.client();
    // With and without connections from before.
    for _ in 0..2 {
        sink.fault(r#"{"mode":"refuse_connections"}"#).await;
        let before = sink.store.accepted();
        let outcomes = client.send_all(&outgoing_mails(MANY)).await;
        assert_eq!(count(&outcomes, "unsent"), MANY, "{outcomes:?}");
        assert_eq!(sink.store.accepted(), before);
        sink.fault(r#"{"mode":null}"#).await;
        assert_eq!(count(&client.send_all(&outgoing_mails(MANY)).await, "accepted"), MANY);
    }
    sink.stop().await;
}

#[tokio::test]
async fn closed_port_leaves_mails_unsent() {
    let sink = Sink::start().await;
    let (client, address) = (sink.client(), sink.smtp);
    assert_eq!(count(&client.send_all(&outgoing_mails(20)).await, "accepted"), 20);
    sink.stop().await;
    assert_eq!(count(&client.send_all(&outgoing_mails(20)).await, "unsent"), 20);
    let sink = Sink::start_on(address).await;
    assert_eq!(count(&client.send_all(&outgoing_mails(20)).await, "accepted"), 20);
    sink.stop().await;
}

#[tokio::test]
async fn dead_idle_connections_are_replaced() {
    let sink = Sink::start().await;
    let (client, address) = (sink.client(), sink.smtp);
    assert_eq!(count(&client.send_all(&outgoing_mails(MANY)).await, "accepted"), MANY);
    sink.stop().await;
    let sink = Sink::start_on(address).await;
    let outcomes = client.send_all(&outgoing_mails(MANY)).await;
    assert_eq!(count(&outcomes, "accepted"), MANY, "{outcomes:?}");
    assert_eq!(kept(&sink), (MANY, MANY));
    sink.stop().await;
}

#[tokio::test]
async fn tarpit_ends_at_reply_timeout() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"tarpit","delay_ms":60000}"#).await;
    let begun = Instant::now();
    let outcomes = client.send_all(&outgoing_mails(MANY)).await;
    assert_eq!(count(&outcomes, "unsent"), MANY);
    assert!(begun.elapsed() < LIMITS.max_batch_duration());
    sink.fault(r#"{"mode":null}"#).await;
    assert_eq!(count(&client.send_all(&outgoing_mails(MANY)).await, "accepted"), MANY);
    sink.stop().await;
}

#[tokio::test]
async fn closing_service_defers_one_mail() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"421","next":1}"#).await;
    let outcomes = client.send_all(&outgoing_mails(MANY)).await;
    assert_eq!((count(&outcomes, "later"), count(&outcomes, "accepted")), (1, MANY - 1), "{outcomes:?}");
    assert_outcomes_match_store(&sink, &outcomes);
    sink.stop().await;
}

#[tokio::test]
async fn refused_recipient_does_not_affect_other_mails() {
    let sink = Sink::start().await;
    let client = sink.client();
    for (mode, name) in [("451", "later"), ("550", "refused")] {
        sink.fault(&format!(r#"{{"mode":"{mode}","next":3}}"#)).await;
        let outcomes = client.send_all(&outgoing_mails(MANY)).await;
        assert_eq!((count(&outcomes, name), count(&outcomes, "accepted")), (3, MANY - 3), "{outcomes:?}");
        assert_outcomes_match_store(&sink, &outcomes);
        sink.store.clear().unwrap();
        let reply = outcomes.iter().find_map(|outcome| match outcome {
            DeliveryOutcome::Deferred(reply) | DeliveryOutcome::Refused(reply) => Some(reply.clone()),
            _ => None,
        });
        assert!(reply.unwrap().contains(mode));
    }
    sink.stop().await;
}

#[tokio::test]
async fn lost_reply_makes_only_its_mail_unknown() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"drop_before_250","next":1}"#).await;
    let outcomes = client.send_all(&outgoing_mails(MANY)).await;
    assert_eq!((count(&outcomes, "unknown"), count(&outcomes, "accepted")), (1, MANY - 1), "{outcomes:?}");
    assert_eq!(kept(&sink), (MANY, MANY), "the client itself sent no mail twice");
    sink.stop().await;
}

#[tokio::test]
async fn batch_stops_when_every_reply_is_lost() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"drop_before_250"}"#).await;
    let outcomes = client.send_all(&outgoing_mails(MANY)).await;
    assert_eq!(count(&outcomes, "unknown") + count(&outcomes, "unsent"), MANY);
    assert!(count(&outcomes, "unknown") <= 2 * LIMITS.connections, "{outcomes:?}");
    sink.stop().await;
}

#[tokio::test]
async fn connection_dropped_after_reply_loses_and_duplicates_nothing() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"drop_after_250","next":5}"#).await;
    let outcomes = client.send_all(&outgoing_mails(MANY)).await;
    assert_eq!(count(&outcomes, "accepted"), MANY, "{outcomes:?}");
    assert_eq!(kept(&sink), (MANY, MANY));
    sink.stop().await;
}
