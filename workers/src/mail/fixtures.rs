//! A booking and its property for tests of mails.

use crate::mail::Links;
use pvt_domain::booking::{
    Action, Booking, Guest, HistoryEntry, Payment, PendingChange, RefusalCause, Source, Status, Stay, StayRequest,
};
use pvt_domain::events::{BookingEvent, PaymentEvent, PaymentEventKind, kind_of};
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::{
    DEFAULT_CUTOFF, DEFAULT_HOLD_MINUTES, DormGender, Inventory, Property, RoomKind, RoomType,
};
use pvt_domain::ledger::Summary;
use pvt_domain::messages::EmailCommand;
use pvt_domain::money::Currency;
use pvt_domain::pricing::{Price, TaxBasis, TaxLine};
use pvt_domain::timestamp::Timestamp;
use uuid::Uuid;

pub(crate) fn at(text: &str) -> Timestamp {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
}

fn tax(code: &str, name: &str, rate_ppm: u32, amount: i64) -> TaxLine {
    TaxLine {
        code: code.to_owned(),
        name: name.to_owned(),
        basis: TaxBasis::Percent { rate_ppm },
        included: false,
        amount,
    }
}

fn entry(id: BookingId, rev: u32, action: Action, from: Status, to: Status) -> HistoryEntry {
    let event_id = id.event_id(rev, kind_of(Some(action), to));
    let at = at(&format!("2026-12-0{rev}T12:00:00Z"));
    HistoryEntry {
        rev,
        at,
        action,
        from,
        to,
        command_id: Uuid::from_u128(rev.into()),
        event_id,
        actor: "guest".into(),
        reason: None,
        changes: None,
        moved: Vec::new(),
        bed_moves: Vec::new(),
        hop: None,
    }
}

/// Two guests in a dorm for three nights, confirmed.
pub(crate) fn booking() -> Booking {
    let id = BookingId::derive(None, "mail", "fixture");
    let day = |text: &str| text.parse::<chrono::NaiveDate>().unwrap();
    Booking {
        no_shows: Vec::new(),
        rooming_list: Vec::new(),
        stay_ids: 0,
        id,
        reference: id.reference(),
        status: Status::Confirmed,
        rev: 1,
        property_id: "pvt-montreal".into(),
        rate_plan_id: "standard".into(),
        source: Source::Direct,
        stays: vec![Stay::of(
            &StayRequest::new("dorm-6-mixed", day("2027-01-10"), day("2027-01-13"), 2),
            vec!["a-1".into(), "a-2".into()],
        )],
        guest: Guest {
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            phone: None,
            locale: Some("en".to_owned()),
        },
        price: Some(Price {
            unused_nights: 0,
            currency: Currency::CAD,
            nights: vec![vec![8_000; 3]],
            taxes: vec![
                tax("lodging", "Lodging tax", 35_000, 840),
                tax("gst", "GST", 50_000, 1_242),
                tax("qst", "QST", 99_750, 2_478),
            ],
            total: 28_560,
        }),
        payment: Payment::default(),
        pending_change: None,
        rejection: None,
        rejection_cause: RefusalCause::default(),
        alternatives: Vec::new(),
        cancellation_policy: None,
        cancellation_fee: None,
        client: None,
        token_epoch: 0,
        fingerprint: "fixture".to_owned(),
        created_at: at("2026-12-01T12:00:00Z"),
        updated_at: at("2026-12-01T12:00:00Z"),
        history: vec![entry(id, 1, Action::Request, Status::Requested, Status::Confirmed)],
    }
}

/// The same booking, cancelled a day later.
pub(crate) fn cancelled() -> Booking {
    let mut booking = booking();
    booking.history.push(entry(booking.id, 2, Action::Cancel, Status::Confirmed, Status::Cancelled));
    booking.status = Status::Cancelled;
    booking.cancellation_fee = Some(2_856);
    booking.rev = 2;
    booking
}

/// Two stays that became one, a night shorter and cheaper.
pub(crate) fn modified() -> Booking {
    let mut before = booking();
    let mut later = before.stays[0].clone();
    (later.arrival, later.departure) = ("2027-02-01".parse().unwrap(), "2027-02-02".parse().unwrap());
    before.stays.push(later);
    let mut booking = before.clone();
    booking.stays.truncate(1);
    booking.stays[0].departure = "2027-01-12".parse().unwrap();
    if let Some(price) = &mut booking.price {
        price.nights = vec![vec![8_000; 2]];
        price.total = 19_040;
    }
    next_revision(&before, booking, Action::Modify, Status::Confirmed)
}

/// The same booking, held until half of it is paid.
pub(crate) fn held() -> Booking {
    let mut booking = booking();
    booking.history[0] = entry(booking.id, 1, Action::Request, Status::Requested, Status::Held);
    booking.status = Status::Held;
    booking.payment = Payment { required: 14_280, expires_at: Some(at("2026-12-01T17:30:00Z")), ..Payment::default() };
    booking
}

