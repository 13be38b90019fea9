//! Dead letters: each death once, replays that lose nothing whatever arrives meanwhile, groups of many.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::{Context, Result};
use chrono::Utc;
use pvt_domain::dead_letters::Fingerprint;
use pvt_domain::ids::BookingId;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::dead_letters::{
    Arrival, BeginOutcome, DeadLetter, DeadLetterFilter, DeadLetterState, Death, Discarded, Edit, Matched,
    OperationState, Replay, ReplayOperation, Stored, StoredMessage,
};
use pvt_testkit::{Namespace, eventually};
use std::time::{Duration, Instant};
use uuid::Uuid;

const FAST: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(60);

/// The death number `death` of a message.
fn arrival(message: u128, death: u128, follows: Option<Uuid>) -> Arrival {
    Arrival {
        id: Uuid::from_u128(message),
        queue: "emails".to_owned(),
        message_id: Uuid::from_u128(message + 1_000_000),
        kind: "notification.send.v1".to_owned(),
        booking_id: Some(BookingId::from_uuid(Uuid::from_u128(7))),
        death: Death {
            id: Uuid::from_u128((message << 32) + death),
            died_at: Utc::now().into(),
            position: i64::try_from(death * 1_000_000 + message).unwrap(),
            class: "panic".to_owned(),
            worker: Some("emails".to_owned()),
            error: Some(format!("$error {message}")),
            group: Fingerprint::new("emails", "panic", &format!("$error {message}")).group,
            attempt: 3,
            first_failed_at: None,
            follows,
            bytes: 2,
        },
        message: StoredMessage {
            correlation_id: None,
            reply_to: None,
            traceparent: None,
            actor: None,
            sent_at: None,
            headers: vec![("$header.a".to_owned(), "$value".to_owned())],
            body: format!("{{\"death\":{death}}}").into_bytes(),
        },
    }
}

async fn open() -> Result<(Namespace, Mongo)> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    Ok((namespace, mongo))
}

async fn store(mongo: &Mongo, arrivals: &[Arrival]) -> Result<Vec<Stored>> {
    Ok(mongo.dead_letters().store(arrivals).await?)
}

async fn find(mongo: &Mongo, message: u128) -> Result<DeadLetter> {
    let found = mongo.dead_letters().find(Uuid::from_u128(message)).await?;
    found.into_iter().next().context("it is stored")
}

async fn begin(mongo: &Mongo, filter: &DeadLetterFilter) -> Result<Option<ReplayOperation>> {
    let operation = ReplayOperation::new("operator", "fixed".to_owned(), "all".to_owned(), 10, Utc::now().into());
    Ok(mongo.dead_letters().begin_replay(&operation, filter).await?)
}

fn replay(operation: &ReplayOperation) -> Replay {
    Replay { operation: operation.id, at: Utc::now().into(), actor: operation.actor.clone() }
}

#[tokio::test]
async fn death_counts_once_however_often_it_is_stored() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let (first, second) = (arrival(1, 1, None), arrival(1, 2, None));
    let other = arrival(2, 1, None);
    assert_eq!(store(&mongo, &[first.clone(), other.clone()]).await?, [Stored::New, Stored::New]);
    assert_eq!(
        store(&mongo, &[first.clone(), second.clone(), arrival(3, 1, None)]).await?,
        [Stored::Known, Stored::New, Stored::New]
    );
    assert_eq!(
        store(&mongo, &[first.clone(), second.clone()]).await?,
        [Stored::Known, Stored::Known],
        "an earlier one, too"
    );
    let found = find(&mongo, 1).await?;
    let kept_in_place = Death { position: first.death.position, ..second.death };
    assert_eq!((found.deaths, found.state, &found.last), (2, DeadLetterState::Dead, &kept_in_place));
    assert_eq!(found.message, Some(second.message), "as it arrived, dollar signs and dots included");
    assert_eq!(mongo.dead_letters().last_position("emails").await?, 1_000_003);
    assert_eq!(mongo.dead_letters().last_position("stripe").await?, 0);
    assert_eq!(mongo.dead_letters().count_by_queue().await?.get("emails"), Some(&3));
    Ok(())
}

#[tokio::test]
async fn document_that_the_server_refuses_holds_up_no_other() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let mut huge = arrival(2, 1, None);
    huge.message.body = vec![b'x'; 17 * 1024 * 1024];
    let large = |message| {
        let mut large = arrival(message, 1, None);
        large.message.body = vec![b'x'; 14 * 1024 * 1024];
        large
    };
    let outcomes = store(&mongo, &[arrival(1, 1, None), huge, large(3), large(4), arrival(5, 1, None)]).await?;
    let kept: Vec<bool> = outcomes.iter().map(Stored::is_kept).collect();
    assert_eq!(kept, [true, false, true, true, true], "{outcomes:?}");
    Ok(())
}

