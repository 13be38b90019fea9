//! Views of a booking. Stored fields that are not listed here (history, fingerprint, client) are never shown.

use crate::resources::bookings::cancellation_view::CancellationView;
use crate::resources::bookings::tax_view::TaxView;
use crate::resources::payments::view::{EXAMPLE_BOOKING, example_money};
use crate::resources::warning::Warning;
use crate::state::App;
use chrono::{NaiveDate, Utc};
use pvt_domain::booking::{
    Alternative, BedMove, Booking, Guest, HistoryEntry, PaymentStatus, PendingChange, RefusalCause, Rejection, Source,
    Status, Stay, StayRequest,
};
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::Property;
use pvt_domain::money::{Currency, Money};
use pvt_domain::people::text::shown;
use pvt_domain::pricing::Price;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Links of a booking, with the token if the caller presented it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BookingLinks")]
pub(crate) struct Links {
    #[serde(rename = "self")]
    this: String,
    cancel: String,
    events: String,
    calendar: String,
    /// Where to pay, while something is payable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pay: Option<String>,
    /// Once something was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(skip)]
    id: BookingId,
    #[serde(skip)]
    query: String,
}

impl Links {
    pub(crate) fn new(id: BookingId, token: Option<&str>) -> Self {
        let query = token.map(|token| format!("?token={token}")).unwrap_or_default();
        let below = |part: &str| format!("/api/bookings/{id}/{part}{query}");
        let (this, cancel, events, calendar) =
            (format!("/api/bookings/{id}{query}"), below("cancel"), below("events"), below("calendar.ics"));
        Self { this, cancel, events, calendar, pay: None, receipt: None, id, query }
    }

    /// The address of the receipt, whether or not it has entries.
    fn receipt(&self) -> String {
        format!("/api/bookings/{}/receipt{}", self.id, self.query)
    }

    /// With the links that depend on payments.
    fn with_money(mut self, booking: &Booking) -> Self {
        if booking.payable() > 0 {
            self.pay = Some(format!("/api/bookings/{}/pay{}", self.id, self.query));
        }
        if booking.payment.ledger.as_ref().is_some_and(|ledger| ledger.captured > 0) {
            self.receipt = Some(self.receipt());
        }
        self
    }

    /// The address of the booking itself.
    pub(crate) fn this(&self) -> &str {
        &self.this
    }
}

/// A request that was accepted and is not decided yet.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RequestedBooking", example = requested_example())]
pub(crate) struct RequestedView<'a> {
    pub(crate) id: BookingId,
    pub(crate) reference: String,
    #[schemars(extend("enum" = ["requested"]))]
    pub(crate) status: Status,
    /// Only in the answer to the request itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    pub(crate) links: Links,
}

impl<'a> RequestedView<'a> {
    pub(crate) fn new(id: BookingId, token: Option<&'a str>, links: Links) -> Self {
        Self { id, reference: id.reference(), status: Status::Requested, token, links }
    }
}

/// A change of a stored booking that was accepted and is not decided yet.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PendingBooking")]
pub(crate) struct PendingView<'a> {
    pub(crate) id: BookingId,
    pub(crate) reference: &'a str,
    /// As it was when the change was accepted.
    pub(crate) status: Status,
    /// The name of the command.
    pub(crate) pending: &'static str,
    pub(crate) links: Links,
}

