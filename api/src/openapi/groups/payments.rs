//! OpenAPI of payments, disputes and Stripe's webhook.

use crate::http::problem;
use crate::openapi::schema::{
    about, choice, date, example_of, flag, form_of, instant, joined, list, map, named, object, one_of, page, text,
    text_of, uuid, whole,
};
use crate::openapi::{Group, Operation, get, post};
use crate::resources::payments::checkout::CheckoutForm;
use crate::resources::payments::disputes_view::STAGES;
use crate::resources::payments::record::RecordForm;
use crate::resources::payments::refund::RefundForm;
use crate::resources::payments::view::{CHANNELS, REFUND_STATUSES, STATUSES};
use axum::http::StatusCode;
use pvt_domain::ledger::{Attention, EntryKind};
use serde_json::{Value, json};

const SOME_ID: &str = "22222222-3333-5444-8555-666666666666";
const SOME_BOOKING: &str = "11111111-2222-5333-8444-555555555555";

/// Describes fields that guests are not shown.
const FOR_STAFF: &str = "Only for callers who act for the property.";

pub(super) fn group() -> Group {
    Group {
        name: "Payments",
        about: "Checkout, refunds, recorded payments, disputes, analytics, and Stripe's webhook.",
        operations: vec![
            checkout(),
            create_intent(),
            list_payments(),
            show(),
            refund(),
            record(),
            analytics(),
            disputes(),
            webhook(),
        ],
        schemas: vec![
            ("Payment", payment()),
            ("OpenedPayment", opened()),
            ("PendingPayment", pending()),
            ("PaymentSums", sums()),
            ("PaymentAnalytics", days()),
            ("Dispute", dispute()),
        ],
    }
}

fn money_example(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "CAD" })
}

/// The command takes longer than the caller waits.
const LATER: &str = "Accepted, but not done within the time that the caller waits. `Location` shows it.";
/// As [`LATER`], for a secret that no address shows.
const SECRET_LATER: &str = "Accepted, but not done within the time that the caller waits. Repeat the request with \
    the same key: \
    only its answer has the secret.";

/// Waits for a worker. Goes after the answer.
fn requested(operation: Operation, later: &'static str) -> Operation {
    operation
        .answers(StatusCode::ACCEPTED, later, named("PendingPayment"))
        .header("Location")
        .header("Retry-After")
        .idempotent()
        .waits()
        .stored()
        .queued()
}

/// As [`requested`], where the worker calls Stripe.
fn requested_of_stripe(operation: Operation, later: &'static str) -> Operation {
    requested(operation, later).problems([problem::PROVIDER_REFUSED, problem::PROVIDER_UNAVAILABLE])
}

/// Opens a payment of the amount due.
fn opening(operation: Operation, (about_answer, later): (&'static str, &'static str), example: Value) -> Operation {
    let operation = operation
        .about(
            "The amount due is what confirms a held booking, otherwise its balance. The answer is awaited for 10 s, \
                or as \
            `Prefer: wait=N` says.",
        )
        .with_token()
        .body(form_of::<CheckoutForm>(), example_of::<CheckoutForm>())
        .answers(StatusCode::CREATED, about_answer, named("OpenedPayment"))
        .header("Location")
        .example(example);
    requested_of_stripe(operation, later).problems([
        problem::NOT_FOUND,
        problem::STILL_PROCESSING,
        problem::NOTHING_DUE,
        problem::NOT_PAYABLE,
    ])
}

fn opened_example(name: &str, value: &str) -> Value {
    json!({
        "id": SOME_ID, "booking_id": SOME_BOOKING, "status": "open", "amount": money_example(28_560), name: value,
        "expires_at": "2026-12-01T12:30:00.000Z",
        "links": { "self": format!("/api/payments/{SOME_ID}?booking_id={SOME_BOOKING}&token=…"),
        "booking": format!("/api/bookings/{SOME_BOOKING}?token=…") },
    })
}

fn checkout() -> Operation {
    let example = opened_example("url", "https://checkout.stripe.com/c/pay/cs_test_1");
    opening(
        post("/api/payments/checkout", "open_checkout", "Open a checkout session on Stripe's page"),
        ("The checkout session, with its address.", LATER),
        example,
    )
}

