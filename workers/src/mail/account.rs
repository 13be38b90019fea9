//! Mails about accounts: welcome, a second registration, and the choice of a new password.
//!
//! The token of a reset is in the mail and nowhere else: it must never reach a log, a metric or an error.

use super::compose::{AutoSubmitted, ContentLanguage};
use super::content::{MAX_NAME_CHARS, greeting, one_line};
use super::{Language, MailError, OutgoingMail, Sender};
use askama::Template;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use pvt_domain::accounts::{Role, User};
use pvt_domain::ledger::Attention;
use pvt_domain::messages::{AccountMail, AccountMailKind, StaffAlert};
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
    /// Write to this person, unless the ledger says it was done.
    Send(&'u User),
    /// Send nothing, for this reason (a metric label).
    Skip(&'static str),
}

/// Decides about one message. `user` is the account as stored now, if there is one.
pub fn decide<'u>(mail: &AccountMail, user: Option<&'u User>, now: Timestamp) -> AccountDecision<'u> {
    let age = now.as_datetime().signed_duration_since(mail.requested_at.as_datetime());
    match user {
        // Also what is asked for an address that nobody has.
        None => AccountDecision::Skip("no_account"),
        Some(user) if user.disabled_at.is_some() => AccountDecision::Skip("account_disabled"),
        // Who asked has given up or asked again.
        Some(_)
            if mail.kind == AccountMailKind::PasswordReset
                && age.to_std().is_ok_and(|age| age > PASSWORD_RESET_AGE) =>
        {
            AccountDecision::Skip("too_late")
        }
        // Who no longer works there is told nothing of it.
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

/// The key of a mail in the ledger, `user|kind|wish|hash of the recipient`.
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
    say: &'static Phrases,
    greeting: String,
    link: Option<&'a str>,
    /// A token to type where no link works, or a booking's reference.
    code: Option<&'a str>,
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

/// What a letter is written from, beside the account.
#[derive(Debug, Clone, Copy)]
pub struct AccountMailParts<'a> {
    /// Which mail.
    pub kind: AccountMailKind,
    /// The token of a reset; none in other mails.
    pub token: Option<&'a str>,
    /// What staff have to look at; nothing in other mails.
    pub alert: Option<&'a StaffAlert>,
    /// How guests reach us.
    pub public_url: &'a Url,
    /// `Message-ID`, with its angle brackets.
    pub message_id: &'a str,
}

/// Writes a mail to this account.
///
/// # Errors
/// [`MailError::Recipient`] when the address is none; the other variants mean a fault in templates.
pub fn compose_account_mail(
    letter: AccountMailParts<'_>,
    user: &User,
    sender: &Sender,
    now: Timestamp,
) -> Result<OutgoingMail, MailError> {
    let address: Address = user.email.as_str().parse().map_err(|_| MailError::Recipient)?;
    let language = Language::choose(user.locale.as_deref(), &[]);
    let base = letter.public_url.as_str().trim_end_matches('/');
    // Behind `#`, so that no server on the way to the page and no page beyond it is told the token.
    let reset = letter.token.map(|token| format!("{base}/reset-password#token={token}"));
    let link = letter.alert.map(|alert| format!("{base}/api/payments?booking_id={}", alert.booking_id)).or(reset);
    let reference = letter.alert.map(|alert| alert.booking_id.reference());
    let content = Content {
        language,
        say: letter
            .alert
            .map_or_else(|| phrases(letter.kind, language), |alert| alert_phrases(alert.attention, language)),
        greeting: greeting(language.phrases(), &user.name),
        link: link.as_deref(),
        code: letter.token.or(reference.as_deref()),
        footer: match language {
            Language::English => "This message was sent automatically.",
            Language::French => "Ce message a été envoyé automatiquement.",
        },
    };
    let bodies = MultiPart::alternative()
        .singlepart(SinglePart::plain(TextBody { mail: &content }.render()?))
        .singlepart(SinglePart::html(HtmlBody { mail: &content }.render()?));
    let name = Some(one_line(&user.name, MAX_NAME_CHARS)).filter(|name| !name.is_empty());
    let message = Message::builder()
        .date(now.as_datetime().into())
        .from(sender.mailbox().clone())
        .to(Mailbox::new(name, address.clone()))
        .subject(content.say.title)
        .message_id(Some(letter.message_id.to_owned()))
        .header(AutoSubmitted)
        .header(ContentLanguage(language))
        .multipart(bodies)?;
    let envelope = Envelope::new(Some(sender.mailbox().email.clone()), vec![address])?;
    let message = String::from_utf8(message.formatted()).map_err(|_| MailError::NotText)?;
    Ok(OutgoingMail { envelope, message })
}

/// What one kind of mail says in one language.
struct Phrases {
    title: &'static str,
    lead: &'static str,
    button: &'static str,
    code: &'static str,
    hint: &'static str,
}

