//! Rate plans: price lists, and what cancelling costs on them.

pub(crate) mod calendar;
mod contradictions;

use super::responses::{add, shown_to};
use crate::auth::policy::Caller;
use crate::commands::idempotency::IdempotentRequest;
use crate::form::names::names;
use crate::form::presence::{Presence as _, optional, patch, reported, required};
use crate::form::reader::{Field, Pointer, Reader};
use crate::form::types::{FieldType, inventory_id, map_of, money, one_of, text, trimmed};
use crate::form::{amount_in_currency, form};
use crate::http::entity_tags::Revisions;
use crate::http::extract::{Form, IdempotencyKey, IfMatch, OfProperty, PathId, StaffOfProperty};
use crate::http::problem::{self, Problem};
use crate::http::response::{Created, Tagged};
use crate::resources::properties::change::{self, EditOutcome, PropertyChange};
use crate::state::SharedApp;
use axum::extract::State;
use pvt_domain::ids::{PolicyId, PropertyId, RatePlanId, RoomTypeId};
use pvt_domain::intake::{FieldError, MAX_NAME_CHARS};
use pvt_domain::inventory::check::PPM;
use pvt_domain::inventory::{Inventory, Names, RatePlan};
use pvt_domain::money::{Currency, Money};
use pvt_domain::rates::{DEFAULT_DEPOSIT_PPM, Deposit};
use pvt_domain::stripe::amounts::{self, AmountRefusal};
use schemars::JsonSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Kinds of deposits by their names.
pub(crate) const DEPOSITS: [(&str, Deposit); 3] = [
    ("percent", Deposit::Percent { ppm: DEFAULT_DEPOSIT_PPM }),
    ("first_night", Deposit::FirstNight),
    ("full", Deposit::Full),
];

/// A rate plan.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RatePlan")]
pub(super) struct PlanView<'a> {
    id: &'a str,
    name: &'a str,
    /// By language tag; `name` is for the other languages.
    #[serde(skip_serializing_if = "Names::is_empty")]
    names: &'a Names,
    /// By room type, one night before the taxes that are added: per guest in a dorm, else per room.
    nightly: BTreeMap<&'a str, Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation_policy_id: Option<&'a str>,
    /// What has to be paid before a booking is confirmed; missing when guests pay on arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit: Option<Deposit>,
}

/// Rate plans of a property.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Plans<'a> {
    items: Vec<PlanView<'a>>,
}

impl<'a> PlanView<'a> {
    pub(super) fn new(inventory: &Inventory, plan: &'a RatePlan) -> Self {
        let money = |amount| Money::new(amount, inventory.property.currency);
        Self {
            id: plan.id.as_str(),
            name: &plan.name,
            names: &plan.names,
            nightly: plan.nightly.iter().map(|(room_type, amount)| (room_type.as_str(), money(*amount))).collect(),
            cancellation_policy_id: plan.cancellation_policy_id.as_ref().map(PolicyId::as_str),
            deposit: plan.deposit,
        }
    }
}

/// `GET /api/rate-plans?property_id=…`.
pub(super) async fn list(
    State(app): State<SharedApp>,
    caller: Caller,
    OfProperty(property): OfProperty,
) -> Result<Tagged<Plans<'static>>, Problem> {
    let inventory = shown_to(&app, &caller, &property).await?;
    let items = inventory.rate_plans.iter().map(|plan| PlanView::new(&inventory, plan)).collect();
    Ok(Tagged::at(inventory.rev, &Plans { items }))
}

form! {
    /// A new rate plan.
    pub(crate) struct NewRatePlanForm {
        property_id: PropertyId = required(text()),
        id: RatePlanId = required(inventory_id()),
        name: String = reported(trimmed(1, MAX_NAME_CHARS)).after_missing(&["name", "nightly"]),
        /// By language tag; `name` is for the other languages.
        names: Option<Names> = optional(names()),
        /// By room type, one night before the taxes that are added: per guest in a dorm, per room otherwise. What is
        /// not listed is not sold on the plan.
        nightly: BTreeMap<RoomTypeId, Money> = reported(map_of(money())),
        cancellation_policy_id: Option<PolicyId> = optional(text()),
        /// What has to be paid before a booking is confirmed; without it guests pay on arrival.
        deposit: Option<Deposit> = optional(DepositType),
    }
    example json!({ "property_id": "pvt-quebec", "id": "standard", "name": "Standard",
        "nightly": { "dorm-6": { "amount": 4200, "currency": "CAD" } } });
}

