//! The address that mails lead to: on to Stripe's page, or to what there is to say when nothing is to be paid any more.
//!
//! Asking again leads to the same page while it is open. No answer here depends on who else is asking.

use super::receipt::STYLE;
use super::visitor::Visitor;
use crate::app::{App, SharedApp};
use crate::fingerprint::Fingerprint;
use crate::html_page;
use crate::json::Node;
use crate::payments::receipt::Words;
use crate::payments::view::{payment_of, payments_of};
use crate::problem::{self, Answer, Kind, Problem};
use crate::routes::payments::ask::{self, Wish};
use crate::routes::payments::open;
use askama::Template;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use chrono::{TimeDelta, Utc};
use pvt_domain::booking::Booking;
use pvt_domain::ledger::{Channel, Ledger};
use pvt_domain::timestamp::Timestamp;

/// A page that ends sooner than this is not worth going to.
const LEAST_LEFT: TimeDelta = TimeDelta::minutes(2);

/// What is over after a while, by itself or by somebody's hand.
const PASSING: [&Kind; 5] = [
    problem::PROVIDER_REFUSED,
    problem::PROVIDER_UNAVAILABLE,
    problem::BROKER_UNAVAILABLE,
    problem::STORE_UNAVAILABLE,
    problem::RATE_LIMITED,
];
/// Most languages of a browser that are looked at.
const MAX_LANGUAGES: usize = 8;

/// Something to say to a guest.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    style: &'static str,
    language: &'static str,
    reference: &'a str,
    title: &'static str,
    text: &'static str,
}

/// `GET /api/bookings/{id}/pay`: 303 to where it is paid, or to the receipt; a page that says why not, else.
pub(in crate::routes) async fn pay(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let visitor = Visitor::of(&app, &id, &parts)?;
    let booking = match visitor.decided_booking(&app).await {
        Err(problem) if passes(&problem) => return later(words_asked_for(&parts.headers), &visitor.id.reference()),
        found => found?,
    };
    let money = booking.payment.ledger();
    let words = words(&app, &booking);
    let reference = booking.reference.as_str();
    let receipt = app.return_urls.path_of_booking(booking.id, "/receipt", &app.tokens.token(booking.id));
    if money.processing {
        return notice(words, reference, StatusCode::OK, (words.under_way, words.under_way_more));
    }
    if booking.payable() <= 0 || !booking.status.holds_beds() {
        return match booking.status.holds_beds() {
            _ if money.captured > 0 => lead_to(&receipt),
            true => notice(words, reference, StatusCode::OK, (words.nothing_due, words.nothing_due_more)),
            false => notice(words, reference, StatusCode::OK, (words.hold_over, words.hold_over_more)),
        };
    }
    match page(&app, &parts, &visitor, &booking).await {
        Ok(Some(url)) => lead_to(&url),
        Ok(None) => later(words, reference),
        Err(problem) => refused(words, reference, &receipt, problem),
    }
}

/// Stripe's page for what is owed now: one that is open, or a new one. `None` when it takes longer than a guest waits.
async fn page(app: &SharedApp, parts: &Parts, visitor: &Visitor, booking: &Booking) -> Result<Option<String>, Problem> {
    let ledger = ask::ledger(app, booking.id).await?;
    let now = Utc::now();
    if let Some(open) =
        ledger.as_ref().and_then(|ledger| open_page(ledger, booking.payable(), (now + LEAST_LEFT).into()))
    {
        return Ok(Some(open));
    }
    // Clicks at the same time see the same last attempt, and are one more together.
    let last = ledger.and_then(|ledger| ledger.attempts.last().map(|attempt| attempt.id)).unwrap_or_default();
    let wish = Wish::named(booking.id, &format!("pay\n{last}\n{}", booking.payable()), Fingerprint::of(&Node::Null));
    let command = open::command(app, visitor, booking, &wish, (Channel::Checkout, None, None));
    let asked = ask::ask(app, parts, &visitor.caller, (booking.id, &booking.property_id), &wish, &command).await?;
    if let Some(url) = asked.reply.and_then(|reply| reply.url) {
        return Ok(Some(url));
    }
    // A reply may get lost: an open page is as good as one.
    let stored = ask::ledger(app, booking.id).await?;
    Ok(stored
        .and_then(|ledger| payment_of(&ledger, &wish.id.to_string(), now.into()))
        .and_then(|payment| payment.checkout_url))
}

