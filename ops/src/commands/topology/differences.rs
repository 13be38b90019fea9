//! Comparison of the declared topology with what the broker has: exchanges, queues, bindings and policies, with their
//! arguments.

use pvt_messaging::management::{BindingState, ExchangeState, PolicyState, QueueState};
use pvt_messaging::topology::Policy;
use pvt_messaging::{Topology, queue_arguments};
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// RabbitMQ docs, "Server-named Queues": queues that the broker named are the reply queues of API instances.
const BROKER_NAMED: &str = "amq.";
const APPLY: &str = "`pvt topology apply`";

/// What the management API says.
pub(super) struct Present {
    pub(super) exchanges: Vec<ExchangeState>,
    pub(super) queues: Vec<QueueState>,
    pub(super) bindings: Vec<BindingState>,
    pub(super) policies: Vec<PolicyState>,
}

/// One line for each difference. `missing` are the declared queues that the broker does not have, as AMQP says: the
/// list of the management API may be some seconds old.
pub(super) fn differences(topology: &Topology, missing: &BTreeSet<String>, present: &Present) -> Vec<String> {
    let mut found: Vec<String> = missing.iter().map(|name| format!("- queue {name}  (missing: {APPLY})")).collect();
    found.extend(of_exchanges(topology, &present.exchanges));
    found.extend(of_queues(topology, &present.queues));
    found.extend(of_bindings(topology, missing, &present.bindings));
    found.extend(of_policies(&topology.policies(), &present.policies));
    found
}

fn of_exchanges(topology: &Topology, present: &[ExchangeState]) -> Vec<String> {
    let difference = |declared: &pvt_messaging::topology::ExchangeSpec| {
        let Some(state) = present.iter().find(|state| state.name == declared.name) else { return Some("missing") };
        let arguments = declared.alternate.as_ref().map(|name| json!({ "alternate-exchange": name }));
        let arguments = arguments.and_then(|value| value.as_object().cloned()).unwrap_or_default();
        let same = state.kind == declared.kind && state.durable && state.arguments == arguments;
        (!same).then_some("other than declared here, delete it first")
    };
    let exchanges = topology.exchanges();
    let differs = exchanges.iter().filter_map(|declared| Some((&declared.name, difference(declared)?)));
    differs.map(|(name, difference)| format!("~ exchange {name}  ({difference}: {APPLY})")).collect()
}

/// Queues that are declared with other arguments, which no declaration can change, and queues that are not declared.
fn of_queues(topology: &Topology, present: &[QueueState]) -> Vec<String> {
    let declared = topology.queues();
    let difference = |state: &QueueState| {
        let Some(queue) = declared.iter().find(|queue| queue.name == state.name) else {
            let is_ours = !state.name.starts_with(BROKER_NAMED);
            return is_ours.then(|| format!("+ queue {}  (not declared here)", state.name));
        };
        let same = state.arguments == Map::from_iter(queue_arguments(topology, queue));
        let text = "its arguments are other than declared here: empty and delete it first";
        (!same).then(|| format!("~ queue {}  ({text})", state.name))
    };
    present.iter().filter_map(difference).collect()
}

fn of_bindings(topology: &Topology, missing: &BTreeSet<String>, present: &[BindingState]) -> Vec<String> {
    let of_queue = |queue: &pvt_messaging::QueueSpec| -> Vec<(String, String, String)> {
        let tuple = |binding: &pvt_messaging::topology::Binding| {
            (binding.exchange.clone(), binding.key.clone(), queue.name.clone())
        };
        queue.bindings.iter().map(tuple).collect()
    };
    let queues = topology.queues();
    let declared: BTreeSet<_> = queues.iter().flat_map(of_queue).collect();
    let exchanges: BTreeSet<String> = topology.exchanges().into_iter().map(|exchange| exchange.name).collect();
    let is_ours = |binding: &&BindingState| {
        exchanges.contains(&binding.source) && queues.iter().any(|queue| queue.name == binding.destination)
    };
    let tuple =
        |binding: &BindingState| (binding.source.clone(), binding.routing_key.clone(), binding.destination.clone());
    let present: BTreeSet<_> = present.iter().filter(is_ours).map(tuple).collect();
    let shown = |(exchange, key, queue): &(String, String, String)| format!("{exchange} to {queue}, key `{key}`");
    // A queue that is missing has no bindings, and one line for it is enough.
    let absent = declared.difference(&present).filter(|(_, _, queue)| !missing.contains(queue));
    let absent = absent.map(|binding| format!("- binding {}  (missing: {APPLY})", shown(binding)));
    let extra =
        present.difference(&declared).map(|binding| format!("+ binding {}  (not declared here)", shown(binding)));
    absent.chain(extra).collect()
}

