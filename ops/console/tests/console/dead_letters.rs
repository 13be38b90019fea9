//! Dead letters: groups and bodies for administrators only, and changes of exactly what was shown.

use super::harness::{HERE, Harness, PASSWORD, Session};
use anyhow::{Context, Result};
use chrono::Utc;
use pvt_domain::accounts::Role;
use pvt_domain::dead_letters::Fingerprint;
use pvt_domain::ids::BookingId;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{
    Arrival, DeadLetter, DeadLetterFilter, DeadLetterState, Death, ReplayOperation, Stored, StoredMessage,
};
use pvt_testkit::console::with_form;
use pvt_testkit::eventually;
use reqwest::{StatusCode, header};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

const FAST: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(60);
const BOOKING: Uuid = Uuid::from_u128(7);

/// The first death of a command whose property is spelled wrong.
pub(crate) fn arrival(number: u128, error: &str) -> Arrival {
    let body = json!({ "run_id": Uuid::from_u128(number), "property": "here", "dry_run": true, "actor": "tests",
        "requested_at": "2027-01-01T00:00:00.000Z", "note": "Ada Lovelace" });
    Arrival {
        id: Uuid::from_u128(number),
        queue: "reconciliation".to_owned(),
        message_id: Uuid::from_u128(number + 1_000_000),
        kind: "reconcile.property.v1".to_owned(),
        booking_id: Some(BookingId::from_uuid(BOOKING)),
        death: Death {
            id: Uuid::from_u128(number << 32),
            died_at: Utc::now().into(),
            position: i64::try_from(number).unwrap(),
            class: "invalid_body".to_owned(),
            worker: Some("reconciliation".to_owned()),
            error: Some(error.to_owned()),
            group: Fingerprint::new("reconciliation", "invalid_body", error).group,
            attempt: 1,
            first_failed_at: None,
            follows: None,
            bytes: 2,
        },
        message: StoredMessage {
            correlation_id: Some(BOOKING),
            reply_to: None,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            actor: None,
            sent_at: None,
            headers: vec![("error-class".to_owned(), "invalid_body".to_owned())],
            body: body.to_string().into_bytes(),
        },
    }
}

/// The id of its message, which operators know it by.
pub(crate) fn message_id(number: u128) -> String {
    Uuid::from_u128(number + 1_000_000).to_string()
}

pub(crate) async fn store(mongo: &Mongo, arrivals: &[Arrival]) -> Result<()> {
    for some in arrivals.chunks(1_000) {
        assert!(mongo.dead_letters().store(some).await?.iter().all(Stored::is_kept));
    }
    Ok(())
}

/// Stores dead letters, one of them being replayed; the pages about them, each with its name.
pub(crate) async fn pages(harness: &Harness) -> Result<Vec<(&'static str, String)>> {
    let all: Vec<Arrival> = (1..=3).map(|number| arrival(number, "missing field `property_id`")).collect();
    store(&harness.mongo, &all).await?;
    let reason = ("the sender is fixed".to_owned(), "one".to_owned());
    let operation = ReplayOperation::new("operator", reason.0, reason.1, 1, Utc::now().into());
    let third = DeadLetterFilter::of_ids([all[2].id]);
    harness.mongo.dead_letters().begin_replay(&operation, &third).await?.context("it is dead")?;
    let (id, group) = (all[0].id, &all[0].death.group);
    Ok(vec![
        ("dead-letter-groups", "/dead-letters".to_owned()),
        ("dead-letter-group", format!("/dead-letters/groups/{group}")),
        ("dead-letter", format!("/dead-letters/messages/{id}")),
        ("dead-letter-review", format!("/dead-letters/replay?id={id}")),
        ("dead-letter-discard", format!("/dead-letters/discard?id={id}")),
        ("dead-letter-replay", format!("/dead-letters/operations/{}", operation.id)),
        ("dead-letter-replays", "/dead-letters/operations".to_owned()),
    ])
}

/// A console with so many dead letters of one cause.
pub(crate) async fn with_dead_letters(count: u128) -> Result<Harness> {
    let harness = Harness::start().await?;
    let all: Vec<Arrival> = (1..=count).map(|number| arrival(number, "missing field `property_id`")).collect();
    store(&harness.mongo, &all).await?;
    Ok(harness)
}

pub(crate) async fn in_state(harness: &Harness, state: DeadLetterState) -> Result<Vec<u128>> {
    let found = harness.mongo.dead_letters().list(&DeadLetterFilter::default(), &[state], 0, 0).await?;
    Ok(found.iter().map(|one| one.id.as_u128()).collect())
}

