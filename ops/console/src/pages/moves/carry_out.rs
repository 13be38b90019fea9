//! Carrying out a plan: its steps are sent to the API in their order, until one is not done.
//!
//! A step frees no bed that a later one still needs for its own guests, so wherever it ends, each guest has a bed.

use super::view::{StepView, named};
use super::{Confirm, PlanPage, chart_of, known_beds};
use crate::access::SignedIn;
use crate::api::{Answer, Call, Refusal, Unanswered};
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::forms::Submitted;
use crate::frame::Frame;
use crate::pages::actions::{Ended, Notice, idempotency_key};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use pvt_domain::decide::{KnownBeds, MovePlan};
use pvt_domain::ids::{BedId, BookingId};
use pvt_domain::messages::Assignment;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use tracing::info;

/// Most steps of a plan: each move, and a detour for each.
const MAX_STEPS: usize = 2 * super::MAX_MOVES;

/// A step as the form carries it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PostedStep {
    booking: BookingId,
    /// The revision that was shown; of later steps of a booking, the one that its step before makes.
    rev: Option<u32>,
    assignments: Vec<Assignment>,
}

impl PostedStep {
    /// The steps of a plan that is possible.
    pub(super) fn of_plan(known: &KnownBeds, plan: &MovePlan) -> Vec<Self> {
        let mut seen = Vec::new();
        let steps = plan.steps.iter().map(|step| {
            let is_first = !seen.contains(&step.booking_id);
            seen.push(step.booking_id);
            let booking = known.bookings.get(&step.booking_id).filter(|_| is_first);
            let rev = booking.map(|booking| booking.rev);
            Self { booking: step.booking_id, rev, assignments: step.assignments.clone() }
        });
        steps.collect()
    }

    /// As a field holds it.
    pub(super) fn text(&self) -> String {
        json!(self).to_string()
    }

    /// With the name of its guest, if that can be read.
    fn shown(&self, known: Option<&KnownBeds>, outcome: String) -> StepView {
        let beds = self.assignments.iter().flat_map(|one| one.beds.iter().flatten());
        let guest = known.map_or_else(|| format!("Booking {}", self.booking), |known| named(known, self.booking));
        StepView {
            booking_id: self.booking.to_string(),
            guest,
            what: vec![format!("to {}", beds.map(BedId::as_str).collect::<Vec<_>>().join(", "))],
            warnings: Vec::new(),
            refusal: None,
            in_the_way: Vec::new(),
            outcome: Some(outcome),
        }
    }
}

/// What became of the steps.
struct CarriedOut {
    done: usize,
    /// Why the next one was not done.
    stopped: Option<Stop>,
}

enum Stop {
    Refused(Box<Refusal>),
    Accepted,
    Unanswered(Unanswered),
}

impl Stop {
    fn notice(&self, is_repetition: bool) -> Notice {
        match self {
            Self::Refused(_) if self.ended(is_repetition) == Ended::KeyReused => Notice::key_reused(),
            Self::Refused(refusal) => Notice::refused(refusal, None),
            Self::Accepted => Notice::accepted(),
            Self::Unanswered(unanswered) => Notice::unanswered(unanswered),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) => StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT),
            Self::Accepted => StatusCode::ACCEPTED,
            Self::Unanswered(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the same form may be sent again.
    fn is_undecided(&self, is_repetition: bool) -> bool {
        self.ended(is_repetition) == Ended::Unknown
    }

    fn ended(&self, is_repetition: bool) -> Ended {
        match self {
            Self::Refused(refusal) => Ended::of(refusal, is_repetition),
            Self::Accepted | Self::Unanswered(_) => Ended::Unknown,
        }
    }

    /// What became of its step.
    fn outcome(&self, is_repetition: bool) -> &'static str {
        match self.ended(is_repetition) {
            Ended::Unknown => "Not known yet",
            Ended::KeyReused => "Sent before with other values, and perhaps done",
            _ => "Not done",
        }
    }
}