fn create_intent() -> Operation {
    let example = opened_example("client_secret", "pi_1_secret_1");
    opening(
        post(
            "/api/payments/create-intent",
            "create_intent",
            "Create a payment intent for Stripe's card fields in an app",
        ),
        ("The payment intent, with its client secret.", SECRET_LATER),
        example,
    )
}

fn list_payments() -> Operation {
    get("/api/payments", "list_payments", "List payments, last changed bookings first")
        .about(
            "Staff see the payments of their properties, other callers those of their own bookings. A page may be \
                short, or \
            empty, and still have a next one.",
        )
        .query("property_id", text(), "Only of this property.")
        .query("booking_id", uuid(), "Only of this booking.")
        .query("attention", flag(), "`true`: only of bookings with findings that need staff.")
        .answers(StatusCode::OK, "A page of payments.", page(named("Payment")))
        .paged()
        .problems([problem::NOT_FOUND])
        .stored()
}

fn show() -> Operation {
    get("/api/payments/{id}", "show_payment", "Show a payment")
        .about("Only callers who act for the property see fees and notes of staff.")
        .part("id", text_of(1, 255), "Our id, or Stripe's `pi_…`.")
        .query("booking_id", uuid(), "Its booking; needed with the booking's token.")
        .with_token()
        .answers(StatusCode::OK, "The payment.", named("Payment"))
        .example(payment_example())
        .stored()
}

fn refund() -> Operation {
    let operation = post("/api/payments/{id}/refund", "refund_payment", "Refund a payment through Stripe")
        .about("Cash and terminal payments are refunded by hand: record them with a negative amount.")
        .part("id", text_of(1, 255), "Our id, or Stripe's `pi_…`.")
        .body(form_of::<RefundForm>(), example_of::<RefundForm>())
        .answers(StatusCode::OK, "The payment, with the refund.", named("Payment"))
        .example(payment_example());
    requested_of_stripe(operation, LATER).problems([problem::TOO_MUCH, problem::DISPUTED, problem::NOT_REFUNDABLE])
}

fn record() -> Operation {
    let operation = post("/api/payments/record", "record_payment", "Record a payment that staff took or refunded")
        .body(form_of::<RecordForm>(), example_of::<RecordForm>())
        .answers(StatusCode::CREATED, "The payment.", named("Payment"))
        .header("Location")
        .example(record_example());
    requested(operation, LATER).problems([problem::TOO_MUCH])
}

fn analytics() -> Operation {
    get("/api/payments/analytics", "payment_analytics", "Show payment totals of a property by day")
        .about(
            "Days are the property's. Stripe's fees are known once its balance transactions were read, within the \
            hour.",
        )
        .required_query("property_id", text(), "Which property.")
        .required_query("from", date(), "First day.")
        .required_query("until", date(), "The first day that is not included, at most 366 days later.")
        .answers(StatusCode::OK, "The totals.", named("PaymentAnalytics"))
        .example(json!({
            "property_id": "pvt-montreal", "from": "2027-01-01", "until": "2027-02-01", "total": sums_example(),
            "days": [with_date(sums_example())],
        }))
        .problems([problem::NOT_FOUND, problem::NOT_READY])
        .stored()
}

fn disputes() -> Operation {
    get("/api/disputes", "list_disputes", "List disputes, open first")
        .about("With evidence from the booking. Covers the 500 bookings whose payments changed last.")
        .answers(StatusCode::OK, "All disputes.", object([("items", list(named("Dispute")))]))
        .example(json!({ "items": [dispute_example()] }))
        .stored()
}

fn webhook() -> Operation {
    post("/api/payments/webhook", "stripe_webhook", "Receive an event from Stripe")
        .about(
            "The signature is verified over the raw body, within 300 s. Each event is processed once. Anything but a \
                complete \
            event of this account is 400.",
        )
        .raw_body(
            object([("id", text_of(1, 255)), ("type", text_of(1, 255))]),
            json!({ "id": "evt_1", "type": "checkout.session.completed" }),
        )
        .takes_header(
            "Stripe-Signature",
            text(),
            "`t=…,v1=…`, as Stripe signs it; without a valid one the answer is 400.",
        )
        .answers(StatusCode::OK, "The event is accepted.", object([("received", flag())]))
        .example(json!({ "received": true }))
        .problems([problem::INVALID_SIGNATURE, problem::EVENT_REFUSED])
        .queued()
}

