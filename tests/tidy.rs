//! Rules of the repository that no compiler checks: dependencies between crates, documentation, sizes, and words.
//!
//! Each failure lists everything that is wrong, so that one run is enough to fix it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "tidy/signals.rs"]
mod signals;
#[path = "tidy/words.rs"]
mod words;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest file, in lines.
const MAX_LINES: usize = 600;
/// Longest line of source, in columns.
const MAX_COLUMNS: usize = 120;

/// Which of our crates each crate may use (docs/architecture.md). [`FOR_TESTS`] lists those that tests may use besides.
const EDGES: [(&str, &[&str]); 19] = [
    ("pvt-calendar-files", &["pvt-domain"]),
    ("pvt-domain", &[]),
    ("pvt-local-engines", &[]),
    ("pvt-mail-sink", &[]),
    ("pvt-messaging", &["pvt-domain", "pvt-traces"]),
    ("pvt-stores", &["pvt-domain"]),
    ("pvt-stripe", &["pvt-domain", "pvt-traces"]),
    ("pvt-service", &["pvt-domain", "pvt-traces"]),
    ("pvt-stripe-simulator", &[]),
    ("pvt-traces", &[]),
    ("pvt-testkit", &["pvt-domain", "pvt-local-engines", "pvt-messaging", "pvt-stores"]),
    ("pvt-worker-runtime", &["pvt-domain", "pvt-messaging", "pvt-traces"]),
    (
        "pvt-workers",
        &[
            "pvt-calendar-files",
            "pvt-domain",
            "pvt-messaging",
            "pvt-service",
            "pvt-stores",
            "pvt-stripe",
            "pvt-traces",
            "pvt-worker-runtime",
        ],
    ),
    ("pvt-api", &["pvt-calendar-files", "pvt-domain", "pvt-messaging", "pvt-service", "pvt-stores", "pvt-traces"]),
    ("pvt-operations", &["pvt-domain", "pvt-messaging", "pvt-service", "pvt-stores"]),
    ("pvt-console", &["pvt-domain", "pvt-messaging", "pvt-operations", "pvt-service", "pvt-stores"]),
    (
        "pvt-supervisor",
        &[
            "pvt-domain",
            "pvt-local-engines",
            "pvt-messaging",
            "pvt-operations",
            "pvt-service",
            "pvt-worker-runtime",
            "pvt-workers",
        ],
    ),
    (
        "pvt-bench",
        &[
            "pvt-domain",
            "pvt-local-engines",
            "pvt-messaging",
            "pvt-operations",
            "pvt-service",
            "pvt-stores",
            "pvt-worker-runtime",
            "pvt-workers",
        ],
    ),
    (
        "pvt-ops",
        &[
            "pvt-api",
            "pvt-bench",
            "pvt-console",
            "pvt-domain",
            "pvt-mail-sink",
            "pvt-messaging",
            "pvt-operations",
            "pvt-service",
            "pvt-stores",
            "pvt-stripe-simulator",
            "pvt-supervisor",
            "pvt-worker-runtime",
            "pvt-workers",
        ],
    ),
];

/// Crates for development, which release images must not contain.
const DEVELOPMENT: [&str; 6] =
    ["pvt-bench", "pvt-local-engines", "pvt-mail-sink", "pvt-stripe-simulator", "pvt-supervisor", "pvt-testkit"];

/// Crates that the tests of any crate may use.
const FOR_TESTS: [&str; 3] = ["pvt-local-engines", "pvt-stripe-simulator", "pvt-testkit"];

/// Libraries that a crate must not use.
const FORBIDDEN: [(&str, &[&str]); 7] = [
    ("pvt-domain", &["axum", "lapin", "mongodb", "rand", "reqwest", "sqlx", "tokio", "tracing"]),
    ("pvt-messaging", &["axum", "mongodb", "sqlx"]),
    ("pvt-stores", &["axum", "lapin"]),
    ("pvt-stripe", &["axum", "lapin", "mongodb", "sqlx"]),
    ("pvt-worker-runtime", &["axum", "lapin", "mongodb", "reqwest", "sqlx"]),
    ("pvt-api", &["lapin", "mongodb", "sqlx"]),
    ("pvt-console", &["lapin", "mongodb", "sqlx"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file of the repository with its path from the root, in order.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        // Build output, history, and settings of one machine.
        if ["target", ".git", ".env"].iter().any(|skipped| name == *skipped) || entry.file_type().unwrap().is_symlink()
        {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text));
        }
    }
}

fn sources() -> Vec<(String, String)> {
    files().into_iter().filter(|(path, _)| path.ends_with(".rs")).collect()
}