pub(crate) async fn find(harness: &Harness, number: u128) -> Result<DeadLetter> {
    let found = harness.mongo.dead_letters().with_messages([Uuid::from_u128(number)]).await?;
    found.into_iter().next().context("it is stored")
}

pub(crate) async fn operations(harness: &Harness) -> Result<Vec<ReplayOperation>> {
    Ok(harness.mongo.dead_letters().list_operations(10).await?)
}

/// The fields of the form on a page that is sent to `action`, without those that a user fills in.
pub(crate) fn form(page: &str, action: &str) -> Result<Vec<(String, String)>> {
    let start = format!("action=\"{action}\" method=\"post\"");
    let form = page.split(&start).nth(1).and_then(|rest| rest.split("</form>").next()).context("no such form")?;
    let attribute = |input: &str, name: &str| {
        Some(input.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.replace("&#34;", "\"").replace("&#38;", "&"))
    };
    let hidden = form.split("<input type=\"hidden\"").skip(1);
    Ok(hidden.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?))).collect())
}

/// Sends a form as it was shown, with these fields filled in.
pub(crate) async fn submit(
    harness: &Harness,
    session: &Session,
    page: &str,
    action: &str,
    filled: &[(&str, &str)],
) -> Result<reqwest::Response> {
    let shown = form(page, action)?;
    let shown = shown.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<(&str, &str)> = shown.chain(filled.iter().copied()).collect();
    harness.post(session, action, &fields).await
}

#[tokio::test]
async fn dead_letters_are_for_administrators_and_their_own_forms_only() -> Result<()> {
    let harness = with_dead_letters(2).await?;
    let (admin, other) = (harness.sign_in(Role::Admin, &[]).await?, harness.sign_in(Role::Admin, &[]).await?);
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let (id, group) = (Uuid::from_u128(1), arrival(1, "missing field `property_id`").death.group);
    let operation = Uuid::now_v7();
    let pages = [
        "/dead-letters".to_owned(),
        format!("/dead-letters/groups/{group}"),
        format!("/dead-letters/messages/{id}"),
        format!("/dead-letters/replay?id={id}"),
        format!("/dead-letters/discard?id={id}"),
        "/dead-letters/operations".to_owned(),
    ];
    for path in &pages {
        let (status, page) = harness.get(&staff, path).await?;
        assert_eq!((status, page.contains("Ada")), (StatusCode::FORBIDDEN, false), "{path}");
        assert_eq!(harness.get(&admin, path).await?.0, StatusCode::OK, "{path}");
    }
    assert!(!harness.get(&staff, "/queues").await?.1.contains("href=\"/dead-letters"), "nor does a link lead there");
    let (_, review) = harness.get(&admin, &format!("/dead-letters/replay?id={id}")).await?;
    let shown = form(&review, "/dead-letters/replay")?;
    let forms = [
        "/dead-letters/replay".to_owned(),
        "/dead-letters/discard".to_owned(),
        format!("/dead-letters/messages/{id}/whole"),
        format!("/dead-letters/messages/{id}/review"),
        format!("/dead-letters/messages/{id}/edit"),
        format!("/dead-letters/operations/{operation}/cancel"),
    ];
    let filled = |csrf: &str| -> Vec<(String, String)> {
        let more = [("reason", "mine"), ("rate", "10"), ("password", PASSWORD), ("body", "{}"), ("version", "x")];
        let shown = shown.iter().filter(|(name, _)| name != "csrf").cloned();
        shown
            .chain(more.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .chain([("csrf".to_owned(), csrf.to_owned())])
            .collect()
    };
    let send = async |session: &Session, path: &str, csrf: &str, origin: Option<&str>| {
        let all = filled(csrf);
        let fields: Vec<(&str, &str)> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = harness.http.post(harness.url(path)).header(header::COOKIE, &session.cookie);
        let request = origin.into_iter().fold(request, |request, origin| request.header(header::ORIGIN, origin));
        anyhow::Ok(with_form(request, &fields).send().await?.status())
    };
    for path in &forms {
        assert_eq!(send(&staff, path, &staff.csrf, None).await?, StatusCode::FORBIDDEN, "staff: {path}");
        for csrf in ["", "nonsense", other.csrf.as_str()] {
            assert_eq!(send(&admin, path, csrf, None).await?, StatusCode::FORBIDDEN, "forged: {path}");
        }
        let foreign = send(&admin, path, &admin.csrf, Some("https://evil.example.com")).await?;
        assert_eq!(foreign, StatusCode::FORBIDDEN, "of another site: {path}");
    }
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [1, 2]);
    assert!(operations(&harness).await?.is_empty());
    let audited = harness.mongo.audit_log().list(None, None, 50).await?;
    assert!(audited.iter().all(|entry| !entry.action.starts_with("dead_letter.")), "{audited:?}");
    Ok(())
}

