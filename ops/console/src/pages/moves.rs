//! Moves of guests to other beds: a plan is shown as it would be decided, and carried out once it is confirmed.
//!
//! The API has no dry run of an assignment. What is shown is the decision itself, on what the stores hold now; what is
//! done is decided again, each step by the API for the revision that was shown.

mod carry_out;
mod view;

pub(crate) use carry_out::carry_out;

use crate::access::SignedIn;
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::pages::actions::{BedChoice, Notice, Surroundings, TakenBeds};
use crate::store;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use chrono::{Days, NaiveDate, Utc};
use pvt_domain::booking::{Status, Stay, StayProgress};
use pvt_domain::business_day::business_date;
use pvt_domain::decide::{KnownBeds, PlannedMove, plan_moves};
use pvt_domain::ids::{BedId, BookingId, PropertyId};
use pvt_domain::nights::Nights;
use pvt_stores::StoreError;
use std::sync::Arc;
use uuid::Uuid;
use view::StepView;

/// Most moves of a plan.
const MAX_MOVES: usize = 12;
/// Between the parts of a move in an address; ids hold none.
const SEPARATOR: char = '/';

const NO_MOVE: &str = "Choose a stay and the bed to move it to.";

/// A plan as it would be decided now, or what became of it.
#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    frame: Frame,
    notice: Option<Notice>,
    property: String,
    steps: Vec<StepView>,
    /// The form to confirm it; none when it is impossible, or done.
    confirm: Option<Confirm>,
    /// Stays that were set aside and are in their beds now.
    done: String,
    chart: String,
}

struct Confirm {
    key: String,
    /// Each step as it is sent.
    steps: Vec<String>,
    reason: String,
    /// Whether it was sent, and nothing of it may change.
    is_repetition: bool,
}

/// The parameters of an address, in their order.
type Parameters = Query<Vec<(String, String)>>;

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> &'a str {
    parameters.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// The moves of an address: `move=booking/stay/from/to` or `…/night`, or the fields of one move.
fn moves(parameters: &[(String, String)]) -> Result<Vec<PlannedMove>, Failure> {
    let listed = parameters.iter().filter(|(name, _)| name == "move").map(|(_, value)| value.clone());
    let one = ["booking", "stay", "from", "to", "night"].map(|name| parameter(parameters, name));
    let of_fields = (!one[0].is_empty()).then(|| one.join(&SEPARATOR.to_string()));
    let texts: Vec<String> = listed.chain(of_fields).collect();
    let moves: Option<Vec<PlannedMove>> = texts.iter().map(|text| read_move(text)).collect();
    match moves {
        Some(moves) if !moves.is_empty() && moves.len() <= MAX_MOVES => Ok(moves),
        Some(moves) if moves.len() > MAX_MOVES => {
            Err(Failure::Invalid(format!("A plan has at most {MAX_MOVES} moves. Make some of them first.")))
        }
        _ => Err(Failure::Invalid(NO_MOVE.to_owned())),
    }
}

fn read_move(text: &str) -> Option<PlannedMove> {
    let mut parts = text.split(SEPARATOR);
    let booking_id = parts.next()?.parse().ok()?;
    let stay = parts.next()?.parse().ok()?;
    let (from, to) = (parts.next()?, parts.next().filter(|to| !to.is_empty())?);
    let first_night = parts.next().filter(|night| !night.is_empty()).map(str::parse).transpose().ok()?;
    Some(PlannedMove { booking_id, stay, from: BedId::from(from), to: BedId::from(to), first_night })
}

/// What has the beds of a property on the nights of these bookings.
async fn known_beds(
    app: &App,
    property: &PropertyId,
    bookings: Vec<BookingId>,
) -> Result<(KnownBeds, NaiveDate), Failure> {
    let (mongo, id) = (app.mongo.clone(), property.clone());
    let read = store::read_in_turn(app, &app.charts, async move {
        let Some(inventory) = mongo.inventories().find(&id).await? else { return Ok(None) };
        let today = business_date(&inventory.property, Utc::now().into());
        let mut moved = mongo.bookings().find_by_ids(bookings).await?;
        moved.retain(|_, booking| booking.property_id == id);
        let stays = || moved.values().flat_map(|booking| &booking.stays);
        let first = stays().map(|stay| stay.arrival).min().map_or(today, |first| first.min(today));
        let first = first.checked_sub_days(Days::new(1)).unwrap_or(first);
        let end = stays().map(|stay| stay.departure).max().map_or(today, |end| end.max(today));
        let nights = Nights::new(first, end.checked_add_days(Days::new(1)).unwrap_or(end));
        let mut known = mongo.bookings().occupants(&id, nights).await?;
        known.extend(moved);
        let blocks = mongo.occupancy().blocks_within(&id, nights).await?;
        Ok::<_, StoreError>(Some((KnownBeds::new(Arc::new(inventory), known, &blocks, nights), today)))
    });
    read.await?.ok_or_else(|| Failure::NotFound("There is no such property that you work for.".to_owned()))
}

