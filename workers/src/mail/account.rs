//! Mails about accounts: welcome, a second registration, a password reset, and alerts to staff.
//!
//! The token of a reset is in the mail and nowhere else: it must never reach a log, a metric or an error.

use super::language::Worded as _;
use super::message::{Headers, recipient};
use super::parts::{html_part, text_part};
use super::text::full_name;
use super::{MailError, OutgoingMail, Sender};
use askama::Template;
use lettre::message::MultiPart;
use pvt_domain::accounts::{Role, User};
use pvt_domain::ledger::Attention;
use pvt_domain::messages::{AccountMail, AccountMailKind, StaffAlert};
use pvt_domain::people::writing::Language;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::password_resets::PASSWORD_RESET_AGE;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use url::Url;
use uuid::Uuid;

/// Bytes of the recipient's hash that a ledger key keeps.
const RECIPIENT_HASH_BYTES: usize = 12;

/// Whether a message about an account asks for a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountDecision<'u> {
    /// Write to this user, unless the ledger says it was done.
    Send(&'u User),
    /// Send nothing, for this reason (a metric label).
    Skip(&'static str),
}

/// Decides about one message. `user` is the account as stored now, if there is one.
pub fn decide<'u>(mail: &AccountMail, user: Option<&'u User>, now: Timestamp) -> AccountDecision<'u> {
    let age = now.as_datetime().signed_duration_since(mail.requested_at.as_datetime());
    match user {
        // Resets are also requested for addresses without an account.
        None => AccountDecision::Skip("no_account"),
        Some(user) if user.disabled_at.is_some() => AccountDecision::Skip("account_disabled"),
        // By now the user has given up or asked again.
        Some(_)
            if mail.kind == AccountMailKind::PasswordReset
                && age.to_std().is_ok_and(|age| age > PASSWORD_RESET_AGE) =>
        {
            AccountDecision::Skip("too_late")
        }
        // Former staff of the property get no alert about it.
        Some(user) if mail.alert.as_ref().is_some_and(|alert| !receives_alert(user, alert)) => {
            AccountDecision::Skip("not_staff")
        }
        Some(user) => AccountDecision::Send(user),
    }
}

fn receives_alert(user: &User, alert: &StaffAlert) -> bool {
    match user.role {
        Role::Admin => true,
        Role::Staff => user.properties.contains(&alert.property_id),
        Role::Guest => false,
    }
}

/// The key of a mail in the ledger, `user|kind|mail id|hash of the recipient`.
pub fn ledger_key(mail: &AccountMail, user: &User) -> String {
    let hash = Sha256::digest(user.email.as_str().as_bytes());
    let mut key = format!("{}|{}|{}|", mail.user_id, mail.kind.as_str(), mail.mail_id);
    for byte in hash.iter().take(RECIPIENT_HASH_BYTES) {
        // Writing into a string cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// `Message-ID` of every attempt at a mail, with its angle brackets. `domain` is the sender's.
pub fn message_id(key: &str, mail: &AccountMail, domain: &str) -> String {
    format!("<{}@{domain}>", Uuid::new_v5(&mail.mail_id, format!("account|{key}").as_bytes()))
}

/// All that the templates need.
struct Content<'a> {
    language: Language,
    phrases: &'static Phrases,
    greeting: String,
    link: Option<&'a str>,
    /// A token to type where no link works, or a booking's reference.
    code: Option<&'a str>,
    /// What an alert is about, with its label.
    amount: Option<&'a str>,
    amount_label: &'static str,
    footer: &'static str,
}

#[derive(Template)]
#[template(path = "account.html")]
struct HtmlBody<'a> {
    mail: &'a Content<'a>,
}

#[derive(Template)]
#[template(path = "account.txt")]
struct TextBody<'a> {
    mail: &'a Content<'a>,
}

/// What a mail is composed from, beside the account.
#[derive(Debug, Clone, Copy)]
pub struct AccountMailParts<'a> {
    /// Which mail.
    pub kind: AccountMailKind,
    /// The token of a reset; none in other mails.
    pub token: Option<&'a str>,
    /// What staff have to look at; none in other mails.
    pub alert: Option<&'a StaffAlert>,
    /// The public address of the API.
    pub public_url: &'a Url,
    /// `Message-ID`, with its angle brackets.
    pub message_id: &'a str,
}