#[tokio::test]
async fn ten_thousand_dead_letters_are_shown_in_groups_at_once() -> Result<()> {
    let harness = Harness::start().await?;
    let letter = |number: u128| char::from(b'a' + u8::try_from(number % 26).unwrap());
    let error = |number: u128| format!("{}{} failed for {number}", letter(number % 50), letter(number % 50 / 26));
    let all: Vec<Arrival> = (0..10_000_u128).map(|number| arrival(number, &error(number))).collect();
    store(&harness.mongo, &all).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    // Beside other tests a single measurement may be slow.
    let shown = || async {
        let begun = Instant::now();
        let (_, page) = harness.get(&admin, "/dead-letters").await?;
        let elapsed = begun.elapsed();
        anyhow::ensure!(elapsed < FAST, "{elapsed:?}");
        Ok(Some(page))
    };
    let page = eventually("the groups within 200 ms", LIMIT, shown).await?;
    assert!(page.contains("10000 dead, 0 being replayed, of 50 causes; 0 have died again after a replay."), "{page}");
    assert_eq!(page.matches("<td class=\"number\">200</td>").count(), 50);
    let none = harness.get(&admin, "/dead-letters?queue=emails&class=panic").await?.1;
    assert!(none.contains("No dead letters are stored that match.") && none.contains("value=\"panic\""), "{none}");
    let of_queue = harness.get(&admin, "/dead-letters?queue=reconciliation").await?.1;
    assert!(of_queue.contains("<option selected>reconciliation</option>") && of_queue.contains("of 50 causes"));
    let group = &all[0].death.group;
    let one = harness.get(&admin, &format!("/dead-letters?group={group}")).await?.1;
    assert!(one.contains("200 dead, 0 being replayed, of one cause"), "{one}");
    let (_, page) = harness.get(&admin, &format!("/dead-letters/groups/{group}?page=4")).await?;
    assert!(page.contains("151 to 200 of 200") && page.contains("?page=3") && !page.contains("?page=5"), "{page}");
    assert_eq!(page.matches("type=\"checkbox\"").count(), 50);
    assert!(page.contains(&Uuid::from_u128(150 * 50 + 1_000_000).to_string()), "the first of the fourth page");
    Ok(())
}

