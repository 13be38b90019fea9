//! Summary of a booking: what it waits for, or that it is settled.

use super::{Timeline, queues};
use crate::trace::Wait;
use pvt_domain::booking::{Status, mails};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::notifications::NotificationStatus;

impl Timeline<'_> {
    /// What the booking waits for, or that it is settled. Its messages may also wait in these paused queues.
    pub(in crate::trace) fn summary(&self, now: Timestamp, paused_queues: Vec<String>) -> Vec<Wait> {
        let mut waits: Vec<Wait> = paused_queues.into_iter().map(Wait::from).collect();
        waits.extend(self.dead_letters.iter().filter_map(queues::waiting));
        waits.extend(self.others(now).into_iter().map(Wait::from));
        if waits.is_empty() {
            waits.push(Wait {
                text: format!(
                    "Settled, as far as the stores know: {} bed-nights claimed, nothing waits. What is in a queue is \
                        in no store",
                    self.claims
                ),
                dead_letter: None,
                hint: Some("`pvt queues list` shows how much that is".to_owned()),
            });
        }
        waits
    }

    fn others(&self, now: Timestamp) -> Vec<String> {
        let mut waits: Vec<String> = self.hold(now).into_iter().collect();
        waits.extend(self.payments());
        waits.extend(self.owed_after_the_end());
        let unsent = self.mails.iter().filter(|mail| mail.status != NotificationStatus::Sent);
        waits.extend(unsent.map(|mail| format!("the mail {} is {}", mail.kind.as_str(), mail.status.as_str())));
        waits.extend(self.missing_mail());
        waits.extend(self.missing_in_mart());
        let owned = u64::try_from(self.booking.claims().count()).unwrap_or(u64::MAX);
        if owned != self.claims {
            waits.push(format!("it owns {owned} bed-nights and claims {}", self.claims));
        }
        waits
    }

    fn hold(&self, now: Timestamp) -> Option<String> {
        let ends = self.booking.hold_ends()?;
        let left = (ends.as_datetime() - now.as_datetime()).num_minutes();
        let left = if left >= 0 { format!("{left} min left") } else { "which has passed".to_owned() };
        Some(format!("held for {} until {ends}, {left}", self.amount(self.booking.payable())))
    }

    fn payments(&self) -> Vec<String> {
        let mut waits = Vec::new();
        if let Some(ledger) = self.ledger {
            let known = self.booking.payment.ledger();
            let totals = ledger.summary();
            if !totals.same_totals_as(&known) {
                waits.push(format!("the booking knows ledger revision {} of {}", known.ledger_rev, ledger.totals_rev));
            }
            for instruction in ledger.open_instructions() {
                waits.push(format!(
                    "refund {} of {} is requested, and Stripe has not made it",
                    instruction.key,
                    self.amount(instruction.amount)
                ));
            }
            let attention = ledger.attention().into_iter();
            waits.extend(attention.map(|kind| format!("needs staff attention: {}", kind.as_str())));
        }
        let due = self.booking.payment.refund_due();
        waits.extend((due > 0).then(|| format!("{} is to be refunded", self.amount(due))));
        waits
    }

    /// What is still owed of a booking that is over: nothing collects it.
    fn owed_after_the_end(&self) -> Option<String> {
        let owed = self.booking.outstanding();
        let what = match self.booking.status {
            Status::Cancelled | Status::NoShow => "of the fee",
            Status::CheckedOut => "of the stay",
            _ => return None,
        };
        (owed > 0).then(|| format!("{} {what} is owed, and is not collected by itself", self.amount(owed)))
    }

    fn missing_in_mart(&self) -> Option<String> {
        let Some(loads) = &self.loads else { return Some("the mart could not be read".to_owned()) };
        let history = &self.booking.history;
        let missing = history.iter().filter(|entry| !loads.contains_key(&entry.event_id)).count();
        (missing > 0).then(|| format!("the mart lacks {missing} of {} events", history.len()))
    }

    /// That no mail says how the booking stands, if its guest has an address.
    fn missing_mail(&self) -> Option<String> {
        let kind = mails::of_status(self.booking).filter(|_| self.booking.guest.mail_address().is_some())?;
        let is_missing = self.mails.iter().all(|mail| mail.kind != kind);
        is_missing.then(|| {
            format!(
                "no mail {} was written: its message waits in a queue or as a dead letter, or the mail was dropped, \
                because it contradicted the booking by then or the guest had no address yet",
                kind.as_str()
            )
        })
    }
}