/// What may arrive while a replay holds a message, before and after its publish is recorded.
#[tokio::test]
async fn newer_death_is_never_taken_for_the_replayed_one() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let all: Vec<Arrival> = (1..=5).map(|message| arrival(message, 1, None)).collect();
    store(&mongo, &all).await?;
    let operation = begin(&mongo, &DeadLetterFilter::default()).await?.context("an operation")?;
    assert_eq!((operation.total, operation.remaining), (5, 5));
    assert!(begin(&mongo, &DeadLetterFilter::default()).await?.is_none(), "it holds all of them");
    let letters = mongo.dead_letters();
    let held = letters.next_held(operation.id, &[]).await?.context("the first")?;
    assert_eq!((held.id, held.state), (Uuid::from_u128(1), DeadLetterState::Replaying));

    // Recorded, then it dies again.
    letters.record_replay(&held, &replay(&operation)).await?;
    let found = find(&mongo, 1).await?;
    assert_eq!((found.state, found.operation, found.replays.len()), (DeadLetterState::Replayed, None, 1));
    store(&mongo, &[arrival(1, 2, Some(operation.id))]).await?;
    let found = find(&mongo, 1).await?;
    assert_eq!((found.state, found.deaths, found.new_since_replay), (DeadLetterState::Dead, 2, true));

    // It dies again before the replay is recorded: the newer death stands, and the replay is noted.
    let held = letters.next_held(operation.id, &[]).await?.context("the second")?;
    store(&mongo, &[arrival(2, 2, Some(operation.id))]).await?;
    letters.record_replay(&held, &replay(&operation)).await?;
    letters.record_replay(&held, &replay(&operation)).await?;
    let found = find(&mongo, 2).await?;
    assert_eq!((found.state, found.new_since_replay, found.replays.len()), (DeadLetterState::Dead, true, 1));

    // Killed before the record: it is still held, and recorded after the second publish.
    let held = letters.next_held(operation.id, &[]).await?.context("the third")?;
    assert_eq!(held, letters.next_held(operation.id, &[]).await?.context("the third again")?);
    // A copy of before the replay arrives late: the message stays held, and is sent once more.
    store(&mongo, &[arrival(3, 9, None)]).await?;
    letters.record_replay(&held, &replay(&operation)).await?;
    let found = find(&mongo, 3).await?;
    assert_eq!((found.state, found.operation), (DeadLetterState::Replaying, Some(operation.id)));
    let mut left = Vec::new();
    while let Some(held) = letters.next_held(operation.id, &[]).await? {
        left.push(held.id.as_u128());
        letters.record_replay(&held, &replay(&operation)).await?;
    }
    assert_eq!(left, [3, 4, 5], "in the order of their deaths, also after a late copy");
    let operation = letters.operation(operation.id).await?.context("it exists")?;
    letters.end_operation(operation.id, operation.state, Utc::now().into()).await?;
    let ended = letters.operation(operation.id).await?.context("it exists")?;
    assert_eq!((ended.state, ended.remaining, ended.replayed()), (OperationState::Done, 0, 5));
    let stored_again = store(&mongo, &[arrival(4, 1, None)]).await?;
    assert_eq!((stored_again, find(&mongo, 4).await?.state), (vec![Stored::Known], DeadLetterState::Replayed));
    Ok(())
}

/// A copy of before an edit dies late, also one that an earlier replay has sent: the edited body stands.
#[tokio::test]
async fn late_copy_does_not_undo_an_edit() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let letters = mongo.dead_letters();
    store(&mongo, &[arrival(1, 1, None)]).await?;
    let earlier = begin(&mongo, &DeadLetterFilter::default()).await?.context("an operation")?;
    let held = letters.next_held(earlier.id, &[]).await?.context("the message")?;
    letters.record_replay(&held, &replay(&earlier)).await?;
    store(&mongo, &[arrival(1, 2, None)]).await?;
    let died = find(&mongo, 1).await?;
    let message = died.message.clone().context("a message")?;
    let (at, actor, reason) = (Utc::now().into(), "operator", "a typing error".to_owned());
    let entry = AuditEntry::new(Uuid::now_v7(), at, actor, "dead_letter.edit".to_owned(), "1", &reason);
    let edit = Edit { at, actor: actor.into(), reason, changed: vec!["death".to_owned()] };
    assert!(letters.edit(&died, &message, b"edited".to_vec(), &edit, &entry).await?);
    store(&mongo, &[arrival(1, 3, Some(earlier.id)), arrival(1, 4, None)]).await?;
    let found = find(&mongo, 1).await?;
    assert_eq!((found.state, found.deaths, found.edits.len()), (DeadLetterState::Dead, 4, 1));
    assert_eq!(found.message.context("a message")?.body, b"edited");
    assert!(found.new_since_replay, "death 3 followed a replay, and it has waited for an operator since");
    Ok(())
}