#[tokio::test]
async fn replay_is_of_exactly_those_that_were_shown() -> Result<()> {
    let harness = with_dead_letters(5).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let action = "/dead-letters/replay";
    let (status, all) = harness.get(&admin, action).await?;
    assert_eq!(status, StatusCode::OK);
    assert!(all.contains("5 would die again: their worker cannot read them"), "{all}");
    let nothing = harness.get(&admin, &format!("{action}?selected=1")).await?.0;
    assert_eq!(nothing, StatusCode::BAD_REQUEST, "no box was checked: that is not all of them");

    let two = format!("{action}?selected=1&id={}&id={}", Uuid::from_u128(1), Uuid::from_u128(2));
    let (_, review) = harness.get(&admin, &two).await?;
    let without = submit(&harness, &admin, &review, action, &[("reason", " "), ("rate", "10")]).await?;
    assert_eq!(without.status(), StatusCode::BAD_REQUEST, "without a reason");
    for rate in ["0", "1001", "many"] {
        let refused = submit(&harness, &admin, &review, action, &[("reason", "fixed"), ("rate", rate)]).await?;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{rate}");
    }
    let filled = [("reason", "the sender is fixed"), ("rate", "10")];
    let begun = submit(&harness, &admin, &review, action, &filled).await?;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    let place = begun.headers()[header::LOCATION].to_str()?.to_owned();
    let again = submit(&harness, &admin, &review, action, &filled).await?;
    assert_eq!(again.headers()[header::LOCATION].to_str()?, place, "sent twice, it begins once");
    assert_eq!(in_state(&harness, DeadLetterState::Replaying).await?, [1, 2]);
    let begun = operations(&harness).await?;
    assert_eq!((begun.len(), begun[0].total, begun[0].rate), (1, 2, 10));
    assert_eq!(begun[0].actor.as_str(), format!("staff:{}", admin.user));

    // Those that were shown have changed: one is held now, so all is refused.
    let changed = submit(&harness, &admin, &all, action, &filled).await?;
    assert_eq!(changed.status(), StatusCode::CONFLICT);
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [3, 4, 5]);
    // One that arrives meanwhile is not among them, and does not stand in their way.
    let (_, rest) = harness.get(&admin, action).await?;
    let newer = pvt_domain::timestamp::Timestamp::from(Utc::now() + chrono::TimeDelta::seconds(5));
    let mut late = arrival(6, "missing field `property_id`");
    late.death.died_at = newer;
    store(&harness.mongo, &[late]).await?;
    assert_eq!(submit(&harness, &admin, &rest, action, &filled).await?.status(), StatusCode::SEE_OTHER);
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [6]);

    let (_, page) = harness.get(&admin, &place).await?;
    assert!(page.contains("0 of 2 sent again, 2 to go") && page.contains("<progress max=\"2\" value=\"0\""), "{page}");
    let overview = harness.get(&admin, "/dead-letters").await?.1;
    assert!(overview.contains("running: 0 of 2 sent again, 2 to go"), "{overview}");
    let cancel = format!("{place}/cancel");
    assert_eq!(submit(&harness, &admin, &page, &cancel, &[("reason", "")]).await?.status(), StatusCode::BAD_REQUEST);
    let cancelled = submit(&harness, &admin, &page, &cancel, &[("reason", "the cause is still there")]).await?;
    assert_eq!(cancelled.status(), StatusCode::SEE_OTHER);
    assert!(harness.get(&admin, &place).await?.1.contains("<dd id=\"state\">cancelling</dd>"));
    let twice = submit(&harness, &admin, &page, &cancel, &[("reason", "again")]).await?;
    assert_eq!(twice.status(), StatusCode::CONFLICT);
    let audited = harness.mongo.audit_log().list(None, None, 50).await?;
    let mut actions: Vec<&str> = audited.iter().map(|entry| entry.action.as_str()).collect();
    actions.retain(|action| action.starts_with("dead_letter."));
    assert_eq!(actions, ["dead_letter.cancel_replay", "dead_letter.replay", "dead_letter.replay"]);
    Ok(())
}

#[tokio::test]
async fn discard_needs_the_password_once_more_and_takes_what_was_shown() -> Result<()> {
    let harness = with_dead_letters(3).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let action = "/dead-letters/discard";
    let (_, one) = harness.get(&admin, &format!("{action}?id={}", Uuid::from_u128(1))).await?;
    assert!(one.contains("Discard exactly these 1") && one.contains("name=\"password\""), "{one}");
    let send = async |page: &str, filled: &[(&str, &str)]| {
        let sent = submit(&harness, &admin, page, action, filled).await?;
        anyhow::Ok((sent.status(), sent.text().await?))
    };
    let reason = ("reason", "sent by hand");
    assert_eq!(send(&one, &[reason]).await?.0, StatusCode::FORBIDDEN, "without a password");
    assert_eq!(send(&one, &[("password", PASSWORD)]).await?.0, StatusCode::BAD_REQUEST, "without a reason");
    let (status, page) = send(&one, &[reason, ("password", "wrong horse battery")]).await?;
    assert!(status == StatusCode::FORBIDDEN && page.contains("The password is wrong. Nothing was changed."), "{page}");
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [1, 2, 3]);
    let (status, page) = send(&one, &[reason, ("password", PASSWORD)]).await?;
    assert!(status == StatusCode::OK && page.contains("1 discarded"), "{page}");
    assert_eq!(in_state(&harness, DeadLetterState::Discarded).await?, [1]);

    // The password counts for some minutes of this session, and of no other one.
    let (_, rest) = harness.get(&admin, action).await?;
    assert!(!rest.contains("name=\"password\"") && rest.contains("Discard exactly these 2"), "{rest}");
    let mut again = arrival(2, "missing field `property_id`");
    again.death.id = Uuid::from_u128(99);
    store(&harness.mongo, &[again]).await?;
    let (status, page) = send(&rest, &[reason]).await?;
    assert_eq!(status, StatusCode::CONFLICT, "one of them has died again: {page}");
    assert_eq!(in_state(&harness, DeadLetterState::Dead).await?, [2, 3], "all or none");
    let (_, rest) = harness.get(&admin, action).await?;
    assert_eq!(send(&rest, &[reason]).await?.0, StatusCode::OK);
    assert_eq!(in_state(&harness, DeadLetterState::Discarded).await?, [1, 2, 3]);
    let entries = harness.mongo.audit_log().list(Some(&message_id(3)), None, 5).await?;
    assert_eq!(entries.len(), 1);
    assert!(entries[0].action == "dead_letter.discard" && entries[0].detail.ends_with("sent by hand"), "{entries:?}");
    Ok(())
}

