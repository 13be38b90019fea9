//! Style sheets and scripts: files of this crate, and the columns of the tape chart.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// Nights that the tape chart can show.
pub(crate) const CHART_NIGHTS: [u32; 4] = [14, 30, 60, 92];

const STYLE: &str = include_str!("../assets/console.css");
const LIVE: &str = include_str!("../assets/live.js");
const KEYS: &str = include_str!("../assets/keys.js");
const SELECTION: &str = include_str!("../assets/selection.js");
const CHART: &str = include_str!("../assets/chart.js");
const FORGET: &str = include_str!("../assets/forget.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// Places of the chart's columns as classes, since the policy of the pages allows no style in them.
static CHART_STYLE: LazyLock<String> = LazyLock::new(|| {
    let mut style = String::new();
    let longest = CHART_NIGHTS.into_iter().max().unwrap_or_default();
    for nights in CHART_NIGHTS {
        let columns = format!("var(--bed-column) repeat({nights},minmax(var(--night-column),1fr))");
        // Of fixed width, so that columns are as wide in every row, whatever stands in it.
        let width = format!("calc(var(--bed-column) + {nights}*var(--night-column))");
        // Writing into a text does not fail.
        let _ = writeln!(style, ".nights-{nights} .cells{{grid-template-columns:{columns};min-width:{width}}}");
    }
    for place in 1..=longest {
        let (column, after) = (place + 1, place + 2);
        let _ =
            writeln!(style, ".from-{place}{{grid-column-start:{column}}}.for-{place}{{grid-column-end:span {place}}}");
        let _ = writeln!(style, ".today-{place}{{grid-column:{column}/{after}}}");
    }
    style
});

/// The routes of all assets.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/assets/console.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/assets/chart.css", get(async || asset("text/css; charset=utf-8", CHART_STYLE.as_str())))
        .route("/assets/live.js", get(async || asset("text/javascript; charset=utf-8", LIVE)))
        .route("/assets/keys.js", get(async || asset("text/javascript; charset=utf-8", KEYS)))
        .route("/assets/selection.js", get(async || asset("text/javascript; charset=utf-8", SELECTION)))
        .route("/assets/chart.js", get(async || asset("text/javascript; charset=utf-8", CHART)))
        .route("/assets/forget.js", get(async || asset("text/javascript; charset=utf-8", FORGET)))
        .route("/assets/icon.svg", get(async || asset("image/svg+xml", ICON)))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::CHART_STYLE;

    #[test]
    fn chart_has_a_column_for_every_night() {
        assert!(CHART_STYLE.contains(".from-92{grid-column-start:93}.for-92{grid-column-end:span 92}"));
        assert!(CHART_STYLE.contains(".nights-14 .cells{"));
    }
}
