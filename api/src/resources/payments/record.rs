//! Recorded payments: cash, the property's own terminal, bank transfers. Stripe does not see them; staff record them.

use super::submit::{self, CommandKey, Pending};
use crate::auth::policy::Caller;
use crate::form::form;
use crate::form::presence::{optional, required};
use crate::form::types::{FieldType as _, Refusal, booking_id, free_text, integer, money_of, one_of, refusal};
use crate::http::extract::{Form, IdempotencyKey, PreferredWait};
use crate::http::middleware::RequestContext;
use crate::http::problem::Problem;
use crate::http::response::{Either, JsonResponse, Location};
use crate::resources::bookings::refusal::currency_of;
use crate::resources::payments::view::{EXAMPLE_BOOKING, EXAMPLE_ID, PaymentView, example_money, payment_of};
use crate::resources::warning::Warning;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use pvt_domain::intake::FieldError;
use pvt_domain::ledger::{Record, RecordMethod};
use pvt_domain::messages::{PAYMENT_RECORD, RecordPayment};
use pvt_domain::money::Money;
use serde_json::{Value, json};

/// Largest amount of a record, either way, in minor units.
pub(crate) const MAX_AMOUNT: i64 = 1_000_000_000;

form! {
    /// A payment that staff took, or, negative, refunded.
    pub(crate) struct RecordForm {
        booking_id: BookingId = required(booking_id()),
        method: RecordMethod = required(one_of(&RecordMethod::ALL)),
        amount: Money = required(money_of(integer(-MAX_AMOUNT..=MAX_AMOUNT).verify(is_not_zero))),
        /// What it was for.
        note: Option<String> = optional(free_text("invalid_note")),
    }
    exempt &["/booking_id"];
    example json!({ "booking_id": "11111111-2222-5333-8444-555555555555", "method": "cash",
        "amount": { "amount": 4_410, "currency": "CAD" } });
}

/// The example of a recorded payment.
pub(super) fn example() -> Value {
    let (amount, none, at) = (example_money(4_410), example_money(0), "2027-01-10T20:05:00.000Z");
    json!({
        "id": EXAMPLE_ID, "booking_id": EXAMPLE_BOOKING, "property_id": "pvt-montreal", "channel": "cash",
        "status": "succeeded", "amount": amount, "refunded": none, "fee": none, "created_at": at,
        "entries": [{ "id": EXAMPLE_ID, "kind": "payment", "amount": amount, "fee": none, "balance": amount,
            "at": at }],
        "refunds": [], "attention": [],
    })
}

fn is_not_zero(amount: &i64) -> Result<(), Refusal> {
    if *amount == 0 { refusal("out_of_range", "must not be 0") } else { Ok(()) }
}

