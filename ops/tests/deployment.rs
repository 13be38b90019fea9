//! The files by which the product is deployed name what exists: programs with their arguments, settings, ports, probes,
//! queues, and each other. What any validator knows is left to `tests/kubernetes/run`.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "deployment/files.rs"]
mod files;

use files::{Process, config, documents, kubernetes, name, of_kind, settings, text, texts, unknown};
use pvt_messaging::{Queue, Topology};
use pvt_service::config::Config;
use pvt_workers::jobs::WORKERS;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;

const BASE: &str = "ops/deploy/kubernetes/base";
const PRODUCTION: &str = "ops/deploy/kubernetes/overlays/production";
const DEVELOPMENT: &str = "ops/deploy/kubernetes/overlays/development";
const COMPOSE: &str = "docker-compose.yml";

/// The settings of a process in an overlay.
fn overlay_settings(overlay: &str) -> BTreeMap<String, String> {
    let mut merged = settings(&format!("{BASE}/settings.env"));
    merged.extend(settings(&format!("{overlay}/settings.env")));
    merged
}

fn production() -> Config {
    config(&overlay_settings(PRODUCTION), &secrets_of_production())
}

/// The sample with secrets that are long enough.
fn secrets_of_production() -> BTreeMap<String, String> {
    settings(&format!("{PRODUCTION}/secrets.env.example"))
}

/// As `pvt secrets create` makes them.
fn created_secrets() -> BTreeMap<String, String> {
    let random = "0".repeat(96);
    let created = [("jwt_secret", random.clone()), ("stripe_webhook_secret", format!("whsec_{random}"))];
    created.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Each Deployment and Job with the pod that it describes.
fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    let owners = of_kind(objects, "Deployment").into_iter().chain(of_kind(objects, "Job"));
    owners.map(|owner| (name(owner), &owner["spec"]["template"]["spec"])).collect()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().flat_map(|kind| pod[kind].as_array().into_iter().flatten())
}

fn process(place: &str, container: &Value) -> Process {
    let image = text(&container["image"]);
    Process::of_image(place.to_owned(), image, texts(&container["args"]))
        .unwrap_or_else(|| panic!("{place}: {image} is no image of ours"))
}

/// Each Deployment with its only container.
fn deployments(objects: &[Value]) -> Vec<(&str, &Value, &Value)> {
    let of = |object| (name(object), object, &object["spec"]["template"]["spec"]["containers"][0]);
    of_kind(objects, "Deployment").into_iter().map(of).collect()
}

fn selected(selector: &Value) -> &str {
    text(&selector["app.kubernetes.io/name"])
}

#[test]
fn every_process_is_deployed_with_arguments_that_it_understands() {
    let objects = kubernetes();
    let mut workers = Vec::new();
    for (place, pod) in pods(&objects) {
        for container in containers(pod) {
            let process = process(place, container);
            process.check_arguments();
            assert!(process.workers().len() <= 1, "{place}: workers fail and scale apart");
            workers.extend(process.workers().to_owned());
        }
    }
    workers.sort_unstable();
    let mut expected: Vec<_> = pvt_workers::worker_names().collect();
    expected.sort_unstable();
    assert_eq!(workers, expected);
    let names: BTreeSet<_> = deployments(&objects).into_iter().map(|(name, ..)| name.to_owned()).collect();
    let of_workers = expected.iter().map(|worker| format!("pvt-{worker}"));
    assert_eq!(names, of_workers.chain(["pvt-api".to_owned(), "pvt-console".to_owned()]).collect());
}

#[test]
fn settings_of_kubernetes_exist_and_are_accepted() {
    for path in [BASE, PRODUCTION, DEVELOPMENT] {
        let settings = settings(&format!("{path}/settings.env"));
        assert_eq!(unknown(settings.keys()), Vec::<&String>::new(), "{path}/settings.env");
    }
    assert_eq!(production().environment.as_str(), "production");
    let mut secrets = settings(&format!("{DEVELOPMENT}/engines.env"));
    let files = &documents(&format!("{DEVELOPMENT}/kustomization.yaml"))[0]["secretGenerator"][0]["files"];
    let created = created_secrets();
    for file in texts(files) {
        let (key, path) = file.split_once('=').unwrap();
        secrets.insert(key.to_owned(), created[path.strip_prefix("secrets/").unwrap()].clone());
    }
    assert!(!config(&overlay_settings(DEVELOPMENT), &secrets).is_local());
    // Every pod has the settings, and the secrets where the settings say that they are.
    let objects = kubernetes();
    for (place, pod) in pods(&objects) {
        assert_eq!(pod["volumes"][0]["secret"]["secretName"], "pvt-secrets", "{place}");
        for container in containers(pod) {
            assert_eq!(container["envFrom"], json!([{ "configMapRef": { "name": "pvt-settings" } }]), "{place}");
            let folder = text(&container["volumeMounts"][0]["mountPath"]);
            for (name, path) in overlay_settings(PRODUCTION).iter().filter(|(name, _)| name.ends_with("_FILE")) {
                assert!(path.starts_with(&format!("{folder}/")), "{place}: {name} is not in {folder}");
            }
        }
    }
}