#[tokio::test]
async fn cancelled_replay_returns_what_it_holds() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    store(&mongo, &[arrival(1, 1, None), arrival(2, 1, None), arrival(3, 1, None)]).await?;
    let letters = mongo.dead_letters();
    let operation = begin(&mongo, &DeadLetterFilter::default()).await?.context("an operation")?;
    let held = letters.next_held(operation.id, &[]).await?.context("the first")?;
    letters.keep(&held, operation.id, "no_queue").await?;
    letters.keep(&held, operation.id, "no_queue").await?;
    let held = letters.next_held(operation.id, &[]).await?.context("the second")?;
    letters.record_replay(&held, &replay(&operation)).await?;
    let entry =
        |action: &str| AuditEntry::new(Uuid::now_v7(), Utc::now().into(), "operator", action.to_owned(), "x", "");
    assert!(letters.cancel_replay(operation.id, &entry("cancel")).await?);
    assert!(!letters.cancel_replay(operation.id, &entry("cancel again")).await?);
    let cancelling = letters.open_operations().await?.pop().context("it has not ended")?;
    // The state that it was read with no longer stands.
    letters.end_operation(operation.id, operation.state, Utc::now().into()).await?;
    assert_eq!(letters.operation(operation.id).await?.map(|now| now.state), Some(OperationState::Cancelling));
    letters.end_operation(cancelling.id, cancelling.state, Utc::now().into()).await?;
    let ended = letters.operation(operation.id).await?.context("it exists")?;
    assert_eq!((ended.state, ended.replayed()), (OperationState::Cancelled, 1));
    assert_eq!(ended.kept.into_iter().collect::<Vec<_>>(), [("cancelled".to_owned(), 1), ("no_queue".to_owned(), 1)]);
    let states = [1, 2, 3].map(|message| find(&mongo, message));
    let states = futures_util::future::try_join_all(states).await?;
    let states: Vec<DeadLetterState> = states.into_iter().map(|found| found.state).collect();
    assert_eq!(states, [DeadLetterState::Dead, DeadLetterState::Replayed, DeadLetterState::Dead]);
    assert!(letters.open_operations().await?.is_empty());
    let audited = mongo.audit_log().list(None, None, 50).await?;
    assert_eq!(audited.len(), 2, "one for the replay, one for its cancellation: {audited:?}");
    Ok(())
}

#[tokio::test]
async fn only_the_death_that_was_read_is_discarded() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    store(&mongo, &[arrival(1, 1, None)]).await?;
    let read = find(&mongo, 1).await?;
    let discarded = Discarded { at: Utc::now().into(), actor: "operator".into(), reason: "by hand".to_owned() };
    let entry = || {
        let action = "dead_letter.discard".to_owned();
        AuditEntry::new(Uuid::now_v7(), Utc::now().into(), "operator", action, &read.id.to_string(), "by hand")
    };
    store(&mongo, &[arrival(1, 2, None)]).await?;
    assert!(mongo.dead_letters().discard(&[(&read, entry())], &discarded).await?.is_empty());
    let read = find(&mongo, 1).await?;
    assert!(mongo.dead_letters().discard(&[(&read, entry())], &discarded).await?.contains(&read.id));
    let found = find(&mongo, 1).await?;
    assert_eq!((found.state, found.discarded), (DeadLetterState::Discarded, Some(discarded)));
    assert_eq!(mongo.audit_log().list(Some(&read.id.to_string()), None, 5).await?.len(), 1);
    assert!(begin(&mongo, &DeadLetterFilter::default()).await?.is_none(), "it is not dead any more");
    store(&mongo, &[arrival(1, 3, None)]).await?;
    assert_eq!(find(&mongo, 1).await?.state, DeadLetterState::Dead, "a newer death is another matter");
    Ok(())
}

