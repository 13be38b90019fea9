//! The mart on PostgreSQL: the same result for any order, repetition and concurrency of events.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::Result;
use chrono::Utc;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use pvt_domain::booking::{Action, Rejection, Source, Status, Stay, StayRequest};
use pvt_domain::events::{BookingEvent, NotificationEvent, kind_of};
use pvt_domain::ids::{BedId, BookingId};
use pvt_domain::messages::{AnalyticsEvent, NotificationKind};
use pvt_domain::money::Currency;
use pvt_domain::pricing::{Price, TaxBasis, TaxLine};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use pvt_stores::mart::{Load, Mart};
use pvt_testkit::{Namespace, eventually};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;

const TABLES: [&str; 7] = [
    "dim_property",
    "dim_room_type",
    "dim_channel",
    "fact_booking",
    "fact_bed_night",
    "fact_booking_event",
    "fact_notification",
];

/// The lifecycle of a booking, from which its events are made.
#[derive(Debug, Clone)]
struct Life {
    property: u8,
    /// Nights, beds and price of each revision in turn; a rejected booking has one.
    revisions: Vec<(u64, u8, i64)>,
    rejected: bool,
    end: End,
    mailed: bool,
}

/// Last steps of a booking after its changes.
#[derive(Debug, Clone, Copy)]
enum End {
    Open,
    Cancelled,
    InHouse,
    Left,
    NoShow,
    Reinstated,
}

impl End {
    fn steps(self) -> &'static [(Action, Status)] {
        match self {
            Self::Open => &[],
            Self::Cancelled => &[(Action::Cancel, Status::Cancelled)],
            Self::InHouse => &[(Action::CheckIn, Status::CheckedIn)],
            Self::Left => &[(Action::CheckIn, Status::CheckedIn), (Action::CheckOut, Status::CheckedOut)],
            Self::NoShow => &[(Action::NoShow, Status::NoShow)],
            Self::Reinstated => &[
                (Action::NoShow, Status::NoShow),
                (Action::Reinstate, Status::Confirmed),
                (Action::Move, Status::Confirmed),
            ],
        }
    }
}

fn life() -> impl Strategy<Value = Life> {
    let end = proptest::sample::select(vec![
        End::Open,
        End::Cancelled,
        End::InHouse,
        End::Left,
        End::NoShow,
        End::Reinstated,
    ]);
    let revision = (1_u64..5, 1_u8..4, 0_i64..100_000);
    (0_u8..3, proptest::collection::vec(revision, 1..3), any::<bool>(), end, any::<bool>())
        .prop_map(|(property, revisions, rejected, end, mailed)| Life { property, revisions, rejected, end, mailed })
}

fn instant(minute: u32) -> Timestamp {
    let text = format!("\"2027-01-{:02}T{:02}:{:02}:00.000Z\"", 1 + minute / 1440, minute / 60 % 24, minute % 60);
    serde_json::from_str(&text).unwrap()
}

fn stay(first_bed: u8, nights: u64, beds: u8) -> Stay {
    let arrival = "2027-02-10".parse().unwrap();
    let asked = StayRequest::new("dorm", arrival, arrival + chrono::Days::new(nights), beds.into());
    Stay::of(&asked, (0..beds).map(|bed| BedId::new(format!("b{}", first_bed + bed))).collect())
}

fn event(
    number: usize,
    life: &Life,
    rev: u32,
    (action, status): (Action, Status),
    (nights, beds, price): (u64, u8, i64),
) -> AnalyticsEvent {
    let booking_id = BookingId::derive(None, &number.to_string(), "test");
    let stays = vec![stay(0, nights, beds), stay(10, 1, 1)];
    let amounts =
        vec![(0..nights).map(|night| price + i64::try_from(night).unwrap()).collect::<Vec<i64>>(), vec![price]];
    let room: i64 = amounts.iter().flatten().sum();
    let tax = TaxLine {
        code: "gst".into(),
        name: "GST".into(),
        basis: TaxBasis::Percent { rate_ppm: 50_000 },
        included: false,
        amount: room / 20,
    };
    AnalyticsEvent::Booking(Box::new(BookingEvent {
        event_id: booking_id.event_id(rev, kind_of(Some(action), status)),
        booking_id,
        reference: booking_id.reference(),
        rev,
        status,
        action: Some(action),
        property_id: format!("hostel-{}", life.property).as_str().into(),
        rate_plan_id: "standard".into(),
        source: if number.is_multiple_of(2) { Source::Direct } else { Source::Airbnb },
        stays,
        bed_moves: Vec::new(),
        change_released: false,
        price: (status != Status::Rejected).then(|| Price {
            unused_nights: 0,
            currency: Currency::CAD,
            nights: amounts,
            total: room + tax.amount,
            taxes: vec![tax],
        }),
        rejection: (status == Status::Rejected).then_some(Rejection::NoAvailability),
        cancellation_fee: None,
        payment: pvt_domain::booking::Payment::default(),
        created_at: instant(0),
        occurred_at: instant(rev),
    }))
}

