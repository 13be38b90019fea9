//! Writes and sends the mails that are ours, and says what each outcome means for the ledger and for its messages.

use super::pending_mails::{PendingMail, SendState};
use super::{MAILS, MailOutcome};
use crate::mail::smtp::{DeliveryOutcome, SmtpClient};
use crate::mail::{MailContext, MailError, OutgoingMail, compose};
use metrics::counter;
use pvt_domain::failure::Failure;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::notifications::{NotificationOutcome, NotificationStatus};
use tracing::warn;

/// What became of one mail that was ours.
#[derive(Debug)]
pub(super) struct SendResult {
    key: String,
    result: SendAttempt,
}

#[derive(Debug)]
enum SendAttempt {
    /// The server had its say, or could not be asked.
    Tried(DeliveryOutcome),
    /// There is no mail to try.
    Unwritable(MailError),
}

impl SendResult {
    /// What the ledger must know. Nothing when the outcome is unknown: `sending` is the truth then.
    pub(super) fn to_record(&self) -> Option<NotificationOutcome> {
        let (status, reason) = match &self.result {
            SendAttempt::Tried(DeliveryOutcome::Accepted) => (NotificationStatus::Sent, None),
            SendAttempt::Tried(DeliveryOutcome::Refused(reply)) => (NotificationStatus::Failed, Some(reply.clone())),
            SendAttempt::Tried(DeliveryOutcome::Deferred(reply) | DeliveryOutcome::Unsent(reply)) => {
                (NotificationStatus::Waiting, Some(reply.clone()))
            }
            SendAttempt::Tried(DeliveryOutcome::Unknown(_)) => return None,
            SendAttempt::Unwritable(error @ MailError::Recipient) => {
                (NotificationStatus::Failed, Some(error.to_string()))
            }
            SendAttempt::Unwritable(error) => (NotificationStatus::Waiting, Some(error.to_string())),
        };
        Some(NotificationOutcome { key: self.key.clone(), status, reason })
    }

    /// What the messages that asked for it must do.
    pub(super) fn outcome(self, now: Timestamp) -> MailOutcome {
        match self.result {
            SendAttempt::Tried(DeliveryOutcome::Accepted) => MailOutcome::Done { delivered: true, at: now },
            SendAttempt::Tried(DeliveryOutcome::Refused(_)) | SendAttempt::Unwritable(MailError::Recipient) => {
                MailOutcome::Done { delivered: false, at: now }
            }
            SendAttempt::Tried(DeliveryOutcome::Deferred(reply)) => {
                MailOutcome::Fail(Failure::retry("smtp_refused_for_now", reply))
            }
            SendAttempt::Tried(DeliveryOutcome::Unsent(reason)) => {
                MailOutcome::Fail(Failure::unavailable("smtp_unavailable", reason))
            }
            SendAttempt::Tried(DeliveryOutcome::Unknown(reason)) => {
                MailOutcome::Fail(Failure::retry("smtp_outcome_unknown", reason))
            }
            SendAttempt::Unwritable(error) => MailOutcome::Fail(error.into()),
        }
    }
}

