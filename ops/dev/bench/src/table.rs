//! Tables of the figures for people.

use super::figures::Figures;
use super::machine::Machine;
use super::process_group::{BARE, SINK};
use pvt_operations::terminal;

/// A row of the table.
struct FigureRow {
    figure: &'static str,
    value: Option<f64>,
    unit: &'static str,
    bare: Option<f64>,
    ratio: Option<f64>,
    target: Option<Target>,
}

/// The target of a figure on two cores that engines and load generator share.
enum Target {
    AtLeast(f64),
    Below(f64),
    RatioAtLeast(f64),
}

const PROCESS_LIMIT_MIB: f64 = 40.0;

/// Prints everything that was measured.
pub(super) fn print(figures: &Figures) {
    if let Some(machine) = &figures.machine {
        print_machine(figures, machine);
    }
    let lines = speed(figures).into_iter().filter(|line| line.value.is_some());
    terminal::table(["FIGURE", "VALUE", "UNIT", "BARE LIMIT", "RATIO", "TARGET", "REACHED"], lines.map(FigureRow::row));
    terminal::data("");
    let memory = figures.peak_rss_mib.iter().map(|(name, mib)| {
        let judged = ![SINK, BARE].contains(&name.as_str());
        let target = if judged { format!("≤ {PROCESS_LIMIT_MIB}") } else { String::new() };
        let reached = if judged { yes(*mib <= PROCESS_LIMIT_MIB) } else { "" };
        [name.clone(), format!("{mib:.1}"), target, reached.to_owned()]
    });
    terminal::table(["PROCESS", "PEAK MIB", "TARGET", "REACHED"], memory);
    terminal::data("");
    let cpu = figures.cpu_us_per_item.iter().map(|(part, used)| {
        let total: f64 = used.values().sum();
        let each: Vec<String> = by_size(used).map(|(name, us)| format!("{name} {us:.0}")).collect();
        [(*part).to_owned(), format!("{total:.0}"), each.join(", ")]
    });
    terminal::table(["CPU OF", "µS EACH", "BY PROCESS"], cpu);
    terminal::data("");
    let calls = figures.calls.iter().flat_map(|(part, workers)| {
        workers.iter().map(|(worker, calls)| {
            [
                (*part).to_owned(),
                (*worker).to_owned(),
                format!("{:.0}", calls.mean_size),
                format!("{:.1}", calls.mean_ms),
            ]
        })
    });
    terminal::table(["CALLS IN", "WORKER", "MEAN SIZE", "MEAN MS"], calls);
}

fn by_size(used: &std::collections::BTreeMap<String, f64>) -> impl Iterator<Item = (&String, &f64)> {
    let mut all: Vec<_> = used.iter().collect();
    all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    all.into_iter()
}

fn print_machine(figures: &Figures, machine: &Machine) {
    let Machine { cores, cpu, memory_mib, kernel, rabbitmq, mongodb, postgresql } = machine;
    terminal::data(format_args!(
        "pvt {} ({} build{})",
        figures.version,
        figures.build,
        if figures.quick { ", quick: small counts" } else { "" }
    ));
    terminal::data(format_args!("{cores} × {cpu}, {} GiB, Linux {kernel}", memory_mib / 1_024));
    terminal::data(format_args!("RabbitMQ {rabbitmq}, MongoDB {mongodb}, PostgreSQL {postgresql}\n"));
}