fn events_of(number: usize, life: &Life) -> Vec<AnalyticsEvent> {
    if life.rejected {
        return vec![event(number, life, 1, (Action::Request, Status::Rejected), life.revisions[0])];
    }
    let changes = std::iter::once(Action::Request)
        .chain(std::iter::repeat(Action::Modify))
        .map(|action| (action, Status::Confirmed));
    let changes = life.revisions.iter().zip(changes).map(|(shape, step)| (*shape, step));
    let last = *life.revisions.last().unwrap();
    let steps = changes.chain(life.end.steps().iter().map(|step| (last, *step)));
    let mut events: Vec<_> =
        (1_u32..).zip(steps).map(|(rev, (shape, step))| event(number, life, rev, step, shape)).collect();
    if life.mailed {
        let booking_id = BookingId::derive(None, &number.to_string(), "test");
        events.push(AnalyticsEvent::Notification(NotificationEvent {
            event_id: booking_id.event_id(1, "mail"),
            booking_id,
            property_id: format!("hostel-{}", life.property).as_str().into(),
            kind: NotificationKind::BookingConfirmed.as_str().to_owned(),
            version: 1,
            delivered: true,
            occurred_at: instant(5),
        }));
    }
    events
}

async fn contents(postgres: &mut PgConnection) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for table in TABLES {
        let query = format!("SELECT '{table} ' || (to_jsonb(t) - 'loaded_at')::text FROM {table} AS t ORDER BY 1");
        rows.extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).fetch_all(&mut *postgres).await?);
    }
    Ok(rows)
}

async fn empty(postgres: &mut PgConnection) -> Result<()> {
    sqlx::query(AssertSqlSafe(format!("TRUNCATE {}", TABLES.join(", ")))).execute(postgres).await?;
    Ok(())
}

async fn migrated() -> Result<(Namespace, Mart, PgConnection)> {
    let namespace = Namespace::new().await?;
    let mart = Mart::connect(&namespace.database_url(), "test")?;
    mart.migrate().await?;
    let postgres = PgConnection::connect(&namespace.database_url()).await?;
    Ok((namespace, mart, postgres))
}

#[test]
fn mart_is_independent_of_event_order_repetition_and_concurrency() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (_namespace, mart, postgres) = runtime.block_on(migrated()).unwrap();
    let postgres = tokio::sync::Mutex::new(postgres);
    let lives = proptest::collection::vec(life(), 1..8);
    let disorder = (any::<u64>(), 1_usize..9);
    let mut runner =
        TestRunner::new(Config { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(lives, disorder), |(lives, (seed, batch))| {
        runtime
            .block_on(async {
                let mut postgres = postgres.lock().await;
                let ordered: Vec<AnalyticsEvent> =
                    lives.iter().enumerate().flat_map(|(number, life)| events_of(number, life)).collect();
                empty(&mut postgres).await?;
                for event in &ordered {
                    mart.load([event]).await?;
                }
                let expected = contents(&mut postgres).await?;
                check_sums(&mut postgres).await?;

                let disordered = disorder_of(&ordered, seed);
                empty(&mut postgres).await?;
                let loads = disordered.chunks(batch).map(|chunk| mart.load(chunk));
                for loaded in futures_util::future::join_all(loads).await {
                    loaded?;
                }
                let found = contents(&mut postgres).await?;
                anyhow::ensure!(
                    found == expected,
                    "in order:\n{}\nin disorder:\n{}",
                    expected.join("\n"),
                    found.join("\n")
                );
                Ok(())
            })
            .map_err(|error: anyhow::Error| TestCaseError::fail(format!("{error:#}")))
    });
    outcome.unwrap();
}