/// `POST /api/payments/record`: 201 with the payment once the booking counts it.
pub(super) async fn record(
    State(app): State<SharedApp>,
    caller: Caller,
    context: RequestContext,
    IdempotencyKey(key): IdempotencyKey,
    wait: PreferredWait,
    Form { value: form, fingerprint }: Form<RecordForm>,
) -> Result<Either<JsonResponse<201, PaymentView, Location>, Pending>, Problem> {
    let (mongo, id) = (app.mongo.clone(), form.booking_id);
    let booking = store_call::read(async move { mongo.bookings().find(id).await })
        .await?
        .filter(|booking| caller.is_staff_of(&booking.property_id));
    let unknown = || {
        FieldError::new(
            "/booking_id",
            "unknown_booking",
            "there is no such booking at a property of yours, or it is not decided yet",
        )
    };
    let booking: Booking = booking.ok_or_else(|| Problem::fields(vec![unknown()]))?;
    let currency = booking.price.as_ref().map(|price| price.currency).or(currency_of(&app, &booking.property_id));
    if currency != Some(form.amount.currency) {
        let message =
            format!("the booking is priced in {}", currency.map_or("no currency", |currency| currency.code()));
        return Err(Problem::fields(vec![FieldError::new("/amount/currency", "wrong_currency", message)]));
    }
    let command_key = CommandKey::new(PAYMENT_RECORD, booking.id, &caller, &key, fingerprint);
    let record = Record {
        id: command_key.id,
        method: form.method,
        amount: form.amount.amount,
        actor: caller.actor(),
        note: form.note,
        at: Utc::now().into(),
    };
    let command = RecordPayment { booking_id: booking.id, property_id: booking.property_id.clone(), record };
    let submitted = submit::submit(
        &app,
        (&context, wait.named),
        &caller,
        (booking.id, &booking.property_id),
        &command_key,
        &command,
    )
    .await?;
    let id = command_key.id.to_string();
    let location = format!("/api/payments/{id}");
    // The reply may be lost: what is stored is done.
    let stored = submit::ledger(&app, booking.id).await?;
    let payment = stored.as_ref().and_then(|ledger| payment_of(ledger, &id, Utc::now().into()));
    let Some((ledger, payment)) = stored.zip(payment) else {
        return Ok(Either::That(submitted.pending(&id, booking.id, &location)?));
    };
    Ok(match submitted.reaches_booking(&app, &ledger).await? {
        Some(booking) => {
            let warnings = surplus_of(&booking, form.amount).into_iter();
            let warnings = warnings.map(|surplus| Warning::above_balance(&surplus.to_string())).collect();
            Either::This(submitted.created(&location, &payment.warning(warnings))?)
        }
        None => Either::That(submitted.pending(&id, booking.id, &location)?),
    })
}

/// What of a recorded payment is more than was owed: it is to be returned by hand, as it was taken. Nothing of what
/// staff returned is.
fn surplus_of(booking: &Booking, recorded: Money) -> Option<Money> {
    let surplus = booking.payment.refunds_due().manual.min(recorded.amount);
    (surplus > 0).then(|| Money::new(surplus, recorded.currency))
}

#[cfg(test)]
mod tests {
    use super::{RecordForm, surplus_of};
    use crate::form::parse_form;
    use crate::resources::bookings::view::tests::stored;
    use pvt_domain::ledger::{RecordMethod, Summary};
    use pvt_domain::money::{Currency, Money};

    #[test]
    fn cash_above_the_bill_is_warned_of() {
        let mut booking = stored();
        let mut surplus = |captured: i64, recorded: i64| {
            booking.payment.ledger = Some(Summary { captured, manual: captured, ..Summary::default() });
            booking.payment.to_refund = booking.total_to_refund();
            surplus_of(&booking, Money::new(recorded, Currency::CAD)).map(|surplus| surplus.amount)
        };
        assert_eq!(surplus(4_410, 4_410), None, "the bill exactly");
        assert_eq!(surplus(5_000, 5_000), Some(590));
        assert_eq!(surplus(5_000, 100), Some(100), "the rest was recorded before");
        assert_eq!(surplus(5_000, -100), None, "staff return something");
    }

    #[test]
    fn recorded_amount_is_signed_and_not_zero() {
        let body = |amount: &str| {
            format!(r#"{{"booking_id":"11111111-2222-5333-8444-555555555555","method":"cash","amount":{amount}}}"#)
        };
        let (form, _) = parse_form::<RecordForm>(body(r#"{"amount":-500,"currency":"CAD"}"#).as_bytes()).unwrap();
        assert_eq!((form.method, form.amount.amount, form.note), (RecordMethod::Cash, -500, None));
        let pointers = |body: &str| {
            let refused = parse_form::<RecordForm>(body.as_bytes()).err().unwrap();
            refused.errors().iter().map(|error| error.pointer.clone()).collect::<Vec<_>>()
        };
        assert_eq!(pointers(&body(r#"{"amount":0,"currency":"CAD"}"#)), ["/amount/amount"]);
        assert_eq!(
            pointers(&body(r#"{"amount":1000000001,"currency":"XXXX"}"#)),
            ["/amount/amount", "/amount/currency"]
        );
        assert_eq!(
            pointers(r#"{"booking_id":"x","method":"card","note":""}"#),
            ["/booking_id", "/method", "/amount", "/note"]
        );
    }
}
