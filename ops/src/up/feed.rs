//! One line for everything that happens, while `pvt up` runs in the foreground.

use crate::{broker, output};
use chrono::Utc;
use pvt_domain::messages::{AnalyticsEvent, Inbox};
use pvt_messaging::{Delivery, Subscriber};
use pvt_service::config::Config;
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Above this rate lines are counted instead of printed.
const LINES_PER_SECOND: usize = 20;
const PREFETCH: u16 = 300;
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Prints events until the token is cancelled. A lost broker is waited for.
pub(super) async fn follow(config: &Config, shutdown: CancellationToken) {
    let subscriber = Subscriber::start(config.amqp_url.expose_secret(), broker::topology(config), "pvt up");
    tokio::select! {
        () = print_events(&subscriber) => {}
        () = shutdown.cancelled() => {}
    }
    subscriber.close(CLOSE_LIMIT).await;
}

async fn print_events(subscriber: &Subscriber) {
    loop {
        match subscriber.subscribe_events("#", PREFETCH).await {
            Ok(mut events) => {
                let mut second = Second::begin();
                while let Ok(delivery) = next(&mut events, &mut second).await {
                    second.show(&delivery);
                }
            }
            Err(error) => output::note(format_args!("  (events cannot be followed right now: {error})")),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// The next event; says in between how many were not shown.
async fn next(events: &mut pvt_messaging::Subscription, second: &mut Second) -> Result<Delivery, pvt_messaging::ConsumeError> {
    loop {
        match timeout(Duration::from_secs(1), events.next()).await {
            Ok(delivery) => return delivery,
            Err(_) => *second = Second::begin(),
        }
    }
}

/// Lines of one second.
struct Second {
    began: Instant,
    shown: usize,
    hidden: usize,
}

impl Second {
    fn begin() -> Self {
        Self { began: Instant::now(), shown: 0, hidden: 0 }
    }

    fn show(&mut self, delivery: &Delivery) {
        if self.began.elapsed() >= Duration::from_secs(1) {
            if self.hidden > 0 {
                output::note(format_args!("  … and {} more events", self.hidden));
            }
            *self = Self::begin();
        }
        if self.shown < LINES_PER_SECOND {
            self.shown += 1;
            output::note(line(delivery));
        } else {
            self.hidden += 1;
        }
    }
}

fn line(delivery: &Delivery) -> String {
    let time = Utc::now().format("%H:%M:%S%.3f");
    match AnalyticsEvent::decode(&delivery.envelope.kind, &delivery.body) {
        Ok(AnalyticsEvent::Booking(event)) => {
            let beds: Vec<&str> = event.stays.iter().flat_map(|stay| stay.assigned_beds.iter().map(|bed| bed.as_str())).collect();
            let took = (event.occurred_at.as_datetime() - event.created_at.as_datetime()).num_milliseconds();
            let took = if event.rev == 1 { format!(", decided {took} ms after it was asked") } else { String::new() };
            format!("{time}  booking {}  {}  rev {}  {}{took}", event.reference, event.status.as_str(), event.rev, beds.join(" "))
        }
        Ok(AnalyticsEvent::Notification(event)) => {
            let what = if event.delivered { "mailed" } else { "mail refused" };
            format!("{time}  booking {}  {what}: {}", event.booking_id.reference(), event.kind.as_str())
        }
        Ok(AnalyticsEvent::Inventory(event)) => format!("{time}  property {}  changed", event.property_id),
        Err(error) => format!("{time}  {}: {error}", delivery.envelope.kind),
    }
}