/// `GET /chart/plan?property=&move=…`.
pub(crate) async fn preview(
    State(app): State<SharedApp>,
    user: SignedIn,
    Query(parameters): Parameters,
) -> Result<Html<String>, Failure> {
    let named = Some(parameter(&parameters, "property")).filter(|named| !named.is_empty());
    let (property, _) = user.property(&app, named).await?;
    let moves = moves(&parameters)?;
    let (known, today) = known_beds(&app, &property, moves.iter().map(|one| one.booking_id).collect()).await?;
    let actor = user.actor();
    let (known, plan) = tokio::task::spawn_blocking(move || {
        let plan = plan_moves(&known, &moves, &actor, Utc::now().into());
        (known, plan)
    })
    .await
    .map_err(Failure::internal)?;
    let steps = StepView::of_plan(&known, &plan, today);
    let confirm = plan.is_possible().then(|| Confirm {
        key: Uuid::new_v4().to_string(),
        steps: carry_out::PostedStep::of_plan(&known, &plan).iter().map(carry_out::PostedStep::text).collect(),
        reason: String::new(),
        is_repetition: false,
    });
    page(&PlanPage {
        frame: Frame::new(&user, "Move guests", "/chart"),
        notice: None,
        chart: chart_of(&property),
        property: property.to_string(),
        steps,
        confirm,
        done: String::new(),
    })
}

fn chart_of(property: &PropertyId) -> String {
    let property: String = url::form_urlencoded::byte_serialize(property.as_str().as_bytes()).collect();
    format!("/chart?property={property}")
}

/// A stay and the beds that it can be moved to.
#[derive(Template)]
#[template(path = "move.html")]
struct MovePage {
    frame: Frame,
    property: String,
    booking: String,
    reference: String,
    guest: String,
    stays: Vec<StayTargets>,
}

struct StayTargets {
    id: u32,
    dates: String,
    from: Vec<String>,
    targets: Vec<Target>,
    /// Whether the night of the move can be chosen.
    is_in_house: bool,
    first: NaiveDate,
    last: NaiveDate,
}

struct Target {
    bed: String,
    label: String,
}

/// `GET /bookings/{id}/move`: the form for users without scripts, and for those who know the bed.
pub(crate) async fn choose(
    State(app): State<SharedApp>,
    user: SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, Failure> {
    let around = Surroundings::read(&app, &user, &id).await?;
    let taken = TakenBeds::read(&app, &around).await?;
    let booking = &around.booking;
    let stays = booking.numbered_stays();
    let movable = stays.iter().filter(|stay| is_movable(booking.status, stay));
    let stays = movable.filter_map(|stay| targets(&around, &taken, stay)).collect();
    page(&MovePage {
        frame: Frame::new(&user, format!("Move {}", booking.reference), "/chart"),
        property: booking.property_id.to_string(),
        booking: booking.id.to_string(),
        reference: booking.reference.clone(),
        guest: booking.guest.full_name(),
        stays,
    })
}

/// Whether staff may give a stay other beds.
pub(crate) fn is_movable(status: Status, stay: &Stay) -> bool {
    matches!(status, Status::Confirmed | Status::CheckedIn)
        && stay.progress_in(status) != StayProgress::CheckedOut
        && !stay.assigned_beds.is_empty()
}

fn targets(around: &Surroundings, taken: &TakenBeds, stay: &Stay) -> Option<StayTargets> {
    let first = stay.arrival.max(around.today);
    let others = taken.choices(around, stay, &stay.room_type_id);
    let others = others.into_iter().filter(|choice| !stay.assigned_beds.contains(choice.bed));
    let target = |choice: BedChoice<'_>| {
        let label = format!("{}, room {}: {}", choice.bed, choice.room.id, choice.notes());
        Target { bed: choice.bed.to_string(), label }
    };
    Some(StayTargets {
        id: stay.id?,
        dates: format!("{} – {}", stay.arrival, stay.departure),
        from: stay.assigned_beds.iter().map(ToString::to_string).collect(),
        targets: others.map(target).collect(),
        is_in_house: around.booking.progress_of(stay) == StayProgress::CheckedIn,
        first,
        last: stay.departure.pred_opt().unwrap_or(stay.departure),
    })
}

#[cfg(test)]
mod tests {
    use super::{Failure, moves};

    fn parameters(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn moves_are_read_from_addresses_and_forms() {
        let id = "11111111-2222-5333-8444-555555555555";
        let listed = format!("{id}/0/a-1/a-2");
        let later = format!("{id}/1/b-1/b-2/2027-01-12");
        let read = moves(&parameters(&[("move", &listed), ("move", &later)])).unwrap();
        assert_eq!((read.len(), read[0].to.as_str(), read[0].first_night), (2, "a-2", None));
        assert_eq!((read[1].stay, read[1].first_night), (1, Some("2027-01-12".parse().unwrap())));
        let form = [("booking", id), ("stay", "0"), ("from", "a-1"), ("to", "a-2"), ("night", "")];
        assert_eq!(moves(&parameters(&form)).unwrap(), read[..1]);
        let wrong = ["", "x/0/a-1/a-2", &format!("{id}/0/a-1"), &format!("{id}/0/a-1/a-2/soon")];
        for text in wrong {
            assert!(matches!(moves(&parameters(&[("move", text)])), Err(Failure::Invalid(_))), "{text}");
        }
        let many: Vec<(&str, &str)> = (0..13).map(|_| ("move", listed.as_str())).collect();
        assert!(moves(&parameters(&many)).is_err() && moves(&[]).is_err());
    }
}
