//! The deployment files as values, and the processes that they start.

use clap::Command;
use pvt_service::config::{Config, VARIABLES};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The images by name, each with the target of the Dockerfile and the program that it runs.
const IMAGES: [(&str, &str, &str); 3] =
    [("pvt-api", "api", "pvt-api"), ("pvt-workers", "workers", "pvt-workers"), ("pvt-ops", "ops", "pvt")];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file, with merge keys resolved.
pub(crate) fn documents(path: &str) -> Vec<Value> {
    let text = read(path);
    let documents = serde_norway::Deserializer::from_str(&text).map(|document| {
        let mut value = serde_norway::Value::deserialize(document).unwrap_or_else(|error| panic!("{path}: {error}"));
        value.apply_merge().unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::to_value(value).unwrap()
    });
    documents.collect()
}

/// What the base and the components for Kubernetes describe, with what the base's Deployments have in common.
pub(crate) fn kubernetes() -> Vec<Value> {
    let folder = "ops/deploy/kubernetes";
    let mut objects = Vec::new();
    for part in ["base", "components/autoscaling"] {
        let kustomization = documents(&format!("{folder}/{part}/kustomization.yaml"));
        let resources = kustomization[0]["resources"].as_array().unwrap();
        objects.extend(resources.iter().flat_map(|name| documents(&format!("{folder}/{part}/{}", text(name)))));
        for patch in kustomization[0]["patches"].as_array().unwrap().iter().filter(|patch| patch["path"].is_string()) {
            add_to(&mut objects, &patch["target"], &format!("{folder}/{part}/{}", text(&patch["path"])));
        }
    }
    objects
}

/// Adds what a patch (JSON Patch, with `add` alone) says to the objects that are its target.
fn add_to(objects: &mut [Value], target: &Value, patch: &str) {
    let label = target["labelSelector"].as_str().map(|selector| selector.split_once('=').unwrap());
    let is_meant = |object: &&mut Value| {
        object["kind"] == target["kind"] && label.is_none_or(|(key, value)| object["metadata"]["labels"][key] == value)
    };
    for object in objects.iter_mut().filter(is_meant) {
        for change in documents(patch)[0].as_array().unwrap() {
            assert_eq!(change["op"], "add", "{patch}");
            let (parent, member) = text(&change["path"]).rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[member] = change["value"].clone();
        }
    }
}

pub(crate) fn of_kind<'v>(objects: &'v [Value], kind: &str) -> Vec<&'v Value> {
    let found: Vec<&Value> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert!(!found.is_empty(), "no {kind} is found");
    found
}

pub(crate) fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|word| text(word).to_owned()).collect()
}

/// The settings of a file of `NAME=value` lines, as Kustomize reads it: values are taken as they are.
pub(crate) fn settings(path: &str) -> BTreeMap<String, String> {
    let text = read(path);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once('=').unwrap_or_else(|| panic!("{path}: {line}")));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Those that are no settings of this product.
pub(crate) fn unknown<'n>(names: impl Iterator<Item = &'n String>) -> Vec<&'n String> {
    let is_known = |name: &str| {
        VARIABLES
            .iter()
            .any(|known| known.name == name || (known.is_secret() && format!("{}_FILE", known.name) == name))
    };
    names.filter(|name| !is_known(name)).collect()
}

/// The configuration that these settings make, with the contents of the files that some of them name.
pub(crate) fn config(settings: &BTreeMap<String, String>, secrets: &BTreeMap<String, String>) -> Config {
    let pairs = settings.iter().map(|(name, value)| match name.strip_suffix("_FILE") {
        Some(name) => {
            let file = value.rsplit('/').next().unwrap();
            let content = secrets.get(file).unwrap_or_else(|| panic!("no secret {file} for {name}"));
            (name.to_owned(), content.clone())
        }
        None => (name.clone(), value.clone()),
    });
    Config::from_pairs(pairs.collect::<Vec<_>>()).unwrap()
}

