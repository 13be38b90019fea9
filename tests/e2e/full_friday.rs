//! A full Friday at the front desk, step by step, with two workers.
//!
//! It is between two and three at night all the time: the hours at which the date and the business day differ, and the
//! only ones at which a test need not wait for the day to end.

mod notes;
mod receptionist;

use crate::checked_in::WORKERS;
use crate::harness::clock::at_night;
use crate::harness::{ApiResponse, Expectations, StackBuilder};
use anyhow::{Context, Result, ensure};
use chrono::NaiveTime;
use pvt_domain::demo;
use receptionist::By::{Door, Online, Phone, Prepaid};
use receptionist::{Act, Receptionist};

const D6: &str = "dorm-6-mixed";
const D8: &str = "dorm-8-mixed";
const DOUBLE: &str = "private-double";
const TWIN: &str = "private-twin";

/// In words; the booking; what is done; the code with which it is refused, or nothing.
type Step = (&'static str, &'static str, Act, &'static str);

/// Beds: `d6a-1` to `d6b-6` in two mixed dorms of six, `d8a-1` to `d8a-8` in one of eight, and private rooms. Nights:
/// Friday is 0.
const STEPS: [Step; 60] = [
    ("two friends call: from tonight until Sunday", "Okafor", Act::Book(Phone, &[(D6, 0, 2, 2)]), ""),
    ("they are given one bunk", "Okafor", Act::Assign(0, None, &["d6a-1", "d6a-2"]), ""),
    ("they arrive", "Okafor", Act::CheckIn(&[]), ""),
    ("and pay in cash", "Okafor", Act::Cash, ""),
    ("a class of twelve, in two dorms until Monday", "Twelve", Act::Book(Phone, &[(D8, 0, 3, 8), (D6, 0, 3, 4)]), ""),
    ("four of them side by side", "Twelve", Act::Assign(1, None, &["d6b-1", "d6b-2", "d6b-3", "d6b-4"]), ""),
    (
        "the first five come by an early train",
        "Twelve",
        Act::CheckIn(&[(0, &["d8a-1", "d8a-2", "d8a-3", "d8a-4", "d8a-5"])]),
        "",
    ),
    ("a couple books online, paid in advance", "Lindqvist", Act::Book(Prepaid, &[(DOUBLE, 0, 1, 2)]), ""),
    ("they are at the desk before they have paid", "Lindqvist", Act::CheckIn(&[]), "wrong_status"),
    ("they pay by card on the page", "Lindqvist", Act::Card, ""),
    ("they want the quiet room", "Lindqvist", Act::Assign(0, None, &["pdb-1", "pdb-2"]), ""),
    ("they move in", "Lindqvist", Act::CheckIn(&[]), ""),
    (
        "a guest books online and mistypes the address",
        "Haddad",
        Act::Book(Online("haddad@exmaple.com"), &[(D6, 0, 2, 1)]),
        "",
    ),
    ("no mail comes; the desk corrects the address", "Haddad", Act::Address("haddad@example.com"), ""),
    ("a lower bed", "Haddad", Act::Assign(0, None, &["d6a-3"]), ""),
    ("the guest arrives", "Haddad", Act::CheckIn(&[]), ""),
    ("an address that cannot be", "Ng", Act::Book(Online("ng@@example.com"), &[(D6, 0, 1, 1)]), "validation_failed"),
    ("the same guest, with care", "Ng", Act::Book(Online("ng@example.com"), &[(D6, 0, 1, 1)]), ""),
    ("the bed of another guest is not given", "Ng", Act::Assign(0, None, &["d6a-1"]), "bed_taken"),
    ("one that is free is", "Ng", Act::Assign(0, None, &["d6a-4"]), ""),
    ("a friend moves away from the snoring", "Okafor", Act::Assign(0, None, &["d6a-1", "d6a-5"]), ""),
    ("the bed that was left is nearer to the door", "Ng", Act::Assign(0, None, &["d6a-2"]), ""),
    ("it has been slept in", "Ng", Act::CheckIn(&[]), "bed_not_clean"),
    ("it is made", "Ng", Act::Clean("d6a-2"), ""),
    ("the guest arrives", "Ng", Act::CheckIn(&[]), ""),
    ("and pays by card at the desk", "Ng", Act::Terminal, ""),
    ("three more of the class come by bus", "Twelve", Act::CheckIn(&[(1, &["d6b-1", "d6b-2"]), (0, &["d8a-6"])]), ""),
    ("a walk-in after midnight, until Monday", "Moreau", Act::Book(Door, &[(D6, 0, 3, 1)]), ""),
    ("beside the class", "Moreau", Act::Assign(0, None, &["d6b-5"]), ""),
    ("in bed at once", "Moreau", Act::CheckIn(&[]), ""),
    ("three nights in cash", "Moreau", Act::Cash, ""),
    ("a call for Sunday and Monday", "Silva", Act::Book(Phone, &[(D6, 2, 4, 1)]), ""),
    ("a lower bed, free from Sunday on", "Silva", Act::Assign(0, None, &["d6a-3"]), ""),
    ("its guest stays until Monday: Sunday's gives way", "Haddad", Act::Extend(0, 3, Some("Silva")), ""),
    ("three nights in cash", "Haddad", Act::Cash, ""),
    ("from Saturday the friend sleeps by the window", "Okafor", Act::Assign(0, Some(1), &["d6a-1", "d6a-6"]), ""),
    ("Sunday's guest is promised the bed", "Silva", Act::Lock, ""),
    ("a twin room for Monday, paid in advance", "Petrov", Act::Book(Prepaid, &[(TWIN, 3, 5, 2)]), ""),
    ("paid by card", "Petrov", Act::Card, ""),
    ("and cancelled; the card gets what exceeds the fee", "Petrov", Act::Cancel, ""),
    ("the walk-in is called home", "Moreau", Act::CheckOut(&[]), ""),
    ("two nights are returned in cash", "Moreau", Act::CashBack, ""),
    ("one of the class is fetched by her parents", "Twelve", Act::CheckOut(&[(2, &["d8a-1"])]), ""),
    ("the others may still come", "Twelve", Act::NoShow, "too_early"),
    ("a bed for a guest who will not come", "Rossi", Act::Book(Phone, &[(D6, 0, 1, 1)]), ""),
    ("by the wall", "Rossi", Act::Assign(0, None, &["d6b-6"]), ""),
    ("the last walk-in", "Dubois", Act::Book(Door, &[(D6, 0, 1, 1)]), ""),
    ("the bed by the stairs", "Dubois", Act::Assign(0, None, &["d6a-4"]), ""),
    ("checked in", "Dubois", Act::CheckIn(&[]), ""),
    ("and paid in cash", "Dubois", Act::Cash, ""),
    ("the day ends: it is Saturday", "", Act::CloseDay, ""),
    ("the bed by the wall stayed empty", "Rossi", Act::NoShow, ""),
    ("four of the class did not come", "Twelve", Act::NoShow, ""),
    ("the couple leaves", "Lindqvist", Act::CheckOut(&[]), ""),
    ("so does the guest from the online form", "Ng", Act::CheckOut(&[]), ""),
    ("the last walk-in stays until Sunday", "Dubois", Act::Extend(0, 2, None), ""),
    ("in cash again", "Dubois", Act::Cash, ""),
    ("one of the friends leaves a day early", "Okafor", Act::CheckOut(&[(0, &["d6a-6"])]), ""),
    ("a night is returned in cash", "Okafor", Act::CashBack, ""),
    ("the class pays by card at the desk", "Twelve", Act::Terminal, ""),
];

fn check_outcome(answer: &ApiResponse, refusal: &str) -> Result<()> {
    if refusal.is_empty() {
        ensure!(answer.status.is_success(), "{answer:?}");
    } else {
        ensure!(!answer.status.is_success(), "done: {answer:?}");
        ensure!(answer.problem()? == refusal, "refused otherwise: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn full_friday_at_the_front_desk() -> Result<()> {
    let (mut inventory, friday) = at_night(demo::inventory())?;
    inventory.property.same_day_until = NaiveTime::from_hms_opt(4, 0, 0).context("a time")?;
    let stack = StackBuilder::new().selling([inventory]).paid_online().workers(WORKERS).start().await?;
    let mut desk = Receptionist::open(stack, friday).await?;
    for (index, (says, who, act, refusal)) in STEPS.into_iter().enumerate() {
        let step = || format!("step {}, {who}: {says}", index + 1);
        let answer = desk.act(who, act).await.with_context(step)?;
        check_outcome(&answer, refusal).with_context(step)?;
        desk.compare().await.with_context(step)?;
    }
    desk.stack.wait_until_quiet(&Expectations::clean()).await?;
    let ledger = desk.ledger().await?;
    let of = |channel: &str| ledger.get(channel).copied().unwrap_or_default();
    assert_eq!((of("cash"), of("terminal")), (desk.drawer, desk.terminal), "{ledger:?}");
    assert!(desk.drawer > 0 && desk.terminal > 0, "{ledger:?}");
    let cards = desk.stack.stripe()?.effects().total;
    assert_eq!((of("checkout"), cards.refunds), (cards.captured_amount - cards.refunded_amount, 1), "{ledger:?}");
    let mails = desk.stack.mailbox.all().await?;
    assert!(mails.iter().any(|mail| mail.to == "haddad@example.com"), "the corrected address gets the confirmation");
    desk.stack.end(Expectations::clean()).await
}
