//! Composition and delivery of the mails that this batch sends, and what each outcome means for the ledger and the
//! messages.

use super::pending_mails::{PendingMail, SendState};
use super::{MAILS, MailOutcome, UNWRITABLE};
use crate::mail::smtp::{DeliveryOutcome, OutcomeName, SmtpClient};
use crate::mail::{BookingMailParts, MailContext, MailError, OutgoingMail, compose};
use crate::probes;
use metrics::counter;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{AccountMailKind, NotificationKind};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::notifications::{NotificationOutcome, NotificationStatus};
use tracing::warn;

/// The result of sending one mail.
#[derive(Debug)]
pub(super) struct SendResult {
    key: String,
    result: SendAttempt,
}

#[derive(Debug)]
enum SendAttempt {
    /// It was handed to the mail client.
    Tried(DeliveryOutcome),
    /// It could not be composed.
    Unwritable(MailError),
}

impl SendResult {
    /// The ledger's update; none when the outcome is unknown, because `sending` remains right.
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

    /// The key of a mail of which it is unknown whether it was accepted.
    pub(super) fn unknown_key(&self) -> Option<&str> {
        matches!(self.result, SendAttempt::Tried(DeliveryOutcome::Unknown(_))).then_some(self.key.as_str())
    }

    /// What follows for the messages that asked for it.
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
                MailOutcome::Fail(Failure::unavailable(probes::SMTP, reason))
            }
            SendAttempt::Tried(DeliveryOutcome::Unknown(reason)) => {
                MailOutcome::Fail(Failure::retry("smtp_outcome_unknown", reason))
            }
            SendAttempt::Unwritable(error) => MailOutcome::Fail(error.into()),
        }
    }
}

/// Sends every claimed mail; one result for each of those, in the order of the mails.
pub(super) async fn send(
    mails: &[PendingMail<'_>],
    smtp: &SmtpClient,
    context: MailContext<'_>,
    now: Timestamp,
) -> Vec<Option<SendResult>> {
    let mut outgoing: Vec<OutgoingMail> = Vec::with_capacity(mails.len());
    let mut composed: Vec<Option<Result<(), MailError>>> = Vec::with_capacity(mails.len());
    for pending in mails {
        composed.push(match &pending.state {
            SendState::Claimed { message_id } => {
                let parts = BookingMailParts {
                    kind: pending.plan.kind,
                    rev: pending.plan.rev,
                    compared_with: pending.compared_with,
                    former: pending.former,
                    message_id,
                };
                let mail = compose(parts, pending.booking, &pending.inventory, context, now);
                let traceparent = pending.traceparent.clone();
                Some(mail.map(|mail| outgoing.push(OutgoingMail { traceparent, ..mail })))
            }
            SendState::Completed { .. } | SendState::InFlight | SendState::Behind => None,
        });
    }
    let mut outcomes = smtp.send_all(&outgoing).await.into_iter();
    let result = |(pending, composed): (&PendingMail<'_>, Option<Result<(), MailError>>)| {
        let result = match composed? {
            Ok(()) => SendAttempt::Tried(outcomes.next()?),
            Err(error) => SendAttempt::Unwritable(error),
        };
        report(pending, &result);
        Some(SendResult { key: pending.plan.key.as_str().to_owned(), result })
    };
    mails.iter().zip(composed).map(result).collect()
}

/// An alert compares with the scrape before, so counters begin at 0, not with their first event.
pub(super) fn begin_counters() {
    let kinds = NotificationKind::ALL.into_iter().map(|(kind, _)| kind);
    for kind in kinds.chain(AccountMailKind::ALL.into_iter().map(|(kind, _)| kind)) {
        for outcome in OutcomeName::ALL.map(|(outcome, _)| outcome).into_iter().chain([UNWRITABLE]) {
            counter!(MAILS, "kind" => kind, "outcome" => outcome).increment(0);
        }
    }
}

fn report(pending: &PendingMail<'_>, result: &SendAttempt) {
    let (outcome, reason) = match result {
        SendAttempt::Tried(outcome) => (outcome.as_str(), outcome.reason().map(str::to_owned)),
        SendAttempt::Unwritable(error) => (UNWRITABLE, Some(error.to_string())),
    };
    counter!(MAILS, "kind" => pending.plan.kind.as_str(), "outcome" => outcome).increment(1);
    if let Some(reason) = reason {
        warn!(booking_id = %pending.booking.id, kind = pending.plan.kind.as_str(), rev = pending.plan.rev, outcome,
            reason, "mail not accepted");
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
        let result = SendResult { key: "k".to_owned(), result };
        let recorded = result.to_record().map(|outcome| outcome.status);
        let outcome = match result.outcome(at("2026-12-01T12:00:00Z")) {
            MailOutcome::Done { delivered, .. } => format!("done {delivered}"),
            MailOutcome::Fail(Failure::Retry(cause)) => format!("retry {}", cause.class),
            MailOutcome::Fail(Failure::Unavailable(cause)) => format!("unavailable {}", cause.class),
            MailOutcome::Fail(other) => other.to_string(),
        };
        (recorded, outcome)
    }

    #[test]
    fn each_outcome_maps_to_ledger_status_and_failure() {
        let why = || "451 later".to_owned();
        let table = [
            (SendAttempt::Tried(DeliveryOutcome::Accepted), Some(Sent), "done true"),
            (SendAttempt::Tried(DeliveryOutcome::Refused(why())), Some(Failed), "done false"),
            (SendAttempt::Tried(DeliveryOutcome::Deferred(why())), Some(Waiting), "retry smtp_refused_for_now"),
            (SendAttempt::Tried(DeliveryOutcome::Unsent(why())), Some(Waiting), "unavailable smtp_unavailable"),
            (SendAttempt::Tried(DeliveryOutcome::Unknown(why())), None, "retry smtp_outcome_unknown"),
            (SendAttempt::Unwritable(MailError::Recipient), Some(Failed), "done false"),
        ];
        for (result, row, outcome) in table {
            assert_eq!(meaning(result), (row, outcome.to_owned()));
        }
        let (row, outcome) = meaning(SendAttempt::Unwritable(MailError::Tls("x".to_owned())));
        assert_eq!(row, Some(Waiting));
        assert!(outcome.starts_with("rejected"));
    }
}
