//! Scenarios of the booking flow: intake, backlog, mart, mails, drain and steady load.

use super::{BenchmarkRun, SCENARIO_TIMEOUT};
use crate::booking_pool::WAIT_S;
use crate::figures::ratio;
use crate::load_generator::Pace;
use crate::{wire, worker_probe};
use anyhow::Result;
use pvt_operations::terminal;
use std::time::{Duration, Instant};

/// Requests to each property before a measurement, so that caches are as full as in a running system.
const WARM_UP_EACH: u64 = 2;
/// Time for the sink to count the last mails.
const SINK_LIMIT: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
pub(super) const CONFIRMATIONS: &str = "confirmations";
pub(super) const ANALYTICS: &str = "analytics";
pub(super) const EMAILS: &str = "emails";

impl BenchmarkRun<'_> {
    /// Only the API runs: requests accumulate in the booking queues.
    pub(super) async fn intake(&mut self) -> Result<()> {
        let address = self.process_group.api().await?;
        self.warm_up().await?;
        terminal::note(format_args!(
            "  intake: {} requests over {} connections",
            self.scale.requests, self.scale.connections
        ));
        let before = self.process_group.snapshot().await?;
        let answers = self.post(address, self.workload("intake"), self.scale.requests, Pace::ClosedLoop, 202).await?;
        let after = self.process_group.snapshot().await?;
        let figures = &mut self.figures;
        figures.record("intake", &before, &after, answers.expected());
        figures.intake_requests_per_s = Some(answers.per_second());
        figures.intake_ratio = ratio(answers.per_second(), figures.bare_intake_requests_per_s);
        figures.intake_p50_ms = Some(answers.latency_ms(500));
        figures.intake_p99_ms = Some(answers.latency_ms(990));
        Ok(())
    }

    async fn warm_up(&mut self) -> Result<()> {
        let address = self.process_group.api().await?;
        let count = u64::from(self.scale.properties) * WARM_UP_EACH;
        self.post(address, self.workload("warm-up"), count, Pace::ClosedLoop, 202).await?;
        Ok(())
    }

    /// The confirmations worker alone on the backlog of intake: events accumulate for the mart and the mails.
    pub(super) async fn backlog(&mut self) -> Result<()> {
        terminal::note(format_args!("  backlog: {} bookings to decide", self.posted));
        let before = self.process_group.snapshot().await?;
        let begun = Instant::now();
        let window = self.wait_until_decided().await?;
        let after = self.process_group.snapshot().await?;
        self.figures.record("backlog", &before, &after, self.posted);
        self.figures.backlog_bookings_per_s = Some(window.per_second(begun));
        Ok(())
    }

    /// Waits until every accepted booking and change is stored and its event published.
    pub(super) async fn wait_until_decided(&mut self) -> Result<worker_probe::ThroughputWindow> {
        let worker = self.process_group.worker(CONFIRMATIONS).await?;
        let window =
            worker_probe::wait_for(worker, CONFIRMATIONS, self.posted + self.changed, SCENARIO_TIMEOUT).await?;
        let stored = self.namespace.stored_bookings().await?;
        self.expect_equal("bookings stored", stored, self.posted);
        Ok(window)
    }

    /// The analytics worker alone on the events of the confirmations.
    pub(super) async fn etl(&mut self) -> Result<()> {
        terminal::note(format_args!("  etl: {} events to load", self.posted));
        let before = self.process_group.snapshot().await?;
        let begun = Instant::now();
        let worker = self.process_group.worker(ANALYTICS).await?;
        let window = worker_probe::wait_for(worker, ANALYTICS, self.posted, SCENARIO_TIMEOUT).await?;
        let after = self.process_group.snapshot().await?;
        self.figures.record("etl", &before, &after, self.posted);
        let rate = window.per_second(begun);
        self.figures.etl_events_per_s = Some(rate);
        self.figures.etl_ratio = ratio(rate, self.figures.bare_pipeline_messages_per_s);
        let loaded = self.namespace.mart_events().await?;
        self.expect_equal("events in the mart", loaded, self.posted);
        Ok(())
    }

    /// The emails worker alone on the events of the confirmations.
    pub(super) async fn mails(&mut self) -> Result<()> {
        self.process_group.stop(ANALYTICS).await?;
        let count = self.namespace.bookings_in("confirmed").await?;
        terminal::note(format_args!("  mails: {count} to send"));
        let sink = self.process_group.sink().await?;
        let before = self.process_group.snapshot().await?;
        let begun = Instant::now();
        let worker = self.process_group.worker(EMAILS).await?;
        let window = worker_probe::wait_for(worker, EMAILS, count, SCENARIO_TIMEOUT).await?;
        let after = self.process_group.snapshot().await?;
        self.figures.record("mails", &before, &after, count);
        let rate = window.per_second(begun);
        self.figures.mails_per_s = Some(rate);
        self.figures.mails_ratio = ratio(rate, self.figures.bare_pipeline_messages_per_s);
        let deadline = Instant::now() + SINK_LIMIT;
        let mut accepted = mails_in(&wire::get(sink, "/dev/mail/count").await?.1);
        while accepted < count && Instant::now() < deadline {
            tokio::time::sleep(POLL_INTERVAL).await;
            accepted = mails_in(&wire::get(sink, "/dev/mail/count").await?.1);
        }
        self.expect_equal("mails accepted", accepted, count);
        self.process_group.stop(EMAILS).await
    }

    /// Everything but the mails runs, and all queues are drained.
    pub(super) async fn drain_queues(&mut self) -> Result<()> {
        self.process_group.stop(EMAILS).await?;
        if self.posted == 0 {
            self.warm_up().await?;
        }
        self.wait_until_decided().await?;
        self.process_group.stop(ANALYTICS).await?;
        self.namespace.purge(ANALYTICS).await?;
        self.namespace.purge(EMAILS).await?;
        self.events_elsewhere = self.posted;
        self.mart_lacks = self.namespace.revisions().await? - self.namespace.mart_events().await?;
        self.process_group.worker(ANALYTICS).await?;
        Ok(())
    }

    /// From the first request to the last booking stored, its event published, and the mart complete; mails switched
    /// off.
    pub(super) async fn drain(&mut self) -> Result<()> {
        let (address, analytics) = (self.process_group.api().await?, self.process_group.worker(ANALYTICS).await?);
        // After every process has connected: each connection declares all bindings again.
        self.namespace.unbind_mails().await?;
        terminal::note(format_args!("  drain: {} requests, decided and loaded at the same time", self.scale.requests));
        let before = self.process_group.snapshot().await?;
        let answers = self.post(address, self.workload("drain"), self.scale.requests, Pace::ClosedLoop, 202).await?;
        let stored = self.wait_until_decided().await?.last.0.duration_since(answers.begun);
        let events = self.posted - self.events_elsewhere;
        let loaded = worker_probe::wait_for(analytics, ANALYTICS, events, SCENARIO_TIMEOUT)
            .await?
            .last
            .0
            .duration_since(answers.begun);
        let after = self.process_group.snapshot().await?;
        self.figures.record("drain", &before, &after, answers.expected());
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        let rate = answers.expected() as f64 / stored.as_secs_f64();
        let figures = &mut self.figures;
        figures.drained_bookings_per_s = Some(rate);
        figures.drained_ratio = ratio(rate, figures.bare_all_three_bookings_per_s);
        figures.drained_accepted_s = Some(answers.took.as_secs_f64());
        figures.drained_stored_s = Some(stored.as_secs_f64());
        figures.drained_mart_s = Some(loaded.as_secs_f64());
        let mails = self.namespace.ready(EMAILS).await?;
        self.expect_equal("messages in `emails` although mails are off", u64::from(mails), 0);
        Ok(())
    }

    /// Everything runs, mails included, at a moderate rate: the latency that a guest sees.
    pub(super) async fn steady(&mut self) -> Result<()> {
        self.process_group.sink().await?;
        self.process_group.worker(EMAILS).await?;
        let address = self.process_group.api().await?;
        let rate = self.scale.rate_per_s;
        let count = u64::from(rate) * self.scale.steady.as_secs();
        terminal::note(format_args!(
            "  steady: {rate} requests/s for {:?}, each until it is confirmed",
            self.scale.steady
        ));
        let before = self.process_group.snapshot().await?;
        let answers =
            self.post(address, self.workload("steady").waiting(WAIT_S), count, Pace::OpenLoop(rate), 201).await?;
        let after = self.process_group.snapshot().await?;
        let figures = &mut self.figures;
        figures.record("steady", &before, &after, answers.expected());
        figures.steady_requests_per_s = Some(answers.per_second());
        figures.steady_p50_ms = Some(answers.latency_ms(500));
        figures.steady_p99_ms = Some(answers.latency_ms(990));
        figures.steady_max_ms = Some(answers.latency_ms(1_000));
        self.wait_until_decided().await?;
        Ok(())
    }
}

/// The number in the sink's response, as text or in a JSON object.
fn mails_in(answer: &str) -> u64 {
    let digits: String = answer.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::mails_in;

    #[test]
    fn sink_count_is_read_from_text_and_json() {
        assert_eq!((mails_in("42"), mails_in(r#"{"count":1203}"#), mails_in("")), (42, 1_203, 0));
    }
}