/// A page for this amount that is open at `until`, too.
fn open_page(ledger: &Ledger, amount: i64, until: Timestamp) -> Option<String> {
    let mut open =
        payments_of(ledger, until).into_iter().filter(|payment| !ledger.closed && payment.amount.amount == amount);
    open.find_map(|payment| payment.checkout_url)
}

/// What was refused, in words for a guest, and an outage as a page; everything else is a problem as anywhere.
fn refused(words: &'static Words, reference: &str, receipt: &str, problem: Problem) -> Answer {
    match problem.code() {
        "not_payable" => notice(words, reference, StatusCode::OK, (words.hold_over, words.hold_over_more)),
        "nothing_due" => lead_to(receipt),
        _ if passes(&problem) => later(words, reference),
        _ => Err(problem),
    }
}

/// Whether opening the link once more is all that a guest can do.
fn passes(problem: &Problem) -> bool {
    PASSING.iter().any(|kind| kind.code == problem.code())
}

fn later(words: &'static Words, reference: &str) -> Answer {
    let mut answer = notice(words, reference, StatusCode::SERVICE_UNAVAILABLE, (words.later, words.later_more))?;
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(ask::RETRY_AFTER_SECS));
    Ok(answer)
}

fn lead_to(url: &str) -> Answer {
    let location = HeaderValue::try_from(url).map_err(Problem::internal)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

fn notice(
    words: &'static Words,
    reference: &str,
    status: StatusCode,
    (title, text): (&'static str, &'static str),
) -> Answer {
    let page = Notice { style: STYLE, language: words.tag, reference, title, text };
    html_page::answer(status, &page, (STYLE, words.tag))
}

/// While the booking cannot be read, the browser says which language to speak. Its order counts, weights do not.
fn words_asked_for(headers: &HeaderMap) -> &'static Words {
    let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tags: Vec<String> = asked
        .split(',')
        .take(MAX_LANGUAGES)
        .filter_map(|tag| tag.split(';').next())
        .map(|tag| tag.trim().to_owned())
        .collect();
    Words::choose(None, &tags)
}

fn words(app: &App, booking: &Booking) -> &'static Words {
    let all = app.catalogue.all();
    let locales = all.get(&booking.property_id).map(|house| house.property.locales.as_slice()).unwrap_or_default();
    Words::choose(booking.guest.locale.as_deref(), locales)
}

#[cfg(test)]
mod tests {
    use super::{open_page, refused};
    use crate::payments::fixtures::{OWED, at, opened, paid};
    use crate::payments::receipt::Words;
    use crate::problem;
    use axum::http::{HeaderName, StatusCode, header};
    use axum::response::Response;

    fn text(answer: &Response, name: HeaderName) -> &str {
        answer.headers()[name].to_str().unwrap()
    }

    #[test]
    fn outages_are_pages_and_what_is_paid_leads_to_the_receipt() {
        let ended = |kind: &'static problem::Kind| {
            refused(Words::choose(Some("fr"), &[]), "PVT-0000000000", "/below/receipt", kind.into())
        };
        for kind in [
            problem::BROKER_UNAVAILABLE,
            problem::STORE_UNAVAILABLE,
            problem::PROVIDER_UNAVAILABLE,
            problem::PROVIDER_REFUSED,
        ] {
            let page = ended(kind).unwrap_or_else(|_| panic!("{} is no page", kind.code));
            assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE, "{}", kind.code);
            assert_eq!(
                (text(&page, header::CONTENT_TYPE), text(&page, header::CONTENT_LANGUAGE)),
                ("text/html; charset=utf-8", "fr")
            );
            assert!(page.headers().contains_key(header::RETRY_AFTER));
        }
        let receipt = ended(problem::NOTHING_DUE).unwrap();
        assert_eq!((receipt.status(), text(&receipt, header::LOCATION)), (StatusCode::SEE_OTHER, "/below/receipt"));
        assert_eq!(ended(problem::NOT_FOUND).unwrap_err().code(), "not_found");
    }

    #[test]
    fn an_open_page_for_the_same_amount_is_gone_to_again() {
        let mut ledger = opened();
        let soon = at("2027-01-15T08:10:00Z");
        assert_eq!(open_page(&ledger, OWED, soon).as_deref(), Some("https://pay.example.com/cs_1"));
        assert_eq!(open_page(&ledger, OWED - 1, soon), None, "it asks for another amount");
        assert_eq!(open_page(&ledger, OWED, at("2027-01-15T08:30:00Z")), None, "it has ended");
        ledger.closed = true;
        assert_eq!(open_page(&ledger, OWED, soon), None, "the hold is over");
        assert_eq!(open_page(&paid(), OWED, soon), None);
    }
}
