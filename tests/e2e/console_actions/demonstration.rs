//! The demonstration has a day: guests who arrive, are in house, and depart, by the commands of the front desk.

use super::{PROPERTY, WORKERS};
use crate::harness::{Expectations, LONG_TIMEOUT, StackBuilder, TestConsole};
use anyhow::{Result, ensure};
use pvt_domain::accounts::Role;
use pvt_testkit::{dormitory, eventually};

#[tokio::test]
async fn demonstration_begins_with_guests_of_today() -> Result<()> {
    // The API is ready once there is a property.
    let stack = StackBuilder::new().selling([dormitory("elsewhere", 1)]).workers(WORKERS).start().await?;
    let seeded = stack.pvt(&["seed", "--days", "2"]).await?;
    let said = String::from_utf8_lossy(&seeded.stderr).into_owned();
    ensure!(seeded.status.success() && said.contains("14 bookings"), "ten of today, two of each day: {said}");
    let desk = TestConsole::start(&stack).await?;
    let staff = desk.sign_in(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let lists = ["Overdue: 0", "Arrivals: 3 to arrive, 1 arrived", "Departures: 3 to leave", "Staying tonight: 4"];
    let begun = eventually("the guests of today are there", LONG_TIMEOUT, async || {
        let page = desk.get(&staff, "/front-desk").await?;
        Ok(lists.iter().all(|list| page.text.contains(list)).then_some(page.text))
    });
    let page = begun.await?;
    assert!(page.contains("Undo the check-in of ") && page.contains("Hypatia of Alexandria"), "{page}");
    desk.end().await?;
    stack.end(Expectations::clean()).await
}
