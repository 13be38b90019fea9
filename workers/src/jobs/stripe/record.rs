//! Records of payments and refunds that staff make themselves, in cash for example, and that Stripe does not see.

use super::{NOT_YET_DELAY, StripeCalls, done, refused, reply};
use pvt_domain::failure::Failure;
use pvt_domain::ledger::{Ledger, Record};
use pvt_domain::messages::{PaymentRefusal, RecordPayment, StripeCommand};
use pvt_worker_runtime::Job;

impl StripeCalls {
    pub(super) async fn record(&self, job: &mut Job<StripeCommand>, command: &RecordPayment) -> Result<(), Failure> {
        let saved = self.ledgers.change(command.booking_id, |ledger, _| add(ledger, &command.record)).await?;
        let Some(saved) = saved else { return Err(Failure::Defer(NOT_YET_DELAY)) };
        if let Err(refusal) = saved.answer {
            return reply(job, refused(command.booking_id, refusal));
        }
        self.emit_follow_ups(job, &saved).await?;
        reply(job, done(command.booking_id, command.record.id.to_string()))
    }
}

/// Adds a record, unless it refunds more than is left after instructed refunds.
fn add(ledger: &mut Ledger, record: &Record) -> Result<(), PaymentRefusal> {
    match ledger.records.iter().find(|known| known.id == record.id) {
        Some(known) if Record { at: record.at, ..known.clone() } == *record => Ok(()),
        Some(_) => Err(PaymentRefusal::KeyReused),
        None if record.amount < 0 && ledger.returnable() + record.amount < 0 => Err(PaymentRefusal::TooMuch),
        None => {
            ledger.record(record.clone());
            Ok(())
        }
    }
}