/// A stored booking.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Booking", example = booking_example())]
pub(crate) struct BookingView<'a> {
    id: BookingId,
    /// Short code for guests and staff.
    reference: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<Rejection>,
    /// What exactly forbade the request.
    #[serde(skip_serializing_if = "RefusalCause::is_empty")]
    rejection_cause: &'a RefusalCause,
    /// Alternatives that are available.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alternatives: Vec<AlternativeView<'a>>,
    #[schemars(range(min = 1))]
    rev: u32,
    property_id: &'a str,
    rate_plan_id: &'a str,
    source: Source,
    stays: Vec<Stay>,
    /// Stays whose guests did not arrive, of a booking that goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    no_shows: Vec<Stay>,
    /// Moves of the checked-in guests to other beds that the last revision ordered, each from its first night on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bed_moves: Vec<BedMove>,
    /// What the last change did that its caller may not have meant: stays that it dropped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
    guest: GuestView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<PriceView<'a>>,
    payment: PaymentView,
    /// A change that takes effect once `payment.payable` is paid; its beds are held until `payment.expires_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_change: Option<PendingChangeView<'a>>,
    /// While it can be cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation: Option<CancellationView<'a>>,
    /// The fee that was charged for the cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation_fee: Option<Money>,
    created_at: Timestamp,
    updated_at: Timestamp,
    links: Links,
    /// Only in the answer to the request itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

/// The guest of a booking.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BookingGuest")]
struct GuestView<'a> {
    /// Empty for guests with one name, which is the other.
    first_name: Cow<'a, str>,
    /// Empty for guests with one name, which is the other.
    last_name: Cow<'a, str>,
    /// Whether mails are sent to the guest: not when staff booked without an address.
    receives_mails: bool,
    /// Not for callers with only a link that shows the booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(email)]
    email: Option<&'a str>,
    /// In E.164, with an extension as `;ext=12`, if given; shown as `email` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    /// Language tag, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
}

impl<'a> GuestView<'a> {
    fn new(guest: &'a Guest) -> Self {
        Self {
            first_name: shown(&guest.first_name),
            last_name: shown(&guest.last_name),
            receives_mails: guest.mail_address().is_some(),
            email: guest.mail_address(),
            phone: guest.phone.as_deref(),
            locale: guest.locale.as_deref(),
        }
    }
}

/// A change that waits for its deposit.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct PendingChangeView<'a> {
    /// All stays after the change.
    stays: Vec<StayRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<PriceView<'a>>,
}

impl<'a> PendingChangeView<'a> {
    fn new(change: &'a PendingChange) -> Self {
        Self {
            stays: change.stays.iter().map(Stay::as_request).collect(),
            price: change.price.as_ref().map(|price| PriceView::new(price, &change.stays)),
        }
    }
}

