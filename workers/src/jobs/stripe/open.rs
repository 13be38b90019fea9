//! Sending a guest to pay what a booking owes at this moment.

use super::close::{CallError, PayableObject};
use super::{NOT_YET_DELAY, StripeCalls, answer, refused};
use pvt_domain::booking::{Booking, Payment, Status};
use pvt_domain::failure::Failure;
use pvt_domain::ledger::facts::{Observation, SessionState};
use pvt_domain::ledger::{Attempt, Ledger, PaymentChannel};
use pvt_domain::messages::{OpenPayment, PaymentRefusal, PaymentReply, StripeCommand};
use pvt_domain::money::Currency;
use pvt_domain::stripe::ClientSecret;
use pvt_domain::stripe::metadata::{BOOKING_ID, DEMAND, Metadata, PAYMENT_ID, PROPERTY_ID};
use pvt_domain::timestamp::Timestamp;
use pvt_stripe::{NewIntent, NewSession, StripeClient, StripeError};
use pvt_worker_runtime::{Job, failpoint};

/// A page lives by itself for at least this long, in seconds: Stripe wants 30 minutes from when it makes it, which may
/// be some time after it was asked. A hold that ends sooner ends it by a call.
const MIN_SESSION_SECS: i64 = 40 * 60;
/// The longest that it may, in seconds, with a margin for clocks that differ.
const MAX_SESSION_SECS: i64 = 24 * 3_600 - 120;

/// Metadata of a page: the booking's revision for which it was made.
const REV: &str = "rev";

/// Where the guest goes, or by what their app pays.
struct OpenedPayment {
    attempt: Attempt,
    url: Option<String>,
    client_secret: Option<String>,
}

impl StripeCalls {
    pub(super) async fn open(&self, job: &mut Job<StripeCommand>, command: &OpenPayment) -> Result<(), Failure> {
        let Some(booking) = self.ledgers.mongo.bookings().find(command.booking_id).await? else {
            return Err(Failure::Defer(NOT_YET_DELAY));
        };
        let Some(client) = &self.client else {
            return answer(job, refused(booking.id, PaymentRefusal::ProviderUnavailable));
        };
        match self.open_payment(job, client, &booking, command).await {
            Ok(Ok(way)) => {
                let payment_id = Some(way.attempt.id.to_string());
                answer(
                    job,
                    PaymentReply {
                        booking_id: booking.id,
                        payment_id,
                        url: way.url,
                        client_secret: way.client_secret,
                        refusal: None,
                    },
                )
            }
            Ok(Err(refusal)) => answer(job, refused(booking.id, refusal)),
            Err(CallError::Stripe(error @ StripeError::Refused { .. })) => {
                tracing::warn!(booking = %booking.id, %error, "Stripe makes no payment");
                answer(job, refused(booking.id, PaymentRefusal::ProviderRefused))
            }
            // Somebody is waiting: whoever still wants to pay asks again, under the same key.
            Err(CallError::Stripe(error)) if job.meta.reply_to.is_some() => {
                tracing::warn!(booking = %booking.id, %error, "Stripe cannot be asked");
                answer(job, refused(booking.id, PaymentRefusal::ProviderUnavailable))
            }
            Err(CallError::Stripe(error)) => Err(error.into()),
            Err(CallError::Other(failure)) => Err(failure),
        }
    }