/// The booking with 30 % paid, and a change of the guest that doubles nights and price and waits for its 30 %.
pub(crate) fn with_pending_change() -> Booking {
    let before = with_payments(&booking(), 8_568, 0, Status::Confirmed);
    let mut stays = before.stays.clone();
    stays[0].departure = "2027-01-16".parse().unwrap();
    let price =
        before.price.clone().map(|price| Price { nights: vec![vec![8_000; 6]], total: 2 * price.total, ..price });
    let pending = PendingChange {
        stays,
        price,
        rate_plan_id: before.rate_plan_id.clone(),
        cancellation_policy: None,
        change_fees: before.payment.change_fees,
        required: 17_136,
        to_refund: 0,
        expires_at: at("2026-12-03T17:30:00Z"),
    };
    let after = Booking { pending_change: Some(Box::new(pending)), ..before.clone() };
    next_revision(&before, after, Action::HoldChange, Status::Confirmed)
}

/// `before` after payments and refunds, with its new status. The refund due is what the domain decides.
pub(crate) fn with_payments(before: &Booking, captured: i64, refunded: i64, to: Status) -> Booking {
    let mut after = before.clone();
    let ledger_rev = before.payment.ledger().ledger_rev + 1;
    after.payment.ledger = Some(Summary { ledger_rev, captured, refunded, cleared: captured, ..Summary::default() });
    after.status = to;
    after.payment.to_refund = after.total_to_refund();
    let action = if before.status == to { Action::RecordPayment } else { Action::Confirm };
    next_revision(before, after, action, to)
}

/// `before` with these changes of its totals. The refund due is what the domain decides.
pub(crate) fn with_ledger(before: &Booking, change: impl FnOnce(&mut Summary)) -> Booking {
    let mut after = before.clone();
    let mut ledger = before.payment.ledger();
    ledger.ledger_rev += 1;
    change(&mut ledger);
    after.payment.ledger = Some(ledger);
    after.payment.to_refund = after.total_to_refund();
    next_revision(before, after, Action::RecordPayment, before.status)
}

/// A payment event, as the `emails` queue carries it.
pub(crate) fn payment_event(booking: &Booking, change: PaymentEventKind, event_id: u128) -> EmailCommand {
    EmailCommand::Paid(Box::new(PaymentEvent {
        event_id: Uuid::from_u128(event_id),
        booking_id: booking.id,
        property_id: booking.property_id.clone(),
        change,
        payment: "pi_1".to_owned(),
        entry: None,
        amount: 14_280,
        currency: Currency::CAD,
        ledger_rev: 1,
        occurred_at: at("2026-12-01T12:10:00Z"),
    }))
}

pub(crate) fn links() -> Links {
    Links::new("https://booking.example.com/".parse().unwrap(), &"a secret".into()).unwrap()
}

/// `after` as the next revision of `before`.
pub(crate) fn next_revision(before: &Booking, mut after: Booking, action: Action, to: Status) -> Booking {
    let mut next = entry(before.id, before.rev + 1, action, before.status, to);
    next.changes = after.changes_since(before);
    (after.status, after.rev) = (to, next.rev);
    after.history.push(next);
    after
}

/// The event of one of its revisions, as the `emails` queue carries it.
pub(crate) fn event(booking: &Booking, rev: u32) -> EmailCommand {
    let entry = booking.history.iter().find(|entry| entry.rev == rev).unwrap();
    EmailCommand::Happened(Box::new(BookingEvent::of(booking, entry)))
}

pub(crate) fn inventory() -> Inventory {
    Inventory {
        property: Property {
            id: "pvt-montreal".into(),
            name: "PVT Montréal".to_owned(),
            address: "1 rue de la Paix, Montréal".to_owned(),
            time_zone: chrono_tz::America::Toronto,
            currency: Currency::CAD,
            check_in_from: chrono::NaiveTime::from_hms_opt(15, 0, 0).unwrap(),
            check_out_until: chrono::NaiveTime::from_hms_opt(11, 0, 0).unwrap(),
            business_day_cutoff: DEFAULT_CUTOFF,
            same_day_until: chrono::NaiveTime::MIN,
            locales: vec!["fr".to_owned(), "en".to_owned()],
            taxes: Vec::new(),
            hold_minutes: DEFAULT_HOLD_MINUTES,
        },
        room_types: vec![RoomType::new("dorm-6-mixed", "6-bed mixed dorm", RoomKind::Dorm, DormGender::Mixed)],
        rooms: Vec::new(),
        rate_plans: Vec::new(),
        cancellation_policies: Vec::new(),
        rev: 0,
    }
}

/// HTML with the characters beyond ASCII in place of the references to them.
pub(crate) fn unreferenced(html: &str) -> String {
    let mut parts = html.split("&#");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        match part.split_once(';').and_then(|(code, rest)| {
            Some((code.parse().ok().filter(|code| *code > 127).and_then(char::from_u32)?, rest))
        }) {
            Some((character, rest)) => text.extend([character.to_string().as_str(), rest]),
            None => text.extend(["&#", part]),
        }
    }
    text
}
