//! Export of spans by OTLP: those of OpenTelemetry's standard variables that decide where spans go, which of them, and
//! under which name.
//!
//! Values have the form of OpenTelemetry's specification ("OTLP Exporter Configuration", "Environment Variables").

use super::checks::{Check, demand_tls};
use super::{Reader, Variable, fault, variables};
use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The path of spans below the endpoint ("OTLP Exporter Configuration").
const TRACES_PATH: &str = "v1/traces";
/// Variables of OpenTelemetry for traces alone, in place of those that are read.
const VARIABLES_OF_TRACES: [(&Variable, &str, &str); 6] = [
    (
        &variables::OTEL_EXPORTER_OTLP_ENDPOINT,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "set OTEL_EXPORTER_OTLP_ENDPOINT, without the path v1/traces",
    ),
    (&variables::OTEL_EXPORTER_OTLP_HEADERS, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "set OTEL_EXPORTER_OTLP_HEADERS"),
    (&variables::OTEL_EXPORTER_OTLP_PROTOCOL, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "set OTEL_EXPORTER_OTLP_PROTOCOL"),
    (&variables::OTEL_EXPORTER_OTLP_TIMEOUT, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "set OTEL_EXPORTER_OTLP_TIMEOUT"),
    (
        &variables::OTEL_EXPORTER_OTLP_CERTIFICATE,
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        "set OTEL_EXPORTER_OTLP_CERTIFICATE",
    ),
    (&variables::OTEL_EXPORTER_OTLP_ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "spans are sent uncompressed"),
];
/// Longest time for one export.
const MAX_TIMEOUT_MS: u64 = 60_000;

/// Where spans are exported to, and how.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The full URL for spans.
    pub endpoint: Url,
    /// Headers of every request; their values may be credentials.
    pub headers: Vec<(String, SecretString)>,
    /// For one export.
    pub timeout: Duration,
    /// A file with certificates of authorities, in PEM, beside the public ones.
    pub certificate: Option<PathBuf>,
    /// Which traces are exported.
    pub sampler: TraceSampler,
    /// The name of the service in place of the program's own.
    pub service_name: Option<String>,
    /// Further attributes of the process.
    pub resource_attributes: Vec<(String, String)>,
}

/// A sampler of traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TraceSampler {
    /// Whether a caller's decision goes first.
    pub parent_based: bool,
    /// The share of the traces that begin here, 0 to 1.
    pub share: f64,
}

/// The settings of the export; none unless an endpoint is set.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<TraceSettings> {
    refuse_variables_of_traces(reader);
    let disabled = reader.take(&variables::OTEL_SDK_DISABLED, |text, _| Ok(text.eq_ignore_ascii_case("true")));
    let endpoint = reader.take(&variables::OTEL_EXPORTER_OTLP_ENDPOINT, endpoint);
    let headers = reader.take(&variables::OTEL_EXPORTER_OTLP_HEADERS, |text, _| headers(text)).unwrap_or_default();
    reader.take(&variables::OTEL_EXPORTER_OTLP_PROTOCOL, |text, _| protocol(text));
    let timeout = reader.take(&variables::OTEL_EXPORTER_OTLP_TIMEOUT, |text, _| timeout(text));
    let certificate = reader.take(&variables::OTEL_EXPORTER_OTLP_CERTIFICATE, |text, _| Ok(PathBuf::from(text)));
    let share = reader.take(&variables::OTEL_TRACES_SAMPLER_ARG, |text, _| share(text));
    let sampler = reader.take(&variables::OTEL_TRACES_SAMPLER, |text, _| sampler(text, share.unwrap_or(1.0)));
    let service_name = reader.take(&variables::OTEL_SERVICE_NAME, |text, _| Ok(text.to_owned()));
    let resource_attributes = reader.take(&variables::OTEL_RESOURCE_ATTRIBUTES, |text, _| pairs(text));
    let endpoint = endpoint?;
    (disabled != Some(true)).then_some(())?;
    Some(TraceSettings {
        endpoint,
        headers: headers.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect(),
        timeout: timeout?,
        certificate,
        sampler: sampler?,
        service_name,
        resource_attributes: resource_attributes.unwrap_or_default(),
    })
}

/// The exporter reads the headers of the process environment by itself, so that they would go unchecked; it is not
/// asked for the others at all.
fn refuse_variables_of_traces(reader: &mut Reader<'_>) {
    for (variable, name, instead) in VARIABLES_OF_TRACES {
        if reader.source.is_set(name) {
            reader.faults.push(fault(variable, format!("{name} is set, which is not supported; {instead}")));
        }
    }
}

