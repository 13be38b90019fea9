//! Opens a payment for what a booking owes now: a checkout session, or a payment intent for the guest's app.

use super::close::{CallError, PayableObject};
use super::{NOT_YET_DELAY, StripeCalls};
use crate::payment_replies::{refused, reply};
use pvt_domain::QueueHop;
use pvt_domain::booking::{Booking, Payment, Status};
use pvt_domain::failure::Failure;
use pvt_domain::ledger::facts::{Observation, SessionState};
use pvt_domain::ledger::{Attempt, Ledger, PaymentChannel};
use pvt_domain::messages::{OpenPayment, PaymentRefusal, PaymentReply, StripeCommand};
use pvt_domain::money::Currency;
use pvt_domain::stripe::metadata::{BOOKING_ID, DEMAND, Metadata, PAYMENT_ID, PROPERTY_ID};
use pvt_domain::stripe::{CheckoutSession, ClientSecret};
use pvt_domain::timestamp::Timestamp;
use pvt_stripe::{NewIntent, NewSession, StripeClient, StripeError};
use pvt_worker_runtime::{Job, failpoint};

/// Shortest lifetime of a session, in seconds: Stripe requires 30 minutes from its creation, which may be some time
/// after the attempt. A hold that ends sooner expires the session by a call.
const MIN_SESSION_SECS: i64 = 40 * 60;
/// Longest lifetime of a session, in seconds, with a margin for clock skew.
const MAX_SESSION_SECS: i64 = 24 * 3_600 - 120;

/// Metadata of a session: the booking's revision that it was created for.
const REV: &str = "rev";

