//! Changes of the same dead letters by two administrators at the same moment: each takes effect whole or not at all,
//! and every answer says which.

use super::dead_letters::{arrival, find, in_state, operations, store, submit, with_dead_letters};
use super::harness::PASSWORD;
use anyhow::{Context, Result};
use futures_util::FutureExt as _;
use futures_util::future::try_join_all;
use pvt_domain::accounts::Role;
use pvt_stores::mongo::dead_letters::{Arrival, DeadLetterState};
use reqwest::{StatusCode, header};
use uuid::Uuid;

const ROUNDS: u128 = 6;
const LETTERS: u128 = 40;

/// Which of them is the fastest is left to chance: whichever it is, the others take nothing of its.
#[tokio::test]
async fn replay_discard_and_edit_at_once_exclude_each_other() -> Result<()> {
    let harness = with_dead_letters(0).await?;
    let (one, other) = (harness.sign_in(Role::Admin, &[]).await?, harness.sign_in(Role::Admin, &[]).await?);
    let (replay, discard) = ("/dead-letters/replay", "/dead-letters/discard");
    let (mut wins, mut replayed, mut discarded) = ([0; 3], 0, 0);
    for round in 0..ROUNDS {
        let numbers = round * LETTERS + 1..=(round + 1) * LETTERS;
        let all: Vec<Arrival> = numbers.clone().map(|number| arrival(number, "missing field `property_id`")).collect();
        store(&harness.mongo, &all).await?;
        let edited = *numbers.end();
        let place = format!("/dead-letters/messages/{}", Uuid::from_u128(edited));
        let (whole, review, edit) = (format!("{place}/whole"), format!("{place}/review"), format!("{place}/edit"));
        let (reason, password) = (("reason", "why"), ("password", PASSWORD));
        let (_, page) = harness.get(&other, &place).await?;
        let opened = submit(&harness, &other, &page, &whole, &[reason, password]).await?.text().await?;
        let body = String::from_utf8(find(&harness, edited).await?.message.context("a message")?.body)?;
        let body = body.replace("\"property\"", "\"property_id\"");
        let reviewed = submit(&harness, &other, &opened, &review, &[reason, ("body", &body)]).await?.text().await?;
        let (_, replaying) = harness.get(&one, replay).await?;
        let (_, discarding) = harness.get(&other, discard).await?;
        let (of_replay, of_discard, of_edit) = ([reason, ("rate", "10")], [reason, password], [reason]);
        // Each of the three is sent first in a third of the rounds.
        let mut requests = [
            (0, submit(&harness, &one, &replaying, replay, &of_replay).boxed_local()),
            (1, submit(&harness, &other, &discarding, discard, &of_discard).boxed_local()),
            (2, submit(&harness, &other, &reviewed, &edit, &of_edit).boxed_local()),
        ];
        requests.rotate_left(usize::try_from(round % 3)?);
        let sent = requests.map(async |(index, request)| anyhow::Ok((index, request.await?.status())));
        let mut answers = try_join_all(sent).await?;
        answers.sort_unstable_by_key(|(index, _)| *index);
        let statuses: Vec<StatusCode> = answers.into_iter().map(|(_, status)| status).collect();
        let statuses: [StatusCode; 3] = statuses.try_into().map_err(|all| anyhow::anyhow!("{all:?}"))?;
        let succeeded = statuses.map(|status| status.is_success() || status.is_redirection());
        let is_said = |(status, ok): (&StatusCode, &bool)| *ok || *status == StatusCode::CONFLICT;
        assert!(statuses.iter().zip(&succeeded).all(is_said), "{statuses:?}");
        let [is_replayed, is_discarded, is_edited] = succeeded;
        for (count, ok) in wins.iter_mut().zip(succeeded) {
            *count += u32::from(ok);
        }
        let last = find(&harness, edited).await?;
        assert_eq!(last.edits.len(), usize::from(is_edited), "{statuses:?}");
        let before = (replayed, discarded);
        replayed = in_state(&harness, DeadLetterState::Replaying).await?.len();
        discarded = in_state(&harness, DeadLetterState::Discarded).await?.len();
        let letters = usize::try_from(LETTERS)?;
        // Others that were edited meanwhile stay; the rest of a batch is discarded.
        let taken = (replayed - before.0, discarded - before.1);
        match (is_replayed, is_discarded) {
            (true, _) => assert_eq!(taken, (letters, 0), "{statuses:?}"),
            (false, true) => assert_eq!(taken, (0, letters - usize::from(is_edited)), "{statuses:?}"),
            (false, false) => assert_eq!(taken, (0, 0), "{statuses:?}"),
        }
        // What is left is out of the way of the next round.
        let rest = in_state(&harness, DeadLetterState::Dead).await?;
        if !rest.is_empty() {
            let (_, page) = harness.get(&one, discard).await?;
            let answer = submit(&harness, &one, &page, discard, &[reason, password]).await?;
            assert_eq!(answer.status(), StatusCode::OK);
            discarded += rest.len();
        }
    }
    assert!(wins[0] + wins[1] >= 1, "{wins:?}");
    let totals: u64 = operations(&harness).await?.iter().map(|operation| operation.total).sum();
    assert_eq!(usize::try_from(totals)?, replayed, "each is held by one operation");
    let audited = harness.mongo.audit_log().list(None, None, 10_000).await?;
    let entries = |action: &str| audited.iter().filter(|entry| entry.action == action).count();
    assert_eq!(entries("dead_letter.discard"), discarded, "an entry for each that was discarded, and no other one");
    assert_eq!(u32::try_from(entries("dead_letter.edit"))?, wins[2]);
    Ok(())
}

#[tokio::test]
async fn replay_is_cancelled_by_one_of_two() -> Result<()> {
    let harness = with_dead_letters(5).await?;
    let (one, other) = (harness.sign_in(Role::Admin, &[]).await?, harness.sign_in(Role::Admin, &[]).await?);
    let replay = "/dead-letters/replay";
    let (_, page) = harness.get(&one, replay).await?;
    let begun = submit(&harness, &one, &page, replay, &[("reason", "fixed"), ("rate", "10")]).await?;
    let place = begun.headers()[header::LOCATION].to_str()?.to_owned();
    let cancel = format!("{place}/cancel");
    let pages = tokio::try_join!(harness.get(&one, &place), harness.get(&other, &place))?;
    let filled = [("reason", "the cause is still there")];
    let answers = tokio::try_join!(
        submit(&harness, &one, &pages.0.1, &cancel, &filled),
        submit(&harness, &other, &pages.1.1, &cancel, &filled),
    )?;
    let mut statuses = [answers.0.status(), answers.1.status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::CONFLICT]);
    let audited = harness.mongo.audit_log().list(None, None, 50).await?;
    assert_eq!(audited.iter().filter(|entry| entry.action == "dead_letter.cancel_replay").count(), 1);
    Ok(())
}
