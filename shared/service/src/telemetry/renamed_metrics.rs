//! Aliases of renamed metrics, shown for one release beside the new names so that dashboards and alerts keep working.
//!
//! Listed in docs/operations.md; the next release removes them.

use std::fmt::Write as _;

/// Every renamed metric: the name that is recorded, and the name before.
const RENAMED: &[(&str, &str)] = &[
    ("pvt_claim_conflicts_total", "pvt_claims_conflicts_total"),
    ("pvt_http_request_duration_seconds", "pvt_http_request_seconds"),
    ("pvt_inventory_cache_properties", "pvt_catalogue_properties"),
    ("pvt_publish_confirm_duration_seconds", "pvt_publish_confirm_seconds"),
    ("pvt_reconciliation_duration_seconds", "pvt_reconciliation_seconds"),
    ("pvt_stripe_call_duration_seconds", "pvt_stripe_call_seconds"),
    ("pvt_stripe_reconciliation_mismatched_days", "pvt_stripe_days_differing"),
    ("pvt_worker_handle_duration_seconds", "pvt_worker_handle_seconds"),
];

/// The exposition with every renamed metric once more under its name before.
pub(super) fn with_aliases(mut exposition: String) -> String {
    let mut aliases = String::new();
    for line in exposition.lines() {
        let (comment, sample) = match line.strip_prefix("# ").and_then(|comment| comment.split_once(' ')) {
            Some((keyword, rest)) => (format!("# {keyword} "), rest),
            None => (String::new(), line),
        };
        let alias = RENAMED.iter().find_map(|(name, before)| Some((before, sample.strip_prefix(name)?)));
        if let Some((before, rest)) = alias.filter(|(_, rest)| is_end_of_name(rest)) {
            // Writing to a string cannot fail.
            let _ = writeln!(aliases, "{comment}{before}{rest}");
        }
    }
    exposition.push_str(&aliases);
    exposition
}

/// Whether the name ends here: a histogram's samples have suffixes, another metric's name goes on otherwise.
fn is_end_of_name(rest: &str) -> bool {
    let rest = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| rest.strip_prefix(suffix)).unwrap_or(rest);
    rest.is_empty() || rest.starts_with([' ', '{'])
}

#[cfg(test)]
mod tests {
    use super::with_aliases;

    #[test]
    fn renamed_metrics_are_shown_under_both_names() {
        let exposition = "# TYPE pvt_claim_conflicts_total counter\npvt_claim_conflicts_total 3\n\n\
            # HELP pvt_stripe_call_duration_seconds Calls.\n\
            pvt_stripe_call_duration_seconds_bucket{operation=\"refund\",le=\"1\"} 2\n\
            pvt_claim_conflicts_total_other 1\npvt_logins_total 5\n";
        let shown = with_aliases(exposition.to_owned());
        assert_eq!(
            shown.strip_prefix(exposition),
            Some(
                "# TYPE pvt_claims_conflicts_total counter\npvt_claims_conflicts_total 3\n\
                # HELP pvt_stripe_call_seconds \
                Calls.\npvt_stripe_call_seconds_bucket{operation=\"refund\",le=\"1\"} 2\n"
            )
        );
    }
}
