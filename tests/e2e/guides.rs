//! The guide for hostels, run as it is written: every block, in order, in one shell.

use crate::harness::{Expectations, FrontDesk, Stack, StackBuilder};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate, Utc};
use pvt_domain::business_day::business_date;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::Stdio;

const GUIDE: &str = include_str!("../../docs/guides/hostel.md");
/// Where the guide's reader runs the API.
const ADDRESS: &str = "http://127.0.0.1:8080";
const PROPERTY: &str = "pvt-quebec";

/// Before the first block: `curl` also notes the status of every answer, and `cargo` prints the key if it is asked as
/// the test has asked.
const PRELUDE: &str = r#"set -u
curl() { command curl -w '%{stderr}%{http_code} %{method} %{url_effective}\n' "$@" 2>>calls; }
cargo() { [ "$*" = "run -q -- keys create --role admin --name set up" ] && cat key; }
"#;

/// A block of the guide, with the line on which it begins.
struct Block {
    line: usize,
    script: String,
    /// The code with which its calls are refused, as the text before it says.
    refusal: Option<String>,
}

/// Every block for the shell. "refused" in the paragraph before it announces that, followed by the code.
fn blocks(guide: &str) -> Vec<Block> {
    let (mut blocks, mut paragraph, mut open) = (Vec::<Block>::new(), String::new(), false);
    for (index, line) in guide.lines().enumerate() {
        match (line.trim_end(), open) {
            ("```sh", false) => {
                let announced = paragraph.split_once("refused").and_then(|(_, said)| said.split('`').nth(1));
                blocks.push(Block { line: index + 1, script: String::new(), refusal: announced.map(str::to_owned) });
                open = true;
            }
            ("```", true) => open = false,
            (_, true) => {
                if let Some(block) = blocks.last_mut() {
                    block.script += line;
                    block.script.push('\n');
                }
            }
            // The paragraph before a block is separated from it by one empty line.
            ("", false) if !paragraph.ends_with("\n\n") => paragraph.push('\n'),
            (text, false) => {
                if paragraph.ends_with("\n\n") {
                    paragraph.clear();
                }
                paragraph += text;
                paragraph.push('\n');
            }
        }
    }
    blocks
}

/// Runs the blocks in one shell. Returns, for each, what it prints and its calls, as `200 GET http://…`.
async fn run(stack: &Stack, blocks: &[Block]) -> Result<Vec<(String, Vec<String>)>> {
    let folder = stack.folder().join("guide");
    std::fs::create_dir_all(&folder)?;
    let key = stack.pvt(&["keys", "create", "--role", "admin", "--name", "set up"]).await?;
    ensure!(key.status.success(), "{}", String::from_utf8_lossy(&key.stderr));
    std::fs::write(folder.join("key"), key.stdout)?;
    let mut script = PRELUDE.to_owned();
    for (index, block) in blocks.iter().enumerate() {
        script += &format!("exec >out-{index} 2>err-{index}; : >calls\n{}\n", block.script);
        script += &format!("mv calls calls-{index}\n");
    }
    script += ": >end\n";
    std::fs::write(folder.join("guide.sh"), script.replace(ADDRESS, stack.client.base()))?;
    let mut shell = tokio::process::Command::new("bash");
    shell.arg("guide.sh").current_dir(&folder).stdin(Stdio::null()).kill_on_drop(true);
    let status = tokio::time::timeout(crate::harness::LONG_TIMEOUT, shell.status()).await??;
    let read = |name: String| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let errors: String = (0..blocks.len()).map(|index| read(format!("err-{index}"))).collect();
    ensure!(status.success() && folder.join("end").exists() && errors.is_empty(), "{status}: {errors}");
    let of =
        |index| (read(format!("out-{index}")), read(format!("calls-{index}")).lines().map(str::to_owned).collect());
    Ok((0..blocks.len()).map(of).collect())
}

#[test]
fn paragraph_before_a_block_announces_a_refusal() {
    let guide = "refused: `a`.\n\n```sh\nx\n```\n\nfine\n\n```sh\ny\n```\n\nThat is\nrefused, `b`:\n\n```sh\nz\n```\n";
    let found: Vec<(String, Option<String>)> =
        blocks(guide).into_iter().map(|block| (block.script, block.refusal)).collect();
    let expected = [("x\n", Some("a")), ("y\n", None), ("z\n", Some("b"))];
    assert_eq!(found, expected.map(|(script, code)| (script.to_owned(), code.map(str::to_owned))));
}

