//! Every command line that people copy is one that the programs understand: those of the compose file, the Dockerfile,
//! the pages of `docs/`, the README, the examples of `--help`, and the hints that the programs print. The command that
//! docs/development.md shows is one of ours.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use clap::Command;
use clap::error::ErrorKind;
use std::fs;
use std::path::{Path, PathBuf};

/// Stands for `<id>`, `…` and shell variables: a UUID is also a valid name, address or reason.
const PLACEHOLDER: &str = "00000000-0000-4000-8000-000000000000";
/// Commands that these programs do not parse: other programs of the workspace, and cargo's own.
const OTHER_TARGETS: [&str; 4] = ["-p", "--package", "--example", "--bin"];

/// A command line and where it stands.
struct CommandLine {
    place: String,
    words: Vec<String>,
    /// In prose a command may be named without its arguments.
    is_mention: bool,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files below a folder with one of these endings, by their path from the root.
fn files_below(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            if !path.ends_with("/target") {
                found.extend(files_below(&path, endings));
            }
        } else if endings.iter().any(|ending| path.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The program's words of `pvt …`, `pvt-workers …`, `cargo run … -- …` and `-- …`; `None` for anything else.
fn program_words(text: &str) -> Option<Vec<String>> {
    let mut words = split(text);
    // Variables set for the one command: `KEY=value pvt …`.
    while words.first().is_some_and(|word| word.split_once('=').is_some_and(|(name, _)| is_variable(name))) {
        words.remove(0);
    }
    match words.first().map(String::as_str)? {
        "pvt" | "pvt-workers" => Some(words),
        "--" => Some(std::iter::once("pvt".to_owned()).chain(words.into_iter().skip(1)).collect()),
        "cargo" if words.get(1).is_some_and(|word| word == "run") => {
            let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
            if words[..end].iter().any(|word| OTHER_TARGETS.contains(&word.as_str())) {
                return None;
            }
            Some(std::iter::once("pvt".to_owned()).chain(words.into_iter().skip(end + 1)).collect())
        }
        _ => None,
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Words as a shell splits them, up to a comment, a redirection, a pipe or the next command.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quote, mut begun) = (None, false);
    let mut end = |word: &mut String, begun: &mut bool| {
        if std::mem::take(begun) {
            words.push(std::mem::take(word));
        }
    };
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '#') if !begun => break,
            (None, '|' | '&' | ';' | ')') => break,
            (None, '<' | '>') if characters.peek().is_none_or(|next| next.is_whitespace()) => break,
            // A placeholder is one word, whatever blanks it contains.
            (None, '<') => {
                word.push(c);
                word.extend(characters.by_ref().take_while(|c| *c != '>'));
                begun = true;
            }
            (None, c) if c.is_whitespace() => end(&mut word, &mut begun),
            (None, c) => {
                word.push(c);
                begun = true;
            }
        }
    }
    end(&mut word, &mut begun);
    words
}

/// The code in backticks of a line of prose, as far as it ends on the line.
fn inline_code(line: &str) -> impl Iterator<Item = &str> {
    let complete = line.matches('`').count() / 2;
    line.split('`').skip(1).step_by(2).take(complete)
}

/// Code blocks line by line, and code within prose.
fn of_markdown(path: &str, lines: &mut Vec<CommandLine>) {
    let mut is_code = false;
    for (number, line) in (1..).zip(read(path).lines()) {
        let place = format!("{path}:{number}");
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            // `KEY=$(cargo run …)` starts a command, too.
            let command = line.split_once("$(").map_or(line, |(_, command)| command);
            lines.extend(program_words(command).map(|words| CommandLine { place, words, is_mention: false }));
        } else {
            lines.extend(inline_code(line).filter_map(program_words).map(|words| CommandLine {
                place: place.clone(),
                words,
                is_mention: true,
            }));
        }
    }
}

/// Hints in texts and comments of sources: `` `pvt …` ``.
fn of_source(path: &str, lines: &mut Vec<CommandLine>) {
    for (number, line) in (1..).zip(read(path).lines()) {
        lines.extend(
            inline_code(line)
                .filter(|code| code.starts_with("pvt ") && !code.contains('{'))
                .filter_map(program_words)
                .map(|words| CommandLine { place: format!("{path}:{number}"), words, is_mention: true }),
        );
    }
}

/// The examples that `--help` shows, of every command.
fn of_help(command: &Command, lines: &mut Vec<CommandLine>) {
    let place = format!("`{} --help`", command.get_name());
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for line in help.lines() {
        // An explanation follows after two blanks.
        let words = program_words(line.trim_start().split("  ").next().unwrap_or_default());
        lines.extend(words.map(|words| CommandLine { place: place.clone(), words, is_mention: false }));
    }
    command.get_subcommands().for_each(|command| of_help(command, lines));
}

