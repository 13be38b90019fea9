//! What is said of prices: rate plans, calendars, restrictions, cancellation policies, quotes.

use super::bookings::{price_view, stay_form};
use super::properties::{changed, made, of_property};
use super::rooms::id;
use crate::http::problem;
use crate::openapi::schema::{
    about, choice, date, flag, form, instant, list, list_of, map, named, nullable, object, one_of, text, text_of,
    whole, whole_of,
};
use crate::openapi::{Group, Operation, get, patch, post, put};
use crate::resources::properties::cancellation_policies::MAX_TIERS;
use crate::resources::properties::rate_plans::DEPOSITS;
use crate::resources::properties::rate_plans::calendar::{MAX_CHANGES, MAX_LIMIT, MAX_TYPES, WEEKDAYS};
use axum::http::StatusCode;
use pvt_domain::intake::{MAX_GROUP_STAYS, MAX_NAME_CHARS};
use pvt_domain::inventory::check::{MAX_HOURS_BEFORE, MAX_NIGHTLY, PPM};
use serde_json::{Value, json};

pub(super) fn group() -> Group {
    let mut operations = plans();
    operations.extend(calendars());
    operations.extend(policies());
    operations.push(quote());
    Group {
        name: "Rates",
        about: "What nights cost, when they are sold, and what cancelling costs.",
        operations,
        schemas: vec![
            ("RatePlan", plan()),
            ("RateCalendar", calendar()),
            (
                "RatesSet",
                object([
                    ("rate_plan_id", text()),
                    ("dates", about(map(whole(0)), "How many dates of which room type were set.")),
                ]),
            ),
            ("CancellationPolicy", object([("id", text()), ("name", text()), ("tiers", list(tier()))])),
            ("Quote", quote_view()),
        ],
    }
}

fn amount() -> Value {
    form([("amount", about(whole_of(0, MAX_NIGHTLY), "Minor units.")), ("currency", about(text(), "The property's."))])
}

fn deposit_form() -> Value {
    let ppm = about(whole_of(1, PPM.into()), "Of `percent`: parts per million of the total.");
    about(
        form([("kind", choice(&DEPOSITS)), ("ppm?", ppm)]),
        "What has to be paid before a booking is confirmed; without it guests pay on arrival.",
    )
}

fn plans() -> Vec<Operation> {
    let nightly = || {
        about(
            map(amount()),
            "By room type, one night before tax: per guest in a dorm, per room else. What is not listed is not sold \
                on the plan.",
        )
    };
    let name = || text_of(1, MAX_NAME_CHARS);
    let new = form([
        ("property_id", text()),
        ("id", id()),
        ("name", name()),
        ("nightly", nightly()),
        ("cancellation_policy_id?", text()),
        ("deposit?", deposit_form()),
    ]);
    let change = form([
        ("name?", name()),
        ("nightly?", nightly()),
        ("cancellation_policy_id?", text()),
        ("deposit?", deposit_form()),
    ]);
    let example = json!({ "dorm-6": { "amount": 4200, "currency": "CAD" } });
    vec![
        of_property(get("/api/rate-plans", "list_rate_plans", "Price lists of a property"))
            .answers(StatusCode::OK, "All of them.", object([("items", list(named("RatePlan")))]))
            .header("ETag")
            .problems([problem::NOT_FOUND]),
        made(
            post("/api/rate-plans", "create_rate_plan", "Adds a price list").body(
                new,
                json!({ "property_id": "pvt-quebec", "id": "standard", "name": "Standard", "nightly": example }),
            ),
            named("RatePlan"),
        ),
        changed(
            of_property(patch(
                "/api/rate-plans/{id}",
                "change_rate_plan",
                "Changes what is sent; `nightly` replaces all prices",
            ))
            .body(change, json!({ "nightly": example }))
            .answers(StatusCode::OK, "The plan.", named("RatePlan"))
            .header("ETag")
            .if_match(),
        ),
    ]
}

fn calendars() -> Vec<Operation> {
    let changes = |member: (&'static str, Value)| {
        let weekdays = about(
            list_of(one_of(WEEKDAYS.map(|(name, _)| name)), 0, WEEKDAYS.len()),
            "Only these; without it every day.",
        );
        let types = list_of(text(), 0, MAX_TYPES);
        let until = about(date(), "The first date that is not meant.");
        form([(
            "changes",
            list_of(
                form([("room_type_ids", types), ("from", date()), ("until", until), ("weekdays?", weekdays), member]),
                1,
                MAX_CHANGES,
            ),
        )])
    };
    let set = |operation: Operation| {
        changed(operation.answers(StatusCode::OK, "What was set.", named("RatesSet")).header("ETag").if_match())
    };
    let season =
        json!({ "room_type_ids": ["dorm-6"], "from": "2027-06-24", "until": "2027-09-06", "weekdays": ["fri", "sat"] });
    let example = |name: &str, value: Value| {
        let mut change = season.clone();
        change[name] = value;
        json!({ "changes": [change] })
    };
    vec![
        of_property(get(
            "/api/rate-plans/{id}/calendar",
            "show_rate_calendar",
            "What each night of a room type costs, and its restrictions",
        ))
        .required_query("room_type_id", text(), "Which room type.")
        .required_query("from", date(), "First date.")
        .required_query("until", date(), "The first date that is not shown, at most 400 days later.")
        .answers(StatusCode::OK, "The calendar.", named("RateCalendar"))
        .header("ETag")
        .stored(),
        set(of_property(put(
            "/api/rate-plans/{id}/calendar",
            "set_prices",
            "Sets prices of many dates; null returns to the plan's own",
        ))
        .body(changes(("price", nullable(amount()))), example("price", json!({ "amount": 5200, "currency": "CAD" })))),
        set(of_property(put(
            "/api/rate-plans/{id}/restrictions",
            "set_restrictions",
            "Replaces the restrictions of many dates; an empty one lifts them",
        ))
        .body(changes(("restriction", restriction_form())), example("restriction", json!({ "min_stay_arrival": 2 })))),
    ]
}

