//! Cancellation policies: what cancelling costs, by the time before arrival.

use super::responses::{add, known, made, property_of, shown, worker_of};
use crate::commands::idempotency::IdempotentRequest;
use crate::form;
use crate::form::json::Node;
use crate::form::reader::{Pointer, Reader};
use crate::http::extract::OfProperty;
use crate::http::headers;
use crate::http::problem::{HandlerResult, Problem};
use crate::http::response::Tagged;
use crate::resources::properties::change::{self, PropertyChange};
use crate::state::SharedApp;
use axum::extract::{Request, State};
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::check::{MAX_HOURS_BEFORE, MAX_NIGHTLY, PPM};
use pvt_domain::rates::cancellation::{CancellationPolicy, Fee, Tier};
use schemars::JsonSchema;
use serde::Serialize;

/// Most tiers of a policy.
pub(crate) const MAX_TIERS: usize = 20;
/// Kinds of fees, with the member that says how much and the most it takes.
const FEES: [(&str, (&str, i64)); 3] =
    [("fixed", ("amount", MAX_NIGHTLY)), ("percent", ("ppm", PPM as i64)), ("nights", ("count", 365))];

/// Cancellation policies of a property; `standard` is that of plans that name none.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Policies<'a> {
    items: Vec<&'a CancellationPolicy>,
}

/// `GET /api/cancellation-policies?property_id=…`: those of the property. Plans that name none have `standard`, which
/// is the first.
pub(super) async fn list(
    State(app): State<SharedApp>,
    OfProperty(property): OfProperty,
) -> Result<Tagged<Policies<'static>>, Problem> {
    let inventory = known(&app, &property).await?;
    let standard = CancellationPolicy::standard();
    let own = || inventory.cancellation_policies.iter();
    let default = own().all(|policy| policy.id != standard.id).then_some(&standard);
    Ok(Tagged::at(inventory.rev, &Policies { items: default.into_iter().chain(own()).collect() }))
}

/// `POST /api/cancellation-policies`: 201 with the policy. What bookings were made on stays: a policy does not change.
pub(crate) async fn create(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let key = headers::idempotency_key(&parts.headers)?;
    let ((property, new), fingerprint) = form::read(&parts.headers, body, read_new).await?;
    let caller = worker_of(&parts, &property)?;
    let subject = format!("cancellation_policy:{}", new.id);
    let once = IdempotentRequest::begin_audited(&app, &caller, key, fingerprint, &change::subject(&property, &subject))
        .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "cancellation_policy.create",
        subject,
        expected: None,
        wish: Some(once.id()),
    };
    let (house, is_new) = change
        .apply(&app, |house| {
            add(&mut house.cancellation_policies, &new, &once, |one| one.id == new.id, "/cancellation_policies")
        })
        .await?;
    once.done();
    made(house.rev, is_new, &format!("/api/cancellation-policies?property_id={property}"), &new)
}

fn read_new(node: &Node<'_>, reader: &mut Reader) -> Option<(PropertyId, CancellationPolicy)> {
    let fields = reader.object(node, &Pointer::Root, &["property_id", "id", "name", "tiers"])?;
    let (property, id, name) = (
        form::text(fields, "property_id", reader),
        form::text(fields, "id", reader),
        form::text(fields, "name", reader),
    );
    let tiers = form::items(fields, "tiers", MAX_TIERS, reader, read_tier);
    Some((property?.into(), CancellationPolicy { id: id?.into(), name: name?.to_owned(), tiers: tiers? }))
}

fn read_tier(node: &Node<'_>, at: &Pointer<'_>, reader: &mut Reader) -> Option<Tier> {
    let fields = reader.object(node, at, &["hours_before", "fee"])?;
    let hours =
        reader.required(fields, "hours_before").and_then(|field| reader.integer(field, 0..=MAX_HOURS_BEFORE.into()));
    let fee = reader.required(fields, "fee")?;
    let place = fee.at();
    let fields = reader.object(fee.node(), &place, &["kind", "amount", "ppm", "count"])?;
    let (member, most) = reader.required(fields, "kind").and_then(|field| reader.one_of(field, &FEES))?;
    for (_, (other, _)) in FEES.iter().filter(|(_, (other, _))| *other != member && fields.has(other)) {
        reader.violation(
            &Pointer::Key(&place, other),
            "unknown_field",
            format!("a fee of this kind has `{member}` only"),
        );
    }
    let much = reader.required(fields, member).and_then(|field| reader.integer(field, 0..=most))?;
    let fee = match member {
        "amount" => Fee::Fixed { amount: much },
        "ppm" => Fee::Percent { ppm: u32::try_from(much).ok()? },
        _ => Fee::Nights { count: u16::try_from(much).ok()? },
    };
    Some(Tier { hours_before: u32::try_from(hours?).ok()?, fee })
}