form! {
    /// A change of a rate plan: what is missing stays, `null` removes.
    pub(crate) struct RatePlanChangeForm {
        name: Option<String> = optional(trimmed(1, MAX_NAME_CHARS)).not_null(),
        /// All of them, by language tag.
        names: Option<Names> = optional(names()).not_null(),
        /// By room type, one night before the taxes that are added: per guest in a dorm, per room otherwise. What is
        /// not listed is not sold on the plan.
        nightly: Option<BTreeMap<RoomTypeId, Money>> = optional(map_of(money())).not_null(),
        cancellation_policy_id: Option<Option<PolicyId>> = patch(text()),
        /// What has to be paid before a booking is confirmed; without it guests pay on arrival.
        deposit: Option<Option<Deposit>> = patch(DepositType),
    }
    example json!({ "nightly": { "dorm-6": { "amount": 4200, "currency": "CAD" } } });
}

/// A deposit; only `percent` has a size.
struct DepositType;

impl FieldType for DepositType {
    type Value = Deposit;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Deposit> {
        let at = field.at();
        let fields = reader.object(field.node(), &at, &["kind", "ppm"])?;
        let kind = reader.required(fields, "kind").and_then(|field| reader.one_of(field, &DEPOSITS))?;
        let ppm = fields.optional("ppm").and_then(|field| reader.integer(field, 1..=PPM.into()));
        match kind {
            Deposit::Percent { .. } => {
                reader.required(fields, "ppm");
                Some(Deposit::Percent { ppm: u32::try_from(ppm?).ok()? })
            }
            other => {
                if fields.has("ppm") {
                    reader.violation(&Pointer::Key(&at, "ppm"), "not_of_this_kind", "belongs to `percent` only");
                }
                Some(other)
            }
        }
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        let ppm = json!({ "type": "integer", "minimum": 1, "maximum": PPM,
            "description": "Of `percent`: parts per million of the total." });
        json_schema!({
            "type": "object",
            "properties": {
                "kind": one_of(&DEPOSITS).schema(generator),
                "ppm": { "oneOf": [ppm, { "type": "null" }] },
            },
            "required": ["kind"],
            "additionalProperties": false,
        })
    }
}

/// `POST /api/rate-plans`: 201 with the plan.
pub(super) async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Form { value: form, fingerprint }: Form<NewRatePlanForm>,
) -> Result<Created<PlanView<'static>>, Problem> {
    let (property, id, form) = form.into_change();
    let caller = caller.staff_of(&property)?;
    let subject = format!("rate_plan:{id}");
    let once =
        IdempotentRequest::begin_audited(&app, &caller, &key, fingerprint, &change::subject(&property, &subject))
            .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "rate_plan.create",
        subject,
        expected: Revisions::Any,
        audit_id: Some(once.id()),
    };
    let empty = || RatePlan {
        id: id.clone(),
        name: String::new(),
        names: Names::default(),
        nightly: BTreeMap::new(),
        cancellation_policy_id: None,
        deposit: None,
    };
    let (inventory, is_new) = change
        .apply(&app, |inventory| {
            let new = form.apply_to(empty(), inventory)?;
            add(&mut inventory.rate_plans, &new, &once, |one| one.id == id, "/rate_plans")
        })
        .await?;
    once.done();
    let plan = inventory.rate_plan(&id).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let location = format!("/api/rate-plans?property_id={property}");
    Created::at(inventory.rev, is_new, &location, &PlanView::new(&inventory, plan))
}

/// `PATCH /api/rate-plans/{id}?property_id=…`: what is not sent stays; `nightly` replaces all prices of the plan.
pub(super) async fn change(
    State(app): State<SharedApp>,
    PathId(id): PathId<RatePlanId>,
    IfMatch(expected): IfMatch,
    StaffOfProperty { property, caller }: StaffOfProperty,
    Form { value: form, .. }: Form<RatePlanChangeForm>,
) -> Result<Tagged<PlanView<'static>>, Problem> {
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "rate_plan.change",
        subject: format!("rate_plan:{id}"),
        expected,
        audit_id: None,
    };
    let (inventory, _) = change
        .apply(&app, |inventory| {
            let index = inventory
                .rate_plans
                .iter()
                .position(|one| one.id == id)
                .ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
            inventory.rate_plans[index] = form.apply_to(inventory.rate_plans[index].clone(), inventory)?;
            Ok(EditOutcome::ChangedAt(format!("/rate_plans/{index}")))
        })
        .await?;
    let plan = inventory.rate_plan(&id).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    Ok(Tagged::at(inventory.rev, &PlanView::new(&inventory, plan)))
}