/// Every event once or twice, shuffled.
fn disorder_of(events: &[AnalyticsEvent], seed: u64) -> Vec<AnalyticsEvent> {
    let scatter = |n: usize| {
        (u64::try_from(n).unwrap() ^ seed)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(31)
            .wrapping_mul(0xBF58_476D_1CE4_E5B9)
    };
    let twice = events.iter().enumerate().filter(|(n, _)| scatter(*n) % 3 != 0).map(|(_, event)| event);
    let mut all: Vec<AnalyticsEvent> = events.iter().chain(twice).cloned().collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|n| scatter(n + 1_000));
    order.iter().map(|n| all[*n].clone()).collect::<Vec<_>>().clone_into(&mut all);
    all
}

/// The bed-nights of every booking that holds beds add up to the price of its nights; no other booking has any.
async fn check_sums(postgres: &mut PgConnection) -> Result<()> {
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM fact_booking AS b
         LEFT JOIN (SELECT booking_id, count(*) AS n,
             sum(amount)::bigint AS amount FROM fact_bed_night GROUP BY 1) AS s USING (booking_id)
         WHERE (b.status IN ('confirmed', 'checked_in',
             'checked_out') AND (s.n IS DISTINCT FROM b.bed_nights OR s.amount IS DISTINCT FROM b.room_amount))
            OR (b.status NOT IN ('confirmed', 'checked_in', 'checked_out') AND s.n IS NOT NULL)",
    )
    .fetch_one(postgres)
    .await?;
    anyhow::ensure!(wrong == 0, "{wrong} bookings do not agree with their bed-nights");
    Ok(())
}

#[tokio::test]
async fn repeated_load_changes_nothing() -> Result<()> {
    let (_namespace, mart, mut postgres) = migrated().await?;
    let life = Life { property: 1, revisions: vec![(2, 2, 101)], rejected: false, end: End::Cancelled, mailed: true };
    let events = events_of(1, &life);
    assert_eq!(mart.load(&events[..1]).await?, Load { new_events: 1, bookings: 1, bed_nights: 5, entries: 0 });
    assert_eq!(mart.load(&events[..1]).await?, Load::default());
    assert_eq!(mart.load(&events).await?, Load { new_events: 2, bookings: 1, bed_nights: 0, entries: 0 });
    assert_eq!(mart.load(&events[..1]).await?, Load::default(), "an older revision never returns");
    check_sums(&mut postgres).await
}

#[tokio::test]
async fn missing_events_and_outdated_bookings_are_reported() -> Result<()> {
    let (_namespace, mart, mut postgres) = migrated().await?;
    let life = Life {
        property: 1,
        revisions: vec![(2, 2, 101), (1, 1, 5)],
        rejected: false,
        end: End::Cancelled,
        mailed: false,
    };
    let events = events_of(1, &life);
    mart.load(&events[..2]).await?;
    let [first, second, third] = &events[..] else { panic!("three events") };
    let id = |event: &AnalyticsEvent| match event {
        AnalyticsEvent::Booking(event) => event.event_id,
        AnalyticsEvent::Notification(event) => event.event_id,
        AnalyticsEvent::Inventory(event) => event.event_id,
        AnalyticsEvent::Payment(event) => event.event_id,
    };
    assert_eq!(mart.missing_events(&[id(first), id(second), id(third)]).await?, [id(third)].into());
    let loads = mart.loads(&[id(first), id(second), id(third)]).await?;
    let is_known = |event| loads.get(&id(event)).is_some_and(|at| at.is_some_and(|at| at <= Utc::now().into()));
    assert!(is_known(first) && is_known(second) && !loads.contains_key(&id(third)), "{loads:?}");
    sqlx::query("UPDATE fact_booking_event SET loaded_at = NULL").execute(&mut postgres).await?;
    let loads = mart.loads(&[id(first)]).await?;
    assert_eq!(loads, [(id(first), None)].into(), "loaded by the version before");
    let booking = BookingId::derive(None, "1", "test");
    assert_eq!(mart.behind(&[(booking, 2)]).await?, [].into());
    assert_eq!(mart.behind(&[(booking, 3)]).await?, [booking].into());
    let other = BookingId::derive(None, "2", "test");
    assert_eq!(mart.behind(&[(other, 1)]).await?, [other].into());
    Ok(())
}