/// Product sources without their tests.
fn product() -> Vec<(String, String)> {
    let of_tests = |path: &str| {
        path.starts_with("tests/")
            || path.starts_with("tests/kit/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
    };
    let mut sources = sources();
    sources.retain(|(path, _)| !of_tests(path) && !path.contains("/examples/"));
    for (_, text) in &mut sources {
        if let Some(begin) = text.find("#[cfg(test)]\nmod ") {
            text.truncate(begin);
        }
    }
    sources
}

/// The string literals of a source. Sufficient for names, which contain no escapes.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    let comment = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(comment).flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// All pages of documentation, as one text.
fn docs() -> String {
    files()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".md") && (path.starts_with("docs/") || path == "README.md"))
        .map(|(_, text)| text)
        .collect()
}

fn assert_none(what: &str, wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Names of a package's dependencies: (of the product, of its tests only).
fn dependencies(package: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let all = package["dependencies"].as_array().unwrap();
    let names = |dev: bool| {
        all.iter()
            .filter(|one| (one["kind"] == "dev") == dev)
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    (names(false), names(true))
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    let forbidden: BTreeMap<&str, &[&str]> = FORBIDDEN.into_iter().collect();
    let mut wrong = Vec::new();
    let packages = packages();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let Some(may_use) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the list of crates"));
            continue;
        };
        let (product, tests) = dependencies(package);
        let ours = |names: &BTreeSet<String>| {
            names.iter().filter(|name| name.starts_with("pvt-")).cloned().collect::<Vec<_>>()
        };
        wrong.extend(
            ours(&product)
                .iter()
                .filter(|used| !may_use.contains(&used.as_str()))
                .map(|used| format!("{name} must not use {used}")),
        );
        wrong.extend(
            ours(&tests)
                .iter()
                .filter(|used| !FOR_TESTS.contains(&used.as_str()))
                .map(|used| format!("tests of {name} must not need {used}")),
        );
        let banned = forbidden.get(name).copied().unwrap_or_default();
        wrong.extend(
            banned.iter().filter(|used| product.contains(**used)).map(|used| format!("{name} must not use {used}")),
        );
    }
    let present: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    wrong.extend(
        allowed
            .keys()
            .filter(|name| !present.contains(*name))
            .map(|name| format!("{name} is listed and does not exist")),
    );
    assert_none("edges", wrong);
}

#[test]
fn release_command_line_contains_no_development_crate() {
    let packages = packages();
    let (mut crates, mut pending) = (BTreeSet::new(), vec!["pvt-ops".to_owned()]);
    while let Some(name) = pending.pop() {
        let Some(package) = packages.iter().find(|package| package["name"] == name.as_str()) else { continue };
        if crates.insert(name) {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            // Only features switch optional dependencies on, and the image is built without any.
            let always = dependencies.filter(|one| one["kind"] != "dev" && one["optional"] == false);
            pending.extend(always.map(|one| one["name"].as_str().unwrap().to_owned()));
        }
    }
    assert!(crates.contains("pvt-api") && crates.contains("pvt-operations"), "{crates:?}");
    let found = DEVELOPMENT.into_iter().filter(|name| crates.contains(*name)).map(str::to_owned);
    assert_none("development crates in the dependency tree of the release command line", found.collect());
    let dockerfile = fs::read_to_string(root().join("ops/deploy/Dockerfile")).unwrap();
    assert!(dockerfile.contains("--no-default-features"), "the image is built without the development commands");
}

#[test]
fn every_dependency_is_inherited_from_the_workspace() {
    let mut wrong = Vec::new();
    for (path, text) in files().into_iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let mut of_dependencies = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                of_dependencies = line.ends_with("dependencies]");
            } else if of_dependencies
                && line.contains('=')
                && !line.starts_with('#')
                && !line.replace(' ', "").contains("workspace=true")
            {
                wrong.push(format!("{path}: {line}"));
            }
        }
    }
    assert_none("one version of each dependency, in the root Cargo.toml", wrong);
}

#[test]
fn every_module_has_documentation() {
    let undocumented = |text: &str| !text.trim_start().starts_with("//!");
    assert_none(
        "modules without documentation; the first line is `//! …`",
        sources().into_iter().filter(|(_, text)| undocumented(text)).map(|(path, _)| path).collect(),
    );
}

#[test]
fn module_documentation_opens_with_a_noun_phrase() {
    let openers = sources()
        .into_iter()
        .filter_map(|(path, text)| words::clause_opener(&text).map(|opener| format!("{path}: opens with `{opener}`")));
    assert_none("module documentation that does not name its subject", openers.collect());
}

#[test]
fn names_use_the_words_of_the_glossary() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (number, name) in words::declared_names(&text) {
            wrong.extend(words::refusal(&path, &name).map(|refusal| format!("{path}:{number}: {name}: {refusal}")));
        }
    }
    assert_none("names with private words; docs/glossary.md has the field's", wrong);
}

#[test]
fn no_line_exceeds_the_column_limit() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let columns = (1..).zip(text.lines()).map(|(number, line)| (number, line.chars().count()));
        let long = columns.filter(|(_, columns)| *columns > MAX_COLUMNS);
        wrong.extend(long.map(|(number, columns)| format!("{path}:{number}: {columns} columns")));
    }
    assert_none(&format!("lines of more than {MAX_COLUMNS} columns"), wrong);
}

