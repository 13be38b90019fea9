//! Tests of the topology: its names are a contract with operators.

use super::*;

#[test]
fn every_name_carries_the_prefix_and_no_routing_key_does() {
    let topology = Topology::new("t1.", 2);
    for exchange in topology.exchanges() {
        assert!(exchange.name.starts_with("t1."), "{exchange:?}");
    }
    for queue in topology.queues() {
        assert!(queue.name.starts_with("t1."), "{queue:?}");
        for binding in &queue.bindings {
            let home = matches!(queue.role, QueueRole::Dead { .. });
            assert_eq!(
                binding.key.starts_with("t1."),
                home,
                "routing keys of `dead` are full queue names, no others: {queue:?}"
            );
        }
    }
}

#[test]
fn work_queue_names_and_consumer_modes_are_pinned() {
    let work: Vec<_> = Topology::new("", 4)
        .queues()
        .into_iter()
        .filter(|queue| matches!(queue.role, QueueRole::Work { .. }))
        .map(|queue| (queue.single_active_consumer(), queue.name))
        .collect();
    let expected = [
        (true, "bookings.0"),
        (true, "bookings.1"),
        (true, "bookings.2"),
        (true, "bookings.3"),
        (false, "payments"),
        (false, "stripe"),
        (false, "records"),
        (false, "emails"),
        (false, "analytics"),
        (false, "reconciliation"),
    ];
    assert_eq!(work, expected.map(|(single, name)| (single, name.to_owned())));
}

#[test]
fn booking_and_inventory_commands_go_to_the_partition_of_their_property() {
    let topology = Topology::new("x.", 4);
    let partition = topology.partition("pvt-montreal");
    assert_eq!(topology.command_key("booking.request.v1", "pvt-montreal"), format!("bookings.{partition}"));
    assert_eq!(topology.command_key("inventory.block.v2", "pvt-montreal"), format!("bookings.{partition}"));
    assert_eq!(topology.command_key("payment.refund.v1", "pvt-montreal"), "payment.refund");
    assert_eq!(topology.command_key("stripe.event.v1", ""), "stripe.event");
}

#[test]
fn every_command_has_a_queue() {
    use pvt_domain::messages::catalog::{MessageClass, entries};
    let topology = Topology::new("x.", 4);
    let bound: Vec<String> = topology
        .queues()
        .into_iter()
        .flat_map(|queue| queue.bindings)
        .filter(|binding| binding.exchange == "x.commands")
        .map(|binding| binding.key)
        .collect();
    for kind in entries().filter(|entry| entry.class == MessageClass::Command).map(|entry| entry.kind) {
        assert!(bound.contains(&topology.command_key(kind, "pvt-montreal")), "{kind} has no queue");
    }
}

#[test]
fn unversioned_strips_only_a_version() {
    assert_eq!(unversioned("booking.confirmed.v1"), "booking.confirmed");
    assert_eq!(unversioned("booking.confirmed.v12"), "booking.confirmed");
    assert_eq!(unversioned("booking.verified"), "booking.verified");
    assert_eq!(unversioned("booking.v"), "booking.v");
}

#[test]
fn every_work_queue_has_a_dead_letter_queue_and_a_policy_that_names_it() {
    let topology = Topology::new("p-", 2);
    let queues = topology.queues();
    let policies = topology.policies();
    for work in queues.iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. })) {
        let dead = topology.dead_queue(&work.name);
        assert!(queues.iter().any(|queue| queue.name == dead), "{dead} is missing");
        let policy = policies.iter().find(|policy| policy.name == work.name).map(|policy| &policy.definition);
        let key = policy.and_then(|definition| definition.get("dead-letter-routing-key"));
        assert_eq!(key.and_then(|key| key.as_str()), Some(work.name.as_str()));
    }
}

#[test]
fn policy_patterns_escape_the_prefix() {
    let topology = Topology::new("a.b+", 1);
    let policy = topology.policies().into_iter().next().map(|policy| policy.pattern);
    assert_eq!(policy.as_deref(), Some(r"^a\.b\+bookings\.0$"));
}

#[test]
fn definitions_document_matches_the_declared_topology() {
    let topology = Topology::new("", 4);
    let document = definitions_json(&topology, "/");
    let count = |key: &str| document[key].as_array().map_or(0, Vec::len);
    assert_eq!(count("exchanges"), topology.exchanges().len());
    assert_eq!(count("queues"), topology.queues().len());
    assert_eq!(count("policies"), topology.policies().len());
    let retry = document["queues"].as_array().and_then(|all| all.iter().find(|queue| queue["name"] == "retry.5s"));
    assert_eq!(retry.map(|queue| queue["arguments"]["x-message-ttl"].clone()), Some(5_000.into()));
}

#[test]
fn definitions_for_the_import_are_generated() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ops/deploy/rabbitmq/definitions.json");
    let generated = definitions_json(&Topology::new("", DEFAULT_PARTITIONS), "/");
    let generated = format!("{}\n", serde_json::to_string_pretty(&generated).unwrap());
    if std::env::var_os("PVT_WRITE_DEFINITIONS").is_some() {
        std::fs::write(path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let command = "PVT_WRITE_DEFINITIONS=1 cargo test -p pvt-messaging --lib definitions_for_the_import";
    assert_eq!(committed, generated, "write it anew: {command}");
    for secret in ["users", "password", "permissions"] {
        assert!(!generated.contains(secret), "definitions hold no {secret}");
    }
}

#[test]
fn the_number_of_partitions_is_bounded() {
    assert_eq!(Topology::new("", 0).partitions(), 1);
    assert_eq!(Topology::new("", u16::MAX).partitions(), MAX_PARTITIONS);
}

#[test]
fn operators_name_a_queue_or_a_family_without_the_prefix() {
    let topology = Topology::new("x.", 2);
    assert_eq!(topology.work_queues_named("emails"), ["x.emails"]);
    assert_eq!(topology.work_queues_named("bookings"), ["x.bookings.0", "x.bookings.1"]);
    assert_eq!(topology.work_queues_named("bookings.1"), ["x.bookings.1"]);
    for other in ["bookings.2", "bookings.", "x.emails", "emails.dead", "retry.5s", "unroutable", ""] {
        assert!(topology.work_queues_named(other).is_empty(), "{other}");
    }
}

#[test]
fn queue_is_concerned_by_its_family_and_by_itself_the_earliest_first() {
    let topology = Topology::new("x.", 2);
    let items = [("bookings", 9), ("bookings.1", 8), ("emails", 7), ("bookings.7", 6), ("emails.dead", 5)];
    let found = topology.by_work_queue(&items, |item| (item.0, item.1));
    let found: Vec<(&str, Vec<u32>)> =
        found.iter().map(|(queue, items)| (queue.as_str(), items.iter().map(|(_, hour)| *hour).collect())).collect();
    assert_eq!(found, [("x.bookings.0", vec![9]), ("x.bookings.1", vec![8, 9]), ("x.emails", vec![7])]);
}
