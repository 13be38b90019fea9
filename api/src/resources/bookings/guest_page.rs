//! Notices to guests, as pages in the language of their mails.

use super::receipt::STYLE;
use super::receipt_view::Phrases;
use crate::http::html_page;
use crate::http::problem::Problem;
use crate::state::App;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pvt_domain::booking::Booking;

/// A notice to a guest.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    style: &'static str,
    language: &'static str,
    reference: &'a str,
    title: &'static str,
    text: &'static str,
}

/// A page with this title and text.
///
/// # Errors
/// 500 when the template cannot be filled in.
pub(crate) fn notice(
    phrases: &'static Phrases,
    reference: &str,
    status: StatusCode,
    (title, text): (&'static str, &'static str),
) -> Result<Response, Problem> {
    let page = Notice { style: STYLE, language: phrases.language.tag(), reference, title, text };
    html_page::answer(status, &page, (STYLE, phrases.language.tag()))
}

/// The phrases of a booking's mails.
pub(crate) fn phrases(app: &App, booking: &Booking) -> &'static Phrases {
    let all = app.inventory_cache.all();
    let locales =
        all.get(&booking.property_id).map(|inventory| inventory.property.locales.as_slice()).unwrap_or_default();
    Phrases::choose(booking.guest.locale.as_deref(), locales)
}
