//! The export through TLS, with certificates of an authority that only these tests know.

use super::{Collector, SHORT_TIMEOUT, Stack, StackBuilder, of_trace, request_of, seen, spans_counted};
use crate::harness::{CONSUMERS, Expectations, booked, ports};
use anyhow::{Context, Result, ensure};
use pvt_testkit::{DORM, booking_body, days_from_now, eventually};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A certificate authority of its own, in a folder.
struct Authority {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    async fn new(folder: &Path, name: &str) -> Result<Self> {
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        let subject = format!("/CN={name}");
        let (certificate_path, key_path) = (certificate.display().to_string(), key.display().to_string());
        let fresh = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", &subject];
        openssl(&[&fresh[..], &["-keyout", &key_path, "-out", &certificate_path]].concat()).await?;
        Ok(Self { certificate, key })
    }

    /// Certificate and key of a server at loopback, signed by this authority, in one file.
    async fn server(&self, folder: &Path) -> Result<PathBuf> {
        let path = |name: &str| folder.join(name).display().to_string();
        let (key, request, extensions, signed) =
            (path("server.key"), path("server.csr"), path("server.ext"), path("server.pem"));
        std::fs::write(&extensions, "subjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\n")?;
        let fresh = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=collector"];
        openssl(&[&fresh[..], &["-keyout", &key, "-out", &request]].concat()).await?;
        let (authority, authority_key) = (self.certificate.display().to_string(), self.key.display().to_string());
        let signing = ["x509", "-req", "-days", "2", "-CAcreateserial", "-CA", &authority, "-CAkey", &authority_key];
        openssl(&[&signing[..], &["-in", &request, "-extfile", &extensions, "-out", &signed]].concat()).await?;
        let both = folder.join("server-both.pem");
        std::fs::write(&both, [std::fs::read(&key)?, std::fs::read(&signed)?].concat())?;
        Ok(both)
    }
}

async fn openssl(arguments: &[&str]) -> Result<()> {
    let output = Command::new("openssl").args(arguments).stdin(Stdio::null()).output().await.context("openssl")?;
    ensure!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Stunnel before a collector; killed when it is dropped.
struct Terminator {
    address: SocketAddr,
    _process: Child,
}

impl Terminator {
    async fn start(folder: &Path, certificate: &Path, collector: SocketAddr) -> Result<Self> {
        let address = ports::free()?;
        let settings = format!(
            "foreground = yes\npid =\n[otlp]\naccept = {address}\nconnect = {collector}\ncert = {}\n",
            certificate.display()
        );
        let path = folder.join("stunnel.conf");
        std::fs::write(&path, settings)?;
        let log = File::create(folder.join("stunnel.log"))?;
        let process = Command::new("stunnel4")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("stunnel4: run tests/otlp/run")?;
        let listens = || async { Ok(tokio::net::TcpStream::connect(address).await.is_ok().then_some(())) };
        eventually("stunnel listens", SHORT_TIMEOUT, listens).await?;
        Ok(Self { address, _process: process })
    }
}

/// A system whose API trusts `trusted` for its spans, and whose workers trust only public authorities.
async fn start(terminator: &Terminator, trusted: &Path) -> Result<Stack> {
    let mut stack = StackBuilder::new()
        .workers(&[("workers", CONSUMERS)])
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("https://{}", terminator.address))
        .with("OTEL_EXPORTER_OTLP_TIMEOUT", "3000")
        .with("OTEL_BSP_SCHEDULE_DELAY", "100")
        .prepare()
        .await?;
    stack.run(&["mail-sink", "workers"]).await?;
    let trusted = trusted.display().to_string();
    stack.program("api")?.start(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", &trusted)])?;
    stack.ready("api").await?;
    Ok(stack)
}

/// The spans of this process are counted as failed, none as exported, and its log says why.
async fn check_refused(stack: &mut Stack, name: &str, metrics: &str) -> Result<()> {
    let failed = || async { Ok((spans_counted(stack, metrics, "failed").await? > 0.0).then_some(())) };
    eventually(&format!("spans of {name} are counted as failed"), SHORT_TIMEOUT, failed).await?;
    ensure!(spans_counted(stack, metrics, "exported").await? == 0.0, "{name} has exported spans");
    let log = stack.program(name)?.log();
    let is_explained =
        |line: &&str| line.contains("spans were not exported") && line.contains("invalid peer certificate");
    ensure!(log.lines().any(|line| is_explained(&line)), "{name} does not say why: {log}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a collector: tests/otlp/run"]
async fn spans_go_through_tls_only_to_a_collector_of_a_trusted_authority() -> Result<()> {
    let collector = Collector::start().await?;
    let authority = Authority::new(&collector.folder, "authority").await?;
    let other = Authority::new(&collector.folder, "another").await?;
    let server = authority.server(&collector.folder).await?;
    let terminator = Terminator::start(&collector.folder, &server, collector.address).await?;

    let mut stack = start(&terminator, &authority.certificate).await?;
    let api = format!("http://{}/metrics", stack.config()?.api_metrics_addr);
    let workers = stack.metrics_url("workers")?;
    let answer = stack.client.request_booking("one", &booking_body(DORM, days_from_now(30), 1, 1)).await?;
    let (trace, _) = request_of(&answer)?;
    let booking = booked(&answer)?;
    stack.record_accepted(booking.id);
    stack.client.wait_for_decision(&booking).await?;
    let prefix = stack.topology.prefix().to_owned();
    let arrived = || async {
        let own = of_trace(&seen(&collector.log()?, &prefix), &trace);
        Ok(own.iter().any(|span| span.name == "POST /api/bookings").then_some(own))
    };
    let own = eventually("the request arrives through TLS", SHORT_TIMEOUT, arrived).await?;
    ensure!(own.iter().all(|span| span.service == "pvt-api"), "the workers trust no such authority: {own:#?}");
    let exported = || async { Ok((spans_counted(&stack, &api, "exported").await? > 0.0).then_some(())) };
    eventually("spans of the API are counted as exported", SHORT_TIMEOUT, exported).await?;
    ensure!(spans_counted(&stack, &api, "failed").await? == 0.0);
    check_refused(&mut stack, "workers", &workers).await?;

    // An authority that is trusted and has not signed this certificate does not help.
    stack.program("api")?.stop().await?;
    let trusted = other.certificate.display().to_string();
    stack.program("api")?.start(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", &trusted)])?;
    stack.ready("api").await?;
    stack.book("two", &booking_body(DORM, days_from_now(40), 1, 1)).await?;
    check_refused(&mut stack, "api", &api).await?;
    stack.end(Expectations::clean()).await
}
