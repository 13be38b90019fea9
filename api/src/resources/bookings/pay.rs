//! Payment link of mails: redirects to Stripe's page, or explains why there is nothing to pay.
//!
//! Repeated requests redirect to the same page while it is open. No answer depends on concurrent requests.

use super::guest_page::{self, phrases};
use crate::auth::booking_access::BookingAccess;
use crate::form::fingerprint::Fingerprint;
use crate::form::json::Node;
use crate::http::headers;
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem, ProblemKind};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeOutput, Operation};
use crate::resources::bookings::receipt_view::Phrases;
use crate::resources::payments::checkout;
use crate::resources::payments::submit::{self, CommandKey};
use crate::resources::payments::view::{payment_of, payments_of};
use crate::state::SharedApp;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use pvt_domain::booking::Booking;
use pvt_domain::ledger::{Ledger, PaymentChannel};
use pvt_domain::timestamp::Timestamp;

/// A checkout session that expires sooner than this is not reused.
const MIN_TIME_LEFT: TimeDelta = TimeDelta::minutes(2);

/// Problems that pass after a while.
const TRANSIENT: [&ProblemKind; 6] = [
    problem::PROVIDER_REFUSED,
    problem::PROVIDER_UNAVAILABLE,
    problem::BROKER_UNAVAILABLE,
    problem::STORE_UNAVAILABLE,
    problem::MAINTENANCE,
    problem::RATE_LIMITED,
];
/// Most languages of `Accept-Language` that are considered.
const MAX_LANGUAGES: usize = 8;

/// A redirect, or a notice.
pub(super) struct PaymentPage(Response);

impl IntoResponse for PaymentPage {
    fn into_response(self) -> Response {
        self.0
    }
}

impl DescribeOutput for PaymentPage {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation
            .answers_nothing(StatusCode::SEE_OTHER, "To Stripe's page, or to the receipt.")
            .header("Location")
            .answers_page(StatusCode::OK, "A page that explains why there is nothing to pay.")
            .answers_page(StatusCode::SERVICE_UNAVAILABLE, "A page that asks to open the link again in a minute.")
            .header("Retry-After")
    }
}

type PageResult = Result<PaymentPage, Problem>;

/// `GET /api/bookings/{id}/pay`: 303 to Stripe's page or to the receipt, otherwise a page that says why not.
pub(super) async fn pay(State(app): State<SharedApp>, access: BookingAccess, parts: Parts) -> PageResult {
    let booking = match access.decided_booking(&app).await {
        Err(problem) if is_transient(&problem) => {
            return unavailable(phrases_from_accept_language(&parts.headers), &access.id.reference());
        }
        found => found?,
    };
    let money = booking.payment.ledger();
    let phrases = phrases(&app, &booking);
    let reference = booking.reference.as_str();
    // Callers who came without a token, such as staff, are led to what their own credential opens.
    let receipt = app.return_urls.path_of_booking(booking.id, "/receipt", access.token_text());
    if money.processing {
        return notice(phrases, reference, StatusCode::OK, (phrases.processing, phrases.processing_more));
    }
    if booking.payable() <= 0 || !booking.status.holds_beds() {
        return match booking.status.holds_beds() {
            _ if money.captured > 0 => redirect(&receipt),
            true => notice(phrases, reference, StatusCode::OK, (phrases.nothing_due, phrases.nothing_due_more)),
            false => notice(phrases, reference, StatusCode::OK, (phrases.hold_expired, phrases.hold_expired_more)),
        };
    }
    match page(&app, &parts, &access, &booking).await {
        Ok(Some(url)) => redirect(&url),
        Ok(None) => unavailable(phrases, reference),
        Err(problem) => refused(phrases, reference, &receipt, problem),
    }
}

/// Stripe's page for the amount due: the open one, or a new one. `None` when it takes longer than a guest waits.
async fn page(
    app: &SharedApp,
    parts: &Parts,
    access: &BookingAccess,
    booking: &Booking,
) -> Result<Option<String>, Problem> {
    let ledger = submit::ledger(app, booking.id).await?;
    let now = Utc::now();
    if let Some(open) =
        ledger.as_ref().and_then(|ledger| open_page(ledger, booking.payable(), (now + MIN_TIME_LEFT).into()))
    {
        return Ok(Some(open));
    }
    app.maintenance.allow_change()?;
    // Simultaneous clicks see the same last attempt, and together make one more.
    let last = ledger.and_then(|ledger| ledger.attempts.last().map(|attempt| attempt.id)).unwrap_or_default();
    let command_key =
        CommandKey::named(booking.id, &format!("pay\n{last}\n{}", booking.payable()), Fingerprint::of(&Node::Null));
    let open_command =
        checkout::open_command(app, access, booking, &command_key, (PaymentChannel::Checkout, None, None));
    let request = (&RequestContext::of_request(parts), headers::preferred_wait(&parts.headers));
    let target = (booking.id, &booking.property_id);
    let submitted = submit::submit(app, request, &access.caller, target, &command_key, &open_command).await?;
    if let Some(url) = submitted.reply.and_then(|reply| reply.url) {
        return Ok(Some(url));
    }
    // The reply may be lost: an open session serves as well.
    let stored = submit::ledger(app, booking.id).await?;
    Ok(stored
        .and_then(|ledger| payment_of(&ledger, &command_key.id.to_string(), now.into()))
        .and_then(|payment| payment.checkout_url))
}