/// What the guide leaves of each guest's booking.
async fn check_bookings(stack: &Stack, desk: &FrontDesk, day: NaiveDate) -> Result<()> {
    let listed = desk.send(Method::GET, &format!("/api/bookings?property_id={PROPERTY}"), None, &json!({})).await?;
    ensure!(listed.status == StatusCode::OK, "{listed:?}");
    let items = listed.body["items"].as_array().context("items")?;
    for item in items {
        stack.record_accepted(item["id"].as_str().context("an id")?.parse()?);
    }
    let of = |name: &str| items.iter().find(|item| item["guest"]["first_name"] == name).context("a booking of each");
    ensure!(items.len() == 4, "{listed:?}");

    let stays = |booking: &Value| -> Vec<Value> {
        let stays = booking["stays"].as_array().cloned().unwrap_or_default();
        let shown = |stay: Value| json!([stay["progress"], stay["arrival"], stay["departure"], stay["guests"]]);
        stays.into_iter().map(shown).collect()
    };
    let on = |days| day + Days::new(days);
    let ada = of("Ada")?;
    assert_eq!((&ada["status"], stays(ada)), (&json!("confirmed"), vec![json!([null, on(20), on(22), 12])]));
    assert_eq!(ada["stays"][0]["locked"], true, "{ada}");
    let grace = of("Grace")?;
    assert_eq!((&grace["status"], stays(grace)), (&json!("checked_out"), vec![json!([null, on(0), on(1), 1])]));
    assert_eq!(grace["stays"][0]["assigned_beds"], json!(["q2-8"]));
    assert_eq!(grace["price"]["total"]["amount"], 3_990);
    let left = |member: &str| grace["payment"][member]["amount"].as_i64().unwrap_or_default();
    assert_eq!([left("due"), left("refund_manual"), left("paid")], [0, 0, 3_990], "{grace}");
    let alan = of("Alan")?;
    let parts = vec![
        json!(["checked_in", on(0), on(2), 1]),
        json!(["checked_in", on(0), on(2), 2]),
        json!(["checked_out", on(0), on(1), 1]),
    ];
    assert_eq!((&alan["status"], stays(alan)), (&json!("checked_in"), parts), "{alan}");
    let katherine = of("Katherine")?;
    let parts = vec![json!(["expected", on(0), on(2), 1]), json!(["checked_in", on(0), on(2), 1])];
    assert_eq!(stays(katherine), parts, "{katherine}");
    let path = format!("/api/bookings/{}/guests", katherine["id"].as_str().unwrap_or_default());
    let list = desk.send(Method::GET, &path, None, &json!({})).await?;
    let named = list.body["guests"].as_array().into_iter().flatten().find(|place| place["last_name"] == "Johnson");
    ensure!(named.is_some_and(|place| place["progress"] == "checked_in"), "{list:?}");

    // What departed guests leave is free from the day of their departure on.
    let path = format!("/api/properties/{PROPERTY}/calendar?from={}&until={}", on(0), on(30));
    let calendar = desk.send(Method::GET, &path, None, &json!({})).await?;
    let rooms = calendar.body["rooms"].as_array().context("rooms")?;
    let beds = rooms.iter().flat_map(|room| room["beds"].as_array().into_iter().flatten());
    let taken: usize = beds.map(|bed| bed["entries"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(taken, 12 + 1 + 4 + 2 + 2, "the group of twelve, the walk-in, two groups, the blocked beds");
    Ok(())
}

#[tokio::test]
async fn every_block_of_the_property_guide_does_what_the_text_says() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let blocks = blocks(GUIDE);
    for (block, (printed, calls)) in blocks.iter().zip(run(&stack, &blocks).await?) {
        let at = format!("block at line {}: {calls:?}\n{printed}", block.line);
        let last = calls.last().map_or("", String::as_str);
        match &block.refusal {
            Some(code) => {
                ensure!(last.starts_with("409 ") && printed.contains(&format!(r#""code":"{code}""#)), "{at}");
            }
            None => ensure!(calls.iter().all(|call| call.starts_with("20")), "{at}"),
        }
        // Only blocks that define names call nothing.
        ensure!(!calls.is_empty() || block.script.contains("() {"), "{at}");
    }
    let desk = FrontDesk::with_role(&stack, "admin").await?;
    let property = stack.mongo.inventories().find(&PROPERTY.into()).await?.context("the property")?.property;
    check_bookings(&stack, &desk, business_date(&property, Utc::now().into())).await?;
    stack.end(Expectations::clean()).await
}
