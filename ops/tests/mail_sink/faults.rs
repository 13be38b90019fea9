//! What the client knows after each fault, and that it works again afterwards.

use crate::{LIMITS, Sink, count, letter, letters};
use pvt_workers::mail::smtp::Outcome;
use std::collections::HashSet;
use std::time::Instant;

const MANY: usize = 60;

/// Message ids of everything that the sink kept, without repetition, and how many mails there are.
fn kept(sink: &Sink) -> (usize, usize) {
    let mails = sink.store.newest(None, 10_000);
    let distinct: HashSet<_> = mails.iter().map(|mail| mail.to[0].clone()).collect();
    (mails.len(), distinct.len())
}

/// Each letter that is told as accepted is kept, and no other.
fn told_truly(sink: &Sink, outcomes: &[Outcome]) {
    for (number, outcome) in outcomes.iter().enumerate() {
        let kept = sink.store.newest(Some(&format!("guest-{number}@example.com")), 10).len();
        assert_eq!(kept, usize::from(*outcome == Outcome::Accepted), "guest {number}: {outcome:?}");
    }
}

#[tokio::test]
async fn all_letters_arrive_unaltered_and_connections_are_kept() {
    let sink = Sink::start().await;
    let client = sink.client();
    for _ in 0..3 {
        let outcomes = client.send_all(&letters(MANY)).await;
        assert_eq!(count(&outcomes, "accepted"), MANY, "{outcomes:?}");
    }
    let mails = sink.store.newest(Some("guest-7@example.com"), 10);
    assert_eq!(mails.len(), 3);
    assert_eq!(mails[0].from, "bookings@pvt.test");
    assert_eq!(String::from_utf8_lossy(&mails[0].raw), letter("guest-7@example.com").message);
    sink.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_connections_has_accepted_nothing() {
    let sink = Sink::start().await;
    let client = sink.client();
    // With and without connections from before.
    for _ in 0..2 {
        sink.fault(r#"{"mode":"refuse_connections"}"#).await;
        let before = sink.store.accepted();
        let outcomes = client.send_all(&letters(MANY)).await;
        assert_eq!(count(&outcomes, "unsent"), MANY, "{outcomes:?}");
        assert_eq!(sink.store.accepted(), before);
        sink.fault(r#"{"mode":null}"#).await;
        assert_eq!(count(&client.send_all(&letters(MANY)).await, "accepted"), MANY);
    }
    sink.stop().await;
}

#[tokio::test]
async fn nobody_listening_is_the_same() {
    let sink = Sink::start().await;
    let (client, address) = (sink.client(), sink.smtp);
    assert_eq!(count(&client.send_all(&letters(20)).await, "accepted"), 20);
    sink.stop().await;
    assert_eq!(count(&client.send_all(&letters(20)).await, "unsent"), 20);
    let sink = Sink::start_on(address).await;
    assert_eq!(count(&client.send_all(&letters(20)).await, "accepted"), 20);
    sink.stop().await;
}

#[tokio::test]
async fn connections_that_died_while_idle_cost_nothing() {
    let sink = Sink::start().await;
    let (client, address) = (sink.client(), sink.smtp);
    assert_eq!(count(&client.send_all(&letters(MANY)).await, "accepted"), MANY);
    sink.stop().await;
    let sink = Sink::start_on(address).await;
    let outcomes = client.send_all(&letters(MANY)).await;
    assert_eq!(count(&outcomes, "accepted"), MANY, "{outcomes:?}");
    assert_eq!(kept(&sink), (MANY, MANY));
    sink.stop().await;
}

#[tokio::test]
async fn a_tarpit_ends_with_the_time_for_a_reply() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"tarpit","delay_ms":60000}"#).await;
    let begun = Instant::now();
    let outcomes = client.send_all(&letters(MANY)).await;
    assert_eq!(count(&outcomes, "unsent"), MANY);
    assert!(begun.elapsed() < LIMITS.longest_batch());
    sink.fault(r#"{"mode":null}"#).await;
    assert_eq!(count(&client.send_all(&letters(MANY)).await, "accepted"), MANY);
    sink.stop().await;
}

#[tokio::test]
async fn a_closing_service_refuses_one_letter_for_now() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"421","next":1}"#).await;
    let outcomes = client.send_all(&letters(MANY)).await;
    assert_eq!((count(&outcomes, "later"), count(&outcomes, "accepted")), (1, MANY - 1), "{outcomes:?}");
    told_truly(&sink, &outcomes);
    sink.stop().await;
}

#[tokio::test]
async fn a_refused_recipient_does_not_spoil_the_connection_for_others() {
    let sink = Sink::start().await;
    let client = sink.client();
    for (mode, name) in [("451", "later"), ("550", "refused")] {
        sink.fault(&format!(r#"{{"mode":"{mode}","next":3}}"#)).await;
        let outcomes = client.send_all(&letters(MANY)).await;
        assert_eq!((count(&outcomes, name), count(&outcomes, "accepted")), (3, MANY - 3), "{outcomes:?}");
        told_truly(&sink, &outcomes);
        sink.store.clear().unwrap();
        let reply = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Later(reply) | Outcome::Refused(reply) => Some(reply.clone()),
            _ => None,
        });
        assert!(reply.unwrap().contains(mode));
    }
    sink.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_told_as_unknown_and_only_for_its_letter() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"drop_before_250","next":1}"#).await;
    let outcomes = client.send_all(&letters(MANY)).await;
    assert_eq!((count(&outcomes, "unknown"), count(&outcomes, "accepted")), (1, MANY - 1), "{outcomes:?}");
    assert_eq!(kept(&sink), (MANY, MANY), "no letter was sent twice by the client itself");
    sink.stop().await;
}

#[tokio::test]
async fn a_server_that_loses_every_answer_is_not_fed_the_whole_batch() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"drop_before_250"}"#).await;
    let outcomes = client.send_all(&letters(MANY)).await;
    assert_eq!(count(&outcomes, "unknown") + count(&outcomes, "unsent"), MANY);
    assert!(count(&outcomes, "unknown") <= 2 * LIMITS.connections, "{outcomes:?}");
    sink.stop().await;
}

#[tokio::test]
async fn a_connection_dropped_after_the_answer_loses_and_doubles_nothing() {
    let sink = Sink::start().await;
    let client = sink.client();
    sink.fault(r#"{"mode":"drop_after_250","next":5}"#).await;
    let outcomes = client.send_all(&letters(MANY)).await;
    assert_eq!(count(&outcomes, "accepted"), MANY, "{outcomes:?}");
    assert_eq!(kept(&sink), (MANY, MANY));
    sink.stop().await;
}
