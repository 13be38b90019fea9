//! Cancellation policies: what cancelling costs, by the time before arrival.

use super::responses::{add, shown_to};
use crate::auth::policy::Caller;
use crate::commands::idempotency::IdempotentRequest;
use crate::form::form;
use crate::form::names::names;
use crate::form::presence::{optional, required};
use crate::form::reader::{Field, Pointer, Reader};
use crate::form::types::{self, FieldType, integer, inventory_id, object, text, trimmed};
use crate::http::entity_tags::Revisions;
use crate::http::extract::{Form, IdempotencyKey, OfProperty};
use crate::http::problem::Problem;
use crate::http::response::{Created, Tagged};
use crate::resources::properties::change::{self, PropertyChange};
use crate::state::SharedApp;
use axum::extract::State;
use pvt_domain::ids::{PolicyId, PropertyId};
use pvt_domain::intake::MAX_NAME_CHARS;
use pvt_domain::inventory::Names;
use pvt_domain::inventory::check::{MAX_HOURS_BEFORE, MAX_NIGHTLY, PPM};
use pvt_domain::rates::cancellation::{CancellationPolicy, Fee, Tier};
use schemars::JsonSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, json};

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
    caller: Caller,
    OfProperty(property): OfProperty,
) -> Result<Tagged<Policies<'static>>, Problem> {
    let inventory = shown_to(&app, &caller, &property).await?;
    let standard = CancellationPolicy::standard();
    let own = || inventory.cancellation_policies.iter();
    let default = own().all(|policy| policy.id != standard.id).then_some(&standard);
    Ok(Tagged::at(inventory.rev, &Policies { items: default.into_iter().chain(own()).collect() }))
}

/// `POST /api/cancellation-policies`: 201 with the policy. What bookings were made on stays: a policy does not change.
pub(super) async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Form { value: form, fingerprint }: Form<NewPolicyForm>,
) -> Result<Created<CancellationPolicy>, Problem> {
    let NewPolicyForm { property_id: property, id, name, names, tiers, free_changes_hours_before } = form;
    let names = names.unwrap_or_default();
    let new = CancellationPolicy { id, name, names, tiers, free_changes_hours_before };
    let caller = caller.staff_of(&property)?;
    let subject = format!("cancellation_policy:{}", new.id);
    let once =
        IdempotentRequest::begin_audited(&app, &caller, &key, fingerprint, &change::subject(&property, &subject))
            .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "cancellation_policy.create",
        subject,
        expected: Revisions::Any,
        audit_id: Some(once.id()),
    };
    let (inventory, is_new) = change
        .apply(&app, |inventory| {
            add(&mut inventory.cancellation_policies, &new, &once, |one| one.id == new.id, "/cancellation_policies")
        })
        .await?;
    once.done();
    Created::at(inventory.rev, is_new, &format!("/api/cancellation-policies?property_id={property}"), &new)
}

form! {
    /// A new cancellation policy.
    pub(crate) struct NewPolicyForm {
        property_id: PropertyId = required(text()),
        id: PolicyId = required(inventory_id()),
        name: String = required(trimmed(1, MAX_NAME_CHARS)),
        /// By language tag; `name` is for the other languages.
        names: Option<Names> = optional(names()),
        tiers: Vec<Tier> = required(types::list(object::<TierForm>().map(Tier::from), MAX_TIERS)),
        /// Guests change their bookings free of charge until so many hours before check-in opens.
        free_changes_hours_before: Option<u32> = optional(integer(0..=MAX_HOURS_BEFORE.into())),
    }
    example json!({
        "property_id": "pvt-quebec", "id": "flexible", "name": "Flexible",
        "tiers": [{ "hours_before": 24, "fee": { "kind": "fixed", "amount": 0 } },
            { "hours_before": 0, "fee": { "kind": "nights", "count": 1 } }],
    });
}

form! {
    /// A fee, and from when on it is due.
    struct TierForm {
        /// Before check-in opens on the day of arrival.
        hours_before: u32 = required(integer(0..=MAX_HOURS_BEFORE.into())),
        fee: Fee = required(FeeType),
    }
}

impl From<TierForm> for Tier {
    fn from(TierForm { hours_before, fee }: TierForm) -> Self {
        Self { hours_before, fee }
    }
}

/// A fee; its kind says which member has its size.
struct FeeType;

impl FieldType for FeeType {
    type Value = Fee;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Fee> {
        let at = field.at();
        let fields = reader.object(field.node(), &at, &["kind", "amount", "ppm", "count"])?;
        let (member, most) = reader.required(fields, "kind").and_then(|field| reader.one_of(field, &FEES))?;
        for (_, (other, _)) in FEES.iter().filter(|(_, (other, _))| *other != member && fields.has(other)) {
            let message = format!("a fee of this kind has `{member}` only");
            reader.violation(&Pointer::Key(&at, other), "unknown_field", message);
        }
        let size = reader.required(fields, member).and_then(|field| reader.integer(field, 0..=most))?;
        Some(match member {
            "amount" => Fee::Fixed { amount: size },
            "ppm" => Fee::Percent { ppm: u32::try_from(size).ok()? },
            _ => Fee::Nights { count: u16::try_from(size).ok()? },
        })
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        let about = |kind: &str| match kind {
            "fixed" => "Of `fixed`: minor units.",
            "percent" => "Of `percent`: parts per million of the total.",
            _ => "Of `nights`: the first nights of every stay.",
        };
        let mut properties = Map::new();
        properties.insert("kind".to_owned(), json!({ "type": "string", "enum": FEES.map(|(kind, _)| kind) }));
        for (kind, (member, most)) in FEES {
            let size = json!({ "type": "integer", "minimum": 0, "maximum": most, "description": about(kind) });
            properties.insert(member.to_owned(), json!({ "oneOf": [size, { "type": "null" }] }));
        }
        json_schema!({
            "type": "object", "properties": properties, "required": ["kind"], "additionalProperties": false,
        })
    }
}
