//! The kinds of mail about a booking: for each, when it is sent, what it shows and what it says in both languages.
//!
//! A new kind is a variant of [`NotificationKind`], its arms in [`pvt_domain::booking::mails`], which say for which
//! bookings it is right, and a declaration here. Conditions are pure: they read the booking, its history and the event,
//! and nothing else.

use super::change::Change;
use super::language::{CalendarNote, Phrases};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::events::{PaymentEvent, PaymentEventKind};
use pvt_domain::ledger::Summary;
use pvt_domain::messages::NotificationKind;
use pvt_domain::people::writing::Language;

/// The declaration of a kind.
pub(super) struct Kind {
    pub when: When,
    pub shows: Shows,
    english: Wording,
    french: Wording,
}

/// The sentences of a kind in one language.
pub(super) struct Wording {
    pub title: &'static str,
    pub lead: &'static str,
}

/// What causes a mail.
pub(super) struct When {
    pub trigger: Trigger,
    /// A later change of the same kind takes the place of an earlier one.
    pub latest_only: bool,
}

/// The event that causes a mail.
pub(super) enum Trigger {
    /// A change of the booking for which this holds.
    Change(fn(&Change<'_>) -> bool),
    /// An event of a payment for which this holds, and which changed no booking.
    Payment(fn(&PaymentEvent) -> bool),
    /// A change of the booking for which this holds. The mail goes to the address that the guest had before, beside
    /// the one that the present address gets.
    FormerAddress(fn(&Change<'_>) -> bool),
    /// None: staff or a schedule ask for it.
    RequestOnly,
}

/// What a mail shows beside its sentences.
pub(super) struct Shows {
    pub payments: PaymentRows,
    pub calendar: CalendarNote,
    /// The stay is over or will not be: no price.
    pub ended: bool,
    /// What changed with the revision, before and after.
    pub changes: bool,
    /// A sentence when the payment of the revision was not owed.
    pub duplicate_payment: bool,
}

/// The rows on payments.
pub(super) enum PaymentRows {
    None,
    /// What is due, until when, and what is left for later.
    Request,
    /// What was paid, refunded and is still due, once something was paid; first what moved with the revision.
    Balance(Option<Movement>),
    /// What was agreed, the fee for ending the booking, what was paid, the refund, and what of the fee is still owed.
    Fee,
    /// What was paid, all of which is refunded.
    FullRefund,
}

/// An amount that moved with the revision that a mail is about.
#[derive(Clone, Copy)]
pub(super) struct Movement {
    pub label: fn(&Phrases) -> &'static str,
    pub part: fn(&Summary) -> i64,
}

impl Kind {
    pub(super) fn wording(&self, language: Language) -> &Wording {
        match language {
            Language::English => &self.english,
            Language::French => &self.french,
        }
    }
}

impl When {
    const fn new(trigger: Trigger) -> Self {
        Self { trigger, latest_only: false }
    }

    /// The same; a later change takes the place of an earlier one.
    const fn latest(trigger: Trigger) -> Self {
        Self { trigger, latest_only: true }
    }
}

impl Shows {
    const fn new(payments: PaymentRows, calendar: CalendarNote) -> Self {
        Self { payments, calendar, ended: false, changes: false, duplicate_payment: false }
    }

    /// The booking as it will be once its pending change is paid, if the mail asks for that.
    pub(super) fn pending(&self, booking: &Booking) -> Option<Booking> {
        let is_asked = matches!(self.payments, PaymentRows::Request) && booking.pending_change.is_some();
        is_asked.then(|| {
            let mut changed = booking.clone();
            changed.apply_pending();
            changed
        })
    }
}

/// The declaration of this kind.
pub(super) fn of(kind: NotificationKind) -> &'static Kind {
    match kind {
        NotificationKind::BookingConfirmed => &BOOKING_CONFIRMED,
        NotificationKind::BookingModified => &BOOKING_MODIFIED,
        NotificationKind::BookingCancelled => &BOOKING_CANCELLED,
        NotificationKind::BookingNoShow => &BOOKING_NO_SHOW,
        NotificationKind::ArrivalSoon => &ARRIVAL_SOON,
        NotificationKind::ArrivalToday => &ARRIVAL_TODAY,
        NotificationKind::PaymentLink => &PAYMENT_LINK,
        NotificationKind::ChangePaymentLink => &CHANGE_PAYMENT_LINK,
        NotificationKind::ChangeReleased => &CHANGE_RELEASED,
        NotificationKind::PaymentReceived => &PAYMENT_RECEIVED,
        NotificationKind::PaymentFailed => &PAYMENT_FAILED,
        NotificationKind::HoldExpired => &HOLD_EXPIRED,
        NotificationKind::PaymentRefunded => &PAYMENT_REFUNDED,
        NotificationKind::PaymentReturned => &PAYMENT_RETURNED,
        NotificationKind::RefundFailed => &REFUND_FAILED,
        NotificationKind::AddressChanged => &ADDRESS_CHANGED,
    }
}

static BOOKING_CONFIRMED: Kind = Kind {
    // A guest who was mailed about a no-show must hear that the beds are kept after all.
    when: When::new(Trigger::Change(|change| change.enters(Status::Confirmed) || change.reinstates_no_show())),
    shows: Shows { duplicate_payment: true, ..Shows::new(PaymentRows::Balance(None), CalendarNote::AddsStay) },
    english: Wording {
        title: "Your booking is confirmed",
        lead: "Your beds are reserved. We look forward to welcoming you.",
    },
    french: Wording {
        title: "Votre réservation est confirmée",
        lead: "Vos lits sont réservés. Au plaisir de vous accueillir.",
    },
};

static BOOKING_MODIFIED: Kind = Kind {
    when: When::latest(Trigger::Change(|change| change.modifies())),
    shows: Shows { changes: true, ..Shows::new(PaymentRows::Balance(None), CalendarNote::UpdatesStay) },
    english: Wording {
        title: "Your booking has been updated",
        lead: "We have updated your booking. Here are the current details.",
    },
    french: Wording {
        title: "Votre réservation a été modifiée",
        lead: "Nous avons modifié votre réservation. En voici le détail à jour.",
    },
};

static BOOKING_CANCELLED: Kind = Kind {
    when: When::new(Trigger::Change(|change| change.enters(Status::Cancelled))),
    shows: Shows { ended: true, ..Shows::new(PaymentRows::Fee, CalendarNote::CancelsStay) },
    english: Wording {
        title: "Your booking has been cancelled",
        lead: "Your booking has been cancelled and your beds have been released.",
    },
    french: Wording {
        title: "Votre réservation est annulée",
        lead: "Votre réservation a été annulée et vos lits ont été libérés.",
    },
};

static BOOKING_NO_SHOW: Kind = Kind {
    when: When::new(Trigger::Change(|change| change.enters(Status::NoShow))),
    shows: Shows { ended: true, ..Shows::new(PaymentRows::Fee, CalendarNote::CancelsStay) },
    english: Wording {
        title: "We missed you",
        lead: "You did not check in, so your booking has been recorded as a no-show and your beds have been released. \
            Still on your way? Please call us.",
    },
    french: Wording {
        title: "Nous vous attendions",
        lead: "En l’absence d’arrivée à la date prévue, votre réservation a été enregistrée comme non-présentation et \
            vos lits ont été libérés. Vous êtes encore en route\u{202f}? Appelez-nous.",
    },
};

static ARRIVAL_SOON: Kind = Kind {
    when: When::new(Trigger::RequestOnly),
    shows: Shows::new(PaymentRows::Balance(None), CalendarNote::AddsStay),
    english: Wording {
        title: "See you soon",
        lead: "Your stay starts in a few days. Here is everything you need for your arrival.",
    },
    french: Wording {
        title: "À bientôt",
        lead: "Votre séjour commence dans quelques jours. Voici toutes les informations utiles pour votre arrivée.",
    },
};

static ARRIVAL_TODAY: Kind = Kind {
    when: When::new(Trigger::RequestOnly),
    shows: Shows::new(PaymentRows::Balance(None), CalendarNote::AddsStay),
    english: Wording {
        title: "See you today",
        lead: "We look forward to welcoming you today. Please have your booking reference and an identity document \
            ready at check-in.",
    },
    french: Wording {
        title: "Nous vous attendons aujourd’hui",
        lead: "Au plaisir de vous accueillir aujourd’hui. Merci de préparer votre référence de réservation et une \
            pièce d’identité pour votre arrivée.",
    },
};

static PAYMENT_LINK: Kind = Kind {
    when: When::latest(Trigger::Change(|change| change.enters(Status::Held) || change.readdresses_hold())),
    shows: Shows::new(PaymentRows::Request, CalendarNote::Tentative),
    english: Wording {
        title: "Complete your payment to confirm your booking",
        lead: "We are holding your beds until the time shown below. Pay by then and your booking will be confirmed \
            straight away.",
    },
    french: Wording {
        title: "Réglez votre séjour pour confirmer votre réservation",
        lead: "Nous gardons vos lits jusqu’à l’heure indiquée ci-dessous. Réglez d’ici là et votre réservation sera \
            confirmée aussitôt.",
    },
};

static CHANGE_PAYMENT_LINK: Kind = Kind {
    when: When::latest(Trigger::Change(|change| change.is_held())),
    shows: Shows::new(PaymentRows::Request, CalendarNote::ShowsStatus),
    english: Wording {
        title: "Complete your payment to change your booking",
        lead: "Your booking stays as shown here until you have paid. We are holding what you want to change until the \
            time shown below. Pay by then and your change takes effect straight away.",
    },
    french: Wording {
        title: "Réglez pour modifier votre réservation",
        lead: "Votre réservation reste telle qu’indiquée ici jusqu’au règlement. Nous gardons ce que vous souhaitez \
            modifier jusqu’à l’heure indiquée ci-dessous. Réglez d’ici là et la modification prend effet aussitôt.",
    },
};

static CHANGE_RELEASED: Kind = Kind {
    when: When::latest(Trigger::Change(|change| change.is_released())),
    shows: Shows::new(PaymentRows::Balance(None), CalendarNote::ShowsStatus),
    english: Wording {
        title: "Your booking was not changed",
        lead: "The change that we were holding for you was not paid for or can no longer be made, so we have released \
            the beds for it. Your booking stays as shown here. You can request the change again.",
    },
    french: Wording {
        title: "Votre réservation n’a pas été modifiée",
        lead: "La modification que nous gardions pour vous n’a pas été réglée ou n’est plus possible\u{202f}; nous \
            avons libéré les lits correspondants. Votre réservation reste telle qu’indiquée ici. Vous pouvez demander \
            de nouveau la modification.",
    },
};

static PAYMENT_RECEIVED: Kind = Kind {
    when: When::new(Trigger::Change(|change| change.captured().is_some_and(|entry| entry.to.holds_beds()))),
    shows: Shows {
        duplicate_payment: true,
        ..Shows::new(
            PaymentRows::Balance(Some(Movement {
                label: |phrases| phrases.this_payment,
                part: |ledger| ledger.captured,
            })),
            CalendarNote::ShowsStatus,
        )
    },
    english: Wording {
        title: "We have received your payment",
        lead: "Thank you for your payment. This message is your receipt.",
    },
    french: Wording {
        title: "Nous avons bien reçu votre paiement",
        lead: "Merci pour votre paiement. Ce message vous sert de reçu.",
    },
};

static PAYMENT_FAILED: Kind = Kind {
    when: When::new(Trigger::Payment(|event| event.change == PaymentEventKind::Failed)),
    shows: Shows::new(PaymentRows::Request, CalendarNote::ShowsStatus),
    english: Wording {
        title: "Your payment did not go through",
        lead: "Your bank or card issuer declined the payment, so you have not been charged. We are still holding your \
            beds: please try again by the time shown below.",
    },
    french: Wording {
        title: "Votre paiement n’a pas abouti",
        lead: "Votre banque ou l’émetteur de votre carte a refusé le paiement\u{202f}; rien n’a été débité. Nous \
            gardons toujours vos lits\u{a0}: vous pouvez réessayer jusqu’à l’heure indiquée ci-dessous.",
    },
};

static HOLD_EXPIRED: Kind = Kind {
    when: When::new(Trigger::Change(|change| change.enters(Status::Expired))),
    shows: Shows::new(PaymentRows::None, CalendarNote::RemovesStay),
    english: Wording {
        title: "Your booking has expired",
        lead: "We did not receive your payment in time, so your beds have been released. You owe nothing, and you are \
            welcome to book again.",
    },
    french: Wording {
        title: "Votre réservation a expiré",
        lead: "Nous n’avons pas reçu votre paiement à temps\u{202f}; vos lits ont été libérés et vous ne nous devez \
            rien. Vous pouvez réserver de nouveau à tout moment.",
    },
};

static PAYMENT_REFUNDED: Kind = Kind {
    // After a late payment the apology has already announced the refund.
    when: When::new(Trigger::Change(|change| change.refunded().is_some_and(|entry| entry.to != Status::Expired))),
    shows: Shows::new(
        PaymentRows::Balance(Some(Movement { label: |phrases| phrases.this_refund, part: |ledger| ledger.refunded })),
        CalendarNote::ShowsStatus,
    ),
    // It may have been paid in cash.
    english: Wording {
        title: "We have refunded you",
        lead: "We have made the refund shown below. To a card or an account it usually arrives within five to ten \
            days.",
    },
    french: Wording {
        title: "Nous vous avons remboursé",
        lead: "Nous avons effectué le remboursement indiqué ci-dessous. Sur une carte ou un compte, il arrive en \
            général sous cinq à dix jours.",
    },
};

static PAYMENT_RETURNED: Kind = Kind {
    when: When::new(Trigger::Change(|change| change.captured().is_some_and(|entry| entry.to == Status::Expired))),
    shows: Shows::new(PaymentRows::FullRefund, CalendarNote::RemovesStay),
    english: Wording {
        title: "We are sorry: your payment arrived too late",
        lead: "Your payment arrived after your beds had been released, and they are no longer available. We are sorry \
            for the inconvenience. We are refunding you in full.",
    },
    french: Wording {
        title: "Nous sommes désolés\u{a0}: votre paiement est arrivé trop tard",
        lead: "Votre paiement nous est parvenu après la libération de vos lits, qui ne sont plus disponibles. Nous en \
            sommes désolés. Nous vous remboursons intégralement.",
    },
};

static REFUND_FAILED: Kind = Kind {
    when: When::new(Trigger::Change(|change| change.refund_failed().is_some())),
    shows: Shows::new(PaymentRows::Balance(None), CalendarNote::ShowsStatus),
    english: Wording {
        title: "Your refund did not go through",
        lead: "The refund that we announced could not be made, or your bank returned it. We are sorry, and will give \
            you the money in another way. You can also contact us about it.",
    },
    french: Wording {
        title: "Votre remboursement n’a pas abouti",
        lead: "Le remboursement que nous vous avions annoncé n’a pas pu être effectué, ou votre banque l’a renvoyé. \
            Nous en sommes désolés et vous rendrons cette somme autrement. Vous pouvez aussi nous contacter à ce \
            sujet.",
    },
};

static ADDRESS_CHANGED: Kind = Kind {
    when: When::new(Trigger::FormerAddress(|change| change.readdresses())),
    shows: Shows::new(PaymentRows::None, CalendarNote::ShowsStatus),
    english: Wording {
        title: "Your email address was changed",
        lead: "The email address of your booking was changed. From now on, messages about your booking go to another \
            address.",
    },
    french: Wording {
        title: "Votre adresse e-mail a été modifiée",
        lead: "L’adresse e-mail de votre réservation a été modifiée. Les messages à son sujet sont désormais envoyés \
            à une autre adresse.",
    },
};

#[cfg(test)]
mod tests {
    //! Each kind says something of its own, in well-set French, and docs/development.md quotes one as it is.
    use super::of;
    use pvt_domain::messages::NotificationKind;
    use pvt_domain::people::writing::Language;
    use std::collections::BTreeSet;

    #[test]
    fn page_quotes_a_declaration() {
        let (_, rest) = include_str!("kinds.rs").split_once("\nstatic HOLD_EXPIRED").unwrap();
        let (declaration, _) = rest.split_once("\n};\n").unwrap();
        let page = include_str!("../../../docs/development.md");
        assert!(page.contains(&format!("static HOLD_EXPIRED{declaration}\n}};\n")), "docs/development.md differs");
    }

    #[test]
    fn every_kind_has_its_own_title_in_each_language() {
        for language in [Language::English, Language::French] {
            let titles = NotificationKind::ALL.iter().map(|(_, kind)| of(*kind).wording(language).title);
            assert_eq!(titles.collect::<BTreeSet<_>>().len(), NotificationKind::ALL.len());
        }
    }

    #[test]
    fn french_has_no_breaking_space_before_double_punctuation() {
        for (_, kind) in NotificationKind::ALL {
            let wording = of(kind).wording(Language::French);
            for text in [wording.title, wording.lead] {
                let breaks = [" :", " ;", " ?", " !", "'"].iter().any(|mark| text.contains(mark));
                assert!(!breaks, "{text}");
            }
        }
    }
}
