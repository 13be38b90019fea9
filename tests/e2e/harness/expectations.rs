//! The end of a test: everything is waited for, stopped in order, counted and compared.

use super::{LONG_TIMEOUT, Stack};
use anyhow::{Context, Result, bail, ensure};
use pvt_messaging::{Queue, QueueRole};
use pvt_testkit::{Expected, eventually, leaks, violations};
use std::collections::BTreeMap;

/// How often programs are stopped until nothing is left behind.
const STOPS: usize = 3;

/// What a test expects at its end.
#[derive(Debug, Clone)]
pub(crate) struct Expectations {
    expected: Expected,
    dead: BTreeMap<String, u32>,
}

impl Expectations {
    /// Everything that was accepted is decided, mailed once and in the mart; no dead letter.
    pub(crate) fn clean() -> Self {
        Self {
            expected: Expected { accepted: Vec::new(), mails: true, mail_copies: 1, mart: true },
            dead: BTreeMap::new(),
        }
    }

    /// Without looking at mails: nothing sends them in this test.
    pub(crate) fn without_mails(mut self) -> Self {
        self.expected.mails = false;
        self
    }

    /// Without looking at the mart: nothing loads it in this test.
    pub(crate) fn without_mart(mut self) -> Self {
        self.expected.mart = false;
        self
    }

    /// A mail may have come so often: its sender was killed while it could not know.
    pub(crate) fn mail_copies(mut self, copies: usize) -> Self {
        self.expected.mail_copies = copies;
        self
    }

    /// So many dead letters of this queue were provoked.
    pub(crate) fn dead(mut self, queue: &str, count: u32) -> Self {
        self.dead.insert(queue.to_owned(), count);
        self
    }
}

impl Stack {
    /// Waits until all is quiet and as it must be.
    pub(crate) async fn wait_until_quiet(&self, expectations: &Expectations) -> Result<()> {
        let expected = Expected { accepted: self.accepted(), ..expectations.expected.clone() };
        eventually("everything settles", LONG_TIMEOUT, || async {
            let pending = self.broker.pending().await?;
            ensure!(pending == 0, "{pending} messages wait in queues");
            self.compare(&expected).await.map(Some)
        })
        .await
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

    /// Waits until all is quiet, stops every program in order, and looks at everything once more: exact depths, stores,
    /// mails, and whether anything of a guest stands where it must not.
    pub(crate) async fn end(mut self, expectations: Expectations) -> Result<()> {
        let sink = "mail-sink";
        for stop in 1..=STOPS {
            self.wait_until_quiet(&expectations).await?;
            let stopped = self.stop_all_except(sink).await?;
            // What was in hand when a program was told to stop may have sent one more message, which nobody was left to
            // take.
            if stop == STOPS || self.broker.pending().await? == 0 {
                break;
            }
            self.run(&stopped.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        }
        let expected = Expected { accepted: self.accepted(), ..expectations.expected.clone() };
        self.compare(&expected).await?;
        self.count(&expectations).await?;
        self.search_for_leaks(&expectations).await?;
        if self.program(sink)?.is_running()? {
            self.program(sink)?.stop().await?;
        }
        self.passed = true;
        Ok(())
    }

    /// Stops every program that runs, in order, but one; gives their names.
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

    /// Ends a test whose requests nobody has counted: every program stops in order, and that is all that is looked at.
    pub(crate) async fn shut_down(mut self) -> Result<()> {
        for program in self.programs().values_mut() {
            if program.is_running()? {
                program.stop().await?;
            }
        }
        self.passed = true;
        Ok(())
    }

    /// 11 and 12: with nobody consuming, every message that is left is ready and counted.
    async fn count(&self, expectations: &Expectations) -> Result<()> {
        let depths = self.broker.depths().await?;
        let mut wrong = Vec::new();
        for queue in self.topology.queues() {
            let expected = match &queue.role {
                QueueRole::Dead { of } => expectations.dead.get(self.base(of)).copied().unwrap_or_default(),
                _ => 0,
            };
            let found = depths.get(&queue.name).copied().context("every queue is counted")?;
            if found != expected {
                wrong.push(format!("{}: {found} messages, not {expected}", queue.name));
                let letters = self.broker.peek(self.base(&queue.name), 3).await?;
                wrong.extend(
                    letters.into_iter().map(|letter| format!("    {} {} {:?}", letter.id, letter.kind, letter.headers)),
                );
            }
        }
        if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("\n")) }
    }

    /// 13: no log, no header and no row of the mart tells of a guest.
    async fn search_for_leaks(&mut self, expectations: &Expectations) -> Result<()> {
        let records = self.stores.records().await?;
        let mut secrets: Vec<String> = Vec::new();
        for guest in records.bookings.iter().map(|booking| &booking.guest) {
            secrets.extend([guest.email.clone(), guest.last_name.clone()]);
            secrets.extend(guest.phone.clone());
        }
        secrets.sort_unstable();
        secrets.dedup();
        let mut found = leaks(&records.mart_text, &secrets);
        for (name, program) in self.programs().iter().filter(|(_, program)| program.was_started()) {
            // What logs nothing leaks nothing, and helps nobody either.
            ensure!(name == "mail-sink" || program.log().contains("\"level\":"), "{name} logs nothing");
            found.extend(leaks(&program.log(), &secrets).into_iter().map(|line| format!("{name}: {line}")));
        }
        for queue in expectations.dead.keys() {
            for letter in self.broker.peek(&format!("{queue}.dead"), 100).await? {
                let headers: Vec<String> =
                    letter.headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
                found.extend(leaks(&headers.join("\n"), &secrets));
            }
        }
        ensure!(found.is_empty(), "something of a guest stands where it must not:\n  {}", found.join("\n  "));
        Ok(())
    }

    /// A queue's name without the prefix.
    fn base<'n>(&self, name: &'n str) -> &'n str {
        name.strip_prefix(self.topology.prefix()).unwrap_or(name)
    }

    /// The name of the booking queue that serves this property, without the prefix.
    pub(crate) fn partition_of(&self, property_id: &str) -> String {
        format!("{}.{}", Queue::Partitioned("bookings").base(), self.topology.partition(property_id))
    }
}