/// A price: nights, taxes and total.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct PriceView<'a> {
    nights: Vec<NightView>,
    /// Nights that were given up by an early departure and are owed all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    unused_nights: Option<Money>,
    taxes: Vec<TaxView<'a>>,
    total: Money,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct NightView {
    /// Index of the stay.
    stay: usize,
    night: NaiveDate,
    price: Money,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct PaymentView {
    status: PaymentStatus,
    /// Paid, less what was refunded or charged back.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<Money>,
    /// What is still owed: the balance, or of a booking that has ended the part of its fee that is not paid. Such a fee
    /// is not collected by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Money>,
    /// What has to be paid now to confirm a held booking or a pending change.
    #[serde(skip_serializing_if = "Option::is_none")]
    payable: Option<Money>,
    /// Until when beds are held for a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Fees of the guest's changes, owed beside the price.
    #[serde(skip_serializing_if = "Option::is_none")]
    change_fee: Option<Money>,
    /// Refunded, or being refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded: Option<Money>,
    /// Still to be refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_due: Option<Money>,
    /// The part of `refund_due` that staff return themselves: of cash, or because a refund failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_manual: Option<Money>,
    /// The part of `refund_due` that is disputed: it is returned when the dispute ends, unless it is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_disputed: Option<Money>,
    /// Paid in other currencies, less what was refunded: staff decide about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_currencies: Vec<Money>,
}

impl<'a> BookingView<'a> {
    /// `token` is shown and part of the links; pass it only to a caller that presented it.
    pub(crate) fn new(booking: &'a Booking, links: Links, token: Option<&'a str>) -> Self {
        Self {
            id: booking.id,
            reference: &booking.reference,
            status: booking.status,
            rejection: booking.rejection,
            rejection_cause: &booking.rejection_cause,
            cancellation: None,
            alternatives: Vec::new(),
            rev: booking.rev,
            property_id: booking.property_id.as_str(),
            rate_plan_id: booking.rate_plan_id.as_str(),
            source: booking.source,
            stays: booking.numbered_stays(),
            no_shows: booking.absent_stays(),
            bed_moves: booking.history.last().map_or_else(Vec::new, HistoryEntry::numbered_bed_moves),
            warnings: Warning::of_dropped(&booking.dropped_stays()),
            guest: GuestView::new(&booking.guest),
            price: booking.price.as_ref().map(|price| PriceView::new(price, &booking.stays)),
            payment: PaymentView::new(booking),
            pending_change: booking.pending_change.as_deref().map(PendingChangeView::new),
            cancellation_fee: booking
                .cancellation_fee
                .zip(booking.price.as_ref())
                .map(|(fee, price)| Money::new(fee, price.currency)),
            created_at: booking.created_at,
            updated_at: booking.updated_at,
            links: links.with_money(booking),
            token,
        }
    }

    /// With what a cancellation costs from now on, while the booking can be cancelled and if its property is cached.
    pub(crate) fn with_cancellation(mut self, app: &App, booking: &'a Booking) -> Self {
        let can_be_cancelled = booking.status.may_become(Status::Cancelled);
        let all = app.inventory_cache.all();
        let inventory = all.get(&booking.property_id).filter(|_| can_be_cancelled);
        let now = Timestamp::new(Utc::now());
        self.cancellation = inventory.map(|inventory| CancellationView::new(booking, &inventory.property, now));
        self
    }

    /// Without how to reach the guest, and without why guests are exempt from taxes; called last.
    pub(crate) fn without_contact_data(mut self) -> Self {
        (self.guest.email, self.guest.phone) = (None, None);
        for stays in [&mut self.stays, &mut self.no_shows] {
            stays.iter_mut().for_each(|stay| stay.tax_exemptions.clear());
        }
        for stay in self.pending_change.iter_mut().flat_map(|change| &mut change.stays) {
            stay.tax_exemptions.clear();
        }
        for stay in self.alternatives.iter_mut().flat_map(|one| one.stays.to_mut()) {
            stay.tax_exemptions.clear();
        }
        self
    }

    /// With the alternatives of a rejected booking, in the property's currency.
    pub(crate) fn with_alternatives(mut self, booking: &'a Booking, currency: Currency) -> Self {
        self.alternatives = AlternativeView::all(&booking.alternatives, currency);
        self
    }
}

/// An alternative to a rejected request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Alternative")]
pub(crate) struct AlternativeView<'a> {
    stays: Cow<'a, [StayRequest]>,
    total: Money,
}

impl<'a> AlternativeView<'a> {
    /// All of these, in this currency.
    pub(crate) fn all(alternatives: &'a [Alternative], currency: Currency) -> Vec<Self> {
        let view =
            |one: &'a Alternative| Self { stays: Cow::Borrowed(&one.stays), total: Money::new(one.total, currency) };
        alternatives.iter().map(view).collect()
    }
}

impl<'a> PriceView<'a> {
    pub(crate) fn new(price: &'a Price, stays: &'a [Stay]) -> Self {
        let money = |amount| Money::new(amount, price.currency);
        Self {
            nights: price
                .night_prices(stays)
                .map(|line| NightView { stay: line.stay, night: line.night, price: money(line.amount) })
                .collect(),
            unused_nights: (price.unused_nights != 0).then(|| money(price.unused_nights)),
            taxes: price.taxes.iter().map(|line| TaxView::new(line, price.currency)).collect(),
            total: money(price.total),
        }
    }
}

impl<'a> PriceView<'a> {
    /// With the names of the taxes in this language.
    pub(crate) fn in_language(mut self, price: &'a Price, property: &'a Property, language: Option<&str>) -> Self {
        let named = self.taxes.into_iter().zip(&price.taxes);
        self.taxes = named.map(|(view, line)| view.named(property.tax_name(line, language))).collect();
        self
    }
}

