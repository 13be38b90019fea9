//! What mails say in French.

use super::{Phrases, Wording};

pub(super) static FRENCH: Phrases = Phrases {
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
        lead: "Vous n’êtes pas arrivé : votre réservation a pris fin et les lits sont de nouveau libres. Vous êtes \
            encore en route ? Appelez-nous.",
        calendar: "Le fichier de calendrier joint marque le séjour comme annulé dans votre agenda.",
    },
    arrival_soon: Wording {
        title: "À bientôt",
        lead: "Votre séjour commence dans quelques jours. Voici ce qu’il vous faut pour votre arrivée.",
        calendar: "Le fichier de calendrier joint ajoute le séjour à votre agenda.",
    },
    arrival_today: Wording {
        title: "Bienvenue aujourd’hui",
        lead: "Nous vous attendons aujourd’hui. Gardez la référence et une pièce d’identité sous la main à votre \
            arrivée.",
        calendar: "Le fichier de calendrier joint ajoute le séjour à votre agenda.",
    },
    payment_link: Wording {
        title: "Réglez pour confirmer votre réservation",
        lead: "Vos lits sont retenus pour vous jusqu’à l’heure indiquée ci-dessous. Réglez d’ici là et votre \
            réservation est confirmée aussitôt.",
        calendar: "Le fichier de calendrier joint indique le séjour comme provisoire.",
    },
    payment_received: Wording {
        title: "Nous avons reçu votre paiement",
        lead: "Merci. Votre paiement est arrivé\u{202f}; ce message vous sert de reçu.",
        calendar: "Le fichier de calendrier joint indique le séjour.",
    },
    payment_failed: Wording {
        title: "Votre paiement n’a pas abouti",
        lead: "Votre banque ou votre carte a refusé le paiement\u{202f}; rien n’a été débité. Vos lits sont toujours \
            retenus\u{202f}: vous pouvez réessayer jusqu’à l’heure indiquée ci-dessous.",
        calendar: "Le fichier de calendrier joint indique le séjour comme provisoire.",
    },
    hold_expired: Wording {
        title: "Vos lits ont été libérés",
        lead: "Aucun paiement n’est arrivé à temps\u{202f}; les lits sont de nouveau libres et vous ne devez rien. \
            Vous pouvez réserver à nouveau.",
        calendar: "Le fichier de calendrier joint retire le séjour de votre agenda.",
    },
    payment_refunded: Wording {
        title: "Un remboursement est en route",
        lead: "Un remboursement est en route vers le moyen de paiement utilisé. Il arrive en général sous cinq à dix \
            jours.",
        calendar: "Le fichier de calendrier joint indique l’état du séjour.",
    },
    payment_returned: Wording {
        title: "Nous sommes désolés\u{202f}: votre paiement est arrivé trop tard",
        lead: "Votre paiement est arrivé après que vos lits ont été libérés, et ils sont pris maintenant. Nous en \
            sommes désolés. La totalité vous est rendue sur le moyen de paiement utilisé.",
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
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
};