/// Writes a mail to this account.
///
/// # Errors
/// [`MailError::Recipient`] when the address is invalid; the other variants mean a defect in templates.
pub fn compose_account_mail(
    parts: AccountMailParts<'_>,
    user: &User,
    sender: &Sender,
    now: Timestamp,
) -> Result<OutgoingMail, MailError> {
    let recipient = recipient(full_name(&user.name), user.email.as_str())?;
    let language = Language::choose(user.locale.as_deref(), &[]);
    let base = parts.public_url.as_str().trim_end_matches('/');
    // Behind `#`, so that no server on the way to the page and no page beyond it sees the token.
    let reset = parts.token.map(|token| format!("{base}/reset-password#token={token}"));
    let link = parts.alert.map(|alert| format!("{base}/api/payments?booking_id={}", alert.booking_id)).or(reset);
    let reference = parts.alert.map(|alert| alert.booking_id.reference());
    let amount = parts.alert.and_then(|alert| alert.amount).map(|amount| language.money(amount));
    let content = Content {
        language,
        phrases: parts
            .alert
            .map_or_else(|| phrases(parts.kind, language), |alert| alert_phrases(alert.attention, language)),
        greeting: language.greeting(&user.name),
        link: link.as_deref(),
        code: parts.token.or(reference.as_deref()),
        amount: amount.as_deref(),
        amount_label: match language {
            Language::English => "Amount",
            Language::French => "Montant",
        },
        footer: match language {
            Language::English => "This is an automated message.",
            Language::French => "Ceci est un message automatique.",
        },
    };
    let body = MultiPart::alternative()
        .singlepart(text_part(&TextBody { mail: &content })?)
        .singlepart(html_part(&HtmlBody { mail: &content })?);
    let subject = content.phrases.title.to_owned();
    let booking = parts.alert.map(|alert| alert.booking_id);
    Headers { sender, recipient, subject, message_id: parts.message_id, booking, language, date: now }.with_body(body)
}

/// The phrases of one kind of mail in one language.
struct Phrases {
    title: &'static str,
    lead: &'static str,
    button: &'static str,
    code: &'static str,
    hint: &'static str,
}

fn phrases(kind: AccountMailKind, language: Language) -> &'static Phrases {
    match (kind, language) {
        // Only a malformed message, without its alert, leads here.
        (AccountMailKind::StaffAlert, language) => alert_phrases(Attention::RefundFailed, language),
        (AccountMailKind::Welcome, Language::English) => &Phrases {
            title: "Welcome",
            lead: "Your account is ready. You can now log in with this email address and the password you chose.",
            button: "",
            code: "",
            hint: "If you did not create this account, someone entered your address by mistake. They cannot keep it \
                without access to your mailbox: reset the password and the account is yours.",
        },
        (AccountMailKind::Welcome, Language::French) => &Phrases {
            title: "Bienvenue",
            lead: "Votre compte est prêt. Vous pouvez vous connecter avec cette adresse et le mot de passe que vous \
                avez choisi.",
            button: "",
            code: "",
            hint: "Si vous n’avez pas créé ce compte, quelqu’un a saisi votre adresse par erreur. Sans accès à votre \
                messagerie, cette personne ne pourra pas le garder\u{a0}: réinitialisez le mot de passe et le compte \
                est à vous.",
        },
        (AccountMailKind::AlreadyRegistered, Language::English) => &Phrases {
            title: "You already have an account",
            lead: "Someone tried to create an account with your email address. You already have one, and it has not \
                been changed.",
            button: "",
            code: "",
            hint: "If this was you and you have forgotten your password, you can reset it on the login page. If it was \
                not you, you do not need to do anything.",
        },
        (AccountMailKind::AlreadyRegistered, Language::French) => &Phrases {
            title: "Vous avez déjà un compte",
            lead: "Quelqu’un a essayé de créer un compte avec votre adresse. Vous en avez déjà un, et il n’a pas été \
                modifié.",
            button: "",
            code: "",
            hint: "S’il s’agissait de vous et que vous avez oublié votre mot de passe, vous pouvez le réinitialiser \
                depuis la page de connexion. Sinon, vous n’avez rien à faire.",
        },
        (AccountMailKind::PasswordReset, Language::English) => &Phrases {
            title: "Reset your password",
            lead: "We received a request to reset the password of your account. The link below works once and expires \
                in one hour:",
            button: "Reset password",
            code: "If the link does not work, enter this code:",
            hint: "If you did not request this, you do not need to do anything: your password stays the same.",
        },
        (AccountMailKind::PasswordReset, Language::French) => &Phrases {
            title: "Réinitialisez votre mot de passe",
            lead: "Nous avons reçu une demande de réinitialisation du mot de passe de votre compte. Le lien ci-dessous \
                est valable une heure et une seule fois\u{a0}:",
            button: "Réinitialiser le mot de passe",
            code: "Si le lien ne fonctionne pas, saisissez ce code\u{a0}:",
            hint: "Si vous n’êtes pas à l’origine de cette demande, vous n’avez rien à faire\u{a0}: votre mot de passe \
                reste inchangé.",
        },
    }
}