    async fn open_payment(
        &self,
        job: &mut Job<StripeCommand>,
        client: &StripeClient,
        booking: &Booking,
        command: &OpenPayment,
    ) -> Result<Result<OpenedPayment, PaymentRefusal>, CallError> {
        let now = self.ledgers.now();
        let is_known = |ledger: &Ledger| ledger.attempts.iter().any(|attempt| attempt.id == command.payment_id);
        let opened = self.ledgers.change(booking.id, |ledger, _| {
            // The booking may not know yet what came: who has paid is not asked again.
            let known = Payment { ledger: Some(ledger.summary()), ..booking.payment.clone() };
            let booking = Booking { payment: known, ..booking.clone() };
            match refusal(&booking, ledger, now).filter(|_| !is_known(ledger)) {
                Some(refusal) => Err(refusal),
                None => ledger
                    .open(command.payment_id, command.channel, booking.payable(), now)
                    .ok_or(PaymentRefusal::TooManyAttempts),
            }
        });
        let Some(opened) = opened.await.map_err(Failure::from)? else { return Ok(Err(PaymentRefusal::NotPayable)) };
        let opening = match opened.answer {
            Ok(opening) => opening,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for object in &opening.superseded {
            self.close(client, booking.id, object).await?;
        }
        failpoint::hit("before_stripe");
        let way = match (opening.attempt.channel, &opening.attempt.object) {
            (PaymentChannel::Checkout, object) => {
                self.page(job, client, booking, command, &opening.attempt, object.as_deref()).await?
            }
            (PaymentChannel::App, object) => {
                self.intent(job, client, booking, &opening.attempt, object.as_deref()).await?
            }
        };
        Ok(way.ok_or(PaymentRefusal::NotPayable))
    }

    /// A page at Stripe; `None` when the hold ended meanwhile.
    async fn page(
        &self,
        job: &mut Job<StripeCommand>,
        client: &StripeClient,
        booking: &Booking,
        command: &OpenPayment,
        attempt: &Attempt,
        object: Option<&str>,
    ) -> Result<Option<OpenedPayment>, CallError> {
        let (session, told) = match object {
            Some(id) => (client.session(id).await?, self.observation("session")),
            None => {
                let wish = new_session(booking, command, attempt)?;
                // Under the revision, too, as all that is asked follows from it: what somebody asked for and never saw
                // must not be in the way.
                (
                    client.create_session(&wish, &format!("checkout:{}:{}", attempt.id, booking.rev)).await?,
                    self.observation("create"),
                )
            }
        };
        let (id, url) = (session.id.clone(), session.url.clone());
        let Some(ledger) = self.opened(job, client, attempt, booking, (&PayableObject::Session(session), told)).await?
        else {
            return Ok(None);
        };
        let is_open = ledger.sessions.get(&id).is_some_and(|known| known.state == SessionState::Open);
        Ok(is_open.then(|| OpenedPayment { attempt: attempt.clone(), url, client_secret: None }))
    }

    async fn intent(
        &self,
        job: &mut Job<StripeCommand>,
        client: &StripeClient,
        booking: &Booking,
        attempt: &Attempt,
        object: Option<&str>,
    ) -> Result<Option<OpenedPayment>, CallError> {
        let intent = match object {
            Some(id) => client.intent(id).await?,
            None => {
                // The same for every repetition, whatever the booking is by then.
                let mut metadata = metadata(booking, attempt);
                metadata.remove(REV);
                let wish = NewIntent {
                    amount: attempt.amount,
                    currency: currency(booking)?,
                    title: booking.reference.clone(),
                    metadata,
                };
                client.create_intent(&wish, &format!("intent:{}", attempt.id)).await?
            }
        };
        let client_secret = intent.client_secret.clone().map(ClientSecret::into_text);
        let ledger = self
            .opened(job, client, attempt, booking, (&PayableObject::Intent(intent), self.observation("intent")))
            .await?;
        Ok(ledger.map(|_| OpenedPayment { attempt: attempt.clone(), url: None, client_secret }))
    }

    /// Notes what Stripe made for an attempt; the ledger then, or `None` when nobody may pay by it any more.
    async fn opened(
        &self,
        job: &mut Job<StripeCommand>,
        client: &StripeClient,
        attempt: &Attempt,
        booking: &Booking,
        (made, told): (&PayableObject, Observation),
    ) -> Result<Option<Ledger>, CallError> {
        failpoint::hit("after_stripe_before_record");
        let kept = self.ledgers.change(booking.id, |ledger, head| {
            ledger.opened(attempt.id, made.id());
            made.observe(ledger, told.clone());
            // Whoever ends the hold closes what they see; what they did not see yet is closed here.
            !(ledger.closed && head.status == Status::Held) && head.status.holds_beds()
        });
        let Some(kept) = kept.await.map_err(Failure::from)? else { return Ok(None) };
        self.emit_follow_ups(job, &kept).await?;
        if !kept.answer {
            self.close(client, booking.id, made.id()).await?;
            return Ok(None);
        }
        Ok(Some(kept.after))
    }
}

/// Why a booking cannot be paid at this moment.
fn refusal(booking: &Booking, ledger: &Ledger, now: Timestamp) -> Option<PaymentRefusal> {
    let is_over =
        booking.status == Status::Held && (ledger.closed || booking.payment.expires_at.is_some_and(|ends| ends <= now));
    if is_over || !booking.status.holds_beds() {
        return Some(PaymentRefusal::NotPayable);
    }
    (booking.payable() <= 0).then_some(PaymentRefusal::NothingDue)
}

fn new_session(booking: &Booking, command: &OpenPayment, attempt: &Attempt) -> Result<NewSession, Failure> {
    // The same for every repetition of the command at this revision, or Stripe would take it for another one.
    let opened = attempt.opened_at.as_datetime().timestamp();
    let ends = booking
        .payment
        .expires_at
        .filter(|_| booking.status == Status::Held)
        .map_or(i64::MAX, |ends| ends.as_datetime().timestamp());
    Ok(NewSession {
        amount: attempt.amount,
        currency: currency(booking)?,
        title: booking.reference.clone(),
        email: Some(booking.guest.email.clone()),
        locale: booking.guest.locale.clone().unwrap_or_default(),
        success_url: command.success_url.clone(),
        cancel_url: command.cancel_url.clone(),
        expires_at: Some(ends.clamp(opened + MIN_SESSION_SECS, opened + MAX_SESSION_SECS)),
        metadata: metadata(booking, attempt),
    })
}

fn metadata(booking: &Booking, attempt: &Attempt) -> Metadata {
    [
        (BOOKING_ID, booking.id.to_string()),
        (PROPERTY_ID, booking.property_id.to_string()),
        (DEMAND, attempt.demand.to_string()),
        (PAYMENT_ID, attempt.id.to_string()),
        (REV, booking.rev.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn currency(booking: &Booking) -> Result<Currency, Failure> {
    booking
        .price
        .as_ref()
        .map(|price| price.currency)
        .ok_or_else(|| Failure::reject("booking_unpriced", "there is nothing to pay"))
}
