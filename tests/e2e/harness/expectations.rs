//! The end of a test: wait for quiet, stop everything in order, count messages, and check the invariants.

use super::{LONG_TIMEOUT, Stack};
use anyhow::{Context, Result, bail, ensure};
use pvt_domain::booking::FormerAddress;
use pvt_messaging::{Queue, QueueRole};
use pvt_testkit::{Expected, eventually, leaks, violations};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Most attempts to stop all programs with no message left behind.
const STOPS: usize = 3;

/// A dead letter as far as the checks read it.
#[derive(Debug, Deserialize)]
struct StoredDeadLetter {
    queue: String,
    kind: String,
    state: String,
    last: LastDeath,
    message: StoredHeaders,
}

#[derive(Debug, Deserialize)]
struct LastDeath {
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StoredHeaders {
    headers: Vec<(String, String)>,
}

/// Deviations that a test has provoked.
#[derive(Debug, Clone)]
pub(crate) struct Expectations {
    expected: Expected,
    dead: BTreeMap<String, u32>,
}

impl Expectations {
    /// Every accepted booking is decided, mailed once and in the mart; there are no dead letters.
    pub(crate) fn clean() -> Self {
        Self {
            expected: Expected { accepted: Vec::new(), mails: true, mail_copies: 1, mart: true },
            dead: BTreeMap::new(),
        }
    }

    /// Skips mails: no worker sends them in this test.
    pub(crate) fn without_mails(mut self) -> Self {
        self.expected.mails = false;
        self
    }

    /// Skips the mart: no worker loads it in this test.
    pub(crate) fn without_mart(mut self) -> Self {
        self.expected.mart = false;
        self
    }

    /// Allows this many copies of a mail: its sender was killed between delivery and record.
    pub(crate) fn mail_copies(mut self, copies: usize) -> Self {
        self.expected.mail_copies = copies;
        self
    }

    /// The test has provoked this many dead letters of a queue.
    pub(crate) fn dead(mut self, queue: &str, count: u32) -> Self {
        self.dead.insert(queue.to_owned(), count);
        self
    }
}

impl Stack {
    /// Waits until all queues are empty and the invariants hold. The limit starts anew with every message less, so that
    /// a slow machine is no failure and a message that stays is one.
    pub(crate) async fn wait_until_quiet(&self, expectations: &Expectations) -> Result<()> {
        let expected = Expected { accepted: self.accepted(), ..expectations.expected.clone() };
        let left = async || anyhow::Ok(self.broker.pending().await?.values().sum::<u32>());
        let mut fewest = left().await?;
        loop {
            let quiet = eventually("all queues are empty and the invariants hold", LONG_TIMEOUT, || async {
                let pending = self.broker.pending().await?;
                ensure!(pending.is_empty(), "messages are pending: {pending:?}");
                self.compare(&expected).await.map(Some)
            })
            .await;
            let now = left().await?;
            if quiet.is_ok() || now >= fewest {
                return quiet;
            }
            fewest = now;
        }
    }

    async fn compare(&self, expected: &Expected) -> Result<()> {
        let mails = if expected.mails { self.mailbox.all().await? } else { Vec::new() };
        let wrong = violations(&self.stores.records().await?, &mails, expected);
        ensure!(
            wrong.is_empty(),
            "{} violations:\n  {}",
            wrong.len(),
            wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ")
        );
        Ok(())
    }