#[test]
fn ports_and_probes_are_those_of_the_listeners() {
    let (objects, config) = (kubernetes(), production());
    for (place, owner, container) in deployments(&objects) {
        let process = process(place, container);
        let ports: BTreeMap<_, _> = container["ports"].as_array().unwrap().iter().map(port).collect();
        let listeners = process.listeners(&config);
        let expected: BTreeMap<_, _> = listeners.iter().map(|(name, at)| (*name, u64::from(at.port()))).collect();
        assert_eq!(ports, expected, "{place}");
        assert!(listeners.values().all(|address| address.ip().is_unspecified()), "{place}: {listeners:?}");
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            let get = &container[probe]["httpGet"];
            assert_eq!(text(&get["path"]), path, "{place}: {probe}");
            assert!(ports.contains_key(text(&get["port"])), "{place}: {probe}");
        }
        let grace = owner["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(grace > process.stop_seconds(&config), "{place}: {grace} s are too few");
    }
    for service in of_kind(&objects, "Service") {
        let selected = selected(&service["spec"]["selector"]);
        let (_, _, container) = *deployments(&objects).iter().find(|(name, ..)| *name == selected).unwrap();
        let ports: BTreeMap<_, _> = container["ports"].as_array().unwrap().iter().map(port).collect();
        for port in service["spec"]["ports"].as_array().unwrap() {
            assert!(ports.contains_key(text(&port["targetPort"])), "{}: {port}", name(service));
        }
    }
    // The console finds the API by the name and port of its service.
    let url = &config.api_metrics_url;
    let service = of_kind(&objects, "Service").into_iter().find(|it| Some(name(it)) == url.host_str()).unwrap();
    let mut ports = service["spec"]["ports"].as_array().unwrap().iter();
    let port = ports.find(|port| port["port"].as_u64() == url.port().map(u64::from)).unwrap();
    assert_eq!(port["targetPort"], "operators");
}

fn port(port: &Value) -> (&str, u64) {
    (text(&port["name"]), port["containerPort"].as_u64().unwrap())
}

#[test]
fn pods_are_restricted_and_budgeted() {
    let objects = kubernetes();
    let labels = &of_kind(&objects, "Namespace")[0]["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    for (place, pod) in pods(&objects) {
        let context = &pod["securityContext"];
        assert_eq!(
            (&context["runAsNonRoot"], &context["runAsUser"], &context["seccompProfile"]["type"]),
            (&json!(true), &json!(10_001), &json!("RuntimeDefault")),
            "{place}"
        );
        assert_eq!(pod["automountServiceAccountToken"], false, "{place}");
        for container in containers(pod) {
            let expected = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] } });
            assert_eq!(container["securityContext"], expected, "{place}");
            let resources = &container["resources"];
            for limit in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                assert!(resources.pointer(limit).is_some(), "{place}: no {limit}");
            }
        }
    }
    let budgets: BTreeSet<_> = of_kind(&objects, "PodDisruptionBudget")
        .into_iter()
        .map(|budget| selected(&budget["spec"]["selector"]["matchLabels"]))
        .collect();
    assert_eq!(budgets, deployments(&objects).into_iter().map(|(name, ..)| name).collect());
}