/// The URL of a session, or the client secret of a payment intent.
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
            tracing::warn!(booking_id = %booking.id, "no payment can be opened: there is no key for Stripe");
            return reply(job, refused(booking.id, PaymentRefusal::ProviderUnavailable));
        };
        match self.open_payment(job, client, &booking, command).await {
            Ok(Ok(opened)) => {
                let payment_id = Some(opened.attempt.id.to_string());
                reply(
                    job,
                    PaymentReply {
                        booking_id: booking.id,
                        payment_id,
                        url: opened.url,
                        client_secret: opened.client_secret,
                        refusal: None,
                    },
                )
            }
            Ok(Err(refusal)) => reply(job, refused(booking.id, refusal)),
            Err(CallError::Stripe(error @ StripeError::Refused { .. })) => {
                tracing::warn!(booking_id = %booking.id, %error, "Stripe refused to open a payment");
                reply(job, refused(booking.id, PaymentRefusal::ProviderRefused))
            }
            // A caller is waiting, and can repeat the request under the same key.
            Err(CallError::Stripe(error)) if job.meta.reply_to.is_some() => {
                tracing::warn!(booking_id = %booking.id, %error, "Stripe is unreachable");
                reply(job, refused(booking.id, PaymentRefusal::ProviderUnavailable))
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
        let is_over = self.hold_is_over(booking, now).await?;
        let hop = QueueHop { requested_at: Some(command.requested_at), ..job.hop() };
        let is_known = |ledger: &Ledger| ledger.attempts.iter().any(|attempt| attempt.id == command.payment_id);
        let opened = self.ledgers.change(booking.id, |ledger, _| {
            // The booking may be behind its ledger: what is paid is not requested again.
            let known = Payment { ledger: Some(ledger.summary()), ..booking.payment.clone() };
            let booking = Booking { payment: known, ..booking.clone() };
            let is_repeated = is_known(ledger);
            match refusal(&booking, ledger, is_over).filter(|_| !is_repeated) {
                Some(refusal) => Err(refusal),
                None => {
                    let opened = ledger.open(command.payment_id, command.channel, booking.payable(), now);
                    let mut opened = opened.ok_or(PaymentRefusal::TooManyAttempts)?;
                    if !is_repeated {
                        ledger.set_booking_rev(opened.attempt.id, booking.rev);
                        ledger.note_hop(opened.attempt.id, &hop);
                    }
                    if opened.attempt.object.is_none() && opened.attempt.expires_at.is_none() {
                        let ends = session_end(&booking, opened.attempt.opened_at.as_datetime().timestamp());
                        opened.attempt = ledger.set_expiry(opened.attempt.id, ends).cloned().unwrap_or(opened.attempt);
                    }
                    Ok(opened)
                }
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
        let payment = match (opening.attempt.channel, &opening.attempt.object) {
            (PaymentChannel::Checkout, object) => {
                self.open_session(job, client, booking, command, &opening.attempt, object.as_deref()).await?
            }
            (PaymentChannel::App, object) => {
                self.open_intent(job, client, booking, &opening.attempt, object.as_deref()).await?
            }
        };
        Ok(payment.ok_or(PaymentRefusal::NotPayable))
    }

    /// Whether the time of its hold is over. Maintenance defers that.
    async fn hold_is_over(&self, booking: &Booking, now: Timestamp) -> Result<bool, CallError> {
        let Some(ends) = booking.hold_ends().filter(|ends| *ends <= now) else { return Ok(false) };
        let deferral = self.ledgers.mongo.maintenance().deferral().await.map_err(Failure::from)?;
        Ok(!deferral.is_some_and(|deferral| deferral.prolongs(ends, now)))
    }

    /// Opens or finds a checkout session; `None` when the hold has ended.
    async fn open_session(
        &self,
        job: &mut Job<StripeCommand>,
        client: &StripeClient,
        booking: &Booking,
        command: &OpenPayment,
        attempt: &Attempt,
        object: Option<&str>,
    ) -> Result<Option<OpenedPayment>, CallError> {
        let (session, observation) = match object {
            Some(id) => (client.session(id).await?, self.observation("session")),
            None => (self.create_session(client, booking, command, attempt).await?, self.observation("create")),
        };
        let (id, url) = (session.id.clone(), session.url.clone());
        let Some(ledger) =
            self.opened(job, client, attempt, booking, (&PayableObject::Session(session), observation)).await?
        else {
            return Ok(None);
        };
        let is_open = ledger.sessions.get(&id).is_some_and(|known| known.state == SessionState::Open);
        Ok(is_open.then(|| OpenedPayment { attempt: attempt.clone(), url, client_secret: None }))
    }

    /// Creates the session of an attempt. The parameters are those that the ledger has, so that the request is the same
    /// under the same key; a new end, when the request reached Stripe too late for the first, is another key.
    async fn create_session(
        &self,
        client: &StripeClient,
        booking: &Booking,
        command: &OpenPayment,
        attempt: &Attempt,
    ) -> Result<CheckoutSession, CallError> {
        let ends =
            attempt.expires_at.unwrap_or_else(|| session_end(booking, attempt.opened_at.as_datetime().timestamp()));
        let request = new_session(booking, command, attempt, ends)?;
        match client.create_session(&request, &session_key(attempt, booking, ends)).await {
            Err(StripeError::Refused { param: Some(param), .. }) if param == "expires_at" => {
                // By Stripe's clock, which validates the end.
                let ends = session_end(booking, client.time());
                self.ledgers
                    .change(booking.id, |ledger, _| ledger.set_expiry(attempt.id, ends).is_some())
                    .await
                    .map_err(Failure::from)?;
                let request = new_session(booking, command, attempt, ends)?;
                Ok(client.create_session(&request, &session_key(attempt, booking, ends)).await?)
            }
            created => Ok(created?),
        }
    }

    /// Opens or finds a payment intent; `None` when the hold has ended.
    async fn open_intent(
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
                // The same on every delivery, whatever the booking is by then.
                let mut metadata = metadata(booking, attempt);
                metadata.remove(REV);
                let request = NewIntent {
                    amount: attempt.amount,
                    currency: currency(booking)?,
                    title: booking.reference.clone(),
                    metadata,
                };
                // An attempt that was given up and opened again is another request.
                let opened = attempt.opened_at.as_datetime().timestamp();
                client.create_intent(&request, &format!("intent:{}:{opened}", attempt.id)).await?
            }
        };
        let client_secret = intent.client_secret.clone().map(ClientSecret::into_text);
        let ledger = self
            .opened(job, client, attempt, booking, (&PayableObject::Intent(intent), self.observation("intent")))
            .await?;
        Ok(ledger.map(|_| OpenedPayment { attempt: attempt.clone(), url: None, client_secret }))
    }

    /// Records the object of an attempt; `None` when it must no longer be paid, and is closed.
    async fn opened(
        &self,
        job: &mut Job<StripeCommand>,
        client: &StripeClient,
        attempt: &Attempt,
        booking: &Booking,
        (object, observation): (&PayableObject, Observation),
    ) -> Result<Option<Ledger>, CallError> {
        failpoint::hit("after_stripe_before_record");
        let saved = self.ledgers.change(booking.id, |ledger, head| {
            ledger.opened(attempt.id, object.id());
            object.observe(ledger, observation.clone());
            // The end of the hold closes the objects it sees; one that it did not see is closed here.
            !(ledger.closed && head.status == Status::Held) && head.status.holds_beds()
        });
        let Some(saved) = saved.await.map_err(Failure::from)? else { return Ok(None) };
        self.ledgers.emit_follow_ups(job, &saved).await?;
        if !saved.answer {
            self.close(client, booking.id, object.id()).await?;
            return Ok(None);
        }
        Ok(Some(saved.after))
    }
}

/// The reason why a booking cannot be paid now.
fn refusal(booking: &Booking, ledger: &Ledger, is_over: bool) -> Option<PaymentRefusal> {
    let is_closed = booking.status == Status::Held && ledger.closed;
    if is_over || is_closed || !booking.status.holds_beds() {
        return Some(PaymentRefusal::NotPayable);
    }
    (booking.payable() <= 0).then_some(PaymentRefusal::NothingDue)
}

/// When a session that is opened at this time ends, both in Unix seconds.
fn session_end(booking: &Booking, opened: i64) -> i64 {
    let ends = booking.hold_ends().map_or(i64::MAX, |ends| ends.as_datetime().timestamp());
    ends.clamp(opened + MIN_SESSION_SECS, opened + MAX_SESSION_SECS)
}

/// The idempotency key of a session: everything from which its request follows, so that a session that no caller saw
/// does not block a later one.
fn session_key(attempt: &Attempt, booking: &Booking, ends: i64) -> String {
    format!("checkout:{}:{}:{ends}", attempt.id, booking.rev)
}

fn new_session(booking: &Booking, command: &OpenPayment, attempt: &Attempt, ends: i64) -> Result<NewSession, Failure> {
    Ok(NewSession {
        amount: attempt.amount,
        currency: currency(booking)?,
        title: booking.reference.clone(),
        email: booking.guest.mail_address().map(str::to_owned),
        locale: booking.guest.locale.clone().unwrap_or_default(),
        success_url: command.success_url.clone(),
        cancel_url: command.cancel_url.clone(),
        expires_at: Some(ends),
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
        .ok_or_else(|| Failure::reject("booking_unpriced", "the booking has no price"))
}
