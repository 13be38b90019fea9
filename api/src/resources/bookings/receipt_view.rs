//! Receipt of a booking: stays, prices, payments and refunds, and the balance, in English or French.

use crate::resources::payments::analytics_view::channel_of;
use pvt_domain::booking::{Booking, PaymentStatus, Status, Stay};
use pvt_domain::inventory::Inventory;
use pvt_domain::ledger::{EntryKind, Ledger};
use pvt_domain::money::{Currency, Money};
use pvt_domain::people::text::shown;
use pvt_domain::people::writing::Language;
use pvt_domain::pricing::{Price, TaxBasis, TaxLine};
use pvt_domain::timestamp::Timestamp;

/// The phrases of one language.
pub(crate) struct Phrases {
    pub(crate) language: Language,
    pub(crate) receipt: &'static str,
    pub(crate) reference: &'static str,
    pub(crate) guest: &'static str,
    pub(crate) stays: &'static str,
    pub(crate) prices: &'static str,
    total: &'static str,
    /// The total of a booking that has ended.
    agreed: &'static str,
    unused_nights: &'static str,
    change_fee: &'static str,
    /// Heads stays of guests who did not arrive, and names their fee.
    absent: &'static str,
    cancellation_fee: &'static str,
    no_show_fee: &'static str,
    pub(crate) free_until: &'static str,
    pub(crate) payments: &'static str,
    pub(crate) nothing_paid: &'static str,
    pub(crate) balance: &'static str,
    payment: &'static str,
    refund: &'static str,
    chargeback: &'static str,
    chargeback_reversal: &'static str,
    other_currency: &'static str,
    refund_pending: &'static str,
    refund_disputed: &'static str,
    refund_manual: &'static str,
    card: &'static str,
    cash: &'static str,
    terminal: &'static str,
    bank_transfer: &'static str,
    pub(crate) hold_expired: &'static str,
    pub(crate) hold_expired_more: &'static str,
    pub(crate) nothing_due: &'static str,
    pub(crate) nothing_due_more: &'static str,
    pub(crate) unconfirmed: &'static str,
    pub(crate) payment_unconfirmed: &'static str,
    pub(crate) payment_received: &'static str,
    pub(crate) payment_received_more: &'static str,
    pub(crate) not_paid: &'static str,
    pub(crate) not_paid_more: &'static str,
    pub(crate) processing: &'static str,
    pub(crate) processing_more: &'static str,
    pub(crate) unavailable: &'static str,
    pub(crate) unavailable_more: &'static str,
}

const ENGLISH: Phrases = Phrases {
    language: Language::English,
    receipt: "Receipt",
    reference: "Reference",
    guest: "Guest",
    stays: "Stays",
    prices: "Prices",
    total: "Total",
    agreed: "Agreed price",
    unused_nights: "Unused nights",
    change_fee: "Change fee",
    absent: "Guests who did not arrive",
    cancellation_fee: "Cancellation fee",
    no_show_fee: "No-show fee",
    free_until: "Free cancellation until",
    payments: "Payments",
    nothing_paid: "No payment received yet.",
    balance: "Balance due",
    payment: "Payment",
    refund: "Refund",
    chargeback: "Chargeback",
    chargeback_reversal: "Chargeback reversed",
    other_currency: "Paid in another currency (we will contact you)",
    refund_pending: "Refund in progress",
    refund_disputed: "Refund after your bank’s decision",
    refund_manual: "Still to be refunded at the front desk or by arrangement",
    card: "card",
    cash: "cash",
    terminal: "card terminal",
    bank_transfer: "bank transfer",
    hold_expired: "Your beds are no longer held",
    hold_expired_more: "Payment was not received in time, or the booking was cancelled. You have not been charged. \
        Please book again.",
    nothing_due: "There is nothing to pay",
    nothing_due_more: "No payment is due for this booking at the moment.",
    unconfirmed: "Your payment has not been confirmed yet. If you have just paid, please reload this page in a minute; \
        there is no need to pay again.",
    payment_unconfirmed: "Your payment is being confirmed",
    payment_received: "Thank you, we have received your payment",
    payment_received_more: "We have e-mailed you the details, with a link to your receipt.",
    not_paid: "Your payment was not completed",
    not_paid_more: "You have not been charged. To pay, please use the link in our e-mail.",
    processing: "Your payment is being processed",
    processing_more: "Your bank may take a few days. We will e-mail you as soon as it arrives; there is no need to pay \
        again.",
    unavailable: "The payment page is temporarily unavailable",
    unavailable_more: "Please open the link again in a minute.",
};