fn payment() -> Value {
    let money = |words| about(named("Money"), words);
    let stripe = object([("payment_intent?", text()), ("checkout_session?", text())]);
    let entry = object([
        ("id", text()),
        ("kind", choice(&EntryKind::ALL)),
        ("amount", money("Captured, or, negative, refunded or charged back.")),
        ("fee?", about(named("Money"), FOR_STAFF)),
        ("balance", money("Of the whole booking, up to here.")),
        ("at", instant()),
    ]);
    let refund = object([
        ("id", about(text(), "`re_…`, or the key of the instruction until Stripe has made it.")),
        ("amount", named("Money")),
        (
            "status",
            about(
                one_of(REFUND_STATUSES),
                "`ordered`: instructed, not made by Stripe yet; `refused`: refused by Stripe.",
            ),
        ),
        ("reason?", one_of(["not_owed", "staff"])),
        ("note?", about(text(), FOR_STAFF)),
        (
            "actor",
            about(
                text(),
                "`stripe` for a refund from Stripe's dashboard; `staff` alone for callers who do not act for the \
                    property.",
            ),
        ),
        ("at", instant()),
    ]);
    object([
        ("id", about(text(), "A UUID; `pi_…` for a payment without a checkout of ours.")),
        ("booking_id", uuid()),
        ("property_id", text()),
        ("channel", one_of(CHANNELS)),
        ("status", one_of(STATUSES)),
        ("amount", money("The requested amount, and once paid the captured one; negative for a recorded refund.")),
        ("refunded", money("Refunded, or being refunded.")),
        ("fee?", money("Stripe's fee, as far as it is known; only for callers who act for the property.")),
        ("stripe?", stripe),
        ("checkout_url?", about(text(), "While it can be paid; not in lists.")),
        ("expires_at?", about(instant(), "When the page expires.")),
        ("created_at", instant()),
        ("entries", list(entry)),
        ("refunds", list(refund)),
        (
            "attention?",
            about(
                list(choice(&Attention::ALL)),
                "Findings that need staff; only for callers who act for the property.",
            ),
        ),
    ])
}

fn payment_example() -> Value {
    let paid_at = "2026-12-01T12:03:00.000Z";
    json!({
        "id": SOME_ID, "booking_id": SOME_BOOKING, "property_id": "pvt-montreal", "channel": "checkout",
        "status": "partially_refunded",
        "amount": money_example(28_560), "refunded": money_example(2_000), "fee": money_example(858),
        "stripe": { "payment_intent": "pi_1", "checkout_session": "cs_test_1" },
        "created_at": "2026-12-01T12:00:00.000Z",
        "entries": [
            { "id": "pi_1", "kind": "payment", "amount": money_example(28_560), "fee": money_example(858),
                "balance": money_example(28_560), "at": paid_at },
            { "id": "re_1", "kind": "refund", "amount": money_example(-2_000), "fee": money_example(0),
                "balance": money_example(26_560), "at": paid_at },
        ],
        "refunds": [{ "id": "re_1", "amount": money_example(2_000), "status": "succeeded", "reason": "staff",
        "note": "the shower was cold", "actor": "staff:1", "at": paid_at }],
        "attention": [],
    })
}

fn record_example() -> Value {
    let (amount, at) = (money_example(4_410), "2027-01-10T20:05:00.000Z");
    json!({
        "id": SOME_ID, "booking_id": SOME_BOOKING, "property_id": "pvt-montreal", "channel": "cash",
        "status": "succeeded", "amount": amount,
        "refunded": money_example(0), "fee": money_example(0), "created_at": at,
        "entries": [{ "id": SOME_ID, "kind": "payment", "amount": amount, "fee": money_example(0), "balance": amount,
        "at": at }],
        "refunds": [], "attention": [],
    })
}