/// What was shown is what is replayed: another set, or another death, begins nothing; a repetition begins once.
#[tokio::test]
async fn shown_selection_begins_once_and_only_unchanged() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let letters = mongo.dead_letters();
    store(&mongo, &[arrival(1, 1, None), arrival(2, 1, None)]).await?;
    let all = DeadLetterFilter::default();
    let shown = letters.matched(&all).await?;
    assert_eq!(shown.count, 2);
    assert_eq!(shown, Matched::of_dead_letters(&letters.list(&all, &[DeadLetterState::Dead], 0, 0).await?));
    let operation = ReplayOperation::new("operator", "fixed".to_owned(), "all".to_owned(), 10, Utc::now().into());
    store(&mongo, &[arrival(2, 2, None)]).await?;
    let died_again = letters.begin_shown_replay(&operation, &all, &shown).await?;
    assert_eq!(died_again, BeginOutcome::Changed, "as many, and another death");
    let shown = letters.matched(&all).await?;
    store(&mongo, &[arrival(3, 1, None)]).await?;
    assert_eq!(letters.begin_shown_replay(&operation, &all, &shown).await?, BeginOutcome::Changed, "one more");
    assert_eq!(letters.count(&all, &[DeadLetterState::Dead]).await?, 3, "nothing is held");
    assert!(
        letters.operation(operation.id).await?.is_none() && mongo.audit_log().list(None, None, 5).await?.is_empty()
    );

    let until = DeadLetterFilter { until: Some(Utc::now().into()), ..all.clone() };
    let mut later = arrival(4, 1, None);
    later.death.died_at = (Utc::now() + chrono::TimeDelta::seconds(1)).into();
    let shown = letters.matched(&until).await?;
    store(&mongo, &[later]).await?;
    let requests = [(); 3].map(|()| letters.begin_shown_replay(&operation, &until, &shown));
    for outcome in futures_util::future::try_join_all(requests).await? {
        let BeginOutcome::Begun(begun) = outcome else { panic!("{outcome:?}") };
        assert_eq!((begun.id, begun.total), (operation.id, 3));
    }
    assert_eq!(mongo.audit_log().list(None, None, 5).await?.len(), 1);
    assert_eq!(find(&mongo, 4).await?.state, DeadLetterState::Dead, "it died after what was shown");
    let none = DeadLetterFilter { class: Some("timeout".to_owned()), ..all };
    let nothing = letters.matched(&none).await?;
    let another = ReplayOperation { id: Uuid::now_v7(), ..operation };
    assert_eq!(letters.begin_shown_replay(&another, &none, &nothing).await?, BeginOutcome::Nothing);
    Ok(())
}

#[tokio::test]
async fn batch_is_discarded_without_those_that_have_changed() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let letters = mongo.dead_letters();
    store(&mongo, &(1..=1_000).map(|message| arrival(message, 1, None)).collect::<Vec<_>>()).await?;
    let read = letters.list(&DeadLetterFilter::default(), &[DeadLetterState::Dead], 0, 0).await?;
    store(&mongo, &[arrival(7, 2, None)]).await?;
    let (cause, now) = (Uuid::now_v7(), Utc::now().into());
    let discarded = Discarded { at: now, actor: "operator".into(), reason: "by hand".to_owned() };
    let entry = |one: &DeadLetter| {
        AuditEntry::new(cause, now, "operator", "dead_letter.discard".to_owned(), &one.id.to_string(), "by hand")
    };
    let selected: Vec<_> = read.iter().map(|one| (one, entry(one))).collect();
    let gone = letters.discard(&selected, &discarded).await?;
    assert_eq!((gone.len(), gone.contains(&Uuid::from_u128(7))), (999, false));
    let left = letters.list(&DeadLetterFilter::default(), &[DeadLetterState::Dead], 0, 0).await?;
    assert_eq!(left.iter().map(|one| one.id.as_u128()).collect::<Vec<_>>(), [7]);
    assert_eq!(mongo.audit_log().of_cause(cause).await?.len(), 999, "each that was discarded, and no other one");
    assert!(letters.discard(&selected, &discarded).await?.is_empty(), "once");
    Ok(())
}

