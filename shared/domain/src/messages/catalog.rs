//! Every message by its wire name, with an example: what the description of the queues is made of.
//!
//! It decides nothing and routes nothing. The examples are those that the tests decode for ever.

use super::{
    AnalyticsEvent, BookingCommand, DecodeError, EmailCommand, Inbox, NOTIFICATION_SEND, PAYMENT_REPLY, PaymentCommand,
    PaymentReply, RECONCILE_PAYMENTS, RECONCILE_PROPERTY, ReconcileCommand, Reply, STRIPE_EVENT, StripeCommand,
    decode_body,
};
use crate::accounts::mail::ACCOUNT_MAIL;

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageClass {
    /// To the one worker that does it.
    Command,
    /// To everybody who listens.
    Event,
    /// Straight to who waits for it.
    Reply,
}

/// One message type.
#[derive(Debug, Clone, Copy)]
pub struct CatalogEntry {
    /// The wire name with its version.
    pub kind: &'static str,
    /// How it travels.
    pub class: MessageClass,
    /// What it says.
    pub about: &'static str,
    /// A whole body, as JSON.
    pub example: &'static str,
}

macro_rules! catalog {
    ($($class:ident $kind:literal $about:literal;)*) => {
        /// Every message type.
        pub const CATALOG: &[CatalogEntry] = &[$(CatalogEntry {
            kind: $kind,
            class: MessageClass::$class,
            about: $about,
            example: include_str!(concat!("../../tests/messages/", $kind, ".json")),
        }),*];
    };
}

catalog! {
    Command "booking.request.v1" "Beds for a guest.";
    Command "booking.modify.v1" "Other dates, guests, room types, beds or prices, all or nothing.";
    Command "booking.cancel.v1" "To let a booking go.";
    Command "booking.confirm.v1" "To confirm by hand what waits for something.";
    Command "booking.check_in.v1" "To note that the guests are here.";
    Command "booking.check_out.v1" "To note that they left; nights that they do not sleep are freed.";
    Command "booking.mark_no_show.v1" "To note that nobody came.";
    Command "booking.reinstate.v1" "To undo a check-in or a no-show.";
    Command "booking.assign.v1" "Certain beds, or to lock or unlock them.";
    Command "booking.expire_hold.v1" "To release the beds of a hold that nobody can pay for any more.";
    Command "booking.settle_payment.v1" "To tell a booking what its ledger comes to.";
    Command "inventory.block.v1" "Not to sell some beds on some nights.";
    Command "inventory.unblock.v1" "To sell them again.";
    Command "stripe.event.v1" "To take in what Stripe pushed.";
    Command "payment.open_checkout.v1" "A page at Stripe on which a guest pays what is due.";
    Command "payment.create_intent.v1" "A payment at Stripe for an app that takes cards by Stripe's own fields.";
    Command "payment.expire_checkout.v1" "To close a booking's pages at Stripe, and then, if its hold is over, to \
        release its beds.";
    Command "payment.refund.v1" "To give back what a booking leaves too much, or what staff want.";
    Command "payment.record.v1" "To note cash, terminal and bank payments.";
    Command "payment.refresh.v1" "To read a payment from Stripe.";
    Command "reconcile.payments.v1" "To compare Stripe's events and its ledger with ours.";
    Command "notification.send.v1" "One mail about a booking.";
    Command "account.mail.v1" "One mail about an account.";
    Command "reconcile.property.v1" "To compare the stores for one property.";
    Event "booking.held.v1" "Beds are claimed until it is paid; `payment` says how much and until when.";
    Event "booking.confirmed.v1" "Beds are claimed.";
    Event "booking.rejected.v1" "A request was refused; `rejection` says why.";
    Event "booking.cancelled.v1" "The beds are free again.";
    Event "booking.modified.v1" "Stays, beds, price or guest changed; `action` says whether somebody asked or room \
        was made for others.";
    Event "booking.checked_in.v1" "The guests came.";
    Event "booking.checked_out.v1" "The guests left.";
    Event "booking.no_show.v1" "Nobody came; the beds are free again.";
    Event "booking.reinstated.v1" "A check-in or a no-show was undone.";
    Event "booking.expired.v1" "Nobody paid in time; the beds are free again.";
    Event "booking.payment_changed.v1" "Money came or went; `payment` says what it comes to.";
    Event "payment.opened.v1" "A guest was sent to pay.";
    Event "payment.captured.v1" "Money came.";
    Event "payment.failed.v1" "An attempt to pay failed.";
    Event "payment.refunded.v1" "Money was given back; with the amount 0 when it came back.";
    Event "payment.disputed.v1" "A guest's bank wants money back, took it, or gave it back.";
    Event "inventory.changed.v1" "A property, its prices or its blocks changed; `what` says which.";
    Event "notification.sent.v1" "The mail server accepted a mail.";
    Event "notification.failed.v1" "The mail server refused a mail for good.";
    Reply "booking.reply.v1" "What became of a command that somebody waits for.";
    Reply "payment.reply.v1" "What became of a command about money that somebody waits for.";
}

impl CatalogEntry {
    /// Whether a consumer of this message takes this body.
    pub fn takes(&self, body: &[u8]) -> bool {
        self.decode(body).is_ok()
    }

    fn decode(&self, body: &[u8]) -> Result<(), DecodeError> {
        match (self.class, self.kind) {
            (MessageClass::Reply, PAYMENT_REPLY) => decode_body::<PaymentReply>(body).map(drop),
            (MessageClass::Reply, _) => decode_body::<Reply>(body).map(drop),
            (MessageClass::Event, kind) => AnalyticsEvent::decode(kind, body).map(drop),
            (MessageClass::Command, STRIPE_EVENT) => PaymentCommand::decode(STRIPE_EVENT, body).map(drop),
            (MessageClass::Command, kind) if kind.starts_with("payment.") || kind == RECONCILE_PAYMENTS => {
                StripeCommand::decode(kind, body).map(drop)
            }
            (MessageClass::Command, kind @ (NOTIFICATION_SEND | ACCOUNT_MAIL)) => {
                EmailCommand::decode(kind, body).map(drop)
            }
            (MessageClass::Command, RECONCILE_PROPERTY) => ReconcileCommand::decode(RECONCILE_PROPERTY, body).map(drop),
            (MessageClass::Command, kind) => BookingCommand::decode(kind, body).map(drop),
        }
    }
}
