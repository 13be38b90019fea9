//! Schedules: how far each has come.

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::State;
use axum::response::Html;
use pvt_stores::mongo::schedules::ScheduleState;

#[derive(Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    frame: Frame,
    rows: Vec<ScheduleRow>,
}

#[derive(Debug, PartialEq, Eq)]
struct ScheduleRow {
    name: String,
    last_fire: String,
    settled_until: String,
    state: String,
}

/// `GET /schedules`.
pub(crate) async fn show(State(app): State<SharedApp>, user: SignedIn) -> Result<Html<String>, Failure> {
    let mongo = app.mongo.clone();
    let states = store::read(&app, async move { mongo.schedules().list().await }).await?;
    let properties = user.properties(&app).await?;
    let rows = states.into_iter().map(|state| row(state, |id| properties.iter().any(|one| one.as_str() == id)));
    page(&SchedulesPage { frame: Frame::new(&user, "Schedules", "/schedules"), rows: rows.collect() })
}

/// Names only properties that the user may know.
fn row(state: ScheduleState, may_know: impl Fn(&str) -> bool) -> ScheduleRow {
    let mut words = Vec::new();
    if let Some(progress) = &state.under_way {
        words.push(format!("the fire of {} is under way", shown(progress.fire)));
    }
    let named = state.behind.iter().map(|behind| behind.property_id.as_str()).filter(|id| may_know(id));
    let named: Vec<&str> = named.collect();
    match (state.behind.len(), named.as_slice()) {
        (0, _) => {}
        (count, []) => words.push(format!("{count} properties are behind")),
        (count, named) => words.push(format!("{count} properties are behind, among them {}", named.join(", "))),
    }
    if let Some(set_back) = &state.set_back {
        words.push(format!("was ahead of the clock at {}", shown(set_back.at)));
    }
    ScheduleRow {
        last_fire: state.last_fire.map_or_else(|| "never".to_owned(), shown),
        settled_until: shown(state.settled_until),
        state: if words.is_empty() { "settled".to_owned() } else { words.join("; ") },
        name: state.name,
    }
}

#[cfg(test)]
mod tests {
    use super::row;
    use chrono::Utc;
    use pvt_stores::mongo::schedules::{PropertyBehind, ScheduleState};

    #[test]
    fn only_properties_of_the_user_are_named() {
        let now = Utc::now().into();
        let behind = |id: &str| PropertyBehind { property_id: id.into(), settled_until: now };
        let state = || ScheduleState {
            name: "night_audit".to_owned(),
            settled_until: now,
            last_fire: None,
            under_way: None,
            behind: vec![behind("here"), behind("there")],
            set_back: None,
            token: 1,
        };
        assert_eq!(row(state(), |id| id == "here").state, "2 properties are behind, among them here");
        assert_eq!(row(state(), |_| false).state, "2 properties are behind");
    }
}