fn phrases(kind: AccountMailKind, language: Language) -> &'static Phrases {
    match (kind, language) {
        // Only a message without its subject comes here.
        (AccountMailKind::StaffAlert, language) => alert_phrases(Attention::RefundFailed, language),
        (AccountMailKind::Welcome, Language::English) => &Phrases {
            title: "Welcome",
            lead: "Your account is ready: log in with this address and the password you chose.",
            button: "",
            code: "",
            hint: "If you did not open an account, somebody mistyped their address. Without your mailbox they cannot \
                keep it: choose a new password and it is yours.",
        },
        (AccountMailKind::Welcome, Language::French) => &Phrases {
            title: "Bienvenue",
            lead: "Votre compte est prêt : connectez-vous avec cette adresse et le mot de passe choisi.",
            button: "",
            code: "",
            hint: "Si vous n’avez pas ouvert de compte, quelqu’un s’est trompé d’adresse. Sans votre boîte, le \
                compte ne lui restera pas : choisissez un nouveau mot de passe et il est à vous.",
        },
        (AccountMailKind::AlreadyRegistered, Language::English) => &Phrases {
            title: "You have an account already",
            lead: "Somebody tried to open an account with your address. You have one already, and nothing about it \
                was changed.",
            button: "",
            code: "",
            hint: "If it was you and you have forgotten your password, ask for a new one where you log in. If it was \
                not you, there is nothing to do.",
        },
        (AccountMailKind::AlreadyRegistered, Language::French) => &Phrases {
            title: "Vous avez déjà un compte",
            lead: "Quelqu’un a voulu ouvrir un compte avec votre adresse. Vous en avez déjà un, et rien n’y a été \
                changé.",
            button: "",
            code: "",
            hint: "Si c’était vous et que le mot de passe est oublié, demandez-en un nouveau à la connexion. Si ce \
                n’était pas vous, il n’y a rien à faire.",
        },
        (AccountMailKind::PasswordReset, Language::English) => &Phrases {
            title: "Choose a new password",
            lead: "Somebody asked for a new password for your account. Within one hour, and once, you can choose it \
                here:",
            button: "Choose a password",
            code: "Where no link works, enter this code:",
            hint: "If it was not you, there is nothing to do: your password stays as it is.",
        },
        (AccountMailKind::PasswordReset, Language::French) => &Phrases {
            title: "Choisissez un nouveau mot de passe",
            lead: "Quelqu’un a demandé un nouveau mot de passe pour votre compte. Pendant une heure, et une seule \
                fois, vous pouvez le choisir ici :",
            button: "Choisir un mot de passe",
            code: "Si aucun lien ne fonctionne, saisissez ce code :",
            hint: "Si ce n’était pas vous, il n’y a rien à faire : votre mot de passe reste le même.",
        },
    }
}

/// What staff are told about the money of a booking, and what they can do.
fn alert_phrases(attention: Attention, language: Language) -> &'static Phrases {
    macro_rules! alert {
        ($lead_en:literal, $hint_en:literal, $lead_fr:literal, $hint_fr:literal) => {
            match language {
                Language::English => &Phrases {
                    title: "A payment needs you",
                    lead: $lead_en,
                    button: "See the payment",
                    code: "Booking",
                    hint: $hint_en,
                },
                Language::French => &Phrases {
                    title: "Un paiement vous attend",
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
            "Another amount was paid than was asked for. Nothing was confirmed because of it.",
            "Confirm the booking by hand, or cancel it and give the money back.",
            "Un autre montant que celui demandé a été payé. Rien n’a été confirmé pour autant.",
            "Confirmez la réservation à la main, ou annulez-la et remboursez."
        ),
        Attention::CurrencyMismatch => alert!(
            "It was paid in another currency than was asked for. Nothing was confirmed because of it.",
            "Confirm the booking by hand, or cancel it and give the money back at Stripe.",
            "Le paiement est arrivé dans une autre devise que celle demandée. Rien n’a été confirmé pour autant.",
            "Confirmez la réservation à la main, ou annulez-la et remboursez chez Stripe."
        ),
        Attention::RefundFailed => alert!(
            "A refund failed: the guest is still owed the money.",
            "Give it back another way and note it, or try the refund again.",
            "Un remboursement a échoué : l’argent est toujours dû au client.",
            "Remboursez autrement et notez-le, ou relancez le remboursement."
        ),
        Attention::DisputeOpen => alert!(
            "A guest’s bank disputes a payment. Nothing of it is given back meanwhile.",
            "Answer in Stripe’s dashboard before its deadline; GET /api/disputes has the evidence.",
            "La banque d’un client conteste un paiement. Rien n’en est remboursé entre-temps.",
            "Répondez dans le tableau de bord de Stripe avant l’échéance ; GET /api/disputes réunit les preuves."
        ),
        Attention::DisputeLost => alert!(
            "A dispute is lost: the bank has taken the money back.",
            "The booking owes it again. Ask the guest for another way to pay.",
            "Une contestation est perdue : la banque a repris l’argent.",
            "La réservation le doit à nouveau. Demandez au client un autre moyen de paiement."
        ),
    }
}

#[cfg(test)]
mod tests;
