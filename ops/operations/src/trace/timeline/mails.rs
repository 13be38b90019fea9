//! Mails about a booking: the message that caused each, and its attempts.

use super::order::Step;
use super::{queues, revisions};
use pvt_stores::mongo::notifications::Notification;

/// The steps of a mail. Its key in the ledger, which has a hash of the recipient, is not shown.
pub(super) fn mail(index: usize, mail: &Notification) -> Vec<Step> {
    let (key, kind, rev) = (format!("mail {index}"), mail.kind.as_str(), mail.version);
    let mut cause = Some(revisions::key(rev));
    let mut steps = Vec::new();
    if mail.attempts > 1 {
        let what = format!("{kind} of revision {rev}: first attempt");
        let first = Step::new(format!("{key} first"), mail.created_at, "mail", what);
        steps.push(Step { cause: cause.replace(format!("{key} first")), ..first });
    }
    if let Some(taken) = &mail.hop {
        let what = format!("message for {kind} of revision {rev}");
        steps.extend(queues::hop(&key, (&what, "emails"), taken, cause.take()));
        cause = Some(format!("hop {key}"));
    }
    let again = if mail.attempts > 1 { format!(", {} attempts", mail.attempts) } else { String::new() };
    let what = format!("{kind} of revision {rev}: {}{again}", mail.status.as_str());
    steps.push(Step { cause, ..Step::new(key, mail.updated_at, "mail", what) });
    steps
}
