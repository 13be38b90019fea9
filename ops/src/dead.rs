//! Dead letters: what could not be handled, why, and sending it home again.
//!
//! A dead letter is removed only after the broker confirmed its copy in the home queue. The copy keeps its message id, so a
//! message that had been handled after all is recognised by its worker.

use crate::cli::{DeadListArgs, ReplayArgs};
use crate::outcome::Problem;
use crate::{broker, output};
use anyhow::{Context, Result, bail};
use pvt_messaging::{Ack, Delivery, FIRST_ATTEMPT, QueueRole, Subscriber, Subscription, Target, Topology};
use pvt_service::config::Config;
use pvt_worker_runtime::{HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Most dead letters of one queue that one command looks at.
const LOOK_AT_MOST: u16 = 10_000;
/// After this silence of the broker everything that was there has been seen.
const SILENCE: Duration = Duration::from_millis(700);
/// Headers that tell of earlier attempts; a replayed message starts anew.
const OF_THE_LAST_LIFE: [&str; 5] = [HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER];
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// `pvt dead list`.
pub(crate) async fn list(config: &Config, args: DeadListArgs) -> Result<()> {
    let mut seen = Vec::new();
    visit(config, args.queue.as_deref(), |queue, delivery| {
        seen.push(describe(queue, delivery));
        false
    })
    .await?;
    if args.json {
        return output::json(&seen);
    }
    if seen.is_empty() {
        output::note("No dead letters.");
        return Ok(());
    }
    let mut groups: BTreeMap<[String; 4], (usize, String)> = BTreeMap::new();
    for letter in &seen {
        let text = |name: &str| letter[name].as_str().unwrap_or("-").to_owned();
        let group = groups.entry(["queue", "type", "class", "message"].map(text)).or_insert((0, text("id")));
        group.0 += 1;
    }
    let rows = groups.into_iter().map(|([queue, kind, class, message], (count, id))| [queue, count.to_string(), kind, class, message, id]);
    output::table(["QUEUE", "COUNT", "TYPE", "CLASS", "MESSAGE", "ONE ID"], rows);
    output::note("\n`pvt dead show <id>` shows one; `pvt dead replay <id>` sends it home.");
    Ok(())
}

/// `pvt dead show`.
pub(crate) async fn show(config: &Config, id: Uuid) -> Result<()> {
    let mut found = None;
    visit(config, None, |queue, delivery| {
        if delivery.envelope.id == id && found.is_none() {
            let mut letter = describe(queue, delivery);
            letter["headers"] = delivery.envelope.headers.iter().cloned().collect();
            letter["body"] = serde_json::from_slice(&delivery.body).unwrap_or_else(|_| String::from_utf8_lossy(&delivery.body).into());
            found = Some(letter);
        }
        false
    })
    .await?;
    output::json(&found.ok_or_else(|| Problem::NotFound(format!("no dead letter {id}; `pvt dead list` shows all")))?)
}

/// `pvt dead replay`.
pub(crate) async fn replay(config: &Config, args: ReplayArgs) -> Result<()> {
    if args.id.is_none() && !args.all {
        bail!("name a message id, or say --all (with --queue or --class to choose)");
    }
    let matches = |delivery: &Delivery| {
        args.id.is_none_or(|id| delivery.envelope.id == id)
            && args.class.as_deref().is_none_or(|class| delivery.envelope.header(HEADER_ERROR_CLASS) == Some(class))
    };
    let mut count = 0_usize;
    visit(config, args.queue.as_deref(), |queue, delivery| {
        let matching = matches(delivery);
        if matching {
            count += 1;
            output::data(format_args!("{} {} → {queue}", delivery.envelope.id, delivery.envelope.kind));
        }
        matching && !args.dry_run
    })
    .await?;
    if count == 0 {
        return Err(Problem::NotFound("no dead letter matches; `pvt dead list` shows all".to_owned()).into());
    }
    output::note(format_args!("{count} {}", if args.dry_run { "would be replayed" } else { "replayed" }));
    Ok(())
}

/// Looks at every dead letter; those for which `replay` says yes go home, the others stay.
async fn visit(config: &Config, only: Option<&str>, mut replay: impl FnMut(&str, &Delivery) -> bool) -> Result<()> {
    let topology = broker::topology(config);
    let management = broker::management(config)?;
    let depths = management.queues(topology.prefix()).await.map_err(|error| Problem::TryLater(format!("RabbitMQ's management API: {error}")))?;
    let publisher = pvt_messaging::Publisher::start(config.amqp_url.expose_secret(), topology.clone(), "pvt dead");
    let subscriber = Subscriber::start(config.amqp_url.expose_secret(), topology.clone(), "pvt dead");
    for queue in work_queues(&topology, only)? {
        let dead = topology.dead_queue(&queue);
        let depth = depths.iter().find(|state| state.name == dead).map_or(0, |state| state.messages_ready);
        // Depths are a few seconds old, so a queue that looks empty is still asked.
        let prefetch = u16::try_from(depth.saturating_add(100)).unwrap_or(LOOK_AT_MOST).min(LOOK_AT_MOST);
        let mut subscription = subscriber.subscribe(&dead, prefetch).await?;
        visit_queue(&mut subscription, &publisher, &queue, usize::from(prefetch), &mut replay).await.with_context(|| dead.clone())?;
        // Closing the channel returns what was only looked at.
        subscription.close().await?;
    }
    subscriber.close(CLOSE_LIMIT).await;
    publisher.close(CLOSE_LIMIT).await;
    Ok(())
}

async fn visit_queue(
    subscription: &mut Subscription,
    publisher: &pvt_messaging::Publisher,
    home: &str,
    limit: usize,
    replay: &mut impl FnMut(&str, &Delivery) -> bool,
) -> Result<()> {
    // All are looked at before the first goes home: one that fails again at once must not be met a second time.
    let mut letters = Vec::new();
    while letters.len() < limit {
        let Ok(delivery) = timeout(SILENCE, subscription.next()).await else { break };
        letters.push(delivery?);
    }
    for delivery in letters {
        if replay(home, &delivery) {
            let mut copy = delivery.republish(Target::Queue, home);
            copy.attempt = FIRST_ATTEMPT;
            copy.headers.retain(|(name, _)| !OF_THE_LAST_LIFE.contains(&name.as_ref()));
            publisher.publish(copy).await?;
            subscription.acks().send(&[Ack { tag: delivery.tag, multiple: false }]).await?;
        }
    }
    Ok(())
}

fn work_queues(topology: &Topology, only: Option<&str>) -> Result<Vec<String>> {
    let all: Vec<String> = topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. })).map(|queue| queue.name).collect();
    let Some(only) = only else { return Ok(all) };
    let wanted = topology.name(only);
    let known = all.join(", ");
    let found: Vec<String> = all.into_iter().filter(|queue| *queue == wanted || *queue == only).collect();
    if found.is_empty() { Err(Problem::NotFound(format!("no queue `{only}`; there are {known}")).into()) } else { Ok(found) }
}

fn describe(queue: &str, delivery: &Delivery) -> Value {
    let envelope = &delivery.envelope;
    json!({
        "id": envelope.id,
        "queue": queue,
        "type": envelope.kind,
        "class": envelope.header(HEADER_ERROR_CLASS).unwrap_or("delivery_limit"),
        "message": envelope.header(HEADER_ERROR_MESSAGE),
        "worker": envelope.header(HEADER_WORKER),
        "attempt": envelope.attempt,
        "first_failed_at": envelope.header(HEADER_FIRST_FAILED_AT),
        "booking_id": envelope.correlation_id,
        "traceparent": envelope.traceparent,
        "sent_at": envelope.timestamp,
        "bytes": delivery.body.len(),
    })
}