#[tokio::test]
async fn body_is_masked_until_an_administrator_says_why_and_can_be_edited_then() -> Result<()> {
    let harness = with_dead_letters(1).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let place = format!("/dead-letters/messages/{}", Uuid::from_u128(1));
    let (_, page) = harness.get(&admin, &place).await?;
    for shown in
        ["invalid_body", "0af7651916cd43dd8448eb211c80319c", &format!("/bookings/{BOOKING}"), "masked", "error-class"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("Lovelace") && !page.contains("<textarea"), "{page}");
    let whole = format!("{place}/whole");
    let refused = submit(&harness, &admin, &page, &whole, &[("reason", "which name")]).await?;
    let (status, text) = (refused.status(), refused.text().await?);
    assert!(status == StatusCode::FORBIDDEN && !text.contains("Lovelace"), "without the password: {text}");
    let opened = submit(&harness, &admin, &page, &whole, &[("reason", "which name"), ("password", PASSWORD)]).await?;
    let opened = opened.text().await?;
    assert!(opened.contains("Ada Lovelace") && opened.contains("<textarea"), "{opened}");

    let review = format!("{place}/review");
    let fixed = String::from_utf8(find(&harness, 1).await?.message.context("a message")?.body)?
        .replace("\"property\"", "\"property_id\"");
    let wrong = [("body", "{}"), ("reason", "spelled wrong")];
    let refused = submit(&harness, &admin, &opened, &review, &wrong).await?;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().await?.contains("its worker could not read it"));
    let right = [("body", fixed.as_str()), ("reason", "spelled wrong")];
    let reviewed = submit(&harness, &admin, &opened, &review, &right).await?.text().await?;
    for shown in ["<td>removed</td>", "<code>/property</code>", "<td>added</td>", "<code>/property_id</code>"] {
        assert!(reviewed.contains(shown), "{shown}: {reviewed}");
    }
    assert!(find(&harness, 1).await?.edits.is_empty(), "nothing has changed before it is confirmed");
    let edit = format!("{place}/edit");
    let edited = submit(&harness, &admin, &reviewed, &edit, &[("reason", "spelled wrong")]).await?;
    assert_eq!(edited.status(), StatusCode::SEE_OTHER, "{}", edited.text().await?);
    let found = find(&harness, 1).await?;
    assert_eq!(
        found.edits.iter().map(|edit| edit.changed.clone()).collect::<Vec<_>>(),
        [["- /property", "+ /property_id"]]
    );
    assert!(String::from_utf8(found.original.context("an original")?.bytes)?.contains("\"property\":"));
    let twice = submit(&harness, &admin, &reviewed, &edit, &[("reason", "spelled wrong")]).await?;
    assert_eq!(twice.status(), StatusCode::CONFLICT, "it has changed since the form was made");
    let (_, page) = harness.get(&admin, &place).await?;
    assert!(page.contains("Body before the first edit") && page.contains("edited by Test admin ("), "{page}");
    assert!(harness.get(&admin, "/dead-letters/replay").await?.1.contains("1 would be handled, or recognized"));
    let entries = harness.mongo.audit_log().list(Some(&message_id(1)), None, 9).await?;
    let mut recorded: Vec<_> = entries.iter().map(|entry| (entry.action.as_str(), entry.detail.as_str())).collect();
    recorded.reverse();
    let expected = [
        ("dead_letter.unmask", "which name"),
        ("dead_letter.unmask", "to edit it: spelled wrong"),
        ("dead_letter.edit", "spelled wrong"),
    ];
    let of_it = format!("reconcile.property.v1 of reconciliation ({}): ", Uuid::from_u128(1));
    let expected = expected.map(|(action, why)| (action, format!("{of_it}{why}")));
    let recorded: Vec<_> = recorded.into_iter().map(|(action, detail)| (action, detail.to_owned())).collect();
    assert_eq!(recorded, expected);
    Ok(())
}