#[test]
fn network_policies_name_processes_and_their_ports() {
    let objects = kubernetes();
    let names: BTreeSet<&str> = pods(&objects).into_iter().map(|(name, _)| name).collect();
    let policies = of_kind(&objects, "NetworkPolicy");
    let denied = policies.iter().find(|policy| name(policy) == "default-deny").unwrap();
    assert_eq!(denied["spec"], json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }));
    for policy in &policies {
        let chosen = texts(&policy["spec"]["podSelector"]["matchExpressions"][0]["values"]);
        assert!(chosen.iter().all(|chosen| names.contains(chosen.as_str())), "{}: {chosen:?}", name(policy));
        let concerned = deployments(&objects)
            .into_iter()
            .filter(|(name, ..)| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name));
        let ports: Vec<_> = concerned.flat_map(|(_, _, it)| it["ports"].as_array().unwrap()).map(port).collect();
        for allowed in policy["spec"]["ingress"][0]["ports"].as_array().into_iter().flatten() {
            let is_open = |(name, number): &(&str, u64)| allowed["port"] == *name || allowed["port"] == *number;
            assert!(ports.iter().any(is_open), "{}: {allowed}", name(policy));
        }
    }
}

#[test]
fn scaled_queues_are_all_those_of_a_worker() {
    let objects = kubernetes();
    let topology = Topology::new(&production().queue_prefix, production().partitions);
    let targets: BTreeSet<&str> = deployments(&objects).into_iter().map(|(name, ..)| name).collect();
    for scaled in of_kind(&objects, "ScaledObject") {
        let spec = &scaled["spec"];
        let target = text(&spec["scaleTargetRef"]["name"]);
        assert!(targets.contains(target), "{target}");
        let worker = WORKERS.iter().find(|worker| format!("pvt-{}", worker.name) == target).unwrap();
        let is_partitioned = worker.queues.iter().any(|queue| matches!(queue, Queue::Partitioned(_)));
        assert!(!is_partitioned, "{target}: more processes would only wait");
        let mut queues = BTreeSet::new();
        for trigger in spec["triggers"].as_array().unwrap() {
            let metadata = &trigger["metadata"];
            assert_eq!((&trigger["type"], &metadata["protocol"]), (&json!("rabbitmq"), &json!("http")), "{target}");
            assert_eq!((&metadata["mode"], &metadata["vhostName"]), (&json!("QueueLength"), &json!("/")), "{target}");
            assert!(text(&metadata["value"]).parse::<u32>().unwrap() > 0);
            queues.insert(text(&metadata["queueName"]).to_owned());
        }
        let expected = worker.queues.iter().flat_map(|queue| topology.work_queues(*queue)).map(|(name, _)| name);
        assert_eq!(queues, expected.collect(), "{target}");
        assert!(spec["minReplicaCount"].as_u64() >= Some(1), "{target}: the first message would wait for a pod");
    }
    let authentication = of_kind(&objects, "TriggerAuthentication")[0];
    let key = text(&authentication["spec"]["secretTargetRef"][0]["key"]);
    assert_eq!(key, "RABBITMQ_MANAGEMENT_URL");
    assert!(secrets_of_production().contains_key(key));
    // Replicas that an autoscaler sets are in no Deployment.
    let removed = documents("ops/deploy/kubernetes/components/autoscaling/kustomization.yaml");
    let pattern = text(&removed[0]["patches"][0]["target"]["name"]).to_owned();
    let scaled = of_kind(&objects, "ScaledObject").into_iter().chain(of_kind(&objects, "HorizontalPodAutoscaler"));
    let mut scaled: Vec<&str> = scaled.map(|it| text(&it["spec"]["scaleTargetRef"]["name"])).collect();
    scaled.sort_unstable();
    let mut named: Vec<String> =
        pattern.trim_start_matches("pvt-(").trim_end_matches(')').split('|').map(|it| format!("pvt-{it}")).collect();
    named.sort_unstable();
    assert_eq!(named, scaled);
}

/// `${NAME:-default}` as its default.
fn with_defaults(text: &str) -> String {
    match text.split_once("${") {
        None => text.to_owned(),
        Some((before, rest)) => {
            let (variable, after) = rest.split_once('}').unwrap();
            let default = variable.split_once(":-").map_or("", |(_, default)| default);
            format!("{before}{default}{}", with_defaults(after))
        }
    }
}

