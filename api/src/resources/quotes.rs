//! Quotes: the price of stays, guaranteed for a quarter of an hour.

use crate::auth::guard::{Resource, at, post};
use crate::auth::policy::Caller;
use crate::auth::rules::PUBLIC;
use crate::http::body::{read_node, refuse_card_numbers};
use crate::http::extract::JsonBody;
use crate::http::language::PreferredLanguage;
use crate::http::problem::{self, Problem};
use crate::http::response::Shown;
use crate::read_models::inventory::Lookup;
use crate::resources::bookings::form::{self, QuoteForm};
use crate::resources::bookings::refusal;
use crate::resources::bookings::view::PriceView;
use crate::resources::properties::change;
use crate::state::SharedApp;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::booking::{Stay, StayRequest};
use pvt_domain::business_day::{business_date, first_bookable_night};
use pvt_domain::money::Money;
use pvt_domain::pricing::price;
use pvt_domain::rates::quote::Quote;
use pvt_domain::rates::restrictions;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Rates",
        about: "Rate plans, their calendars, cancellation policies and quotes.",
        routes: vec![at(
            "/api/quotes",
            [post(PUBLIC, "create_quote", create)
                .summary("Quote the price of stays, guaranteed for 15 minutes")
                .about(
                    "A quote holds no beds. A booking with the quote costs exactly this, or is rejected with \
                    `price_changed` when the quote has expired and the price is another.",
                )
                .problems([problem::RESTRICTION, problem::CLOSED, problem::NOT_READY, problem::NOT_FOUND])
                .goes_on_in_maintenance()
                .stored()],
        )],
    }
}

/// A quote.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Quote")]
struct QuoteView<'a> {
    /// To be sent with the booking, unchanged.
    quote: String,
    expires_at: Timestamp,
    property_id: &'a str,
    rate_plan_id: &'a str,
    stays: &'a [StayRequest],
    price: PriceView<'a>,
    /// The part that must be paid before the booking is confirmed.
    due_now: Money,
}

/// `POST /api/quotes` with `property_id`, `rate_plan_id` and `stays`. It takes no beds.
async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    PreferredLanguage(language): PreferredLanguage,
    body: JsonBody<QuoteForm>,
) -> Result<Shown<QuoteView<'static>>, Problem> {
    let node = read_node(&body.bytes)?;
    refuse_card_numbers(&node, &[])?;
    let draft = form::read_quote(&node);
    let property = match app.inventory_cache.find(draft.property_id.as_deref().unwrap_or_default()).await {
        Lookup::Found(inventory) => inventory.property.id.clone(),
        Lookup::Unavailable => return Err(problem::NOT_READY.into()),
        Lookup::Unknown(any) => {
            return Err(Problem::fields(draft.violations_without_property(&any, form::yesterday(Utc::now()))));
        }
    };
    // From the store, not from the cache: a guaranteed price must be current.
    let inventory = change::stored_inventory(&app, &property).await?;
    let rates = change::stored_rates(&app, &property).await?;
    let now = Timestamp::from(Utc::now());
    let by_staff = caller.is_staff_of(&property);
    let first_night = first_bookable_night(&inventory.property, now, by_staff);
    let request = draft.validate(&inventory, first_night, by_staff).map_err(Problem::fields)?;
    let booked_on = business_date(&inventory.property, now);
    let violations = restrictions::check(&rates, &request.rate_plan_id, &request.stays, booked_on);
    if !violations.is_empty() {
        return Err(refusal::restricted(violations));
    }
    let plan = inventory.rate_plan(&request.rate_plan_id).ok_or_else(|| Problem::from(problem::CLOSED))?;
    let price = price(&inventory, &rates, plan, &request.stays).ok_or_else(|| Problem::from(problem::CLOSED))?;
    let due_now = Money::new(plan.deposit.map_or(0, |deposit| deposit.amount(&price)), price.currency);
    let quote = Quote::new(property, request.rate_plan_id, request.stays, price, now);
    let stays: Vec<Stay> = quote.stays.iter().map(|stay| Stay::of(stay, Vec::new())).collect();
    let view = QuoteView {
        quote: app.quote_key.sign(&quote),
        expires_at: quote.expires_at,
        property_id: quote.property_id.as_str(),
        rate_plan_id: quote.rate_plan_id.as_str(),
        stays: &quote.stays,
        price: PriceView::new(&quote.price, &stays).in_language(&quote.price, &inventory.property, language.as_deref()),
        due_now,
    };
    Ok(Shown::new(&view))
}