/// Sends every mail that is ours; one settlement for each of those, in the order of the mails.
pub(super) async fn send(
    mails: &[PendingMail<'_>],
    smtp: &SmtpClient,
    context: MailContext<'_>,
    now: Timestamp,
) -> Vec<Option<SendResult>> {
    let mut letters: Vec<OutgoingMail> = Vec::with_capacity(mails.len());
    let mut written: Vec<Option<Result<(), MailError>>> = Vec::with_capacity(mails.len());
    for planned in mails {
        written.push(match &planned.state {
            SendState::Claimed { message_id } => {
                let letter = compose(
                    planned.plan.kind,
                    planned.plan.rev,
                    planned.booking,
                    &planned.inventory,
                    context,
                    message_id,
                    now,
                );
                Some(letter.map(|letter| letters.push(letter)))
            }
            SendState::Completed { .. } | SendState::InFlight => None,
        });
    }
    let mut outcomes = smtp.send_all(&letters).await.into_iter();
    let settle = |(planned, written): (&PendingMail<'_>, Option<Result<(), MailError>>)| {
        let result = match written? {
            Ok(()) => SendAttempt::Tried(outcomes.next()?),
            Err(error) => SendAttempt::Unwritable(error),
        };
        observe(planned, &result);
        Some(SendResult { key: planned.plan.key.as_str().to_owned(), result })
    };
    mails.iter().zip(written).map(settle).collect()
}

fn observe(planned: &PendingMail<'_>, result: &SendAttempt) {
    let (outcome, trouble) = match result {
        SendAttempt::Tried(outcome @ DeliveryOutcome::Accepted) => (outcome.as_str(), None),
        SendAttempt::Tried(
            outcome @ (DeliveryOutcome::Refused(why)
            | DeliveryOutcome::Deferred(why)
            | DeliveryOutcome::Unsent(why)
            | DeliveryOutcome::Unknown(why)),
        ) => (outcome.as_str(), Some(why.clone())),
        SendAttempt::Unwritable(error) => ("unwritable", Some(error.to_string())),
    };
    counter!(MAILS, "kind" => planned.plan.kind.as_str(), "outcome" => outcome).increment(1);
    if let Some(reason) = trouble {
        warn!(booking_id = %planned.booking.id, kind = planned.plan.kind.as_str(), rev = planned.plan.rev, outcome,
            reason, "a mail was not accepted");
    }
}

#[cfg(test)]
mod tests {
    use super::{SendAttempt, SendResult};
    use crate::jobs::emails::MailOutcome;
    use crate::mail::MailError;
    use crate::mail::fixtures::at;
    use crate::mail::smtp::DeliveryOutcome;
    use pvt_domain::failure::Failure;
    use pvt_stores::mongo::notifications::NotificationStatus::{self, Failed, Sent, Waiting};

    fn meaning(result: SendAttempt) -> (Option<NotificationStatus>, String) {
        let settlement = SendResult { key: "k".to_owned(), result };
        let recorded = settlement.to_record().map(|outcome| outcome.status);
        let verdict = match settlement.outcome(at("2026-12-01T12:00:00Z")) {
            MailOutcome::Done { delivered, .. } => format!("tell {delivered}"),
            MailOutcome::Fail(Failure::Retry(cause)) => format!("retry {}", cause.class),
            MailOutcome::Fail(Failure::Unavailable(cause)) => format!("unavailable {}", cause.class),
            MailOutcome::Fail(other) => other.to_string(),
        };
        (recorded, verdict)
    }

    #[test]
    fn each_outcome_maps_to_ledger_status_and_failure() {
        let why = || "451 later".to_owned();
        let table = [
            (SendAttempt::Tried(DeliveryOutcome::Accepted), Some(Sent), "tell true"),
            (SendAttempt::Tried(DeliveryOutcome::Refused(why())), Some(Failed), "tell false"),
            (SendAttempt::Tried(DeliveryOutcome::Deferred(why())), Some(Waiting), "retry smtp_refused_for_now"),
            (SendAttempt::Tried(DeliveryOutcome::Unsent(why())), Some(Waiting), "unavailable smtp_unavailable"),
            (SendAttempt::Tried(DeliveryOutcome::Unknown(why())), None, "retry smtp_outcome_unknown"),
            (SendAttempt::Unwritable(MailError::Recipient), Some(Failed), "tell false"),
        ];
        for (result, row, way) in table {
            assert_eq!(meaning(result), (row, way.to_owned()));
        }
        let (row, way) = meaning(SendAttempt::Unwritable(MailError::Tls("x".to_owned())));
        assert_eq!(row, Some(Waiting));
        assert!(way.starts_with("rejected"));
    }
}