impl NewRatePlanForm {
    fn into_change(self) -> (PropertyId, RatePlanId, RatePlanChangeForm) {
        let Self { property_id, id, name, names, nightly, cancellation_policy_id, deposit } = self;
        let change = RatePlanChangeForm {
            name: Some(name),
            names: Some(names.unwrap_or_default()),
            nightly: Some(nightly),
            cancellation_policy_id: Some(cancellation_policy_id),
            deposit: Some(deposit),
        };
        (property_id, id, change)
    }
}

impl RatePlanChangeForm {
    fn apply_to(&self, before: RatePlan, inventory: &Inventory) -> Result<RatePlan, Problem> {
        let nightly = self.nightly.as_ref().map(|nightly| {
            let amount = |(room_type, money): (&RoomTypeId, &Money)| {
                Ok((room_type.clone(), amount_in_currency(*money, inventory, || format!("/nightly/{room_type}"))?))
            };
            nightly.iter().map(amount).collect::<Result<_, Problem>>()
        });
        let plan = RatePlan {
            name: self.name.clone().unwrap_or(before.name),
            names: self.names.clone().unwrap_or(before.names),
            nightly: nightly.transpose()?.unwrap_or(before.nightly),
            cancellation_policy_id: self.cancellation_policy_id.clone().unwrap_or(before.cancellation_policy_id),
            deposit: self.deposit.unwrap_or(before.deposit),
            ..before
        };
        if self.deposit.is_some() || self.nightly.is_some() {
            check_deposit(&plan, inventory.property.currency).map_err(Problem::fields)?;
        }
        Ok(plan)
    }
}

/// Whether Stripe takes the deposit: in this currency at all, and of one night at least its minimum.
fn check_deposit(plan: &RatePlan, currency: Currency) -> Result<(), Vec<FieldError>> {
    if plan.deposit.is_none() {
        return Ok(());
    }
    let refused = |why: AmountRefusal| FieldError::new("/deposit", "not_payable_online", why.to_string());
    let Some(limits) = amounts::limits(currency) else { return Err(vec![refused(AmountRefusal::Units(currency))]) };
    let bounded = |amount: &i64| amounts::check(Money::new(amount - amount % limits.step, currency));
    match plan.nightly.values().find_map(|amount| bounded(amount).err()) {
        Some(why) => Err(vec![refused(why)]),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check_deposit;
    use pvt_domain::demo;
    use pvt_domain::inventory::RatePlan;
    use pvt_domain::money::Currency;
    use pvt_domain::rates::Deposit;

    #[test]
    fn deposit_must_be_payable_online() {
        let plan = |deposit, nightly: i64| RatePlan {
            nightly: [("dorm-6".into(), nightly)].into(),
            deposit,
            ..demo::inventory().rate_plans[0].clone()
        };
        let refused = |deposit, nightly, currency| {
            let errors = check_deposit(&plan(deposit, nightly), currency).err()?;
            errors.into_iter().next().map(|error| (error.pointer, error.code, error.message))
        };
        let full = Some(Deposit::Full);
        let expected = |message: &str| Some(("/deposit".to_owned(), "not_payable_online", message.to_owned()));
        assert_eq!(refused(full, 49, Currency::CAD), expected("Stripe takes no less than 0.50 CAD"));
        assert_eq!(refused(full, 4_200, Currency::ISK), expected("Stripe counts ISK in other units than ISO 4217"));
        for (deposit, nightly, currency) in [
            (None, 49, Currency::CAD),
            (None, 4_200, Currency::ISK),
            (full, 50, Currency::CAD),
            (full, 5_124, Currency::KWD),
        ] {
            assert_eq!(refused(deposit, nightly, currency), None, "{nightly} {currency}");
        }
    }
}