fn restriction_form() -> Value {
    let limit = || whole_of(0, MAX_LIMIT);
    form([
        ("stop_sell?", about(flag(), "The night is not sold.")),
        ("closed_to_arrival?", about(flag(), "No stay begins.")),
        ("closed_to_departure?", about(flag(), "No stay ends.")),
        ("min_stay_arrival?", about(limit(), "Fewest nights of a stay that begins.")),
        ("min_stay_through?", about(limit(), "Fewest nights of a stay that contains the night.")),
        ("max_stay?", about(limit(), "Most nights of a stay that begins.")),
        ("min_advance_days?", about(limit(), "Fewest days between booking and arrival.")),
        ("max_advance_days?", about(limit(), "Most days between booking and arrival.")),
    ])
}

fn policies() -> Vec<Operation> {
    let fee = form([
        ("kind", one_of(["fixed", "percent", "nights"])),
        ("amount?", about(whole_of(0, MAX_NIGHTLY), "Of `fixed`: minor units.")),
        ("ppm?", about(whole_of(0, PPM.into()), "Of `percent`: parts per million of the total.")),
        ("count?", about(whole_of(0, 365), "Of `nights`: the first nights of every stay.")),
    ]);
    let tier = form([
        ("hours_before", about(whole_of(0, MAX_HOURS_BEFORE.into()), "Before check-in opens on the day of arrival.")),
        ("fee", fee),
    ]);
    let new = form([
        ("property_id", text()),
        ("id", id()),
        ("name", text_of(1, MAX_NAME_CHARS)),
        ("tiers", list_of(tier, 0, MAX_TIERS)),
    ]);
    let example = json!({
        "property_id": "pvt-quebec", "id": "flexible", "name": "Flexible",
        "tiers": [{ "hours_before": 24, "fee": { "kind": "fixed", "amount": 0 } },
        { "hours_before": 0, "fee": { "kind": "nights", "count": 1 } }],
    });
    vec![
        of_property(get(
            "/api/cancellation-policies",
            "list_cancellation_policies",
            "What cancelling costs at a property",
        ))
        .answers(
            StatusCode::OK,
            "All of them; `standard` is that of plans that name none.",
            object([("items", list(named("CancellationPolicy")))]),
        )
        .header("ETag")
        .problems([problem::NOT_FOUND]),
        made(
            post("/api/cancellation-policies", "create_cancellation_policy", "Adds a policy; policies do not change")
                .body(new, example),
            named("CancellationPolicy"),
        ),
    ]
}

fn quote() -> Operation {
    let asked =
        form([("property_id", text()), ("rate_plan_id", text()), ("stays", list_of(stay_form(), 1, MAX_GROUP_STAYS))]);
    let stay =
        json!({ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2 });
    post("/api/quotes", "create_quote", "What stays cost, promised for 15 minutes")
        .about(
            "Takes no beds. A booking with the quote costs exactly this, or is refused with `price_changed` when \
            the time is over and the price is another.",
        )
        .body(asked, json!({ "property_id": "pvt-montreal", "rate_plan_id": "standard", "stays": [stay] }))
        .answers(StatusCode::OK, "The quote.", named("Quote"))
        .problems([problem::RESTRICTION, problem::CLOSED, problem::NOT_READY, problem::NOT_FOUND])
        .stored()
}

fn plan() -> Value {
    let nightly = about(map(named("Money")), "By room type, one night before tax: per guest in a dorm, per room else.");
    object([
        ("id", text()),
        ("name", text()),
        ("nightly", nightly),
        ("cancellation_policy_id?", text()),
        ("deposit?", object([("kind", choice(&DEPOSITS)), ("ppm?", whole(1))])),
    ])
}

fn calendar() -> Value {
    let limit = || whole(0);
    let restriction = object([
        ("stop_sell", flag()),
        ("closed_to_arrival", flag()),
        ("closed_to_departure", flag()),
        ("min_stay_arrival?", limit()),
        ("min_stay_through?", limit()),
        ("max_stay?", limit()),
        ("min_advance_days?", limit()),
        ("max_advance_days?", limit()),
    ]);
    let day = object([("date", date()), ("price", named("Money")), ("restriction?", restriction)]);
    object([("rate_plan_id", text()), ("room_type_id", text()), ("days", list(day))])
}

fn tier() -> Value {
    let fee = object([
        ("kind", one_of(["fixed", "percent", "nights"])),
        ("amount?", whole(0)),
        ("ppm?", whole(0)),
        ("count?", whole(0)),
    ]);
    object([("hours_before", whole(0)), ("fee", fee)])
}

fn quote_view() -> Value {
    let stay = object([
        ("room_type_id", text()),
        ("arrival", date()),
        ("departure", date()),
        ("guests", whole(1)),
        ("gender?", text()),
        ("youngest_age?", whole(0)),
    ]);
    object([
        ("quote", about(text(), "To be sent with the booking, unchanged.")),
        ("expires_at", instant()),
        ("property_id", text()),
        ("rate_plan_id", text()),
        ("stays", list(stay)),
        ("price", price_view()),
        ("due_now", about(named("Money"), "What of it has to be paid before the booking is confirmed.")),
    ])
}
