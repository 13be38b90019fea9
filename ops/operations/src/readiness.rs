//! The answer of a process's `/readyz?verbose`, in words for operators.

use serde::Deserialize;

/// The answer of `/readyz?verbose`.
#[derive(Debug, Deserialize)]
pub struct Readiness {
    status: String,
    components: Vec<Component>,
}

#[derive(Debug, Deserialize)]
struct Component {
    name: String,
    status: String,
    detail: Option<String>,
}

impl Readiness {
    /// The state of the process, and what is wrong with it.
    pub fn state(self) -> (&'static str, Option<String>) {
        let state = match self.status.as_str() {
            "up" => return ("running", None),
            "degraded" => "degraded",
            _ => "not ready",
        };
        let wrong = self.components.into_iter().filter(|part| part.status != "up");
        let wrong =
            wrong.map(|part| part.detail.map_or(part.name.clone(), |detail| format!("{}: {detail}", part.name)));
        (state, Some(wrong.collect::<Vec<_>>().join("; ")))
    }
}

/// Why a process is not ready, from the text of its answer. One that has just been started has not read everything yet.
pub(crate) fn not_ready(answer: &str) -> String {
    let reason = serde_json::from_str::<Readiness>(answer).ok().and_then(|readiness| readiness.state().1);
    format!("it is starting, or not ready: {}", reason.as_deref().unwrap_or(answer))
}

#[cfg(test)]
mod tests {
    use super::{Readiness, not_ready};
    use serde_json::json;

    #[test]
    fn degraded_process_is_shown_with_its_reason() {
        let state = |status: &str, workers: &str| {
            let part = json!({ "name": "workers", "status": workers, "detail": "emails paused: smtp, since 12:00" });
            let other = json!({ "name": "publisher", "status": "up" });
            let health = json!({ "status": status, "components": [part, other] });
            serde_json::from_value::<Readiness>(health).unwrap().state()
        };
        let reason = Some("workers: emails paused: smtp, since 12:00".to_owned());
        assert_eq!(state("up", "up"), ("running", None));
        assert_eq!(state("degraded", "degraded"), ("degraded", reason.clone()));
        assert_eq!(state("down", "down"), ("not ready", reason));
    }

    #[test]
    fn reason_of_a_process_that_starts_is_no_json() {
        let part = json!({ "name": "maintenance", "status": "down", "detail": "not read yet" });
        let answer = json!({ "status": "down", "components": [part] }).to_string();
        assert_eq!(not_ready(&answer), "it is starting, or not ready: maintenance: not read yet");
        assert_eq!(not_ready("a proxy's page"), "it is starting, or not ready: a proxy's page");
    }
}
