//! Event feed of `pvt up` in the foreground: one line for each event and dead letter.

use chrono::Utc;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{AnalyticsEvent, Inbox};
use pvt_domain::money::Money;
use pvt_messaging::{ConsumeError, Delivery, Subscriber, Subscription};
use pvt_operations::{broker, terminal};
use pvt_service::config::Config;
use pvt_worker_runtime::{HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_WORKER};
use secrecy::ExposeSecret;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Above this rate, lines are counted instead of printed.
const LINES_PER_SECOND: usize = 20;
const PREFETCH: u16 = 300;
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Bookings and events that are remembered, so that redeliveries can be recognised.
const REMEMBERED_MAX: usize = 50_000;
/// Longest reason of a dead letter that is shown.
const REASON_CHARS: usize = 120;

/// Prints events until the token is cancelled. After a lost connection it subscribes again.
pub(super) async fn follow(config: &Config, shutdown: CancellationToken) {
    let subscriber = Subscriber::start(config.amqp_url.expose_secret(), broker::topology(config), "pvt up");
    tokio::select! {
        () = print_events(&subscriber) => {}
        () = shutdown.cancelled() => {}
    }
    subscriber.close(CLOSE_LIMIT).await;
}

async fn print_events(subscriber: &Subscriber) {
    let mut seen = SeenEvents::default();
    loop {
        match subscribe(subscriber).await {
            Ok((mut events, mut dead)) => {
                let mut window = OutputWindow::begin();
                while let Ok(line) = next(&mut events, &mut dead, &mut window, &mut seen).await {
                    window.show(&line);
                }
            }
            Err(error) => terminal::note(format_args!("  (no events at the moment: {error})")),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn subscribe(subscriber: &Subscriber) -> Result<(Subscription, Subscription), ConsumeError> {
    Ok((subscriber.subscribe_events("#", PREFETCH).await?, subscriber.subscribe_dead(PREFETCH).await?))
}

/// The line of the next event or dead letter.
async fn next(
    events: &mut Subscription,
    dead: &mut Subscription,
    window: &mut OutputWindow,
    seen: &mut SeenEvents,
) -> Result<String, ConsumeError> {
    loop {
        let next_line = async {
            tokio::select! {
                event = events.next() => Ok(line(&event?, seen)),
                dead_letter = dead.next() => Ok(Some(dead_letter_line(&dead_letter?))),
            }
        };
        match timeout(Duration::from_secs(1), next_line).await {
            Ok(Ok(Some(line))) => return Ok(line),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => *window = OutputWindow::begin(),
        }
    }
}

/// Events that were shown already.
#[derive(Default)]
struct SeenEvents {
    /// The newest revision of each booking.
    revisions: HashMap<BookingId, u32>,
    /// Events of payments and mails, which are published again whenever they are processed again.
    event_ids: HashSet<Uuid>,
}

impl SeenEvents {
    /// Whether this revision is newer than those shown.
    fn is_newer(&mut self, booking: BookingId, rev: u32) -> bool {
        if self.revisions.len() >= REMEMBERED_MAX {
            self.revisions.clear();
        }
        let newest = self.revisions.entry(booking).or_default();
        let is_newer = rev > *newest;
        *newest = rev.max(*newest);
        is_newer
    }

    /// Whether this event was not shown yet.
    fn is_new(&mut self, event: Uuid) -> bool {
        if self.event_ids.len() >= REMEMBERED_MAX {
            self.event_ids.clear();
        }
        self.event_ids.insert(event)
    }
}

/// The lines of one second, limited in number.
struct OutputWindow {
    began: Instant,
    shown: usize,
    hidden: usize,
}

impl OutputWindow {
    fn begin() -> Self {
        Self { began: Instant::now(), shown: 0, hidden: 0 }
    }

    fn show(&mut self, line: &str) {
        if self.began.elapsed() >= Duration::from_secs(1) {
            if self.hidden > 0 {
                terminal::note(format_args!("  … and {} more events", self.hidden));
            }
            *self = Self::begin();
        }
        if self.shown < LINES_PER_SECOND {
            self.shown += 1;
            terminal::note(line);
        } else {
            self.hidden += 1;
        }
    }
}

/// The line of a dead letter, with its reason.
fn dead_letter_line(dead_letter: &Delivery) -> String {
    let envelope = &dead_letter.envelope;
    let header = |name| envelope.header(name).unwrap_or("-");
    let class = envelope.header(HEADER_ERROR_CLASS).unwrap_or("delivery_limit");
    let reason: String = header(HEADER_ERROR_MESSAGE).chars().take(REASON_CHARS).collect();
    let id = if envelope.id.is_nil() { "without an id".to_owned() } else { envelope.id.to_string() };
    let time = Utc::now().format("%H:%M:%S%.3f");
    format!(
        "{time}  DEAD LETTER of {}  {class}: {reason}  ({} {id}; `pvt dead list`)",
        header(HEADER_WORKER),
        envelope.kind
    )
}

/// The line of an event; none for a payment or mail that was shown already.
fn line(delivery: &Delivery, seen: &mut SeenEvents) -> Option<String> {
    let time = Utc::now().format("%H:%M:%S%.3f");
    Some(match AnalyticsEvent::decode(&delivery.envelope.kind, &delivery.body) {
        Ok(AnalyticsEvent::Booking(event)) => {
            let beds: Vec<&str> =
                event.stays.iter().flat_map(|stay| stay.assigned_beds.iter().map(|bed| bed.as_str())).collect();
            let took = (event.occurred_at.as_datetime() - event.created_at.as_datetime()).num_milliseconds();
            let took = if !seen.is_newer(event.booking_id, event.rev) {
                ", redelivered (changes nothing)".to_owned()
            } else if event.rev == 1 {
                format!(", decided {took} ms after the request")
            } else {
                String::new()
            };
            format!(
                "{time}  booking {}  {}  rev {}  {}{took}",
                event.reference,
                event.status.as_str(),
                event.rev,
                beds.join(" ")
            )
        }
        Ok(AnalyticsEvent::Notification(_) | AnalyticsEvent::Payment(_)) if !seen.is_new(delivery.envelope.id) => {
            return None;
        }
        Ok(AnalyticsEvent::Notification(event)) => {
            let what = if event.delivered { "mail sent" } else { "mail refused" };
            format!("{time}  booking {}  {what}: {}", event.booking_id.reference(), event.kind.as_str())
        }
        Ok(AnalyticsEvent::Payment(event)) => {
            let amount = Money::new(event.entry.as_ref().map_or(event.amount, |entry| entry.amount), event.currency);
            format!("{time}  booking {}  payment {}: {amount}", event.booking_id.reference(), event.change.as_str())
        }
        Ok(AnalyticsEvent::Inventory(event)) => format!("{time}  property {}  changed", event.property_id),
        Err(error) => format!("{time}  {}: {error}", delivery.envelope.kind),
    })
}
