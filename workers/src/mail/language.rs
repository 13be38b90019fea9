//! The two languages that mails are written in: fixed phrases, and how each writes dates, times, counts and money.

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use pvt_domain::messages::NotificationKind;
use pvt_domain::money::Money;

/// A language that mails are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    /// The guest's language if it is spoken here, else the first of the property's that is, else English.
    pub fn choose(guest: Option<&str>, property: &[String]) -> Self {
        guest.into_iter().chain(property.iter().map(String::as_str)).find_map(Self::of_tag).unwrap_or(Self::English)
    }

    /// The language of a tag such as `fr`, `fr-CA` or `en_US`.
    fn of_tag(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next()?.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "fr" => Some(Self::French),
            _ => None,
        }
    }

    /// The tag for `Content-Language` and the page.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// The fixed phrases.
    pub(super) fn phrases(self) -> &'static Phrases {
        match self {
            Self::English => &ENGLISH,
            Self::French => &FRENCH,
        }
    }

    /// `Sunday 10 January 2027`, `dimanche 10 janvier 2027`.
    pub(super) fn date(self, date: NaiveDate) -> String {
        let phrases = self.phrases();
        let weekday = phrases.weekdays[date.weekday().num_days_from_monday() as usize];
        let month = phrases.months[date.month0() as usize];
        let first = if self == Self::French && date.day() == 1 { "er" } else { "" };
        format!("{weekday} {}{first} {month} {}", date.day(), date.year())
    }

    /// `15:00`, `15 h 00`.
    pub(super) fn time(self, time: NaiveTime) -> String {
        match self {
            Self::English => format!("{:02}:{:02}", time.hour(), time.minute()),
            Self::French => format!("{}\u{a0}h\u{a0}{:02}", time.hour(), time.minute()),
        }
    }

    /// `1,234.50 CAD`, `1 234,50 CAD`, with spaces that do not break.
    pub(super) fn money(self, money: Money) -> String {
        let text = money.to_string();
        let (number, code) = text.split_once(' ').unwrap_or((&text, ""));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let (thousands, point) = match self {
            Self::English => (',', "."),
            Self::French => ('\u{a0}', ","),
        };
        let point = if fraction.is_empty() { "" } else { point };
        format!("{}{point}{fraction}\u{a0}{code}", grouped(whole, thousands))
    }

    /// `9.975%`, `9,975 %`.
    pub(super) fn percent(self, rate_ppm: u32) -> String {
        let digits = format!("{}.{:04}", rate_ppm / 10_000, rate_ppm % 10_000);
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        match self {
            Self::English => format!("{digits}%"),
            Self::French => format!("{}\u{a0}%", digits.replace('.', ",")),
        }
    }

    /// `1 night`, `3 nuits`.
    pub(super) fn nights(self, count: i64) -> String {
        let [one, many] = self.phrases().nights;
        format!("{count}\u{a0}{}", if count.abs() == 1 { one } else { many })
    }

    /// `1 guest`, `2 personnes`.
    pub(super) fn guests(self, count: u32) -> String {
        let [one, many] = self.phrases().guests;
        format!("{count}\u{a0}{}", if count == 1 { one } else { many })
    }
}