impl PaymentView {
    fn new(booking: &Booking) -> Self {
        let money = |amount: i64| Some(Money::new(amount, booking.price.as_ref()?.currency));
        let (ledger, refunds) = (booking.payment.ledger(), booking.payment.refunds_due());
        Self {
            status: booking.payment_status(),
            paid: money(ledger.kept().max(0)),
            due: money(booking.outstanding()),
            payable: money(booking.payable()).filter(|payable| booking.hold_ends().is_some() && payable.amount > 0),
            expires_at: booking.hold_ends(),
            change_fee: money(booking.change_fee()).filter(|fee| fee.amount > 0),
            refunded: money(ledger.refunded).filter(|refunded| refunded.amount > 0),
            refund_due: money(refunds.total()).filter(|refund| refund.amount > 0),
            refund_manual: money(refunds.manual).filter(|refund| refund.amount > 0),
            refund_disputed: money(refunds.disputed).filter(|refund| refund.amount > 0),
            other_currencies: ledger.other_currencies,
        }
    }
}

fn links_example() -> Value {
    let below = |part: &str| format!("/api/bookings/{EXAMPLE_BOOKING}{part}?token=…");
    json!({ "self": below(""), "cancel": below("/cancel"), "events": below("/events"),
        "calendar": below("/calendar.ics") })
}

fn requested_example() -> Value {
    json!({ "id": EXAMPLE_BOOKING, "reference": "PVT-0000000000", "status": "requested", "token": "…",
        "links": links_example() })
}