const FRENCH: Phrases = Phrases {
    language: Language::French,
    receipt: "Reçu",
    reference: "Référence",
    guest: "Client",
    stays: "Séjours",
    prices: "Prix",
    total: "Total",
    agreed: "Prix convenu",
    unused_nights: "Nuits non utilisées",
    change_fee: "Frais de modification",
    absent: "Voyageurs absents",
    cancellation_fee: "Frais d’annulation",
    no_show_fee: "Frais de non-présentation",
    free_until: "Annulation gratuite jusqu’au",
    payments: "Paiements",
    nothing_paid: "Aucun paiement reçu à ce jour.",
    balance: "Solde à payer",
    payment: "Paiement",
    refund: "Remboursement",
    chargeback: "Rejet de débit",
    chargeback_reversal: "Rejet annulé",
    other_currency: "Payé dans une autre devise (nous vous contacterons)",
    refund_pending: "Remboursement en cours",
    refund_disputed: "Remboursement après la décision de votre banque",
    refund_manual: "Reste à rembourser à la réception ou selon accord",
    card: "carte",
    cash: "espèces",
    terminal: "terminal de paiement",
    bank_transfer: "virement",
    hold_expired: "Vos lits ne sont plus réservés",
    hold_expired_more: "Le paiement n’a pas été reçu à temps, ou la réservation a été annulée. Aucun montant n’a été \
        débité. Nous vous invitons à réserver de nouveau.",
    nothing_due: "Aucun paiement n’est dû",
    nothing_due_more: "Cette réservation n’appelle aucun paiement pour le moment.",
    unconfirmed: "Votre paiement n’est pas encore confirmé. Si vous venez de payer, actualisez cette page dans une \
        minute ; il est inutile de payer de nouveau.",
    payment_unconfirmed: "Votre paiement est en cours de confirmation",
    payment_received: "Merci, nous avons reçu votre paiement",
    payment_received_more: "Un courriel vous est envoyé avec le détail et un lien vers votre reçu.",
    not_paid: "Votre paiement n’a pas abouti",
    not_paid_more: "Aucun montant n’a été débité. Pour payer, veuillez utiliser le lien de notre courriel.",
    processing: "Votre paiement est en cours de traitement",
    processing_more: "Votre banque peut demander quelques jours. Nous vous enverrons un courriel dès réception ; il \
        est inutile de payer de nouveau.",
    unavailable: "La page de paiement est momentanément indisponible",
    unavailable_more: "Veuillez rouvrir le lien dans une minute.",
};

impl Phrases {
    /// Those of the language that mails are in.
    pub(crate) fn choose(guest: Option<&str>, property: &[String]) -> &'static Self {
        match Language::choose(guest, property) {
            Language::English => &ENGLISH,
            Language::French => &FRENCH,
        }
    }

    /// The name of a tax; with how it was computed where the amounts beside it do not tell.
    fn tax(&self, line: &TaxLine, name: &str, currency: Currency) -> String {
        match line.basis {
            TaxBasis::Percent { .. } if !line.included => name.to_owned(),
            _ => format!("{name} ({})", self.language.tax_basis(line, currency)),
        }
    }

    fn kind(&self, kind: EntryKind) -> &'static str {
        match kind {
            EntryKind::Payment => self.payment,
            EntryKind::Refund => self.refund,
            EntryKind::Chargeback => self.chargeback,
            EntryKind::ChargebackReversal => self.chargeback_reversal,
        }
    }

    fn channel(&self, channel: &str) -> &'static str {
        match channel {
            "cash" => self.cash,
            "terminal" => self.terminal,
            "bank_transfer" => self.bank_transfer,
            _ => self.card,
        }
    }
}

