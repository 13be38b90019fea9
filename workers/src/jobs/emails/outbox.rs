//! Writes and sends the mails that are ours, and says what each outcome means for the ledger and for its messages.

use super::errands::{Fate, Planned};
use super::{MAILS, Verdict};
use crate::mail::smtp::{Outcome, SmtpClient};
use crate::mail::{Desk, Letter, MailError, compose};
use metrics::counter;
use pvt_domain::failure::Failure;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::notifications::{NotificationOutcome, NotificationStatus};
use tracing::warn;

/// What became of one mail that was ours.
#[derive(Debug)]
pub(super) struct Settlement {
    key: String,
    result: Sending,
}

#[derive(Debug)]
enum Sending {
    /// The server had its say, or could not be asked.
    Tried(Outcome),
    /// There is no mail to try.
    Unwritable(MailError),
}

impl Settlement {
    /// What the ledger must know. Nothing when the outcome is unknown: `sending` is the truth then.
    pub(super) fn to_record(&self) -> Option<NotificationOutcome> {
        let (status, reason) = match &self.result {
            Sending::Tried(Outcome::Accepted) => (NotificationStatus::Sent, None),
            Sending::Tried(Outcome::Refused(reply)) => (NotificationStatus::Failed, Some(reply.clone())),
            Sending::Tried(Outcome::Later(reply) | Outcome::Unsent(reply)) => {
                (NotificationStatus::Waiting, Some(reply.clone()))
            }
            Sending::Tried(Outcome::Unknown(_)) => return None,
            Sending::Unwritable(error @ MailError::Recipient) => (NotificationStatus::Failed, Some(error.to_string())),
            Sending::Unwritable(error) => (NotificationStatus::Waiting, Some(error.to_string())),
        };
        Some(NotificationOutcome { key: self.key.clone(), status, reason })
    }

    /// What the messages that asked for it must do.
    pub(super) fn verdict(self, now: Timestamp) -> Verdict {
        match self.result {
            Sending::Tried(Outcome::Accepted) => Verdict::Tell { delivered: true, at: now },
            Sending::Tried(Outcome::Refused(_)) | Sending::Unwritable(MailError::Recipient) => {
                Verdict::Tell { delivered: false, at: now }
            }
            Sending::Tried(Outcome::Later(reply)) => Verdict::Fail(Failure::retry("smtp_refused_for_now", reply)),
            Sending::Tried(Outcome::Unsent(reason)) => Verdict::Fail(Failure::unavailable("smtp_unavailable", reason)),
            Sending::Tried(Outcome::Unknown(reason)) => Verdict::Fail(Failure::retry("smtp_outcome_unknown", reason)),
            Sending::Unwritable(error) => Verdict::Fail(error.into()),
        }
    }
}

/// Sends every mail that is ours; one settlement for each of those, in the order of the mails.
pub(super) async fn send(
    mails: &[Planned<'_>],
    smtp: &SmtpClient,
    desk: Desk<'_>,
    now: Timestamp,
) -> Vec<Option<Settlement>> {
    let mut letters: Vec<Letter> = Vec::with_capacity(mails.len());
    let mut written: Vec<Option<Result<(), MailError>>> = Vec::with_capacity(mails.len());
    for planned in mails {
        written.push(match &planned.fate {
            Fate::Ours { message_id } => {
                let letter = compose(
                    planned.errand.kind,
                    planned.errand.rev,
                    planned.booking,
                    &planned.inventory,
                    desk,
                    message_id,
                    now,
                );
                Some(letter.map(|letter| letters.push(letter)))
            }
            Fate::Settled { .. } | Fate::UnderWay => None,
        });
    }
    let mut outcomes = smtp.send_all(&letters).await.into_iter();
    let settle = |(planned, written): (&Planned<'_>, Option<Result<(), MailError>>)| {
        let result = match written? {
            Ok(()) => Sending::Tried(outcomes.next()?),
            Err(error) => Sending::Unwritable(error),
        };
        observe(planned, &result);
        Some(Settlement { key: planned.errand.key.as_str().to_owned(), result })
    };
    mails.iter().zip(written).map(settle).collect()
}

fn observe(planned: &Planned<'_>, result: &Sending) {
    let (outcome, trouble) = match result {
        Sending::Tried(outcome @ Outcome::Accepted) => (outcome.as_str(), None),
        Sending::Tried(
            outcome @ (Outcome::Refused(why) | Outcome::Later(why) | Outcome::Unsent(why) | Outcome::Unknown(why)),
        ) => (outcome.as_str(), Some(why.clone())),
        Sending::Unwritable(error) => ("unwritable", Some(error.to_string())),
    };
    counter!(MAILS, "kind" => planned.errand.kind.as_str(), "outcome" => outcome).increment(1);
    if let Some(reason) = trouble {
        warn!(booking_id = %planned.booking.id, kind = planned.errand.kind.as_str(), rev = planned.errand.rev, outcome,
            reason, "a mail was not accepted");
    }
}

#[cfg(test)]
mod tests {
    use super::{Sending, Settlement};
    use crate::jobs::emails::Verdict;
    use crate::mail::MailError;
    use crate::mail::fixtures::at;
    use crate::mail::smtp::Outcome;
    use pvt_domain::failure::Failure;
    use pvt_stores::mongo::notifications::NotificationStatus::{self, Failed, Sent, Waiting};

    fn meaning(result: Sending) -> (Option<NotificationStatus>, String) {
        let settlement = Settlement { key: "k".to_owned(), result };
        let recorded = settlement.to_record().map(|outcome| outcome.status);
        let verdict = match settlement.verdict(at("2026-12-01T12:00:00Z")) {
            Verdict::Tell { delivered, .. } => format!("tell {delivered}"),
            Verdict::Fail(Failure::Retry(cause)) => format!("retry {}", cause.class),
            Verdict::Fail(Failure::Unavailable(cause)) => format!("unavailable {}", cause.class),
            Verdict::Fail(other) => other.to_string(),
        };
        (recorded, verdict)
    }

    #[test]
    fn every_outcome_has_its_row_and_its_way() {
        let why = || "451 later".to_owned();
        let table = [
            (Sending::Tried(Outcome::Accepted), Some(Sent), "tell true"),
            (Sending::Tried(Outcome::Refused(why())), Some(Failed), "tell false"),
            (Sending::Tried(Outcome::Later(why())), Some(Waiting), "retry smtp_refused_for_now"),
            (Sending::Tried(Outcome::Unsent(why())), Some(Waiting), "unavailable smtp_unavailable"),
            (Sending::Tried(Outcome::Unknown(why())), None, "retry smtp_outcome_unknown"),
            (Sending::Unwritable(MailError::Recipient), Some(Failed), "tell false"),
        ];
        for (result, row, way) in table {
            assert_eq!(meaning(result), (row, way.to_owned()));
        }
        let (row, way) = meaning(Sending::Unwritable(MailError::Tls("x".to_owned())));
        assert_eq!(row, Some(Waiting));
        assert!(way.starts_with("rejected"));
    }
}