/// Puts `separator` between groups of three digits, keeping a leading sign.
fn grouped(whole: &str, separator: char) -> String {
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// The sentences of one kind of mail.
pub(super) struct Wording {
    pub title: &'static str,
    pub lead: &'static str,
    pub calendar: &'static str,
}

impl Phrases {
    /// The sentences of a mail of this kind.
    pub(super) fn wording(&self, kind: NotificationKind) -> &Wording {
        match kind {
            NotificationKind::BookingConfirmed => &self.confirmed,
            NotificationKind::BookingModified => &self.modified,
            NotificationKind::BookingCancelled => &self.cancelled,
            NotificationKind::BookingNoShow => &self.no_show,
            NotificationKind::ArrivalSoon => &self.arrival_soon,
            NotificationKind::ArrivalToday => &self.arrival_today,
            NotificationKind::PaymentLink => &self.payment_link,
            NotificationKind::PaymentReceived => &self.payment_received,
            NotificationKind::PaymentFailed => &self.payment_failed,
            NotificationKind::HoldExpired => &self.hold_expired,
            NotificationKind::PaymentRefunded => &self.payment_refunded,
            NotificationKind::PaymentReturned => &self.payment_returned,
        }
    }
}

/// Everything that does not depend on a booking. `{}` stands for nothing here: sentences with values are methods of `Content`.
pub(super) struct Phrases {
    pub hello: &'static str,
    pub confirmed: Wording,
    pub modified: Wording,
    pub cancelled: Wording,
    pub no_show: Wording,
    pub arrival_soon: Wording,
    pub arrival_today: Wording,
    pub payment_link: Wording,
    pub payment_received: Wording,
    pub payment_failed: Wording,
    pub hold_expired: Wording,
    pub payment_refunded: Wording,
    pub payment_returned: Wording,
    pub changes: &'static str,
    pub stay_number: &'static str,
    pub nothing: &'static str,
    pub details: &'static str,
    pub updated: &'static str,
    pub reference: &'static str,
    pub check_in: &'static str,
    pub check_out: &'static str,
    pub from: &'static str,
    pub until: &'static str,
    pub address: &'static str,
    pub stay: &'static str,
    pub price: &'static str,
    pub figures: &'static str,
    pub total: &'static str,
    pub pay_on_arrival: &'static str,
    pub not_due: &'static str,
    pub all_paid: &'static str,
    pub balance_on_arrival: &'static str,
    pub paid_twice: &'static str,
    pub pay: &'static str,
    pub receipt: &'static str,
    pub due_now: &'static str,
    pub deadline: &'static str,
    pub due_on_arrival: &'static str,
    pub this_payment: &'static str,
    pub this_refund: &'static str,
    pub paid: &'static str,
    pub refunded: &'static str,
    pub charged_back: &'static str,
    pub to_come_back: &'static str,
    pub balance: &'static str,
    pub fee: &'static str,
    pub no_show_fee: &'static str,
    pub refund: &'static str,
    pub footer: &'static str,
    pub colon: &'static str,
    pub nights: [&'static str; 2],
    pub guests: [&'static str; 2],
    pub weekdays: [&'static str; 7],
    pub months: [&'static str; 12],
}

static ENGLISH: Phrases = Phrases {
    hello: "Hello",
    confirmed: Wording {
        title: "Your booking is confirmed",
        lead: "Your beds are reserved. We look forward to your stay.",
        calendar: "The attached calendar file adds the stay to your calendar.",
    },
    modified: Wording {
        title: "Your booking has changed",
        lead: "Your booking was changed. This is how it stands now.",
        calendar: "The attached calendar file updates the stay in your calendar.",
    },
    cancelled: Wording {
        title: "Your booking is cancelled",
        lead: "Your booking is cancelled and the beds are free again.",
        calendar: "The attached calendar file marks the stay as cancelled in your calendar.",
    },
    no_show: Wording {
        title: "We missed you",
        lead: "You did not arrive, so your booking has ended and the beds are free again. Are you still on your way? Please call us.",
        calendar: "The attached calendar file marks the stay as cancelled in your calendar.",
    },
    arrival_soon: Wording {
        title: "See you soon",
        lead: "Your stay begins in a few days. Here is what you need for your arrival.",
        calendar: "The attached calendar file adds the stay to your calendar.",
    },
    arrival_today: Wording {
        title: "Welcome today",
        lead: "We expect you today. Please have the reference and an identity document at hand when you check in.",
        calendar: "The attached calendar file adds the stay to your calendar.",
    },
    payment_link: Wording {
        title: "Please pay to confirm your booking",
        lead: "Your beds are held for you until the time below. Pay by then and your booking is confirmed at once.",
        calendar: "The attached calendar file shows the stay as tentative.",
    },
    payment_received: Wording {
        title: "We received your payment",
        lead: "Thank you. Your payment has arrived; this message is your receipt.",
        calendar: "The attached calendar file shows the stay.",
    },
    payment_failed: Wording {
        title: "Your payment did not go through",
        lead: "Your bank or card refused the payment, so nothing was taken. Your beds are still held: you can try again by the time below.",
        calendar: "The attached calendar file shows the stay as tentative.",
    },
    hold_expired: Wording {
        title: "Your beds were released",
        lead: "No payment arrived in time, so the beds are free again and nothing is owed. You are welcome to book anew.",
        calendar: "The attached calendar file removes the stay from your calendar.",
    },
    payment_refunded: Wording {
        title: "We sent money back",
        lead: "A refund is on its way to where you paid from. It usually arrives within five to ten days.",
        calendar: "The attached calendar file shows how the stay stands.",
    },
    payment_returned: Wording {
        title: "We are sorry: your payment came too late",
        lead: "Your payment arrived after your beds had been released, and they are taken now. We are sorry. All of it goes back to where you paid from.",
        calendar: "The attached calendar file removes the stay from your calendar.",
    },
    changes: "What changed",
    stay_number: "Stay",
    nothing: "none",
    details: "Your details",
    updated: "updated",
    reference: "Reference",
    check_in: "Check-in",
    check_out: "Check-out",
    from: "from",
    until: "until",
    address: "Address",
    stay: "Your stay",
    price: "Price",
    figures: "Figures",
    total: "Total",
    pay_on_arrival: "The total is due on arrival.",
    not_due: "Nothing is due.",
    all_paid: "Everything is paid.",
    balance_on_arrival: "The balance is due on arrival.",
    paid_twice: "You had paid already: this second payment goes back to where you paid from.",
    pay: "Pay now",
    receipt: "View the receipt",
    due_now: "To pay now",
    deadline: "Pay by",
    due_on_arrival: "Due on arrival",
    this_payment: "This payment",
    this_refund: "This refund",
    paid: "Paid",
    refunded: "Refunded",
    charged_back: "Taken back by your bank",
    to_come_back: "On its way back to you",
    balance: "Balance due",
    fee: "Cancellation fee",
    no_show_fee: "No-show fee",
    refund: "Refund",
    footer: "This message was sent automatically. Please keep the reference at hand when you contact us.",
    colon: ":",
    nights: ["night", "nights"],
    guests: ["guest", "guests"],
    weekdays: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    months: ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"],
};

static FRENCH: Phrases = Phrases {
    hello: "Bonjour",
    confirmed: Wording {
        title: "Votre réservation est confirmée",
        lead: "Vos lits sont réservés. Au plaisir de vous accueillir.",
        calendar: "Le fichier de calendrier joint ajoute le séjour à votre agenda.",
    },
    modified: Wording {
        title: "Votre réservation a changé",
        lead: "Votre réservation a été modifiée. La voici telle qu’elle est maintenant.",
        calendar: "Le fichier de calendrier joint met à jour le séjour dans votre agenda.",
    },
    cancelled: Wording {
        title: "Votre réservation est annulée",
        lead: "Votre réservation est annulée et les lits sont de nouveau libres.",
        calendar: "Le fichier de calendrier joint marque le séjour comme annulé dans votre agenda.",
    },
    no_show: Wording {
        title: "Nous vous avons attendu",
        lead: "Vous n’êtes pas arrivé : votre réservation a pris fin et les lits sont de nouveau libres. Vous êtes encore en route ? Appelez-nous.",
        calendar: "Le fichier de calendrier joint marque le séjour comme annulé dans votre agenda.",
    },
    arrival_soon: Wording {
        title: "À bientôt",
        lead: "Votre séjour commence dans quelques jours. Voici ce qu’il vous faut pour votre arrivée.",
        calendar: "Le fichier de calendrier joint ajoute le séjour à votre agenda.",
    },
    arrival_today: Wording {
        title: "Bienvenue aujourd’hui",
        lead: "Nous vous attendons aujourd’hui. Gardez la référence et une pièce d’identité sous la main à votre arrivée.",
        calendar: "Le fichier de calendrier joint ajoute le séjour à votre agenda.",
    },
    payment_link: Wording {
        title: "Réglez pour confirmer votre réservation",
        lead: "Vos lits sont retenus pour vous jusqu’à l’heure indiquée ci-dessous. Réglez d’ici là et votre réservation est confirmée aussitôt.",
        calendar: "Le fichier de calendrier joint indique le séjour comme provisoire.",
    },
    payment_received: Wording {
        title: "Nous avons reçu votre paiement",
        lead: "Merci. Votre paiement est arrivé\u{202f}; ce message vous sert de reçu.",
        calendar: "Le fichier de calendrier joint indique le séjour.",
    },
    payment_failed: Wording {
        title: "Votre paiement n’a pas abouti",
        lead: "Votre banque ou votre carte a refusé le paiement\u{202f}; rien n’a été débité. Vos lits sont toujours retenus\u{202f}: vous pouvez réessayer jusqu’à l’heure indiquée ci-dessous.",
        calendar: "Le fichier de calendrier joint indique le séjour comme provisoire.",
    },
    hold_expired: Wording {
        title: "Vos lits ont été libérés",
        lead: "Aucun paiement n’est arrivé à temps\u{202f}; les lits sont de nouveau libres et vous ne devez rien. Vous pouvez réserver à nouveau.",
        calendar: "Le fichier de calendrier joint retire le séjour de votre agenda.",
    },
    payment_refunded: Wording {
        title: "Un remboursement est en route",
        lead: "Un remboursement est en route vers le moyen de paiement utilisé. Il arrive en général sous cinq à dix jours.",
        calendar: "Le fichier de calendrier joint indique l’état du séjour.",
    },
    payment_returned: Wording {
        title: "Nous sommes désolés\u{202f}: votre paiement est arrivé trop tard",
        lead: "Votre paiement est arrivé après que vos lits ont été libérés, et ils sont pris maintenant. Nous en sommes désolés. La totalité vous est rendue sur le moyen de paiement utilisé.",
        calendar: "Le fichier de calendrier joint retire le séjour de votre agenda.",
    },
    changes: "Ce qui a changé",
    stay_number: "Séjour",
    nothing: "aucun",
    details: "Vos coordonnées",
    updated: "mises à jour",
    reference: "Référence",
    check_in: "Arrivée",
    check_out: "Départ",
    from: "à partir de",
    until: "jusqu’à",
    address: "Adresse",
    stay: "Votre séjour",
    price: "Prix",
    figures: "Montants",
    total: "Total",
    pay_on_arrival: "Le total est à régler à l’arrivée.",
    not_due: "Rien n’est à régler.",
    all_paid: "Tout est réglé.",
    balance_on_arrival: "Le solde est à régler à l’arrivée.",
    paid_twice: "Vous aviez déjà réglé\u{202f}: ce second paiement vous est rendu sur le moyen de paiement utilisé.",
    pay: "Régler maintenant",
    receipt: "Voir le reçu",
    due_now: "À régler maintenant",
    deadline: "À régler avant le",
    due_on_arrival: "À régler à l’arrivée",
    this_payment: "Ce paiement",
    this_refund: "Ce remboursement",
    paid: "Réglé",
    refunded: "Remboursé",
    charged_back: "Repris par votre banque",
    to_come_back: "En cours de remboursement",
    balance: "Solde à régler",
    fee: "Frais d’annulation",
    no_show_fee: "Frais de non-présentation",
    refund: "Remboursement",
    footer: "Ce message a été envoyé automatiquement. Gardez la référence sous la main pour nous contacter.",
    colon: "\u{a0}:",
    nights: ["nuit", "nuits"],
    guests: ["personne", "personnes"],
    weekdays: ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
    months: ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"],
};

#[cfg(test)]
mod tests {
    use super::Language::{self, English, French};
    use pvt_domain::money::{Currency, Money};

    #[test]
    fn the_guests_language_wins_then_the_propertys_order() {
        let montreal = ["fr".to_owned(), "en".to_owned()];
        assert_eq!(Language::choose(Some("en-CA"), &montreal), English);
        assert_eq!(Language::choose(Some("FR_ca"), &[]), French);
        assert_eq!(Language::choose(None, &montreal), French);
        assert_eq!(Language::choose(Some("de"), &montreal), French);
        assert_eq!(Language::choose(Some("de"), &["de".to_owned()]), English);
    }

    #[test]
    fn money_is_written_as_each_language_does() {
        let price = Money::new(123_456_750, Currency::CAD);
        assert_eq!(English.money(price), "1,234,567.50\u{a0}CAD");
        assert_eq!(French.money(price), "1\u{a0}234\u{a0}567,50\u{a0}CAD");
        assert_eq!(French.money(Money::new(-100, Currency::JPY)), "-100\u{a0}JPY");
        assert_eq!(English.money(Money::new(-100_000, Currency::CAD)), "-1,000.00\u{a0}CAD");
    }

    #[test]
    fn rates_lose_no_digit() {
        assert_eq!(English.percent(99_750), "9.975%");
        assert_eq!(French.percent(99_750), "9,975\u{a0}%");
        assert_eq!(English.percent(50_000), "5%");
        assert_eq!(English.percent(200_000), "20%");
        assert_eq!(English.percent(0), "0%");
    }

    #[test]
    fn dates_and_times_are_written_out() {
        assert_eq!(English.date("2027-01-10".parse().unwrap()), "Sunday 10 January 2027");
        assert_eq!(French.date("2027-08-01".parse().unwrap()), "dimanche 1er août 2027");
        assert_eq!(French.time("09:05:00".parse().unwrap()), "9\u{a0}h\u{a0}05");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!((English.nights(1), English.nights(2)), ("1\u{a0}night".to_owned(), "2\u{a0}nights".to_owned()));
        assert_eq!((French.guests(1), French.guests(3)), ("1\u{a0}personne".to_owned(), "3\u{a0}personnes".to_owned()));
    }
}
