//! Mails about a booking: the message that caused each, and its attempts.

use super::order::Step;
use super::{queues, revisions};
use pvt_stores::mongo::notifications::Notification;

/// The steps of a mail. Its key in the ledger, which has a hash of the recipient, is not shown.
pub(super) fn mail(index: usize, mail: &Notification) -> Vec<Step> {
    let (key, kind, rev) = (format!("mail {index}"), mail.kind.as_str(), mail.version);
    let what = |what: &str| format!("{kind} of revision {rev}: {what}");
    let mut steps: Vec<Step> = Vec::new();
    if let Some(taken) = &mail.hop {
        steps.extend(queues::hop(&key, (&format!("message for {kind} of revision {rev}"), "emails"), taken, None));
    }
    if mail.attempts > 1 {
        steps.push(Step::new(format!("{key} first"), mail.created_at, "mail", what("first attempt")));
    }
    // The message was taken before the first attempt, unless it was taken again for a later one.
    steps.sort_by_key(|step| step.at);
    let mut cause = Some(revisions::key(rev));
    for step in &mut steps {
        step.cause = cause.replace(step.key.clone());
    }
    let again = if mail.attempts > 1 { format!(", {} attempts", mail.attempts) } else { String::new() };
    let what = what(&format!("{}{again}", mail.status.as_str()));
    steps.push(Step { cause, ..Step::new(key, mail.updated_at, "mail", what) });
    steps
}