/// A session for this amount that is still open at `until`.
fn open_page(ledger: &Ledger, amount: i64, until: Timestamp) -> Option<String> {
    let mut open =
        payments_of(ledger, until).into_iter().filter(|payment| !ledger.closed && payment.amount.amount == amount);
    open.find_map(|payment| payment.checkout_url)
}

/// A refusal or an outage as a page for guests; any other problem stays a problem.
fn refused(phrases: &'static Phrases, reference: &str, receipt: &str, problem: Problem) -> PageResult {
    match problem.code() {
        "not_payable" => notice(phrases, reference, StatusCode::OK, (phrases.hold_expired, phrases.hold_expired_more)),
        "nothing_due" => redirect(receipt),
        _ if is_transient(&problem) => unavailable(phrases, reference),
        _ => Err(problem),
    }
}

/// Whether all a guest can do is to open the link again.
fn is_transient(problem: &Problem) -> bool {
    TRANSIENT.iter().any(|kind| kind.code == problem.code())
}

fn unavailable(phrases: &'static Phrases, reference: &str) -> PageResult {
    let PaymentPage(mut answer) =
        notice(phrases, reference, StatusCode::SERVICE_UNAVAILABLE, (phrases.unavailable, phrases.unavailable_more))?;
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(submit::RETRY_AFTER_SECS));
    Ok(PaymentPage(answer))
}

fn redirect(url: &str) -> PageResult {
    let location = HeaderValue::try_from(url).map_err(Problem::internal)?;
    Ok(PaymentPage((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()))
}

fn notice(
    phrases: &'static Phrases,
    reference: &str,
    status: StatusCode,
    words: (&'static str, &'static str),
) -> PageResult {
    guest_page::notice(phrases, reference, status, words).map(PaymentPage)
}

/// The browser's language, while the booking's is unknown. The order counts, weights do not.
fn phrases_from_accept_language(headers: &HeaderMap) -> &'static Phrases {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tags: Vec<String> = accepted
        .split(',')
        .take(MAX_LANGUAGES)
        .filter_map(|tag| tag.split(';').next())
        .map(|tag| tag.trim().to_owned())
        .collect();
    Phrases::choose(None, &tags)
}

#[cfg(test)]
mod tests {
    use super::{PaymentPage, open_page, refused};
    use crate::http::problem;
    use crate::resources::bookings::receipt_view::Phrases;
    use crate::resources::payments::fixtures::{BALANCE, at, opened, paid};
    use axum::http::{HeaderName, StatusCode, header};
    use axum::response::Response;

    fn text(answer: &Response, name: HeaderName) -> &str {
        answer.headers()[name].to_str().unwrap()
    }

    #[test]
    fn outage_renders_page_and_paid_booking_redirects_to_receipt() {
        let ended = |kind: &'static problem::ProblemKind| {
            refused(Phrases::choose(Some("fr"), &[]), "PVT-0000000000", "/below/receipt", kind.into())
        };
        for kind in [
            problem::BROKER_UNAVAILABLE,
            problem::STORE_UNAVAILABLE,
            problem::MAINTENANCE,
            problem::PROVIDER_UNAVAILABLE,
            problem::PROVIDER_REFUSED,
        ] {
            let PaymentPage(page) = ended(kind).unwrap_or_else(|_| panic!("{} is no page", kind.code));
            assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE, "{}", kind.code);
            assert_eq!(
                (text(&page, header::CONTENT_TYPE), text(&page, header::CONTENT_LANGUAGE)),
                ("text/html; charset=utf-8", "fr")
            );
            assert!(page.headers().contains_key(header::RETRY_AFTER));
        }
        let PaymentPage(receipt) = ended(problem::NOTHING_DUE).unwrap();
        assert_eq!((receipt.status(), text(&receipt, header::LOCATION)), (StatusCode::SEE_OTHER, "/below/receipt"));
        assert_eq!(ended(problem::NOT_FOUND).err().map(|problem| problem.code()), Some("not_found"));
    }

    #[test]
    fn open_checkout_for_the_same_amount_is_reused() {
        let mut ledger = opened();
        let soon = at("2027-01-15T08:10:00Z");
        assert_eq!(open_page(&ledger, BALANCE, soon).as_deref(), Some("https://pay.example.com/cs_1"));
        assert_eq!(open_page(&ledger, BALANCE - 1, soon), None, "it asks for another amount");
        assert_eq!(open_page(&ledger, BALANCE, at("2027-01-15T08:30:00Z")), None, "it has ended");
        ledger.closed = true;
        assert_eq!(open_page(&ledger, BALANCE, soon), None, "the hold is over");
        assert_eq!(open_page(&paid(), BALANCE, soon), None);
    }
}