fn speed(figures: &Figures) -> Vec<FigureRow> {
    let line = |figure, value, unit| FigureRow { figure, value, unit, bare: None, ratio: None, target: None };
    let bare_intake = figures.bare_intake_requests_per_s;
    let bare_pipeline = figures.bare_pipeline_messages_per_s;
    vec![
        line("bare intake: handler + confirmed publish", bare_intake, "requests/s"),
        line("bare pipeline: consume, publish, ack", bare_pipeline, "messages/s"),
        line("bare transaction of 200 bookings", figures.bare_transaction_bookings_per_s, "bookings/s"),
        FigureRow {
            bare: bare_intake,
            ratio: figures.intake_ratio,
            target: Some(Target::RatioAtLeast(0.6)),
            ..line("intake", figures.intake_requests_per_s, "requests/s")
        },
        line("intake p50", figures.intake_p50_ms, "ms"),
        line("intake p99", figures.intake_p99_ms, "ms"),
        line("backlog, confirmations alone", figures.backlog_bookings_per_s, "bookings/s"),
        FigureRow {
            bare: figures.bare_all_three_bookings_per_s,
            ratio: figures.drained_ratio,
            target: Some(Target::AtLeast(8_000.0)),
            ..line("drained, request to event", figures.drained_bookings_per_s, "bookings/s")
        },
        line("  last request accepted after", figures.drained_accepted_s, "s"),
        line("  last booking stored and published after", figures.drained_stored_s, "s"),
        line("  mart complete after", figures.drained_mart_s, "s"),
        line("steady load", figures.steady_requests_per_s, "requests/s"),
        line("steady p50, request to confirmed", figures.steady_p50_ms, "ms"),
        FigureRow {
            target: Some(Target::Below(50.0)),
            ..line("steady p99, request to confirmed", figures.steady_p99_ms, "ms")
        },
        line("searches beside bookings", figures.search_requests_per_s, "requests/s"),
        line("search p50", figures.search_p50_ms, "ms"),
        FigureRow { target: Some(Target::Below(50.0)), ..line("search p99", figures.search_p99_ms, "ms") },
        line("  bookings beside, p99 to confirmed", figures.search_beside_p99_ms, "ms"),
        line("changes of bookings", figures.modify_per_s, "requests/s"),
        line("change p50, request to decided", figures.modify_p50_ms, "ms"),
        line("change p99, request to decided", figures.modify_p99_ms, "ms"),
        line("mixed day", figures.mixed_requests_per_s, "requests/s"),
        line("  search p50", figures.mixed_search_p50_ms, "ms"),
        line("  search p99", figures.mixed_search_p99_ms, "ms"),
        line("  booking p50, request to confirmed", figures.mixed_book_p50_ms, "ms"),
        line("  booking p99, request to confirmed", figures.mixed_book_p99_ms, "ms"),
        line("  change p50, request to decided", figures.mixed_change_p50_ms, "ms"),
        line("  change p99, request to decided", figures.mixed_change_p99_ms, "ms"),
        FigureRow {
            bare: bare_pipeline,
            ratio: figures.mails_ratio,
            target: Some(Target::AtLeast(4_000.0)),
            ..line("mails", figures.mails_per_s, "mails/s")
        },
        FigureRow {
            bare: bare_pipeline,
            ratio: figures.etl_ratio,
            ..line("etl", figures.etl_events_per_s, "events/s")
        },
        line("bare webhooks: handler + confirmed publish", figures.bare_webhooks_per_s, "events/s"),
        FigureRow {
            bare: figures.bare_webhooks_per_s,
            ratio: figures.webhooks_ratio,
            target: Some(Target::RatioAtLeast(0.6)),
            ..line("webhooks", figures.webhooks_per_s, "events/s")
        },
        FigureRow {
            target: Some(Target::AtLeast(2_000.0)),
            ..line("webhooks applied", figures.webhook_events_applied_per_s, "events/s")
        },
        line("webhook p50, event to confirmed", figures.webhook_p50_ms, "ms"),
        FigureRow {
            target: Some(Target::Below(100.0)),
            ..line("webhook p99, event to confirmed", figures.webhook_p99_ms, "ms")
        },
    ]
}

impl FigureRow {
    fn row(self) -> [String; 7] {
        let Self { figure, value, unit, bare, ratio, target } = self;
        let value = value.unwrap_or(f64::NAN);
        let (target, reached) = match target {
            None => (String::new(), ""),
            Some(Target::AtLeast(least)) => (format!("≥ {least:.0}"), yes(value >= least)),
            Some(Target::Below(most)) => (format!("< {most:.0}"), yes(value < most)),
            Some(Target::RatioAtLeast(least)) => {
                (format!("ratio ≥ {least:.2}"), ratio.map_or("", |ratio| yes(ratio >= least)))
            }
        };
        let number = |value: f64| if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        let optional = |value: Option<f64>| value.map(number).unwrap_or_default();
        [figure.to_owned(), number(value), unit.to_owned(), optional(bare), optional(ratio), target, reached.to_owned()]
    }
}

fn yes(reached: bool) -> &'static str {
    if reached { "yes" } else { "NO" }
}
