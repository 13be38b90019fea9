//! Egress of pods: to what the settings name, from the processes that use it, and to nothing else.

use super::files::{documents, kubernetes, name, of_kind, settings, text, texts};
use super::{DEVELOPMENT, PRODUCTION, production};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

type Policy = (&'static str, &'static [&'static str], &'static [&'static str], &'static [u64]);

/// Each policy with its processes, all if there are none here; the settings whose addresses it allows; further ports.
const EGRESS: [Policy; 6] = [
    ("egress-names", &[], &[], &[53]),
    ("egress-engines", &[], &["AMQP_URL", "MONGODB_URI", "DATABASE_URL"], &[]),
    ("egress-management", &["pvt-console", "pvt-prepare"], &["RABBITMQ_MANAGEMENT_URL"], &[]),
    // Mail servers take mails at either port.
    ("egress-mail", &["pvt-emails", "pvt-console"], &["SMTP_URL"], &[465, 587]),
    ("egress-https", &["pvt-payments", "pvt-console"], &[], &[443]),
    ("egress-api-checks", &["pvt-console"], &["PVT_API_METRICS_URL"], &[8080]),
];

fn port_of(url: &str) -> u64 {
    let url: Url = url.parse().unwrap();
    let usual = match url.scheme() {
        "mongodb" | "mongodb+srv" => 27_017,
        "postgres" => 5432,
        scheme => url.port_or_known_default().unwrap_or_else(|| panic!("{scheme} needs a port")).into(),
    };
    url.port().map_or(usual, u64::from)
}

fn ports(allowed: &Value) -> BTreeSet<u64> {
    allowed.as_array().unwrap().iter().map(|allowed| allowed["port"].as_u64().unwrap()).collect()
}

/// The ports that an overlay allows instead of the base's, by policy.
fn replaced(overlay: &str) -> BTreeMap<String, BTreeSet<u64>> {
    let kustomization = &documents(&format!("{overlay}/kustomization.yaml"))[0];
    let patches = kustomization["patches"].as_array().into_iter().flatten();
    let of_policies = patches.filter(|patch| patch["target"]["kind"] == "NetworkPolicy").map(|patch| {
        let changes: Value = serde_norway::from_str(text(&patch["patch"])).unwrap();
        assert_eq!((&changes[0]["op"], &changes[0]["path"]), (&"replace".into(), &"/spec/egress/0/ports".into()));
        (text(&patch["target"]["name"]).to_owned(), ports(&changes[0]["value"]))
    });
    of_policies.collect()
}

#[test]
fn processes_reach_what_their_settings_name() {
    let objects = kubernetes();
    let policies: BTreeMap<&str, &Value> = of_kind(&objects, "NetworkPolicy")
        .into_iter()
        .filter(|policy| policy["spec"]["egress"].is_array())
        .map(|policy| (name(policy), policy))
        .collect();
    assert_eq!(policies.keys().copied().collect::<BTreeSet<_>>(), EGRESS.map(|(policy, ..)| policy).into());
    let api = ("PVT_API_METRICS_URL".to_owned(), production().api_metrics_url.to_string());
    for (overlay, file) in [(PRODUCTION, "secrets.env.example"), (DEVELOPMENT, "engines.env")] {
        let mut urls = settings(&format!("{overlay}/{file}"));
        urls.extend([api.clone()]);
        let replaced = replaced(overlay);
        assert!(replaced.keys().all(|policy| policies.contains_key(policy.as_str())), "{replaced:?}");
        for (policy, processes, named, further) in EGRESS {
            let spec = &policies[policy]["spec"];
            assert_eq!(texts(&spec["podSelector"]["matchExpressions"][0]["values"]), processes, "{policy}");
            assert_eq!(spec["egress"].as_array().unwrap().len(), 1, "{policy}");
            let allowed = replaced.get(policy).cloned().unwrap_or_else(|| ports(&spec["egress"][0]["ports"]));
            let needed: BTreeSet<u64> = named.iter().map(|setting| port_of(&urls[*setting])).collect();
            assert!(needed.is_subset(&allowed), "{overlay}, {policy}: {needed:?} of {allowed:?}");
            let known = needed.iter().chain(further).copied().collect();
            assert!(allowed.is_subset(&known), "{overlay}, {policy}: {allowed:?}, and {known:?} are known");
        }
    }
}