#[tokio::test]
async fn operation_counts_what_died_again_and_passes_over_queues() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let letters = mongo.dead_letters();
    let of_stripe = |message| Arrival { queue: "stripe".to_owned(), ..arrival(message, 1, None) };
    store(&mongo, &[arrival(1, 1, None), arrival(2, 1, None), of_stripe(3)]).await?;
    let operation = begin(&mongo, &DeadLetterFilter::default()).await?.context("an operation")?;
    assert_eq!(letters.queues_held(operation.id).await?, ["emails", "stripe"]);
    let next = letters.next_held(operation.id, &["emails".to_owned()]).await?.context("of another queue")?;
    assert_eq!(next.id.as_u128(), 3);
    let both = ["emails".to_owned(), "stripe".to_owned()];
    assert!(letters.next_held(operation.id, &both).await?.is_none());
    for _ in 0..3 {
        let held = letters.next_held(operation.id, &[]).await?.context("the next")?;
        letters.record_replay(&held, &replay(&operation)).await?;
    }
    store(&mongo, &[arrival(2, 2, Some(operation.id))]).await?;
    let now = letters.operation(operation.id).await?.context("it exists")?;
    assert_eq!((now.replayed(), now.died_again), (3, 1));
    letters.end_operation(operation.id, operation.state, Utc::now().into()).await?;
    let since = |seconds| (Utc::now() - chrono::TimeDelta::seconds(seconds)).into();
    assert_eq!(letters.operations_since(since(60), 5).await?.len(), 1);
    assert!(letters.operations_since(since(-60), 5).await?.is_empty(), "it ended before");
    Ok(())
}

#[tokio::test]
async fn selections_name_queue_class_type_booking_and_group() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let mut other = arrival(2, 1, None);
    (other.queue, other.kind, other.booking_id) = ("stripe".to_owned(), "payment.refund.v1".to_owned(), None);
    (other.death.class, other.death.group) = ("timeout".to_owned(), "00".to_owned());
    let one = arrival(1, 1, None);
    store(&mongo, &[one.clone(), other]).await?;
    let none = DeadLetterFilter::default;
    let filters = [
        DeadLetterFilter::of_ids([one.id]),
        DeadLetterFilter::of_ids([one.message_id]),
        DeadLetterFilter { queues: Some(vec!["emails".to_owned()]), ..none() },
        DeadLetterFilter { class: Some("panic".to_owned()), ..none() },
        DeadLetterFilter { kind: Some("notification.send.v1".to_owned()), ..none() },
        DeadLetterFilter { booking: one.booking_id, ..none() },
        DeadLetterFilter { group: Some(one.death.group.clone()), ..none() },
    ];
    for filter in filters {
        let found = mongo.dead_letters().list(&filter, &[DeadLetterState::Dead], 0, 0).await?;
        assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [one.id], "{filter:?}");
    }
    assert_eq!(mongo.dead_letters().count(&none(), &DeadLetterState::ALL).await?, 2);
    Ok(())
}

#[tokio::test]
async fn ten_thousand_dead_letters_are_grouped_at_once() -> Result<()> {
    let (_namespace, mongo) = open().await?;
    let words = |number: u128| {
        let letter = |number: u128| char::from(b'a' + u8::try_from(number % 26).unwrap());
        format!("{}{} failed for {number}", letter(number), letter(number / 26))
    };
    let all: Vec<Arrival> = (0..10_000_u128)
        .map(|message| {
            let mut arrival = arrival(message, 1, (message % 10 == 0).then_some(Uuid::from_u128(1)));
            let error = words(message % 50);
            arrival.death.group = Fingerprint::new("emails", "panic", &error).group;
            arrival.death.error = Some(error);
            arrival.message.body = vec![b' '; 1_000];
            arrival
        })
        .collect();
    for some in all.chunks(1_000) {
        assert!(store(&mongo, some).await?.iter().all(Stored::is_kept));
    }
    // Beside other tests a single measurement may be slow.
    let grouped = || async {
        let begun = Instant::now();
        let groups = mongo.dead_letters().groups().await?;
        Ok((begun.elapsed() < FAST).then_some(groups))
    };
    let groups = eventually("groups within 200 ms", LIMIT, grouped).await?;
    assert_eq!((groups.len(), groups.iter().map(|group| group.dead).sum::<u64>()), (50, 10_000));
    assert!(groups.iter().all(|group| group.example.last.group == group.group && group.example.message.is_none()));
    assert_eq!(groups.iter().map(|group| group.new_since_replay).sum::<u64>(), 1_000);
    let begun = Instant::now();
    let operation = begin(&mongo, &DeadLetterFilter::default()).await?.context("an operation")?;
    assert_eq!(operation.total, 10_000);
    assert!(begun.elapsed() < LIMIT / 6, "{:?}", begun.elapsed());
    Ok(())
}
