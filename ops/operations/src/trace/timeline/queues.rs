//! Hops over queues, and messages that were given up.

use super::order::{Step, waited};
use super::sanitized;
use crate::trace::Wait;
use pvt_domain::QueueHop;
use pvt_domain::dead_letters::masked_code;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterState};
use uuid::Uuid;

/// The steps of a message that a handler took from its queue; the last one has the key `hop` and the message's id.
pub(super) fn hop(key: &str, (what, queue): (&str, &str), hop: &QueueHop, mut cause: Option<String>) -> Vec<Step> {
    let key = format!("hop {key}");
    let mut steps = Vec::new();
    if let Some(at) = hop.first_failed_at.filter(|at| *at <= hop.delivered_at) {
        let failed = Step::new(format!("{key} failed"), at, "queue", format!("{what}: an attempt failed in {queue}"));
        steps.push(Step { cause: cause.replace(format!("{key} failed")), ..failed });
    }
    let wait = hop.sent_at().map(|sent| format!(" {}", waited(sent, hop.delivered_at, hop.requested_at.is_none())));
    let mut text = format!("{what} taken from {queue}{}", wait.unwrap_or_default());
    if hop.attempt > 1 {
        text.push_str(&format!(", attempt {}", hop.attempt));
    }
    if let Some(class) = &hop.failed_with {
        text.push_str(&format!(", the one before failed with {}", sanitized(class)));
    }
    if hop.deferrals > 0 {
        text.push_str(&format!(", delayed {}", times(hop.deferrals)));
    }
    if hop.redeliveries > 0 {
        text.push_str(&format!(", delivered {} before without an acknowledgement", times(hop.redeliveries)));
    }
    if hop.replayed {
        text.push_str(", replayed from the dead letters");
    }
    steps.push(Step { cause, ..Step::new(key, hop.delivered_at, "queue", text) });
    steps
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Deaths, edits, replays and the end of a dead letter. Errors are left out: they may quote what a message says.
pub(super) fn dead_letter(dead: &DeadLetter) -> Vec<Step> {
    let (id, kind, last) = (dead.shown_id(), masked_code(&dead.kind), &dead.last);
    let message = Some(dead.message_id).filter(|id| !id.is_nil());
    let step = |name: &str, at, what: String| {
        let step = Step::new(format!("dead {} {name}", dead.id), at, "dead letter", what);
        Step { message_id: message, ..step }
    };
    let mut steps = Vec::new();
    if dead.deaths > 1 {
        steps.push(step("first", dead.first_died_at, format!("{kind} given up by {} for the first time", dead.queue)));
    }
    let times = if dead.deaths > 1 { format!(", {} times in all", dead.deaths) } else { String::new() };
    let given_up = format!(
        "{kind} given up by {} at attempt {}: {}{times} ({id})",
        dead.queue,
        last.attempt,
        masked_code(&last.class)
    );
    let died = step("last", last.died_at, given_up);
    let follows = last.follows.map(|operation| replay_key(dead, operation));
    steps.push(Step { cause: follows.or((dead.deaths > 1).then(|| format!("dead {} first", dead.id))), ..died });
    for (number, edit) in dead.edits.iter().enumerate() {
        let what =
            format!("{kind} edited by {}: {} ({})", edit.actor, edit.changed.join(", "), sanitized(&edit.reason));
        steps.push(step(&format!("edited {number}"), edit.at, what));
    }
    for replay in &dead.replays {
        let what = format!("{kind} returned to {} by {}", dead.queue, replay.actor);
        steps.push(Step { key: replay_key(dead, replay.operation), ..step("", replay.at, what) });
    }
    if let Some(end) = &dead.discarded {
        let what = format!("{kind} discarded by {} ({})", end.actor, sanitized(&end.reason));
        steps.push(step("discarded", end.at, what));
    }
    steps
}

fn replay_key(dead: &DeadLetter, operation: Uuid) -> String {
    format!("dead {} replay {operation}", dead.id)
}

/// That a message is given up, or is being sent again.
pub(super) fn waiting(dead: &DeadLetter) -> Option<Wait> {
    let (kind, class) = (masked_code(&dead.kind), masked_code(&dead.last.class));
    match dead.state {
        DeadLetterState::Dead => Some(Wait {
            text: format!("{kind} is a dead letter of {} ({class})", dead.queue),
            dead_letter: Some(dead.id),
            hint: Some(format!("`pvt dead show {}`", dead.shown_id())),
        }),
        DeadLetterState::Replaying => Some(format!("{kind} is being replayed to {}", dead.queue).into()),
        DeadLetterState::Replayed | DeadLetterState::Discarded => None,
    }
}