/// The entry point and the arguments of each image of the Dockerfile: `(target, words)`.
fn images() -> Vec<(String, Vec<String>)> {
    let mut images: Vec<(String, Vec<String>)> = Vec::new();
    for line in read("ops/deploy/Dockerfile").lines() {
        if let Some((_, target)) = line.strip_prefix("FROM ").and_then(|from| from.split_once(" AS ")) {
            images.push((target.to_owned(), Vec::new()));
        } else if let Some(words) = line.strip_prefix("ENTRYPOINT ").or_else(|| line.strip_prefix("CMD ")) {
            images.last_mut().unwrap().1.extend(list(words));
        }
    }
    images.retain(|(_, words)| !words.is_empty());
    images
}

/// `["a", "b"]`.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What each service of the compose file that runs one of our images is started with.
fn of_compose(lines: &mut Vec<CommandLine>) {
    let (images, text) = (images(), read("docker-compose.yml"));
    let (mut service, mut target) = (String::new(), None);
    let mut finish = |service: &str, target: Option<String>, command: Vec<String>| {
        let Some(target) = target else { return };
        let (_, entry) = images.iter().find(|(name, _)| *name == target).unwrap_or_else(|| panic!("no image {target}"));
        let words = if command.is_empty() {
            entry.clone()
        } else {
            vec![entry[0].clone()].into_iter().chain(command).collect()
        };
        lines.push(CommandLine { place: format!("docker-compose.yml, service {service}"), words, is_mention: false });
    };
    let mut command = Vec::new();
    for line in text.lines() {
        let name = line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with([' ', '#']))
            .and_then(|line| line.strip_suffix(':'));
        if let Some(name) = name {
            finish(&service, target.take(), std::mem::take(&mut command));
            service = name.to_owned();
        } else if let Some((_, rest)) = line.split_once("target: ") {
            target = Some(rest.trim_end_matches([' ', '}']).to_owned());
        } else if let Some(words) = line.trim().strip_prefix("command: ") {
            command = list(words);
        }
    }
    finish(&service, target.take(), command);
}

/// Why the command line is not understood; `None` when it is.
fn trouble(line: &CommandLine) -> Option<String> {
    let program = match line.words[0].as_str() {
        "pvt" => pvt_ops::command(),
        "pvt-workers" => pvt_workers::cli::command(),
        // It takes no arguments.
        "pvt-api" if line.words.len() == 1 => return None,
        _ => return Some("no program of ours".to_owned()),
    };
    // `…` alone at the end means "and so on"; elsewhere it stands for a value.
    let open_ended = line.words.strip_suffix(&["…".to_owned()]).unwrap_or(&line.words);
    let parse = |words: &[String]| {
        let filled =
            words.iter().map(|word| if word.contains(['<', '…', '$']) { PLACEHOLDER.to_owned() } else { word.clone() });
        program.clone().try_get_matches_from(filled).map(drop)
    };
    let error = parse(&line.words).or_else(|error| parse(open_ended).map_err(|_| error)).err()?;
    let is_understood = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => line.is_mention,
        _ => false,
    };
    (!is_understood).then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
}

#[test]
fn documented_command_lines_are_understood() {
    let mut lines = Vec::new();
    for path in files_below("docs", &[".md"]).iter().map(String::as_str).chain(["README.md"]) {
        of_markdown(path, &mut lines);
    }
    for folder in ["api/src", "ops", "shared", "workers"] {
        files_below(folder, &[".rs"]).iter().for_each(|path| of_source(path, &mut lines));
    }
    of_help(&pvt_ops::command(), &mut lines);
    of_help(&pvt_workers::cli::command(), &mut lines);
    lines.extend(images().into_iter().map(|(target, words)| CommandLine {
        place: format!("ops/deploy/Dockerfile, target {target}"),
        words,
        is_mention: true,
    }));
    of_compose(&mut lines);
    let found = |part: &str| lines.iter().filter(|line| line.place.contains(part)).count();
    for place in ["docs/operations.md", "README.md", "--help", "Dockerfile", "docker-compose.yml", "ops/src"] {
        assert!(found(place) >= 3, "{place}: only {} command lines are found", found(place));
    }
    let wrong: Vec<String> = lines
        .iter()
        .filter_map(|line| Some(format!("{}: `{}`: {}", line.place, line.words.join(" "), trouble(line)?)))
        .collect();
    assert!(wrong.is_empty(), "not understood:\n  {}", wrong.join("\n  "));
}