/// One of our programs as a container runs it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) place: String,
    program: &'static str,
    arguments: Vec<String>,
}

impl Process {
    /// The process of a container of this image; `None` for images of others.
    pub(crate) fn of_image(place: String, image: &str, arguments: Vec<String>) -> Option<Self> {
        let (.., program) = IMAGES.into_iter().find(|(name, ..)| *name == image)?;
        Some(Self { place, program, arguments })
    }

    /// The process of a container of this target of the Dockerfile.
    pub(crate) fn of_target(place: String, target: &str, arguments: Vec<String>) -> Self {
        let (.., program) = IMAGES.into_iter().find(|(_, name, _)| *name == target).unwrap();
        Self { place, program, arguments }
    }

    /// Checks that the program understands its arguments.
    pub(crate) fn check_arguments(&self) {
        let command: Command = match self.program {
            "pvt" => pvt_ops::command(),
            "pvt-workers" => pvt_workers::cli::command(),
            _ => return assert!(self.arguments.is_empty(), "{}: pvt-api takes no arguments", self.place),
        };
        let words = std::iter::once(self.program.to_owned()).chain(self.arguments.iter().cloned());
        command.try_get_matches_from(words).unwrap_or_else(|error| panic!("{}: {error}", self.place));
    }

    /// The workers that it runs.
    pub(crate) fn workers(&self) -> &[String] {
        if self.program == "pvt-workers" { &self.arguments[1..] } else { &[] }
    }

    /// The listeners by the names that containers' ports have; none for a command that ends.
    pub(crate) fn listeners(&self, config: &Config) -> BTreeMap<&'static str, SocketAddr> {
        match (self.program, self.arguments.first().map(String::as_str)) {
            ("pvt-api", _) => [("http", config.http_addr), ("operators", config.api_metrics_addr)].into(),
            ("pvt-workers", _) => [("operators", config.metrics_addr)].into(),
            ("pvt", Some("console")) => {
                [("http", config.console_addr), ("operators", config.console_metrics_addr)].into()
            }
            _ => BTreeMap::new(),
        }
    }

    /// How long it takes to stop at most, in seconds.
    pub(crate) fn stop_seconds(&self, config: &Config) -> u64 {
        // A drain of 25 s, and the end of its connections.
        let drain = 30;
        if self.program == "pvt-api" { config.shutdown_delay.as_secs() + drain } else { drain }
    }
}

/// The instructions of the Dockerfile, each on one line.
pub(crate) fn instructions() -> Vec<(String, String)> {
    let joined = read("ops/deploy/Dockerfile").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).map(|(word, rest)| (word.to_owned(), rest.to_owned())).collect()
}

/// Whether Docker's builder gets this file: the last line of the ignore file that concerns it decides.
pub(crate) fn is_in_build_context(path: &str) -> bool {
    let ignored = read("ops/deploy/Dockerfile.dockerignore");
    let concerns = |pattern: &str| pattern == "*" || Path::new(path).starts_with(pattern);
    let last = ignored.lines().rfind(|line| concerns(line.trim_start_matches('!')));
    last.is_none_or(|line| line.starts_with('!'))
}

/// The targets of the Dockerfile with the programs that they start.
pub(crate) fn entry_points() -> BTreeSet<(String, String)> {
    let mut target = String::new();
    let mut found = BTreeSet::new();
    for (word, rest) in instructions() {
        match (word.as_str(), rest.split_once(" AS ")) {
            ("FROM", Some((_, stage))) => target = stage.to_owned(),
            ("ENTRYPOINT", _) => {
                found.insert((target.clone(), texts(&serde_json::from_str(&rest).unwrap()).join(" ")));
            }
            _ => {}
        }
    }
    found
}

/// What [`entry_points`] must be.
pub(crate) fn expected_entry_points() -> BTreeSet<(String, String)> {
    IMAGES.into_iter().map(|(_, target, program)| (target.to_owned(), program.to_owned())).collect()
}