fn booking_example() -> Value {
    json!({
        "id": EXAMPLE_BOOKING, "reference": "PVT-0000000000", "status": "confirmed", "rev": 1,
        "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "id": 0, "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-11",
            "guests": 1, "assigned_beds": ["d6a-1"] }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
            "receives_mails": true },
        "price": {
            "nights": [{ "stay": 0, "night": "2027-01-10", "price": example_money(4200) }],
            "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50_000, "price": example_money(210) }],
            "total": example_money(4410),
        },
        "payment": { "status": "pay_on_arrival", "paid": example_money(0), "due": example_money(4410) },
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z", "links": links_example(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{BookingView, Links};
    use pvt_domain::booking::{Action, Alternative, Booking, Status, TaxExemption};
    use pvt_domain::ledger::Summary;
    use serde_json::{Value, json};

    pub(crate) fn stored() -> Booking {
        serde_json::from_value(json!({
            "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "confirmed",
            "rev": 1,
            "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
            "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1,
            "assigned_beds": ["d6a-1"] }],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "price": { "currency": "CAD", "nights": [[4200]],
                       "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50000, "amount": 210 }], "total": 4410 },
            "payment_status": "pay_on_arrival", "fingerprint": "f", "client": "k1",
            "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
            "history": [{ "rev": 1, "at": "2026-12-01T12:00:01.000Z", "action": "request", "from": "requested",
            "to": "confirmed",
                          "command_id": "11111111-2222-5333-8444-555555555556",
                          "event_id": "11111111-2222-5333-8444-555555555557", "actor": "client:k1" }],
        }))
        .unwrap()
    }

    #[test]
    fn booking_view_matches_documentation() {
        let booking = stored();
        let shown: Value =
            serde_json::to_value(BookingView::new(&booking, Links::new(booking.id, Some("tok")), None)).unwrap();
        let expected = json!({
            "id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "confirmed",
            "rev": 1,
            "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
            "stays": [{ "id": 0, "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-11",
            "guests": 1, "assigned_beds": ["d6a-1"] }],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
                "receives_mails": true },
            "price": { "nights": [{ "stay": 0, "night": "2027-01-10", "price": { "amount": 4200, "currency": "CAD" } }],
                       "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50000,
                       "price": { "amount": 210, "currency": "CAD" } }],
                       "total": { "amount": 4410, "currency": "CAD" } },
            "payment": { "status": "pay_on_arrival", "paid": { "amount": 0, "currency": "CAD" },
            "due": { "amount": 4410, "currency": "CAD" } },
            "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
            "links": { "self": "/api/bookings/11111111-2222-5333-8444-555555555555?token=tok",
            "cancel": "/api/bookings/11111111-2222-5333-8444-555555555555/cancel?token=tok",
                       "events": "/api/bookings/11111111-2222-5333-8444-555555555555/events?token=tok",
                       "calendar": "/api/bookings/11111111-2222-5333-8444-555555555555/calendar.ics?token=tok",
                       "pay": "/api/bookings/11111111-2222-5333-8444-555555555555/pay?token=tok" },
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn change_that_dropped_a_stay_warns_of_it() {
        let mut before = stored();
        before.stays.push(before.stays[0].clone());
        let mut after = before.clone();
        after.stays.remove(0);
        (after.stays[0].id, after.rev) = (Some(1), 2);
        let mut entry = before.history[0].clone();
        (entry.rev, entry.action, entry.from) = (2, Action::Modify, Status::Confirmed);
        entry.changes = after.changes_since(&before);
        after.history.push(entry);
        let shown = |booking: &Booking| {
            serde_json::to_value(BookingView::new(booking, Links::new(booking.id, None), None)).unwrap()
        };
        let warnings = shown(&after)["warnings"].clone();
        assert_eq!((&warnings[0]["code"], &warnings[0]["stays"]), (&json!("stays_dropped"), &json!([0])));
        assert_eq!(shown(&before).get("warnings"), None);
    }

    #[test]
    fn links_that_show_a_booking_do_not_say_why_guests_are_exempt() {
        let mut booking = stored();
        let exemption = TaxExemption { code: "city".to_owned(), reason: "disability".to_owned(), guests: 1 };
        booking.stays[0].tax_exemptions = vec![exemption];
        booking.alternatives = vec![Alternative { stays: vec![booking.stays[0].as_request()], total: 4410 }];
        let view = || {
            let view = BookingView::new(&booking, Links::new(booking.id, None), None);
            view.with_alternatives(&booking, booking.price.as_ref().unwrap().currency)
        };
        let shown = serde_json::to_string(&view()).unwrap();
        assert_eq!(shown.matches("disability").count(), 2);
        let shown = serde_json::to_string(&view().without_contact_data()).unwrap();
        assert!(!shown.contains("disability") && shown.contains("alternatives"), "{shown}");
    }

    #[test]
    fn held_booking_view_shows_payment_deadline_and_link() {
        let mut booking = stored();
        booking.status = Status::Held;
        booking.payment.required = 882;
        booking.payment.expires_at = Some(booking.updated_at);
        let shown = |booking: &Booking| {
            serde_json::to_value(BookingView::new(booking, Links::new(booking.id, None), None)).unwrap()
        };
        let held = shown(&booking);
        let expected = json!({
            "status": "pending", "paid": { "amount": 0, "currency": "CAD" },
            "due": { "amount": 4410, "currency": "CAD" },
            "payable": { "amount": 882, "currency": "CAD" }, "expires_at": "2026-12-01T12:00:01.000Z",
        });
        assert_eq!((&held["payment"], held["links"].get("receipt")), (&expected, None));
        assert_eq!(held["links"]["pay"], "/api/bookings/11111111-2222-5333-8444-555555555555/pay");
        booking.status = Status::Confirmed;
        booking.payment.ledger = Some(Summary { captured: 4410, cleared: 4410, ..Summary::default() });
        let paid = shown(&booking);
        assert_eq!(
            (&paid["payment"]["status"], paid["links"].get("pay")),
            (&json!("paid"), None),
            "nothing is left to pay"
        );
        assert_eq!(paid["links"]["receipt"], "/api/bookings/11111111-2222-5333-8444-555555555555/receipt");
    }
}