fn opened() -> Value {
    object([
        ("id", about(text(), "The payment's id; that of the open page for the same amount, if there is one.")),
        ("booking_id", uuid()),
        ("status", one_of(STATUSES)),
        ("amount", named("Money")),
        ("url?", about(text(), "Stripe's page.")),
        ("client_secret?", about(text(), "For Stripe's card fields in an app. Keep it secret.")),
        ("expires_at?", about(instant(), "When the page expires, or the beds are released.")),
        ("links", object([("self", text()), ("booking", text())])),
    ])
}

fn pending() -> Value {
    object([
        ("id", text()),
        ("booking_id", uuid()),
        ("status", one_of(["queued"])),
        ("links", object([("self", text())])),
    ])
}

fn sums() -> Value {
    let money = |words| about(named("Money"), words);
    object([
        ("captured", named("Money")),
        ("refunded", named("Money")),
        ("charged_back", money("Chargebacks, less those reversed.")),
        ("fees", money("Stripe's fees, as far as they are known.")),
        ("net", money("After refunds, chargebacks and fees.")),
        ("count", about(whole(0), "Number of payments.")),
        (
            "by_method",
            about(
                map(named("Money")),
                "Captured less refunded and charged back, by the payment's channel, before fees.",
            ),
        ),
    ])
}

fn days() -> Value {
    let day = joined([object([("date", date())]), sums()]);
    object([
        ("property_id", text()),
        ("from", date()),
        ("until", date()),
        ("total", named("PaymentSums")),
        ("days", list(day)),
    ])
}

fn sums_example() -> Value {
    json!({
        "captured": money_example(28_560), "refunded": money_example(2_000), "charged_back": money_example(0),
        "fees": money_example(858),
        "net": money_example(25_702), "count": 1, "by_method": { "checkout": money_example(26_560) },
    })
}

fn with_date(mut sums: Value) -> Value {
    sums["date"] = json!("2027-01-10");
    sums
}

fn dispute() -> Value {
    let movement = object([
        ("id", text()),
        ("amount", about(named("Money"), "Negative for a withdrawal by the bank.")),
        ("fee", named("Money")),
        ("at", instant()),
    ]);
    let evidence = object([
        ("reference", text()),
        ("status", one_of(super::bookings::STATUSES)),
        ("booked_at", instant()),
        ("booked_by", about(text(), "The client that requested it, or `anonymous`.")),
        ("cancellation_policy?", about(named("CancellationPolicy"), "As it was when it was booked.")),
        ("checked_in_at?", instant()),
        ("checked_out_at?", instant()),
        ("stays", list(named("Stay"))),
    ]);
    object([
        ("id", text()),
        ("booking_id", uuid()),
        ("property_id", text()),
        ("payment", about(text(), "`pi_…`.")),
        ("amount", named("Money")),
        ("reason", about(text(), "Stripe's reason code.")),
        ("stage", one_of(STAGES)),
        ("status", about(text(), "Stripe's status.")),
        ("opened_at", instant()),
        ("movements", list(movement)),
        ("evidence?", evidence),
    ])
}

fn dispute_example() -> Value {
    json!({
        "id": "dp_1", "booking_id": SOME_BOOKING, "property_id": "pvt-montreal", "payment": "pi_1",
        "amount": money_example(28_560), "reason": "fraudulent",
        "stage": "open", "status": "needs_response", "opened_at": "2027-02-01T09:00:00.000Z",
        "movements": [{ "id": "txn_1", "amount": money_example(-28_560), "fee": money_example(1_500),
        "at": "2027-02-01T09:00:00.000Z" }],
        "evidence": {
            "reference": "PVT-0000000000", "status": "checked_out", "booked_at": "2026-12-01T12:00:00.000Z",
            "booked_by": "anonymous",
            "checked_in_at": "2027-01-10T20:10:00.000Z", "checked_out_at": "2027-01-13T15:30:00.000Z",
            "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2,
            "assigned_beds": ["d6a-1", "d6a-2"] }],
        },
    })
}
