//! Overview: what is wrong now, in order of harm.

use crate::access::SignedIn;
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::live::figures::Figures;
use crate::live::reading::Reading;
use crate::pages::payments::MAX_LEDGERS;
use crate::store;
use askama::Template;
use axum::extract::State;
use axum::response::Html;
use pvt_operations::checks::{
    CONSUMERS, DEAD_LETTERS, DEAD_LETTERS_IN_QUEUES, PAUSED_MESSAGES, PAUSES, SCHEDULES, WAITING_QUEUES,
};
use pvt_stores::mongo::ledgers::LedgerFilter;

const MANAGEMENT: &str = "RabbitMQ’s management API";

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    summary: String,
    wrong: Vec<WrongView>,
    digest: String,
    sources: Vec<SourceView>,
    attention: String,
}

/// Something that is wrong.
#[derive(Debug, PartialEq, Eq)]
struct WrongView {
    /// `wrong` or `warning`.
    kind: &'static str,
    what: &'static str,
    trouble: String,
    remedy: &'static str,
    /// The page that shows more, or where it is put right.
    link: Option<Link>,
}

/// A link to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    path: &'static str,
    label: &'static str,
    for_admins: bool,
}

struct SourceView {
    name: &'static str,
    key: &'static str,
    state: String,
}

/// `GET /`.
pub(crate) async fn show(State(app): State<SharedApp>, user: SignedIn) -> Result<Html<String>, Failure> {
    let attention = attention(&app, &user).await;
    let figures = app.board.figures();
    page(&OverviewPage {
        frame: Frame::new(&user, "Overview", "/"),
        summary: summary(&figures),
        wrong: wrong(&figures),
        digest: figures.wrong_digest(),
        sources: vec![
            SourceView { name: MANAGEMENT, key: "source.management", state: figures.queues.state() },
            SourceView { name: "MongoDB", key: "source.mongodb", state: figures.mongodb.state() },
            SourceView { name: "Checks of pvt doctor", key: "source.checks", state: figures.checks_state() },
        ],
        attention,
    })
}

fn summary(figures: &Figures) -> String {
    match (&figures.checks, wrong(figures).len()) {
        (Reading::Pending, _) => "The checks have not finished yet.".to_owned(),
        (Reading::Down(outage), _) => format!("What is wrong is not known: the checks are {outage}."),
        (Reading::Up(_), 0) => match outage(figures) {
            Some(outage) => format!("The checks found nothing wrong, but {outage}."),
            None => "Nothing is wrong.".to_owned(),
        },
        (Reading::Up(_), 1) => "One thing is wrong.".to_owned(),
        (Reading::Up(_), count) => format!("{count} things are wrong, the most harmful first."),
    }
}

/// A source of these pages that is down.
fn outage(figures: &Figures) -> Option<String> {
    let management = figures.queues.outage().map(|outage| format!("{MANAGEMENT} is {outage}"));
    management.or_else(|| figures.mongodb.outage().map(|outage| format!("MongoDB is {outage}")))
}

fn wrong(figures: &Figures) -> Vec<WrongView> {
    let wrong = figures.wrong().unwrap_or_default().into_iter();
    let view = wrong.map(|finding| WrongView {
        kind: if finding.warning { "warning" } else { "wrong" },
        what: finding.what,
        trouble: finding.trouble.clone().unwrap_or_default(),
        remedy: finding.in_console.unwrap_or(finding.remedy),
        link: link(finding.what),
    });
    view.collect()
}

fn link(what: &str) -> Option<Link> {
    let (path, label, for_admins) = match what {
        CONSUMERS | DEAD_LETTERS_IN_QUEUES => ("/workers", "Worker processes", false),
        WAITING_QUEUES | PAUSED_MESSAGES | PAUSES => ("/queues", "Queues", false),
        DEAD_LETTERS => ("/dead-letters", "Dead letters by cause", true),
        SCHEDULES => ("/schedules", "Schedules", false),
        _ => return None,
    };
    Some(Link { path, label, for_admins })
}

/// How many bookings have payments that need attention. The rest of the page is of use without it.
async fn attention(app: &App, user: &SignedIn) -> String {
    let count = async {
        let properties = user.properties(app).await?;
        let filter = LedgerFilter { properties: Some(properties), attention: true, ..LedgerFilter::default() };
        let mongo = app.mongo.clone();
        store::read(app, async move { mongo.ledgers().list(&filter, MAX_LEDGERS).await }).await
    };
    match count.await {
        Ok(ledgers) if ledgers.is_empty() => "No payments need attention.".to_owned(),
        Ok(ledgers) if ledgers.len() == 1 => "The payments of one booking need attention.".to_owned(),
        Ok(ledgers) => format!("The payments of {} bookings need attention.", at_most(ledgers.len())),
        Err(Failure::Down(source, outage)) => {
            format!("Whether payments need attention is not known: {source} is {outage}")
        }
        Err(_) => "Whether payments need attention is not known.".to_owned(),
    }
}

fn at_most(count: usize) -> String {
    if i64::try_from(count).is_ok_and(|count| count < MAX_LEDGERS) {
        count.to_string()
    } else {
        format!("{count} or more")
    }
}

#[cfg(test)]
mod tests {
    use super::{summary, wrong};
    use crate::live::figures::Figures;
    use crate::live::reading::{Outage, Reading};
    use chrono::Utc;
    use pvt_operations::checks::{DEAD_LETTERS, Finding};

    #[test]
    fn harmful_findings_come_first_and_passed_checks_are_not_shown() {
        let finding = |what, trouble: Option<&str>| Finding {
            what,
            trouble: trouble.map(str::to_owned),
            warning: false,
            remedy: "`pvt up` starts it",
            in_console: trouble.map(|_| "Start it."),
        };
        let findings =
            vec![finding("SMTP server", Some("refused")), finding("API", Some("refused")), finding("MongoDB", None)];
        let figures = Figures { checks: Reading::Up((Utc::now().into(), findings)), ..Figures::default() };
        assert_eq!(wrong(&figures).iter().map(|view| view.what).collect::<Vec<_>>(), ["API", "SMTP server"]);
        assert!(summary(&figures).starts_with("2 things are wrong"));
        let findings = vec![finding(DEAD_LETTERS, Some("3 of emails"))];
        let dead = Figures { checks: Reading::Up((Utc::now().into(), findings)), ..Figures::default() };
        assert_eq!(wrong(&dead)[0].link.map(|link| link.path), Some("/dead-letters"));
        assert_eq!(wrong(&dead)[0].remedy, "Start it.", "an operator has only a browser");
        assert!(wrong(&figures).iter().all(|view| view.link.is_none()));
        assert_eq!(summary(&Figures::default()), "The checks have not finished yet.");
        let passed = || Reading::Up((Utc::now().into(), Vec::new()));
        assert_eq!(summary(&Figures { checks: passed(), ..Figures::default() }), "Nothing is wrong.");
        let outage = Outage { since: Utc::now().into(), reason: "refused".to_owned() };
        let blind = Figures { checks: passed(), queues: Reading::Down(outage), ..Figures::default() };
        assert!(summary(&blind).starts_with("The checks found nothing wrong, but RabbitMQ"), "{}", summary(&blind));
        assert_ne!(blind.wrong_digest(), Figures { queues: Reading::Pending, ..blind.clone() }.wrong_digest());
        let outage = Outage { since: Utc::now().into(), reason: "no answer".to_owned() };
        let unknown = summary(&Figures { checks: Reading::Down(outage), ..Figures::default() });
        assert!(unknown.starts_with("What is wrong is not known"), "{unknown}");
    }
}