#[tokio::test]
async fn concurrent_and_repeated_migration_succeeds() -> Result<()> {
    let namespace = Namespace::new().await?;
    let (one, two) =
        (Mart::connect(&namespace.database_url(), "one")?, Mart::connect(&namespace.database_url(), "two")?);
    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    first?;
    second?;
    Ok(one.migrate().await?)
}

#[tokio::test]
async fn unmigrated_mart_is_unavailable() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mart = Mart::connect(&namespace.database_url(), "test")?;
    let life = Life { property: 1, revisions: vec![(1, 1, 1)], rejected: false, end: End::Open, mailed: false };
    let early = mart.load(&events_of(1, &life)).await;
    assert!(matches!(early, Err(StoreError::Unavailable { .. })), "{early:?}");
    mart.migrate().await?;
    assert_eq!(mart.load(&events_of(1, &life)).await?.bookings, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_load_leaves_no_transaction_open() -> Result<()> {
    let namespace = Namespace::new().await?;
    let name = namespace.name().to_owned();
    let mart = Mart::connect(&namespace.database_url(), &name)?;
    mart.migrate().await?;
    let life = Life { property: 1, revisions: vec![(2, 2, 7)], rejected: false, end: End::Open, mailed: false };
    let all: Vec<AnalyticsEvent> = (0..40).flat_map(|number| events_of(number, &life)).collect();
    for (number, event) in (0..).zip(&all) {
        let limit = Duration::from_micros(number * 100);
        let _cancelled = tokio::time::timeout(limit, mart.load([event])).await;
    }
    let mut postgres = PgConnection::connect(&namespace.database_url()).await?;
    let postgres = tokio::sync::Mutex::new(&mut postgres);
    eventually("no transaction is open", Duration::from_secs(10), async || {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state <> 'idle'";
        let open: i64 = sqlx::query_scalar(count).bind(&name).fetch_one(&mut **postgres.lock().await).await?;
        Ok((open == 0).then_some(()))
    })
    .await?;
    mart.load(&all).await?;
    check_sums(*postgres.lock().await).await
}

#[tokio::test]
async fn locked_row_fails_its_own_load_and_locked_table_the_probe() -> Result<()> {
    let (_namespace, mart, mut postgres) = migrated().await?;
    let life =
        Life { property: 1, revisions: vec![(1, 1, 1), (2, 1, 1)], rejected: false, end: End::Open, mailed: false };
    let (locked, free) = (events_of(1, &life), events_of(2, &life));
    mart.load(&locked[..1]).await?;
    let mut forgotten = postgres.begin().await?;
    let held = sqlx::query("SELECT * FROM fact_booking FOR UPDATE").execute(&mut *forgotten).await?;
    assert_eq!(held.rows_affected(), 1);
    let refused = mart.load(locked.iter().chain(&free)).await;
    assert!(matches!(refused, Err(StoreError::Locked(_))), "{refused:?}");
    assert_eq!(mart.load(&free).await?.bookings, 1);
    mart.probe().await?;
    sqlx::query("LOCK TABLE fact_booking IN EXCLUSIVE MODE").execute(&mut *forgotten).await?;
    let refused = mart.probe().await;
    assert!(matches!(refused, Err(StoreError::Locked(_))), "{refused:?}");
    forgotten.rollback().await?;
    assert_eq!(mart.load(&locked).await?.bookings, 1);
    Ok(())
}

#[tokio::test]
async fn unreachable_server_is_unavailable() -> Result<()> {
    let mart = Mart::connect("postgres://unknown@127.0.0.1:1/none", "test")?;
    let error = mart
        .load(&events_of(
            1,
            &Life { property: 1, revisions: vec![(1, 1, 1)], rejected: false, end: End::Open, mailed: false },
        ))
        .await;
    assert!(matches!(error, Err(StoreError::Unavailable { store: "postgres", .. })), "{error:?}");
    Ok(())
}