/// A row with an amount, as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReceiptRow {
    pub(crate) label: String,
    pub(crate) amount: String,
}

/// A receipt as texts, not escaped yet.
pub(crate) struct Receipt<'a> {
    pub(crate) phrases: &'static Phrases,
    pub(crate) hostel: &'a str,
    pub(crate) address: &'a str,
    pub(crate) reference: &'a str,
    pub(crate) guest: String,
    /// A notice above everything else.
    pub(crate) notice: Option<&'static str>,
    pub(crate) stays: Vec<String>,
    pub(crate) prices: Vec<ReceiptRow>,
    /// What was agreed; of a booking that has ended its fee is owed instead.
    pub(crate) total: ReceiptRow,
    pub(crate) fee: Option<ReceiptRow>,
    /// Until when cancelling costs nothing, in the property's time zone; while that time lies ahead.
    pub(crate) free_until: Option<String>,
    pub(crate) payments: Vec<ReceiptRow>,
    pub(crate) balance: String,
}

impl<'a> Receipt<'a> {
    /// The receipt of a priced booking, as of `now`.
    pub(crate) fn new(
        booking: &'a Booking,
        price: &Price,
        inventory: &'a Inventory,
        ledger: Option<&Ledger>,
        now: Timestamp,
    ) -> Self {
        let phrases = Phrases::choose(booking.guest.locale.as_deref(), &inventory.property.locales);
        let language = phrases.language;
        let money = |amount| language.money(Money::new(amount, price.currency));
        let languages = || booking.guest.locale.as_deref().into_iter().chain([language.tag()]);
        let room_type = |stay: &Stay| match inventory.room_type(&stay.room_type_id) {
            Some(room_type) => room_type.names.in_language(languages(), &room_type.name).to_owned(),
            None => stay.room_type_id.to_string(),
        };
        let name = |stay: usize| booking.stays.get(stay).map(room_type).unwrap_or_default();
        let dates_of = |stay: &Stay| {
            let [arrival, departure] = [stay.arrival, stay.departure].map(|date| language.date(date));
            format!("{}: {arrival} – {departure}, {}", room_type(stay), language.guests(stay.guests))
        };
        let absent = booking.no_shows.iter().map(|absence| format!("{} – {}", phrases.absent, dates_of(&absence.stay)));
        let stays = booking.stays.iter().map(dates_of).chain(absent);
        let nights = price
            .nights
            .iter()
            .enumerate()
            .map(|(index, nights)| ReceiptRow { label: name(index), amount: money(nights.iter().sum()) });
        let unused = (price.unused_nights != 0)
            .then(|| ReceiptRow { label: phrases.unused_nights.to_owned(), amount: money(price.unused_nights) });
        let taxes = price.taxes.iter().map(|tax| ReceiptRow {
            label: phrases.tax(tax, inventory.property.tax_name(tax, languages()), price.currency),
            amount: money(tax.amount),
        });
        let change_fee = booking.change_fee();
        let absence_fee = booking.absence_fee();
        let fees = [(phrases.change_fee, change_fee - absence_fee), (phrases.absent, absence_fee)];
        let fee_rows = fees.into_iter().filter(|(_, fee)| *fee > 0);
        let fee_rows = fee_rows.map(|(label, fee)| ReceiptRow { label: label.to_owned(), amount: money(fee) });
        let zone = inventory.property.time_zone;
        let entries =
            ledger.into_iter().flat_map(|ledger| ledger.entries().into_iter().map(move |entry| (ledger, entry)));
        let payments = entries.map(|(ledger, entry)| ReceiptRow {
            label: format!(
                "{} – {} ({})",
                language.date(entry.at.local_date(zone)),
                phrases.kind(entry.kind),
                phrases.channel(channel_of(ledger, &entry.payment))
            ),
            amount: language.money(Money::new(entry.amount, ledger.currency)),
        });
        let known = booking.payment.ledger();
        let other_currencies = known
            .other_currencies
            .iter()
            .map(|paid| ReceiptRow { label: phrases.other_currency.to_owned(), amount: language.money(*paid) });
        let due = booking.payment.refunds_due();
        let refunds = [
            (phrases.refund_pending, due.automatic),
            (phrases.refund_disputed, due.disputed),
            (phrases.refund_manual, due.manual),
        ];
        let refunds = refunds.into_iter().filter(|(_, amount)| *amount > 0);
        let refunds = refunds.map(|(label, amount)| ReceiptRow { label: label.to_owned(), amount: money(amount) });
        let fee_label = if booking.status == Status::NoShow { phrases.no_show_fee } else { phrases.cancellation_fee };
        let total_label = if booking.cancellation_fee.is_some() { phrases.agreed } else { phrases.total };
        Self {
            phrases,
            hostel: &inventory.property.name,
            address: &inventory.property.address,
            reference: &booking.reference,
            guest: booking.guest.full_name(),
            notice: (booking.payment_status() == PaymentStatus::Processing).then_some(phrases.processing_more),
            stays: stays.collect(),
            prices: nights.chain(unused).chain(taxes).chain(fee_rows).collect(),
            total: ReceiptRow { label: total_label.to_owned(), amount: money(price.total + change_fee) },
            fee: booking.cancellation_fee.map(|fee| ReceiptRow { label: fee_label.to_owned(), amount: money(fee) }),
            free_until: booking
                .free_cancellation_until(&inventory.property, now)
                .map(|until| language.moment(until.into(), zone)),
            payments: payments.chain(other_currencies).chain(refunds).collect(),
            balance: money(booking.outstanding()),
        }
    }
}

