//! Mails about accounts. They are few, so each is looked up and recorded by itself; those of a batch are sent together.
//!
//! The token of a password reset is created here, after the ledger's row and before the mail. Only its hash is stored,
//! and the token itself must never leave the mail.

use super::pending_mails::{abandoned_before, is_first_delivery};
use super::{Emails, IN_FLIGHT_DELAY, MAILS, UNWRITABLE};
use crate::mail::account::{self, AccountDecision, AccountMailParts};
use crate::mail::smtp::DeliveryOutcome;
use crate::mail::{MailError, OutgoingMail};
use crate::probes;
use metrics::counter;
use pvt_domain::accounts::{User, UserId};
use pvt_domain::failure::Failure;
use pvt_domain::messages::EmailCommand;
use pvt_domain::messages::{AccountMail, AccountMailKind};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::account_mails::{AccountMailClaim, AccountMailRow};
use pvt_stores::mongo::notifications::NotificationStatus;
use pvt_worker_runtime::Job;
use tracing::warn;

/// A mail that this batch sends.
struct PendingAccountMail {
    position: usize,
    key: String,
    kind: AccountMailKind,
    user_id: UserId,
    outgoing: OutgoingMail,
}

/// Handles every message of the batch that is about an account.
///
/// # Errors
/// When MongoDB fails; some mails may have been sent by then, and the ledger knows which.
pub(super) async fn handle(worker: &Emails, jobs: &mut [Job<EmailCommand>]) -> Result<(), Failure> {
    let now = (worker.clock)();
    let mut pending: Vec<PendingAccountMail> = Vec::new();
    for (position, job) in jobs.iter_mut().enumerate() {
        let EmailCommand::Account(mail) = &job.message else { continue };
        let mail = mail.clone();
        let user = worker.mongo.users().find(mail.user_id).await?;
        match account::decide(&mail, user.as_ref(), now) {
            AccountDecision::Skip(reason) => {
                counter!(MAILS, "kind" => mail.kind.as_str(), "outcome" => reason).increment(1)
            }
            AccountDecision::Send(user) => pending.extend(plan(worker, job, position, &mail, user, now).await?),
        }
    }
    if pending.is_empty() {
        return Ok(());
    }
    let outgoing: Vec<OutgoingMail> = pending.iter().map(|pending| pending.outgoing.clone()).collect();
    let outcomes = worker.smtp.send_all(&outgoing).await;
    for (pending, outcome) in pending.iter().zip(outcomes) {
        let (row, failure) = meaning(&outcome);
        counter!(MAILS, "kind" => pending.kind.as_str(), "outcome" => outcome.as_str()).increment(1);
        if let Some(reason) = outcome.reason() {
            warn!(user_id = %pending.user_id, kind = pending.kind.as_str(), outcome = outcome.as_str(), reason,
                "mail not accepted");
        }
        match row {
            Some(status) => {
                let ledger = worker.mongo.account_mails();
                ledger.record(&pending.key, status, outcome.reason(), (worker.clock)()).await?
            }
            None => {
                let senders = worker.mongo.mail_senders();
                senders.abandon::<AccountMailRow>(&[&pending.key], worker.presence.process()).await?
            }
        }
        if let (Some(failure), Some(job)) = (failure, jobs.get_mut(pending.position)) {
            job.fail(failure);
        }
    }
    Ok(())
}

/// Writes the ledger's row, then the mail; `None` when another delivery sends it, or it cannot be composed.
async fn plan(
    worker: &Emails,
    job: &mut Job<EmailCommand>,
    position: usize,
    mail: &AccountMail,
    user: &User,
    now: Timestamp,
) -> Result<Option<PendingAccountMail>, Failure> {
    let key = account::ledger_key(mail, user);
    let message_id = account::message_id(&key, mail, worker.sender.domain());
    let row = AccountMailRow {
        key: key.clone(),
        user_id: user.id,
        kind: mail.kind,
        status: NotificationStatus::Sending,
        message_id: message_id.clone(),
        attempts: 1,
        process: Some(worker.presence.process().to_owned()),
        reason: None,
        created_at: now,
        updated_at: now,
    };
    let ledger = worker.mongo.account_mails();
    match ledger.begin(&row, is_first_delivery(&job.meta), abandoned_before(now)).await? {
        AccountMailClaim::Claimed => {}
        AccountMailClaim::Settled => return Ok(None),
        AccountMailClaim::InProgress => {
            job.fail(Failure::Defer(IN_FLIGHT_DELAY));
            return Ok(None);
        }
    }
    let token = match mail.kind {
        AccountMailKind::PasswordReset => {
            Some(worker.mongo.password_resets().create(mail.mail_id, user.id, now).await?)
        }
        AccountMailKind::Welcome | AccountMailKind::AlreadyRegistered | AccountMailKind::StaffAlert => None,
    };
    let parts = AccountMailParts {
        kind: mail.kind,
        token: token.as_deref(),
        alert: mail.alert.as_ref(),
        public_url: worker.links.public_url(),
        message_id: &message_id,
    };
    match account::compose_account_mail(parts, user, &worker.sender, now) {
        Ok(outgoing) => {
            let outgoing = OutgoingMail { traceparent: pvt_traces::kept(job.meta.traceparent.as_deref()), ..outgoing };
            Ok(Some(PendingAccountMail { position, key, kind: mail.kind, user_id: user.id, outgoing }))
        }
        Err(error) => {
            counter!(MAILS, "kind" => mail.kind.as_str(), "outcome" => UNWRITABLE).increment(1);
            worker
                .mongo
                .account_mails()
                .record(&key, NotificationStatus::Failed, Some(&error.to_string()), now)
                .await?;
            if !matches!(error, MailError::Recipient) {
                job.fail(error.into());
            }
            Ok(None)
        }
    }
}

/// What an outcome means for the ledger and for the message. While it is unknown, `sending` remains right.
fn meaning(outcome: &DeliveryOutcome) -> (Option<NotificationStatus>, Option<Failure>) {
    match outcome {
        DeliveryOutcome::Accepted => (Some(NotificationStatus::Sent), None),
        DeliveryOutcome::Refused(_) => (Some(NotificationStatus::Failed), None),
        DeliveryOutcome::Deferred(reply) => {
            (Some(NotificationStatus::Waiting), Some(Failure::retry("smtp_refused_for_now", reply)))
        }
        DeliveryOutcome::Unsent(reason) => {
            (Some(NotificationStatus::Waiting), Some(Failure::unavailable(probes::SMTP, reason)))
        }
        DeliveryOutcome::Unknown(reason) => (None, Some(Failure::retry("smtp_outcome_unknown", reason))),
    }
}
