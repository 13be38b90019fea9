//! Plans of moves on the tape chart, and the guests and changes that staff look for.

use super::{PROPERTY, WORKERS, bed_of, book, stored};
use crate::harness::clock::at_noon;
use crate::harness::{Expectations, Session, Stack, StackBuilder, TestConsole};
use anyhow::Result;
use chrono::{Days, Utc};
use pvt_domain::accounts::Role;
use pvt_domain::booking::Action;
use pvt_testkit::console::{hidden_field, hidden_fields};
use pvt_testkit::dormitory;
use reqwest::StatusCode;
use url::form_urlencoded;

#[tokio::test]
async fn guests_are_moved_by_a_plan() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(PROPERTY, 3))?;
    let stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = TestConsole::start(&stack).await?;
    let staff = desk.sign_in(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let arrival = today + Days::new(20);
    let (x, y) = (book(&stack, "Xylander", arrival, 2).await?, book(&stack, "Yourcenar", arrival, 2).await?);
    let beds = (bed_of(&stored(&stack, &x).await?).to_owned(), bed_of(&stored(&stack, &y).await?).to_owned());
    let swap = format!(
        "/chart/plan?property={PROPERTY}&move={}/0/{}/{}&move={}/0/{}/{}",
        x.id, beds.0, beds.1, y.id, beds.1, beds.0
    );
    let page = desk.get(&staff, &swap).await?;
    assert!(page.text.contains("for the time being"), "{}", page.text);
    assert_eq!(stored(&stack, &x).await?.rev, 1, "it was only asked");
    let (key, steps) = (hidden_field(&page.text, "key")?, hidden_fields(&page.text, "step"));
    assert_eq!(steps.len(), 3, "{}", page.text);
    let mut fields = vec![("key", key.as_str()), ("property", PROPERTY), ("reason", "asked to swap")];
    fields.extend(steps.iter().map(|step| ("step", step.as_str())));
    for _ in 0..2 {
        let done = desk.post(&staff, "/chart/plan", &fields).await?;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
        assert_eq!(done.text.matches("<strong>Done</strong>").count(), 3, "{}", done.text);
    }
    let (now_x, now_y) = (stored(&stack, &x).await?, stored(&stack, &y).await?);
    assert_eq!((bed_of(&now_x), bed_of(&now_y)), (beds.1.as_str(), beds.0.as_str()));
    assert_eq!((now_x.rev, now_y.rev), (3, 2), "a plan that is sent twice moves once");
    assert!(now_x.history[1..].iter().all(|entry| entry.action == Action::Assign));

    let z = book(&stack, "Zola", arrival, 2).await?;
    let full =
        desk.get(&staff, &format!("/chart/plan?property={PROPERTY}&move={}/0/{}/{}", x.id, beds.1, beds.0)).await?;
    assert!(full.text.contains("Not possible") && full.text.contains("Yourcenar"), "{}", full.text);
    assert!(!full.text.contains("id=\"confirm\""), "an impossible plan has no form: {}", full.text);
    let choose = desk.get(&staff, &format!("/bookings/{}/move", z.id)).await?;
    assert!(choose.text.contains("room r: taken"), "the form for users without scripts: {}", choose.text);

    // Ten letters may also be a reference.
    book(&stack, "Richardson", arrival + Days::new(10), 2).await?;
    book(&stack, "Team 42", arrival + Days::new(12), 2).await?;
    bed_changes_are_found(&stack, &desk, &staff, &beds.0).await?;
    guests_are_found_by_name(&stack, &desk, &staff).await?;
    desk.end().await?;
    stack.end(Expectations::clean()).await
}

async fn bed_changes_are_found(stack: &Stack, desk: &TestConsole, staff: &Session, bed: &str) -> Result<()> {
    assert_eq!(desk.get(staff, "/audit").await?.status, StatusCode::FORBIDDEN);
    let admin = desk.sign_in(stack, Role::Admin, "The Administrator", &[]).await?;
    let name = format!("Grace Hopper ({})", staff.user.email.as_str());
    let day = Utc::now().date_naive();
    let address: String = form_urlencoded::byte_serialize(staff.user.email.as_str().as_bytes()).collect();
    for query in [
        String::new(),
        format!("property={PROPERTY}&bed={bed}"),
        format!("actor={address}"),
        format!("actor=staff:{}", staff.user.id),
    ] {
        let page = desk.get(&admin, &format!("/audit?{query}")).await?;
        assert!(page.text.contains(&name) && page.text.contains("Yourcenar"), "{query}: {}", page.text);
        assert!(page.text.contains("asked to swap"), "{query}");
    }
    let earlier = day - Days::new(3);
    for query in [format!("day={earlier}"), "bed=r-99".to_owned(), "actor=schedule:night_audit".to_owned()] {
        let page = desk.get(&admin, &format!("/audit?{query}")).await?;
        assert!(page.text.contains("No changes."), "{query}: {}", page.text);
    }
    Ok(())
}

async fn guests_are_found_by_name(stack: &Stack, desk: &TestConsole, staff: &Session) -> Result<()> {
    let elsewhere = desk.sign_in(stack, Role::Staff, "Of another property", &["elsewhere"]).await?;
    for name in ["yourcenar", "YOURC", "Yo%C3%BBrcenar", "richardson", "team+42"] {
        let found = desk.get(staff, &format!("/bookings?q={name}")).await?;
        assert_eq!(found.status, StatusCode::SEE_OTHER, "{name}: one booking leads to its page: {}", found.text);
        let hidden = desk.get(&elsewhere, &format!("/bookings?q={name}")).await?;
        assert!(hidden.text.contains("No booking at your properties matches."), "{name}");
    }
    Ok(())
}