    /// Waits until all is quiet, stops every program in order, and checks everything once more: exact queue depths,
    /// stores, mails, and leaks of personal data.
    pub(crate) async fn end(mut self, expectations: Expectations) -> Result<()> {
        let sink = "mail-sink";
        for stop in 1..=STOPS {
            self.wait_until_quiet(&expectations).await?;
            let stopped = self.stop_all_except(sink).await?;
            // A program that drained may have published one more message after its consumer had stopped.
            if stop == STOPS || self.broker.pending().await?.is_empty() {
                break;
            }
            self.run(&stopped.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        }
        let expected = Expected { accepted: self.accepted(), ..expectations.expected.clone() };
        self.compare(&expected).await?;
        self.check_queue_depths(&expectations).await?;
        self.check_leaks(&expectations).await?;
        if self.program(sink)?.is_running()? {
            self.program(sink)?.stop().await?;
        }
        self.passed = true;
        Ok(())
    }

    /// Stops every running program but one, in order, and returns their names.
    async fn stop_all_except(&mut self, one: &str) -> Result<Vec<String>> {
        let mut stopped = Vec::new();
        for (name, program) in self.programs().iter_mut().filter(|(name, _)| *name != one) {
            if program.is_running()? {
                program.stop().await?;
                stopped.push(name.clone());
            }
        }
        Ok(stopped)
    }

    /// Ends a test that did not record its requests: stops every program in order and checks nothing else.
    pub(crate) async fn shut_down(mut self) -> Result<()> {
        for program in self.programs().values_mut() {
            if program.is_running()? {
                program.stop().await?;
            }
        }
        self.passed = true;
        Ok(())
    }

    /// 11 and 12: without consumers, every message that is left is ready and counted; a dead letter is in its queue or
    /// in the store.
    async fn check_queue_depths(&self, expectations: &Expectations) -> Result<()> {
        let depths = self.broker.depths().await?;
        let stored = self.stores.all::<StoredDeadLetter>("dead_letters").await?;
        let dead: Vec<&StoredDeadLetter> = stored.iter().filter(|stored| stored.state == "dead").collect();
        let mut wrong: Vec<String> = stored
            .iter()
            .filter(|stored| stored.state == "replaying")
            .map(|stored| format!("{}: a replay holds a message of type {}", stored.queue, stored.kind))
            .collect();
        for queue in self.topology.queues() {
            let expected = match &queue.role {
                QueueRole::Dead { of } => expectations.dead.get(self.base(of)).copied().unwrap_or_default(),
                _ => 0,
            };
            let of = |stored: &&&StoredDeadLetter| format!("{}.dead", stored.queue) == self.base(&queue.name);
            let in_store = u32::try_from(dead.iter().filter(of).count())?;
            let found = depths.get(&queue.name).copied().context("depth of every queue")? + in_store;
            if found != expected {
                wrong.push(format!("{}: {found} messages instead of {expected}", queue.name));
                wrong.extend(dead.iter().filter(of).take(3).map(|stored| format!("    {stored:?}")));
                let messages = self.broker.peek(self.base(&queue.name), 3).await?;
                wrong.extend(
                    messages
                        .into_iter()
                        .map(|message| format!("    {} {} {:?}", message.id, message.kind, message.headers)),
                );
            }
        }
        if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("\n")) }
    }

    /// 13: no log line, message header or mart row contains personal data of a guest.
    async fn check_leaks(&mut self, expectations: &Expectations) -> Result<()> {
        let records = self.stores.records().await?;
        let mut secrets: Vec<String> = Vec::new();
        for guest in records.bookings.iter().map(|booking| &booking.guest) {
            secrets.extend([guest.email.clone(), guest.last_name.clone()]);
            secrets.extend(guest.phone.clone());
        }
        for guest in records.bookings.iter().flat_map(|booking| &booking.rooming_list) {
            secrets.extend([guest.first_name.clone(), guest.last_name.clone()]);
            secrets.extend(guest.birth_date.map(|date| date.to_string()));
        }
        let former: Vec<FormerAddress> = self.stores.all("former_addresses").await?;
        secrets.extend(former.into_iter().map(|former| former.email));
        // Guests may have one name only, and no address.
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_unstable();
        secrets.dedup();
        let mut found = leaks(&records.mart_text, &secrets);
        for (name, program) in self.programs().iter().filter(|(_, program)| program.was_started()) {
            // A program that logs nothing would pass this check vacuously.
            ensure!(name == "mail-sink" || program.log().contains("\"level\":"), "{name} logs nothing");
            found.extend(leaks(&program.log(), &secrets).into_iter().map(|line| format!("{name}: {line}")));
        }
        for queue in expectations.dead.keys() {
            for message in self.broker.peek(&format!("{queue}.dead"), 100).await? {
                let headers: Vec<String> =
                    message.headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
                found.extend(leaks(&headers.join("\n"), &secrets));
            }
        }
        for StoredDeadLetter { last, message, .. } in self.stores.all("dead_letters").await? {
            let headers = message.headers.into_iter().map(|(name, value)| format!("{name}: {value}"));
            let lines: Vec<String> = headers.chain(last.error).collect();
            found.extend(leaks(&lines.join("\n"), &secrets));
        }
        ensure!(found.is_empty(), "personal data has leaked:\n  {}", found.join("\n  "));
        Ok(())
    }

    /// The name of a queue without the prefix.
    fn base<'n>(&self, name: &'n str) -> &'n str {
        name.strip_prefix(self.topology.prefix()).unwrap_or(name)
    }

    /// The name of the booking queue that serves this property, without the prefix.
    pub(crate) fn partition_of(&self, property_id: &str) -> String {
        format!("{}.{}", Queue::Partitioned("bookings").base(), self.topology.partition(property_id))
    }
}