impl Receipt<'_> {
    /// With what staff noted with the payments that they recorded, for staff.
    #[must_use]
    pub(crate) fn with_notes(mut self, ledger: Option<&Ledger>) -> Self {
        let entries = ledger.into_iter().flat_map(|ledger| ledger.entries().into_iter().map(move |one| (ledger, one)));
        // The rows of the entries come first, in their order.
        for (row, (ledger, entry)) in self.payments.iter_mut().zip(entries) {
            let record = ledger.records.iter().find(|record| record.id.to_string() == entry.payment);
            if let Some(note) = record.and_then(|record| record.note.as_deref()) {
                row.label.push_str(&format!(" – {}", shown(note)));
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Receipt, ReceiptRow};
    use crate::resources::payments::fixtures::{at, paid, recorded};
    use pvt_domain::booking::Booking;
    use pvt_domain::demo;
    use pvt_domain::inventory::Inventory;
    use pvt_domain::ledger::{Ledger, Summary};
    use pvt_domain::money::{Currency, Money};
    use serde_json::json;

    fn stored(locale: Option<&str>) -> Booking {
        serde_json::from_value(json!({
            "_id": "00000000-0000-0000-0000-000000000001", "reference": "PVT-0000000000", "status": "confirmed",
            "rev": 1,
            "property_id": "pvt-montreal", "rate_plan_id": "prepaid", "source": "direct",
            "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-20", "departure": "2027-01-22", "guests": 1,
            "assigned_beds": [] }],
            "guest": { "first_name": "Ada", "last_name": "<b>Lovelace</b>", "email": "ada@example.com",
            "locale": locale },
            "price": { "currency": "CAD", "nights": [[4200, 4300]],
            "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50000, "amount": 425 }], "total": 8925 },
            "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
            "history": [],
        }))
        .unwrap()
    }

    fn receipt_of<'a>(booking: &'a Booking, inventory: &'a Inventory, ledger: Option<&Ledger>) -> Receipt<'a> {
        Receipt::new(booking, booking.price.as_ref().unwrap(), inventory, ledger, at("2027-01-16T08:00:00Z"))
    }

    /// With spaces that do not break, as in amounts.
    fn nonbreaking(text: &str) -> String {
        text.replace(' ', "\u{a0}")
    }

    #[test]
    fn receipt_writes_dates_counts_and_amounts_in_the_language_of_the_guest() {
        let (mut booking, inventory) = (stored(Some("fr")), demo::inventory());
        booking.stays[0].arrival = "2027-02-01".parse().unwrap();
        booking.stays[0].departure = "2027-02-03".parse().unwrap();
        let mut ledger = paid();
        recorded(&mut ledger, 7, 123_456, at("2027-01-16T03:00:00Z"));
        let stay = |booking: &Booking| {
            let shown = receipt_of(booking, &inventory, None).stays.remove(0);
            shown.split_once(": ").unwrap().1.to_owned()
        };
        assert_eq!(stay(&booking), "lundi 1er février 2027 – mercredi 3 février 2027, 1\u{a0}personne");
        booking.stays[0].guests = 2;
        assert!(stay(&booking).ends_with("2\u{a0}personnes"));
        let payment = receipt_of(&booking, &inventory, Some(&ledger)).payments.remove(1);
        assert_eq!(
            (payment.label.as_str(), payment.amount),
            ("vendredi 15 janvier 2027 – Paiement (espèces)", nonbreaking("1 234,56 CAD"))
        );
    }

    #[test]
    fn receipt_lists_prices_and_payments() {
        let (booking, inventory) = (stored(Some("en-CA")), demo::inventory());
        let mut ledger = paid();
        recorded(&mut ledger, 7, -500, at("2027-01-16T03:00:00Z"));
        let receipt = receipt_of(&booking, &inventory, Some(&ledger));
        let line = |label: &str, amount: &str| ReceiptRow { label: label.to_owned(), amount: nonbreaking(amount) };
        let dorm = &inventory.room_types.iter().find(|one| one.id.as_str() == "dorm-6-mixed").unwrap().name;
        assert_eq!(receipt.prices, [line(dorm, "85.00 CAD"), line("GST", "4.25 CAD")]);
        assert_eq!(
            receipt.payments,
            [
                line("Friday 15 January 2027 – Payment (card)", "100.00 CAD"),
                line("Friday 15 January 2027 – Refund (cash)", "-5.00 CAD"),
            ]
        );
        assert_eq!((receipt.total.amount, receipt.stays.len()), (nonbreaking("89.25 CAD"), 1));
    }

    #[test]
    fn notes_are_shown_to_staff_alone() {
        let (booking, inventory) = (stored(Some("en-CA")), demo::inventory());
        let mut ledger = paid();
        recorded(&mut ledger, 7, -500, at("2027-01-16T03:00:00Z"));
        ledger.records[0].note = Some("the shower was\u{202e} cold".to_owned());
        let labels = |receipt: Receipt<'_>| receipt.payments.into_iter().map(|row| row.label).collect::<Vec<_>>();
        let to_guest = labels(receipt_of(&booking, &inventory, Some(&ledger)));
        assert!(!to_guest.iter().any(|label| label.contains("shower")), "{to_guest:?}");
        let to_staff = labels(receipt_of(&booking, &inventory, Some(&ledger)).with_notes(Some(&ledger)));
        assert_eq!(to_staff[0], to_guest[0], "a payment of Stripe has none");
        assert_eq!(to_staff[1], "Friday 15 January 2027 – Refund (cash) – the shower was cold");
    }

    #[test]
    fn receipt_shows_fixed_and_included_taxes_in_the_language_of_the_guest() {
        let (mut booking, mut inventory) = (stored(Some("fr-CA")), demo::inventory());
        let named = json!({ "code": "city", "name": "City tax", "names": { "fr": "Taxe de séjour" },
            "per": "person_night", "amount": 165 });
        inventory.property.taxes = vec![serde_json::from_value(named).unwrap()];
        inventory.room_types.iter_mut().for_each(|one| one.names = [("fr", "Lit en dortoir")].into());
        let price = booking.price.as_mut().unwrap();
        price.taxes = serde_json::from_value(json!([
            { "code": "vat", "name": "VAT", "rate_ppm": 99_750, "included": true, "amount": 771 },
            { "code": "city", "name": "City tax", "per": "person_night", "unit_amount": 165, "count": 1,
                "amount": 165 },
            { "code": "linen", "name": "Linen", "per": "stay", "unit_amount": 500, "count": 2, "amount": 1_000 },
        ]))
        .unwrap();
        let receipt = receipt_of(&booking, &inventory, None);
        let labels: Vec<String> = receipt.prices.iter().map(|row| row.label.replace('\u{a0}', " ")).collect();
        assert_eq!(
            labels,
            [
                "Lit en dortoir",
                "VAT (9,975 %, compris dans le prix)",
                "Taxe de séjour (1 nuitée × 1,65 CAD)",
                "Linen (2 × 5,00 CAD)",
            ]
        );
    }

    #[test]
    fn receipt_names_absent_guests_and_their_fee() {
        let (mut booking, inventory) = (stored(Some("fr")), demo::inventory());
        let absent = json!({ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-20", "departure": "2027-01-22",
            "guests": 2, "assigned_beds": [], "id": 1, "fee": 3_000 });
        booking.no_shows = vec![serde_json::from_value(absent).unwrap()];
        booking.payment.change_fees =
            serde_json::from_value(json!({ "sum": 5_000, "below_highest_price": 9_000 })).unwrap();
        let receipt = receipt_of(&booking, &inventory, None);
        let fees: Vec<(&str, &str)> =
            receipt.prices[2..].iter().map(|row| (row.label.as_str(), row.amount.as_str())).collect();
        assert_eq!(fees, [("Frais de modification", "20,00\u{a0}CAD"), ("Voyageurs absents", "30,00\u{a0}CAD")]);
        assert!(receipt.stays[1].starts_with("Voyageurs absents – "), "{:?}", receipt.stays);
    }

    #[test]
    fn receipt_promises_free_cancellation_only_while_it_lies_ahead() {
        let (mut booking, inventory) = (stored(Some("en")), demo::inventory());
        let tiers = json!([{ "hours_before": 48, "fee": { "kind": "percent", "ppm": 0 } },
            { "hours_before": 0, "fee": { "kind": "percent", "ppm": 1_000_000 } }]);
        booking.cancellation_policy =
            serde_json::from_value(json!({ "id": "p", "name": "Flexible", "tiers": tiers })).unwrap();
        let shown = |now| {
            let price = booking.price.as_ref().unwrap();
            Receipt::new(&booking, price, &inventory, None, at(now)).free_until
        };
        assert_eq!(shown("2027-01-18T20:00:00Z").as_deref(), Some("Monday 18 January 2027, 15:00 (UTC-05:00)"));
        assert_eq!(shown("2027-01-18T20:00:00.001Z"), None);
    }

    #[test]
    fn receipt_shows_other_currencies_and_what_staff_return() {
        let (mut booking, inventory) = (stored(Some("en-CA")), demo::inventory());
        let usd = Money::new(7_500, Currency::USD);
        booking.payment.ledger =
            Some(Summary { captured: 10_000, manual: 10_000, other_currencies: vec![usd], ..Summary::default() });
        booking.payment.to_refund = booking.total_to_refund();
        let receipt = receipt_of(&booking, &inventory, None);
        let amounts: Vec<&str> = receipt.payments.iter().map(|row| row.amount.as_str()).collect();
        assert_eq!(amounts, ["75.00\u{a0}USD", "10.75\u{a0}CAD"], "paid 100.00 in cash of 89.25");
    }
}