/// The endpoint is a base: the path of the signal is added to its own.
fn endpoint(text: &str, production: bool) -> Check<Url> {
    let mut url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err("must begin with http:// or https:// and name a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials; set them in OTEL_EXPORTER_OTLP_HEADERS".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; set a key in OTEL_EXPORTER_OTLP_HEADERS".to_owned());
    }
    if production {
        demand_tls(url.host_str().unwrap_or_default(), url.scheme() == "https", "https://")?;
    }
    let path = format!("{}/{TRACES_PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// `name=value,name=value`, values percent-encoded.
fn pairs(text: &str) -> Check<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty())?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim().to_owned(), value.into_owned()))
    };
    let pairs = text.split(',').filter(|text| !text.trim().is_empty()).map(pair);
    pairs.collect::<Option<Vec<_>>>().ok_or_else(|| "is not a list such as name=value,name=value".to_owned())
}

/// As [`pairs`], each of which HTTP can carry.
fn headers(text: &str) -> Check<Vec<(String, String)>> {
    let headers = pairs(text)?;
    let is_valid = |(name, value): &(String, String)| {
        HeaderName::try_from(name.as_str()).is_ok() && HeaderValue::try_from(value.as_str()).is_ok()
    };
    if headers.iter().all(is_valid) {
        Ok(headers)
    } else {
        Err("has a name or value that no header can have".to_owned())
    }
}

fn protocol(text: &str) -> Check<()> {
    match text {
        "http/protobuf" => Ok(()),
        _ => Err("must be http/protobuf; collectors take it at port 4318".to_owned()),
    }
}

fn timeout(text: &str) -> Check<Duration> {
    let timeout_ms = text.parse().ok().filter(|timeout_ms| (1..=MAX_TIMEOUT_MS).contains(timeout_ms));
    timeout_ms.map(Duration::from_millis).ok_or_else(|| format!("is not a number from 1 to {MAX_TIMEOUT_MS}"))
}

fn share(text: &str) -> Check<f64> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "is not a share from 0 to 1".to_owned())
}

fn sampler(text: &str, share: f64) -> Check<TraceSampler> {
    let (parent_based, name) = match text.strip_prefix("parentbased_") {
        Some(name) => (true, name),
        None => (false, text),
    };
    let share = match name {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => share,
        _ => return Err("must be always_on, always_off or traceidratio, each also with parentbased_".to_owned()),
    };
    Ok(TraceSampler { parent_based, share })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use secrecy::ExposeSecret;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    fn faults(pairs: &[(&str, &str)]) -> Vec<&'static str> {
        let Err(error) = Config::from_pairs(pairs.iter().copied()) else { return Vec::new() };
        error.faults.iter().map(|fault| fault.variable).collect()
    }

    #[test]
    fn spans_are_exported_only_to_an_endpoint_that_is_set() {
        let traces = |pairs: &[(&str, &str)]| Config::from_pairs(pairs.iter().copied()).unwrap().traces;
        assert!(traces(&[]).is_none());
        assert!(traces(&[ENDPOINT, ("OTEL_SDK_DISABLED", "true")]).is_none());
        let found = traces(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example.com/otlp/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%20secret, x-team = hostels"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ])
        .unwrap();
        assert_eq!(found.endpoint.as_str(), "https://collector.example.com/otlp/v1/traces");
        let headers: Vec<_> =
            found.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("x-api-key", "a secret"), ("x-team", "hostels")]);
        assert_eq!(found.sampler, TraceSampler { parent_based: true, share: 0.25 });
        assert_eq!(found.timeout, Duration::from_secs(10));
    }

    #[test]
    fn settings_that_cannot_be_used_are_refused() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:password@collector.example.com"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example.com?key=secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x api key=secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%0D%0Ab"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ] {
            let others = [ENDPOINT].into_iter().filter(|(other, _)| *other != name);
            let pairs: Vec<_> = others.chain([(name, value)]).collect();
            assert_eq!(faults(&pairs), [name], "{value}");
        }
    }

    #[test]
    fn variables_for_traces_alone_are_refused_with_what_to_set_instead() {
        for (variable, name, _) in VARIABLES_OF_TRACES {
            assert_eq!(faults(&[ENDPOINT, (name, "http://127.0.0.1:4318")]), [variable.name], "{name}");
            assert_eq!(faults(&[(name, "http://127.0.0.1:4318")]), [variable.name], "{name}");
        }
    }

    #[test]
    fn production_sends_spans_to_a_collector_only_by_tls() {
        let found = |endpoint| {
            faults(&[("PVT_ENV", "production"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)])
                .contains(&"OTEL_EXPORTER_OTLP_ENDPOINT")
        };
        assert!(found("http://collector.example.com:4318"));
        assert!(!found("https://collector.example.com") && !found("http://127.0.0.1:4318"));
    }
}
