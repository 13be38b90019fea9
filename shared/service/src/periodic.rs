//! Turns of a periodic task: the first at once, the next ones at an interval, until the process stops.

use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// The turns of one task. A turn that takes longer than the interval delays those after it; none are made up for.
///
/// Only the wait for a turn ends with the stop, never a turn: a task whose turns may be cut short does that itself.
#[derive(Debug)]
pub struct Turns {
    ticks: Interval,
    stop: CancellationToken,
}

impl Turns {
    /// A turn at once and then one `every` so often, until `stop`.
    pub fn new(every: Duration, stop: &CancellationToken) -> Self {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, stop: stop.clone() }
    }

    /// Waits for the next turn; `false` when there are no more.
    pub async fn next(&mut self) -> bool {
        self.stop.run_until_cancelled(self.ticks.tick()).await.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;
    use std::time::Duration;
    use tokio::time::{Instant, advance};
    use tokio_util::sync::CancellationToken;

    const EVERY: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn long_turn_delays_the_next_and_stop_ends_them() {
        let (stop, begun) = (CancellationToken::new(), Instant::now());
        let mut turns = Turns::new(EVERY, &stop);
        assert!(turns.next().await && begun.elapsed() == Duration::ZERO, "the first is at once");
        assert!(turns.next().await && begun.elapsed() == EVERY);
        advance(EVERY * 3).await;
        assert!(turns.next().await && begun.elapsed() == EVERY * 4, "the one that is late");
        assert!(turns.next().await && begun.elapsed() == EVERY * 5, "and none that were missed");
        stop.cancel();
        assert!(!turns.next().await);
    }
}