/// What needs the attention of staff in the payments of a booking, and what they can do.
fn alert_phrases(attention: Attention, language: Language) -> &'static Phrases {
    macro_rules! alert {
        ($lead_en:literal, $hint_en:literal, $lead_fr:literal, $hint_fr:literal) => {
            match language {
                Language::English => &Phrases {
                    title: "A payment needs your attention",
                    lead: $lead_en,
                    button: "View payment",
                    code: "Booking",
                    hint: $hint_en,
                },
                Language::French => &Phrases {
                    title: "Un paiement requiert votre attention",
                    lead: $lead_fr,
                    button: "Voir le paiement",
                    code: "Réservation",
                    hint: $hint_fr,
                },
            }
        };
    }
    match attention {
        Attention::AmountMismatch => alert!(
            "The amount paid differs from the amount requested. The payment has not confirmed the booking.",
            "Confirm the booking manually, or cancel it and refund the guest.",
            "Le montant payé diffère du montant demandé. Ce paiement n’a pas confirmé la réservation.",
            "Confirmez la réservation manuellement, ou annulez-la et remboursez le client."
        ),
        Attention::CurrencyMismatch => alert!(
            "The payment was made in a different currency than requested. It has not confirmed the booking.",
            "Confirm the booking manually, or cancel it and refund the payment in Stripe.",
            "Le paiement a été effectué dans une autre devise que celle demandée. Il n’a pas confirmé la réservation.",
            "Confirmez la réservation manuellement, ou annulez-la et remboursez le paiement dans Stripe."
        ),
        Attention::RefundFailed => alert!(
            "A refund failed. The guest is still owed the money.",
            "Retry the refund, or refund the guest another way and record it.",
            "Un remboursement a échoué\u{a0}: la somme est toujours due au client.",
            "Relancez le remboursement, ou remboursez le client autrement et enregistrez l’opération."
        ),
        Attention::RefundManual => alert!(
            "A guest is owed a refund that cannot be made through Stripe, because it was paid in cash, for example.",
            "Return the money to the guest, then record it as a payment with a negative amount.",
            "Un remboursement est dû à un client et ne peut pas passer par Stripe, par exemple parce que la somme a \
            été réglée en espèces.",
            "Rendez la somme au client, puis enregistrez l’opération comme un paiement de montant négatif."
        ),
        Attention::RefundPending => alert!(
            "Stripe has not made a refund for more than an hour. It is requested again every hour.",
            "Check the Stripe dashboard and the dead letters (pvt dead list).",
            "Un remboursement n’a pas été effectué par Stripe depuis plus d’une heure. Il est redemandé toutes les \
            heures.",
            "Vérifiez le tableau de bord Stripe et les messages en échec (pvt dead list)."
        ),
        Attention::DisputeOpen => alert!(
            "A guest’s bank is disputing a payment. No part of it can be refunded until the dispute is closed.",
            "Respond in the Stripe dashboard before the deadline. GET /api/disputes lists the evidence.",
            "La banque d’un client conteste un paiement. Aucun remboursement n’est possible tant que la contestation \
            est ouverte.",
            "Répondez dans le tableau de bord Stripe avant l’échéance. GET /api/disputes réunit les preuves."
        ),
        Attention::DisputeLost => alert!(
            "A dispute was lost: the bank has charged back the payment.",
            "The amount is due on the booking again. Ask the guest for another payment method.",
            "Une contestation a été perdue\u{a0}: la banque a repris le paiement.",
            "Ce montant est de nouveau dû sur la réservation. Demandez au client un autre moyen de paiement."
        ),
    }
}

#[cfg(test)]
mod tests;