/// Declared policies that the broker lacks or has with other values. Queues without a policy, such as retry queues, do
/// not count.
fn of_policies(declared: &[Policy], present: &[PolicyState]) -> Vec<String> {
    let difference = |policy: &Policy| {
        let Some(state) = present.iter().find(|state| state.name == policy.name) else { return Some("missing") };
        let same = state.pattern == policy.pattern
            && state.priority == i64::from(policy.priority)
            && state.definition == policy.definition;
        (!same).then_some("other than declared here")
    };
    declared
        .iter()
        .filter_map(|policy| Some(format!("~ policy {}  ({}: {APPLY})", policy.name, difference(policy)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_messaging::definitions_json;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    fn list<T: DeserializeOwned>(definitions: &Value, key: &str) -> Vec<T> {
        serde_json::from_value(definitions[key].clone()).unwrap()
    }

    /// A broker that has exactly what is declared.
    fn broker(topology: &Topology) -> Present {
        let definitions = definitions_json(topology, "/");
        Present {
            exchanges: list(&definitions, "exchanges"),
            queues: list(&definitions, "queues"),
            bindings: list(&definitions, "bindings"),
            policies: list(&definitions, "policies"),
        }
    }

    #[test]
    fn broker_with_what_is_declared_does_not_differ() {
        let topology = Topology::new("t.", 2);
        assert_eq!(differences(&topology, &BTreeSet::new(), &broker(&topology)), [] as [String; 0]);
    }

    #[test]
    fn each_kind_of_difference_is_found() {
        let topology = Topology::new("t.", 2);
        let found = |change: fn(&mut Present)| {
            let mut present = broker(&topology);
            change(&mut present);
            differences(&topology, &BTreeSet::new(), &present)
        };
        let begins = |found: Vec<String>, with: &[&str]| {
            assert_eq!(found.len(), with.len(), "{found:?}");
            found.iter().zip(with).for_each(|(line, with)| assert!(line.starts_with(with), "{line}"));
        };
        begins(found(|present| drop(present.exchanges.pop())), &["~ exchange t.retry.1h  (missing"]);
        begins(found(|present| present.exchanges[1].arguments.clear()), &["~ exchange t.commands  (other"]);
        begins(found(|present| present.queues[0].arguments.clear()), &["~ queue t.bookings.0  (its arguments"]);
        begins(found(|present| present.queues[0].name = "t.other".into()), &["+ queue t.other"]);
        begins(found(|present| drop(present.bindings.remove(0))), &["- binding t.commands to t.bookings.0, key `boo"]);
        begins(
            found(|present| present.bindings[0].routing_key = "x".into()),
            &["- binding t.commands to t.bookings.0", "+ binding t.commands to t.bookings.0, key `x`"],
        );
        begins(found(|present| present.policies[0].definition.clear()), &["~ policy t.bookings.0  (other"]);
        let missing = BTreeSet::from(["t.emails".to_owned()]);
        let mut present = broker(&topology);
        present.queues.retain(|queue| queue.name != "t.emails");
        present.bindings.retain(|binding| binding.destination != "t.emails");
        begins(differences(&topology, &missing, &present), &["- queue t.emails  (missing"]);
    }
}
