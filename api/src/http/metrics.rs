//! Metrics of the API. Their names are contracts with dashboards; their handles are made once, so that recording costs
//! no look-up of labels.

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram};
use pvt_domain::wire_enum;
use pvt_service::logins;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

/// Counter: answers. Labels `route`, `method`, `status`.
pub(crate) const HTTP_REQUESTS: &str = "pvt_http_requests_total";
/// Histogram, seconds: from the request's head to the answer's. Labels `route`, `method`.
pub(crate) const HTTP_REQUEST_SECONDS: &str = "pvt_http_request_duration_seconds";
/// Counter: booking requests. Label `outcome`: `accepted`, `replayed`, `invalid`, `key_reused`, `unavailable`.
pub(crate) const INTAKE: &str = "pvt_intake_requests_total";
/// Counter: webhook events. Label `outcome`: [`WebhookOutcome`].
const WEBHOOKS: &str = "pvt_webhook_events_total";
/// Counter: reads of the store on behalf of requests that failed. Label `class`: [`StoreFailure`].
const STORE_FAILURES: &str = "pvt_store_read_failures_total";
/// Gauge: requests that wait for a booking's decision.
pub(crate) const DECISION_WAITERS: &str = "pvt_decision_waiters";
/// Gauge: properties that can be booked, as this instance knows them.
pub(crate) const CACHED_PROPERTIES: &str = "pvt_inventory_cache_properties";
/// Gauge: 1 while changes are refused for maintenance, 0 otherwise, NaN until it is known.
pub(crate) const MAINTENANCE: &str = "pvt_maintenance_mode";
/// Counter: changes that were refused for maintenance. Labels `route`, `method`.
const MAINTENANCE_REFUSALS: &str = "pvt_maintenance_refusals_total";
/// Counter: readings of who has which beds at a property. Events make most of them unnecessary.
pub(crate) const OCCUPANCY_READS: &str = "pvt_occupancy_reads_total";

/// The label of what matched no route: callers choose paths, and labels must be bounded.
const NO_ROUTE: &str = "none";
/// The route of booking requests, whose failures raise alerts.
const INTAKE_ROUTE: &str = "/api/bookings";
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OTHER"];
const STATUSES: [u16; 23] =
    [200, 201, 202, 204, 303, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 428, 429, 500, 502, 503, 504];

/// Metrics of HTTP by route, method and status.
pub(crate) struct HttpMetrics {
    routes: HashMap<&'static str, [RouteMetrics; METHODS.len()]>,
}

struct RouteMetrics {
    route: &'static str,
    method: &'static str,
    seconds: OnceLock<Histogram>,
    /// One for each of [`STATUSES`], and one for all others.
    answers: [OnceLock<Counter>; STATUSES.len() + 1],
}

impl RouteMetrics {
    fn new(route: &'static str, method: &'static str) -> Self {
        Self { route, method, seconds: OnceLock::new(), answers: std::array::from_fn(|_| OnceLock::new()) }
    }

    fn record(&self, status: StatusCode, elapsed: Duration) {
        let seconds = self
            .seconds
            .get_or_init(|| metrics::histogram!(HTTP_REQUEST_SECONDS, "route" => self.route, "method" => self.method));
        seconds.record(elapsed.as_secs_f64());
        self.count(status, 1);
    }

    fn count(&self, status: StatusCode, answers: u64) {
        let known = STATUSES.iter().position(|known| *known == status.as_u16());
        if let Some(counter) = self.answers.get(known.unwrap_or(STATUSES.len())) {
            let label = || known.map_or_else(|| "other".to_owned(), |_| status.as_str().to_owned());
            counter
                .get_or_init(|| {
                    metrics::counter!(HTTP_REQUESTS, "route" => self.route, "method" => self.method,
                "status" => label())
                })
                .increment(answers);
        }
    }
}

impl HttpMetrics {
    /// For these routes, as they are written in the router.
    pub(crate) fn new(routes: impl IntoIterator<Item = &'static str>) -> Self {
        let routes = routes.into_iter().chain([NO_ROUTE]);
        let made = Self {
            routes: routes.map(|route| (route, METHODS.map(|method| RouteMetrics::new(route, method)))).collect(),
        };
        // An alert compares with the scrape before, so the failures of intake begin at 0, not with their first.
        for metrics in made.routes.get(INTAKE_ROUTE).into_iter().flatten().filter(|it| it.method == Method::POST) {
            for failure in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE] {
                metrics.count(failure, 0);
            }
        }
        made
    }

    pub(crate) fn record(&self, route: Option<&str>, method: &Method, status: StatusCode, elapsed: Duration) {
        let by_method = route.and_then(|route| self.routes.get(route)).or_else(|| self.routes.get(NO_ROUTE));
        let place = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        if let Some(metrics) = by_method.and_then(|by_method| by_method.get(place)) {
            metrics.record(status, elapsed);
        }
    }
}

wire_enum! {
    /// What became of a webhook event.
    pub(crate) enum WebhookOutcome {
        /// The broker has it.
        Accepted = "accepted",
        /// It has no signature.
        Unsigned = "unsigned",
        /// Its signature is not valid.
        BadSignature = "bad_signature",
        /// The body is too large, or no event of ours.
        Refused = "refused",
        /// It is of Stripe's other mode.
        OtherMode = "other_mode",
        /// The broker did not take it.
        Unavailable = "unavailable",
    }
}

wire_enum! {
    /// Why a read of the store failed.
    pub(crate) enum StoreFailure {
        /// The store is unreachable.
        Unavailable = "unavailable",
        /// It did not answer in time.
        Timeout = "timeout",
        /// A document cannot be read.
        Broken = "broken",
    }
}

/// The counter of the changes that maintenance refuses at this route. It begins at 0, so that each is an increase.
pub(crate) fn maintenance_refusals(route: &'static str, method: &Method) -> Counter {
    let refusals = metrics::counter!(MAINTENANCE_REFUSALS, "route" => route, "method" => method.to_string());
    refusals.increment(0);
    refusals
}

/// Counts a webhook event.
pub(crate) fn count_webhook(outcome: WebhookOutcome) {
    webhooks(outcome.as_str()).increment(1);
}

/// Counts a failed read of the store.
pub(crate) fn count_store_failure(class: StoreFailure) {
    store_failures(class.as_str()).increment(1);
}

fn webhooks(outcome: &'static str) -> Counter {
    metrics::counter!(WEBHOOKS, "outcome" => outcome)
}

fn store_failures(class: &'static str) -> Counter {
    metrics::counter!(STORE_FAILURES, "class" => class)
}

/// An alert compares with the scrape before, so counters begin at 0, not with their first event.
pub(crate) fn begin_counters() {
    WebhookOutcome::ALL.into_iter().for_each(|(outcome, _)| webhooks(outcome).increment(0));
    StoreFailure::ALL.into_iter().for_each(|(class, _)| store_failures(class).increment(0));
    logins::begin_counters();
}

/// What became of booking requests.
pub(crate) struct IntakeMetrics {
    pub(crate) accepted: Counter,
    pub(crate) replayed: Counter,
    pub(crate) invalid: Counter,
    pub(crate) key_reused: Counter,
    pub(crate) unavailable: Counter,
}

impl IntakeMetrics {
    pub(crate) fn new() -> Self {
        let outcome = |outcome: &'static str| metrics::counter!(INTAKE, "outcome" => outcome);
        Self {
            accepted: outcome("accepted"),
            replayed: outcome("replayed"),
            invalid: outcome("invalid"),
            key_reused: outcome("key_reused"),
            unavailable: outcome("unavailable"),
        }
    }
}
