//! Replies of the workers of payments to callers who wait.

use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{PaymentRefusal, PaymentReply};
use pvt_messaging::Outgoing;
use pvt_worker_runtime::Job;

/// The reply of success.
pub(crate) fn done(booking_id: BookingId, payment_id: String) -> PaymentReply {
    PaymentReply { booking_id, payment_id: Some(payment_id), url: None, client_secret: None, refusal: None }
}

/// The reply of a refusal.
pub(crate) fn refused(booking_id: BookingId, refusal: PaymentRefusal) -> PaymentReply {
    // By rule; a failure of Stripe has been logged as such.
    tracing::info!(%booking_id, ?refusal, "payment command refused");
    PaymentReply { booking_id, payment_id: None, url: None, client_secret: None, refusal: Some(refusal) }
}

/// Replies to a waiting caller.
pub(crate) fn reply<M>(job: &mut Job<M>, reply: PaymentReply) -> Result<(), Failure> {
    if let Some(queue) = job.meta.reply_to.clone() {
        let reply = Outgoing::reply(queue, job.meta.id, &reply)?.with_correlation_id(reply.booking_id.as_uuid());
        job.emit(reply);
    }
    Ok(())
}