/// `POST /chart/plan`.
pub(crate) async fn carry_out(State(app): State<SharedApp>, submitted: Submitted) -> Result<Response, Failure> {
    let Submitted { user, fields } = submitted;
    let (property, _) = user.property(&app, Some(fields.get("property"))).await?;
    let key = idempotency_key(&fields)?;
    let texts: Vec<String> = fields.all("step").map(str::to_owned).collect();
    let steps = texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<Vec<PostedStep>, _>>();
    let steps = steps.ok().filter(|steps| (1..=MAX_STEPS).contains(&steps.len()));
    let steps = steps.ok_or_else(|| Failure::Invalid("Open the plan again: its steps cannot be read.".to_owned()))?;
    let reason = fields.get("reason").to_owned();
    let is_repetition = !fields.get("repeated").is_empty();
    info!(user_id = %user.user().id, %property, steps = steps.len(), "moving guests");
    let (sender, sent_steps, sent_key, sent_reason) = (user.clone(), steps.clone(), key.clone(), reason.clone());
    let sending = {
        let app = app.clone();
        async move { send(&app, &sender, &sent_steps, (&sent_key, &sent_reason)).await }
    };
    // To its end, also when the user has gone away.
    let CarriedOut { done, stopped } = tokio::spawn(sending).await.map_err(Failure::internal)?;
    // The outcome and the key are shown also when the bookings cannot be read any more.
    let known = known_beds(&app, &property, steps.iter().map(|step| step.booking).collect()).await.ok();
    let known = known.as_ref().map(|(known, _)| known);
    let outcome = |index: usize| match (&stopped, index) {
        (_, index) if index < done => "Done",
        (Some(stop), index) if index == done => stop.outcome(is_repetition),
        _ => "Not sent",
    };
    let shown = steps.iter().enumerate().map(|(index, step)| step.shown(known, outcome(index).to_owned()));
    let repeatable = stopped.as_ref().is_some_and(|stop| stop.is_undecided(is_repetition));
    let notice =
        stopped.as_ref().map_or_else(|| Notice::done("The guests are moved"), |stop| stop.notice(is_repetition));
    let name = |id| known.filter(|known| known.bookings.contains_key(&id)).map(|known| named(known, id));
    let notice = notice.naming(name);
    let status = stopped.as_ref().map_or(StatusCode::OK, Stop::status);
    let body = page(&PlanPage {
        frame: Frame::new(&user, "Move guests", "/chart"),
        notice: Some(notice),
        chart: chart_of(&property),
        property: property.to_string(),
        steps: shown.collect(),
        confirm: repeatable.then_some(Confirm { key, steps: texts, reason, is_repetition: true }),
        done: done_keys(&steps, done),
    })?;
    Ok((status, body).into_response())
}

/// The stays of which every step is done, as the chart names them. What is left of a plan stays set aside.
fn done_keys(steps: &[PostedStep], done: usize) -> String {
    let keys = |steps: &[PostedStep]| -> BTreeSet<String> {
        let ids = steps.iter().flat_map(|step| step.assignments.iter().map(|one| (step.booking, one.id)));
        ids.filter_map(|(booking, id)| Some(format!("{booking}/{}", id?))).collect()
    };
    let (made, left) = steps.split_at(done.min(steps.len()));
    let (made, left) = (keys(made), keys(left));
    made.difference(&left).cloned().collect::<Vec<_>>().join(" ")
}

/// Sends the steps, each with a key of its own.
async fn send(app: &App, user: &SignedIn, steps: &[PostedStep], (key, reason): (&str, &str)) -> CarriedOut {
    let mut revs: HashMap<BookingId, u32> = HashMap::new();
    for (index, step) in steps.iter().enumerate() {
        let mut body = json!({ "assignments": step.assignments });
        if !reason.is_empty() {
            body["reason"] = reason.into();
        }
        let rev = revs.get(&step.booking).copied().or(step.rev);
        let call = Call::post(format!("/api/bookings/{}/assign", step.booking), body);
        let stop = match app.api.send(user, call.keyed(format!("{key}-{index}")).at_rev(rev)).await {
            // The next step of the booking is for the revision that this one makes, whatever has changed since.
            Ok(Answer::Done(_)) => {
                revs.extend(rev.map(|rev| (step.booking, rev.saturating_add(1))));
                continue;
            }
            Ok(Answer::Refused(refusal)) => Stop::Refused(refusal),
            Ok(Answer::Accepted) => Stop::Accepted,
            Err(unanswered) => Stop::Unanswered(unanswered),
        };
        return CarriedOut { done: index, stopped: Some(stop) };
    }
    CarriedOut { done: steps.len(), stopped: None }
}

#[cfg(test)]
mod tests {
    use super::{PostedStep, Stop, done_keys};

    /// A plan whose outcome was not known may have been done, whatever a repetition is refused with on its way.
    #[test]
    fn repeated_plan_ends_with_a_decision_about_it() {
        let refused = |status: u16, code: &str, is_repetition| {
            let problem = serde_json::json!({ "title": "t", "status": status, "code": code });
            let stop = Stop::Refused(serde_json::from_value(problem).unwrap());
            (stop.is_undecided(is_repetition), stop.outcome(is_repetition))
        };
        for (status, code) in [(404, "not_found"), (408, "request_timeout"), (422, "validation_failed")] {
            assert_eq!(refused(status, code, true), (true, "Not known yet"), "{code}");
            assert_eq!(refused(status, code, false), (false, "Not done"), "{code}");
        }
        assert_eq!(refused(409, "bed_taken", true), (false, "Not done"));
        let reused = refused(422, "idempotency_key_reused", true);
        assert!(!reused.0 && reused.1.contains("perhaps done"), "{reused:?}");
        assert!(Stop::Accepted.is_undecided(false));
    }

    #[test]
    fn stays_with_a_step_that_is_left_stay_set_aside() {
        let step = |booking: u128| -> PostedStep {
            let id = uuid::Uuid::from_u128(booking);
            serde_json::from_value(
                serde_json::json!({ "booking": id, "rev": 1, "assignments": [{ "id": 0, "beds": ["a-1"] }] }),
            )
            .unwrap()
        };
        let key = |booking: u128| format!("{}/0", uuid::Uuid::from_u128(booking));
        let steps = [step(1), step(2), step(1)];
        assert_eq!(done_keys(&steps, 0), "");
        assert_eq!(done_keys(&steps, 2), key(2), "the first was only a detour");
        assert_eq!(done_keys(&steps, 3), format!("{} {}", key(1), key(2)));
    }
}
