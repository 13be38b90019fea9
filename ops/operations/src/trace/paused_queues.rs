//! The paused queues on which messages about a booking may wait: no store knows what is in a queue.

use crate::queue_pauses;
use pvt_domain::ids::PropertyId;
use pvt_domain::messages::queues;
use pvt_messaging::Topology;
use pvt_stores::mongo::queue_pauses::QueuePause;

/// A line for each of them, in the order of the queues.
pub(super) fn of_property(topology: &Topology, property: &PropertyId, pauses: &[QueuePause]) -> Vec<String> {
    let concerned = queues::ALL.into_iter().filter(|queue| *queue != queues::RECONCILIATION);
    let named = concerned.map(|queue| match queues::PARTITIONED.contains(&queue) {
        true => topology.name(&format!("{queue}.{}", topology.partition(property.as_str()))),
        false => topology.name(queue),
    });
    let paused = queue_pauses::by_queue(topology, pauses);
    let line = |queue: String| {
        let QueuePause { since, actor, reason, .. } = paused.get(&queue)?.first().copied()?;
        Some(format!(
            "queue {queue} is paused by {actor} since {since}: messages about the booking may wait ({reason})"
        ))
    };
    named.filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::of_property;
    use pvt_domain::actor::Actor;
    use pvt_messaging::Topology;
    use pvt_stores::mongo::queue_pauses::QueuePause;

    #[test]
    fn queues_that_cannot_concern_the_booking_are_left_out() {
        let topology = Topology::new("x.", 4);
        let property = "pvt-montreal".into();
        let own = topology.partition("pvt-montreal");
        let pause = |queue: String| QueuePause {
            queue,
            since: "2027-01-01T09:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap().into(),
            actor: Actor::from("operator"),
            reason: "a test".to_owned(),
        };
        let other = (own + 1) % 4;
        let pauses = ["emails".to_owned(), "reconciliation".to_owned(), format!("bookings.{other}")].map(pause);
        let lines = of_property(&topology, &property, &pauses);
        assert_eq!(
            lines,
            ["queue x.emails is paused by operator since 2027-01-01T09:00:00.000Z: messages about the booking may \
                wait (a test)"]
        );
        for named in ["bookings".to_owned(), format!("bookings.{own}")] {
            let lines = of_property(&topology, &property, &[pause(named)]);
            assert!(
                lines.len() == 1 && lines[0].starts_with(&format!("queue x.bookings.{own} is paused")),
                "{lines:?}"
            );
        }
    }
}