#[test]
fn no_file_exceeds_the_line_limit() {
    let long =
        sources().into_iter().map(|(path, text)| (path, text.lines().count())).filter(|(_, lines)| *lines > MAX_LINES);
    assert_none(
        "files that are too long",
        long.map(|(path, lines)| format!("{path}: {lines} lines, more than {MAX_LINES}")).collect(),
    );
}

#[test]
fn no_unfinished_work_or_machine_paths_land() {
    // Written in pieces, or this file would be found.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/."), concat!("/Us", "ers/"), concat!("C:", "\\\\")];
    let hosts = [
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("py", "pi.org"),
        concat!("registry.np", "mjs.org"),
        concat!("proxy.go", "lang.org"),
    ];
    let mut wrong = Vec::new();
    for (path, text) in files() {
        if path == "Cargo.lock" {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let found = words.iter().chain(&places).chain(&hosts).find(|bad| line.contains(**bad));
            wrong.extend(found.map(|bad| format!("{path}:{number}: {bad}")));
        }
    }
    assert_none("words that must not land", wrong);
}

#[test]
fn file_names_are_specific() {
    let vague = ["utils", "util", "helpers", "helper", "common", "manager", "misc"];
    let stem = |path: &str| Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    assert_none(
        "vague file names",
        sources().into_iter().map(|(path, _)| path).filter(|path| vague.contains(&stem(path).as_str())).collect(),
    );
}

/// Fails with the names that no page mentions.
fn assert_documented(what: &str, names: BTreeSet<String>) {
    assert!(!names.is_empty(), "no {what} found: this test looks in the wrong place");
    let docs = docs();
    let mentioned = |name: &str| {
        docs.match_indices(name).any(|(at, _)| {
            let letter = |c: char| c.is_alphanumeric() || c == '_';
            !docs[..at].ends_with(letter) && !docs[at + name.len()..].starts_with(letter)
        })
    };
    assert_none(
        &format!("{what} that README.md and docs/ do not mention"),
        names.into_iter().filter(|name| !mentioned(name)).collect(),
    );
}

#[test]
fn every_message_type_is_documented() {
    let is_type = |text: &str| {
        text.rsplit_once(".v").is_some_and(|(stem, version)| {
            let word = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
            stem.contains('.')
                && stem.chars().all(word)
                && !version.is_empty()
                && version.chars().all(|c| c.is_ascii_digit())
        })
    };
    let domain = product().into_iter().filter(|(path, _)| path.starts_with("shared/domain/src/"));
    assert_documented(
        "message types",
        domain
            .flat_map(|(_, text)| literals(&text).filter(|text| is_type(text)).map(str::to_owned).collect::<Vec<_>>())
            .collect(),
    );
}

#[test]
fn every_route_is_documented() {
    let mut routes = BTreeSet::new();
    for (_, text) in product() {
        // The path may stand on the line below.
        let registrations = [" at(", "[at(", ".route("].into_iter().flat_map(|call| text.split(call).skip(1));
        routes.extend(registrations.filter_map(|rest| {
            let (path, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
            let is_route = path.starts_with('/') && path.len() > 1 && !path.contains(' ') && !path.ends_with(".css");
            is_route.then(|| path.to_owned())
        }));
    }
    assert!(routes.len() > 50, "only {routes:?} are found");
    assert_documented("routes", routes);
}

/// The names of metrics in these sources.
fn metrics(sources: Vec<(String, String)>) -> BTreeSet<String> {
    let is_metric = |text: &str| {
        text.strip_prefix("pvt_")
            .is_some_and(|rest| rest.contains('_') && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let names = sources
        .into_iter()
        .flat_map(|(_, text)| literals(&text).filter(|text| is_metric(text)).map(str::to_owned).collect::<Vec<_>>());
    // The benchmark labels its own traffic; names of crates are log targets.
    names.filter(|name| !name.starts_with("pvt_worker_runtime") && !name.starts_with("pvt_bench")).collect()
}

#[test]
fn every_metric_is_documented() {
    assert_documented("metrics", metrics(product()));
}

#[test]
fn every_schedule_is_documented() {
    assert_documented(
        "schedules",
        pvt_workers::scheduler::default_schedules().into_iter().map(|plan| plan.name).collect(),
    );
}

#[test]
fn every_fault_point_is_documented() {
    let mut points = BTreeSet::new();
    for (path, text) in product() {
        let named = |line: &&str| {
            line.contains("failpoint::hit(\"") || (path.ends_with("/failpoint.rs") && line.starts_with("pub const"))
        };
        points.extend(text.lines().filter(named).flat_map(literals).map(str::to_owned));
    }
    assert_documented("fault points", points);
}

#[test]
fn links_between_pages_resolve() {
    let mut wrong = Vec::new();
    for (path, text) in files().into_iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !folder.join(target).exists() {
                wrong.push(format!("{path}: {link}"));
            }
        }
    }
    assert_none("links that do not resolve", wrong);
}