#[test]
fn compose_file_runs_every_process_and_is_understood() {
    let compose = &documents(COMPOSE)[0];
    let services = compose["services"].as_object().unwrap();
    let (mut workers, mut served) = (Vec::new(), BTreeSet::new());
    for (place, service) in services {
        for published in texts(&service["ports"]) {
            assert!(published.starts_with("127.0.0.1:"), "{place}: {published}");
        }
        let Some(target) = service["build"]["target"].as_str() else {
            let tag = text(&service["image"]).rsplit(':').next().unwrap();
            assert!(
                tag.split(['.', '-']).filter(|part| part.trim_start_matches('v').parse::<u32>().is_ok()).count() >= 2,
                "{place}: {tag} is no version"
            );
            continue;
        };
        let process = Process::of_target(place.clone(), target, texts(&service["command"]));
        process.check_arguments();
        workers.extend(process.workers().to_owned());
        let environment = service["environment"].as_object().unwrap();
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| (name.clone(), with_defaults(text(value)))).collect();
        assert_eq!(unknown(environment.keys()), Vec::<&String>::new(), "{place}");
        let config = config(&environment, &created_secrets());
        assert!(!config.is_local(), "{place}: demonstration accounts have published passwords");
        assert_eq!(service["read_only"], true, "{place}");
        assert_eq!((&service["cap_drop"], &service["init"]), (&json!(["ALL"]), &json!(true)), "{place}");
        assert!(
            text(&service["stop_grace_period"]).trim_end_matches('s').parse::<u64>().unwrap()
                > process.stop_seconds(&config),
            "{place}"
        );
        let listeners = process.listeners(&config);
        let check = texts(&service["healthcheck"]["test"]);
        if listeners.is_empty() {
            assert_eq!((&service["restart"], check.len()), (&json!("no"), 0), "{place} ends by itself");
            continue;
        }
        served.insert(place.as_str());
        assert_eq!((check[1].as_str(), check[3].as_str()), ("healthcheck", "/readyz"), "{place}");
        let is_listened = |port: &str| listeners.values().any(|address| address.port().to_string() == port);
        assert!(is_listened(&check[2]), "{place}: {check:?}");
        for published in texts(&service["ports"]) {
            assert!(is_listened(published.rsplit(':').next().unwrap()), "{place}: {published}");
        }
    }
    workers.sort_unstable();
    let mut expected: Vec<_> = pvt_workers::worker_names().collect();
    expected.sort_unstable();
    assert_eq!(workers, expected);
    assert_eq!(served, ["api", "console", "scheduler", "workers"].into());
}

#[test]
fn dockerfile_builds_what_exists() {
    assert_eq!(files::entry_points(), files::expected_entry_points());
    let instructions = files::instructions();
    let values =
        |word: &'static str| instructions.iter().filter(move |(it, _)| it == word).map(|(_, rest)| rest.as_str());
    for copied in values("COPY").filter(|rest| !rest.starts_with("--from")) {
        let source = copied.split(' ').next().unwrap();
        assert!(files::root().join(source).exists(), "{source}");
    }
    let config = production();
    let exposed: Vec<&str> = values("EXPOSE").collect();
    assert_eq!(exposed, [config.http_addr.port().to_string(), config.console_addr.port().to_string()]);
    let build = values("RUN").find(|run| run.contains("cargo build")).unwrap();
    for package in build.split(" -p ").skip(1).map(|rest| rest.split(' ').next().unwrap()) {
        let folder = package.strip_prefix("pvt-").unwrap();
        assert!(files::read(&format!("{folder}/Cargo.toml")).contains(&format!("name = \"{package}\"")), "{package}");
    }
    for image in values("ARG").filter_map(|argument| argument.split_once("_IMAGE=")).map(|(_, image)| image) {
        assert!(image.contains("@sha256:") || image.split(':').nth(1).is_some_and(|tag| tag.contains('.')), "{image}");
    }
    assert!(values("USER").eq(["10001:10001"]), "images do not run as root");
}

#[test]
fn health_check_of_the_images_succeeds_on_200_alone() {
    let script = files::root().join("ops/deploy/healthcheck");
    let check = |port: u16| Command::new(&script).args([&port.to_string(), "/readyz"]).output().unwrap().status;
    for (answer, is_healthy) in [("200 OK", true), ("503 Service Unavailable", false), ("404 Not Found", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            assert_eq!(lines.next().unwrap(), "GET /readyz HTTP/1.1");
            assert!(lines.any(|line| line.is_empty()), "the head has an end");
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        });
        assert_eq!(check(port).success(), is_healthy, "{answer}");
        server.join().unwrap();
        assert!(!check(port).success(), "nothing listens any more");
    }
}
