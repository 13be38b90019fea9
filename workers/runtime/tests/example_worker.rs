//! The worker of docs/development.md, compiled, run, and compared with the page.

#![allow(clippy::unwrap_used, clippy::expect_used)]

// The part that the page quotes begins here.
use pvt_domain::failure::Failure;
use pvt_domain::ids::{BedId, PropertyId};
use pvt_domain::messages::{DecodeError, Inbox, decode_body};
use pvt_worker_runtime::{Job, Queue, RetryDelay, Shape, Spec, Worker};
use serde::Deserialize;
use std::time::Duration;

/// Housekeeping lists for a property's cleaning staff.
pub struct Housekeeping;

impl Worker for Housekeeping {
    const SPEC: Spec = Spec {
        name: "housekeeping",
        queue: Queue::One("housekeeping"),
        retry_schedule: &[RetryDelay::S5, RetryDelay::M1],
        timeout: Duration::from_secs(30),
        shape: Shape::Single { concurrency: 4 },
    };
    type Message = HousekeepingCommand;

    async fn handle(&self, job: &mut Job<HousekeepingCommand>) -> Result<(), Failure> {
        let HousekeepingCommand::ListBeds(command) = &job.message;
        if command.beds.is_empty() {
            return Err(Failure::reject("no_beds", format!("{} has no beds to clean", command.property_id)));
        }
        // Store the list, then `job.emit(…)` the events that report it. Both must be idempotent.
        Ok(())
    }
}
// The part that the page quotes ends here.

/// In the product, `inbox!` makes this from one line.
#[derive(Debug)]
pub enum HousekeepingCommand {
    /// List the beds of a property to clean.
    ListBeds(ListBeds),
}

/// A list of beds to clean.
#[derive(Debug, Deserialize)]
pub struct ListBeds {
    property_id: PropertyId,
    beds: Vec<BedId>,
}

impl Inbox for HousekeepingCommand {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            "housekeeping.list_beds.v1" => decode_body(body).map(Self::ListBeds),
            other => Err(DecodeError::unknown(other, &["housekeeping.list_beds.v1"])),
        }
    }
}

#[test]
fn page_quotes_the_example() {
    let (_, rest) = include_str!("example_worker.rs").split_once("begins here.\n").unwrap();
    let (quoted, _) = rest.split_once("// The part that the page quotes ends").unwrap();
    let page = include_str!("../../../docs/development.md");
    assert!(page.contains(quoted.trim()), "docs/development.md does not quote this file");
}

#[tokio::test]
async fn example_handles_its_command() {
    let body = br#"{ "property_id": "pvt-montreal", "beds": [] }"#;
    let message = HousekeepingCommand::decode("housekeeping.list_beds.v1", body).unwrap();
    let mut job = Job::new(message, pvt_worker_runtime::Meta::default());
    let failure = Housekeeping.handle(&mut job).await.unwrap_err();
    assert!(matches!(failure, Failure::Reject(_)), "{failure:?}");
}
