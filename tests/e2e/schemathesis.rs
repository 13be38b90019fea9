//! Conformance of the API to its OpenAPI document: schemathesis generates requests from it and checks the responses.
//!
//! Ignored by default, because it needs an external program, which `tests/schemathesis/run` installs.

use crate::harness::{Stack, StackBuilder};
use anyhow::{Context, Result, ensure};
use pvt_domain::demo;
use pvt_testkit::{DORM, booking_body, days_from_now};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Longest run of schemathesis.
const RUN_LIMIT: Duration = Duration::from_secs(900);
/// Checks of schemathesis. `positive_data_acceptance` is not among them: dates pass, and beds sell out.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,\
    negative_data_rejection,missing_required_header,unsupported_method,ignored_auth";

/// One run of schemathesis.
struct Run<'a> {
    name: &'a str,
    /// Most requests per operation and phase.
    examples: u32,
    phases: &'a str,
    /// Regular expression for the paths to test.
    only: &'a str,
    /// Paths with the id of an existing object at the demonstration property, used instead of random ids.
    known: &'a [(&'a str, String)],
}

impl Run<'_> {
    /// Its configuration file.
    fn settings(&self) -> Result<String> {
        let mut text =
            "[checks.missing_required_header]\nexpected-statuses = [400, 401, 403, 404, 412, 415, 422, 428]\n"
                .to_owned();
        // A request with two errors may be refused for either.
        text.push_str(
            "[checks.negative_data_rejection]\nexpected-statuses = [400, 401, 403, 404, 405, 406, 408, \
            409, 412, 413, 415, 422, 428]\n",
        );
        for (path, id) in self.known {
            writeln!(
                text,
                "[[operations]]\ninclude-path = {path:?}\nparameters = {{ id = {id:?}, property_id = {:?} }}",
                demo::PROPERTY_ID
            )?;
        }
        Ok(text)
    }

    async fn check(&self, stack: &Stack, url: &str, token: &str) -> Result<()> {
        let program =
            std::env::var_os("PVT_SCHEMATHESIS").context("run tests/schemathesis/run, which installs schemathesis")?;
        let folder = stack.folder().join(self.name);
        std::fs::create_dir_all(&folder)?;
        let settings = folder.join("schemathesis.toml");
        std::fs::write(&settings, self.settings()?)?;
        let examples = self.examples.to_string();
        let mut command = Command::new(program);
        command
            .current_dir(&folder)
            .arg("--config-file")
            .arg(&settings)
            .args(["run", &format!("{url}/api/openapi.json")]);
        command.args([
            "--checks",
            CHECKS,
            "--phases",
            self.phases,
            "--max-examples",
            &examples,
            "--include-path-regex",
            self.only,
        ]);
        command.args([
            "--header",
            &format!("Authorization: Bearer {token}"),
            "--workers",
            "1",
            "--request-timeout",
            "45",
            "--continue-on-failure",
        ]);
        command.args(["--seed", "1", "--generation-deterministic", "--no-color", "--warnings", "off"]);
        let begun = Instant::now();
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(RUN_LIMIT, output)
            .await
            .with_context(|| format!("{} takes too long", self.name))??;
        let summary = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        #[allow(clippy::print_stderr)] // The summary, for the log of the run.
        {
            eprintln!("{} took {:?}\n{summary}", self.name, begun.elapsed());
        }
        ensure!(output.status.success(), "{}: the API does not conform to its document", self.name);
        Ok(())
    }
}

async fn access_token(stack: &Stack) -> Result<String> {
    let seeded = stack.pvt(&["seed", "--days", "0"]).await?;
    ensure!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
    let login = json!({ "email": "admin@pvt.test", "password": "admin-of-the-demo" });
    let answer = stack.client.post("/api/auth/login", &[], &login).await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    Ok(answer.text("/access_token").to_owned())
}

/// Ids of existing objects.
async fn known(stack: &Stack, token: &str) -> Result<Vec<(&'static str, String)>> {
    let bearer = format!("Bearer {token}");
    let booked = stack.book("schemathesis", &booking_body(DORM, days_from_now(30), 2, 1)).await?;
    stack.client.wait_for_decision(&booked).await?;
    let users = stack.client.send(Method::GET, "/api/auth/users", &[("authorization", &bearer)], None).await?;
    let guest = users.body["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|user| user["role"] == "guest")
        .context("no guest")?["id"]
        .clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let booking = booked.id.to_string();
    Ok(vec![
        ("/api/bookings/{id}", booking.clone()),
        ("/api/bookings/{id}/history", booking.clone()),
        ("/api/bookings/{id}/calendar.ics", booking.clone()),
        ("/api/bookings/{id}/assign", booking.clone()),
        ("/api/bookings/{id}/checkin", booking.clone()),
        ("/api/bookings/{id}/cancel", booking),
        ("/api/properties/{id}", "pvt-montreal".to_owned()),
        ("/api/auth/users/{id}/role", text(&guest)),
        ("/api/properties/{id}/arrivals", "pvt-montreal".to_owned()),
        ("/api/properties/{id}/calendar", "pvt-montreal".to_owned()),
        ("/api/room-types/{id}", DORM.to_owned()),
        ("/api/room-types/{id}/calendar", DORM.to_owned()),
        ("/api/rooms/{id}", "d8a".to_owned()),
        ("/api/rooms/{id}/availability", "d6a".to_owned()),
        ("/api/beds/{id}", "f4a-1".to_owned()),
        ("/api/rate-plans/{id}", "standard".to_owned()),
        ("/api/rate-plans/{id}/calendar", "standard".to_owned()),
        ("/api/rate-plans/{id}/restrictions", "standard".to_owned()),
    ])
}

#[tokio::test]
#[ignore = "needs schemathesis: tests/schemathesis/run"]
async fn api_conforms_to_its_openapi_document() -> Result<()> {
    let stack = StackBuilder::new().paid_online().start().await?;
    let token = access_token(&stack).await?;
    let known = known(&stack, &token).await?;
    let url = stack.client.base().to_owned();
    let everything =
        Run { name: "everything", examples: 40, phases: "examples,coverage,fuzzing", only: "^/", known: &[] };
    let of_known = Run { name: "known", examples: 40, phases: "coverage,fuzzing", only: r"\{id\}", known: &known };
    let results = [everything.check(&stack, &url, &token).await, of_known.check(&stack, &url, &token).await];
    results.into_iter().collect::<Result<()>>()?;
    stack.shut_down().await
}