/// Every verb, with a test that runs the program with it: its words stand there as strings beside each other, or as
/// words of a shell. The simulator of Stripe is run by `pvt up`, which `tests/up/run` runs.
const RUN_BY: [(&str, &str); 44] = [
    ("api", "tests/e2e/harness/stack.rs"),
    ("bench", "ops/tests/bench.rs"),
    ("config check", "tests/e2e/config.rs"),
    ("console", "tests/image/run"),
    ("dead discard", "tests/e2e/cli.rs"),
    ("dead edit", "tests/e2e/dead_letters.rs"),
    ("dead groups", "tests/e2e/dead_letters.rs"),
    ("dead list", "tests/e2e/dead_letters.rs"),
    ("dead operations", "tests/e2e/dead_letters.rs"),
    ("dead replay", "tests/e2e/dead_letters.rs"),
    ("dead show", "tests/e2e/dead_letters.rs"),
    ("dev mail-sink", "tests/e2e/harness/stack.rs"),
    ("dev stripe-simulator", "ops/dev/supervisor/src/plan.rs"),
    ("doctor", "tests/e2e/cli.rs"),
    ("down", "tests/up/run"),
    ("keys create", "tests/e2e/cli.rs"),
    ("keys list", "tests/e2e/cli.rs"),
    ("keys revoke", "tests/e2e/cli.rs"),
    ("maintenance off", "tests/backup/journey.py"),
    ("maintenance on", "tests/backup/journey.py"),
    ("maintenance show", "tests/e2e/maintenance.rs"),
    ("migrate", "tests/e2e/cli.rs"),
    ("queues list", "tests/e2e/cli.rs"),
    ("queues pause", "tests/e2e/queue_pauses.rs"),
    ("queues resume", "tests/e2e/queue_pauses.rs"),
    ("queues watch", "tests/e2e/board.rs"),
    ("reconcile report", "tests/e2e/board.rs"),
    ("reconcile run", "tests/e2e/cli.rs"),
    ("schedules list", "tests/e2e/board.rs"),
    ("schedules run", "tests/e2e/board.rs"),
    ("secrets create", "tests/image/run"),
    ("seed", "tests/e2e/cli.rs"),
    ("status", "tests/up/run"),
    ("topology apply", "tests/e2e/cli.rs"),
    ("topology diff", "tests/e2e/cli.rs"),
    ("topology show", "tests/e2e/cli.rs"),
    ("trace", "tests/e2e/happy_path.rs"),
    ("up", "tests/up/run"),
    ("users create", "tests/e2e/accounts.rs"),
    ("users disable", "tests/e2e/accounts.rs"),
    ("users list", "tests/e2e/accounts.rs"),
    ("users set-role", "tests/e2e/accounts.rs"),
    ("workers list", "tests/e2e/cli.rs"),
    ("workers run", "tests/e2e/harness/stack.rs"),
];

/// The verbs below a command, in full.
fn verbs(command: &Command, above: &str, found: &mut Vec<String>) {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let path = format!("{above} {}", verb.get_name()).trim().to_owned();
        if verb.has_subcommands() { verbs(verb, &path, found) } else { found.push(path) }
    }
}

/// Whether this source runs the program with the verb.
fn runs(source: &str, verb: &str) -> bool {
    let strings = format!("\"{}\"", verb.replace(' ', "\",\""));
    let dense: String = source.chars().filter(|c| !c.is_whitespace()).collect();
    let in_shell = ["pvt", "\"$program\"", "inside ops env \"${settings[@]}\"", "once", "console_metrics\""];
    ["[", "("].iter().any(|open| dense.contains(&format!("{open}{strings}")))
        || in_shell.iter().any(|program| source.contains(&format!("{program} {verb}")))
}

#[test]
fn every_verb_is_run_by_a_test() {
    let mut found = Vec::new();
    verbs(&pvt_ops::command(), "", &mut found);
    found.sort();
    assert_eq!(found, RUN_BY.map(|(verb, _)| verb), "name for each verb a test that runs it");
    let missing = RUN_BY.into_iter().filter(|(verb, place)| !runs(&read(place), verb));
    assert_eq!(missing.collect::<Vec<_>>(), [], "they do not run it");
    assert!(!runs("the words dead list, [\"dead\"]", "dead list") && runs("[ \"dead\",\n \"list\"]", "dead list"));
}

#[test]
fn page_quotes_a_command() {
    let source = read("ops/src/commands/seed.rs");
    let quoted = &source[source.find("\n///").unwrap()..];
    assert!(read("docs/development.md").contains(quoted), "docs/development.md differs from ops/src/commands/seed.rs");
}

#[test]
fn unknown_commands_and_options_are_refused() {
    for text in
        ["pvt consoles", "pvt queues list --wide", "cargo run -- ded list", "pvt-workers run", "-- dead show one"]
    {
        let words = program_words(text).unwrap();
        let line = CommandLine { place: String::new(), words, is_mention: false };
        assert!(trouble(&line).is_some(), "{text}");
    }
    for text in
        ["cargo run -p pvt-local-engines --example engines -- down test", "curl -s http://127.0.0.1/", "cargo test"]
    {
        assert!(program_words(text).is_none(), "{text}");
    }
    assert_eq!(
        program_words("PVT_LOG=debug pvt up --detach && pvt status"),
        Some(["pvt", "up", "--detach"].map(str::to_owned).to_vec())
    );
}
