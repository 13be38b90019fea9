//! Rules that routes are registered with, by what they admit. Each is named once, so that the table reads as a list of
//! who may do what.

use super::policy::{Access, Bucket, Rule};
use pvt_service::tokens::Purpose;
use pvt_stores::mongo::api_keys::Scope;

/// All callers; no credential is looked at.
pub(crate) const OPEN: Rule = Rule::new(Access::Open);
/// All callers, without a limit: probes, and callers that prove themselves by a signature.
pub(crate) const OPEN_UNLIMITED: Rule = OPEN.limited_by(Bucket::Unlimited);
/// All callers, as often as passwords may be tried.
pub(crate) const OPEN_PASSWORD: Rule = OPEN.limited_by(Bucket::Auth);
/// All callers; a credential that is sent must be valid.
pub(crate) const PUBLIC: Rule = Rule::new(Access::Public);
/// Users who have logged in.
pub(crate) const ACCOUNT: Rule = Rule::new(Access::Account);
/// Users who have logged in, as often as passwords may be tried.
pub(crate) const ACCOUNT_PASSWORD: Rule = ACCOUNT.limited_by(Bucket::Auth);
/// Administrators of accounts and API keys.
pub(crate) const ACCOUNTS_ADMIN: Rule = Rule::new(Access::Admin).scoped(Scope::AccountsWrite);
/// Administrators of properties and what they sell.
pub(crate) const INVENTORY_ADMIN: Rule = Rule::new(Access::Admin).scoped(Scope::InventoryWrite);
/// Staff who look after beds and blocks.
pub(crate) const INVENTORY_STAFF: Rule = Rule::new(Access::Staff).scoped(Scope::InventoryWrite);
/// Administrators of prices.
pub(crate) const RATES_ADMIN: Rule = Rule::new(Access::Admin).scoped(Scope::RatesWrite);
/// Administrators who read reports.
pub(crate) const REPORTS_ADMIN: Rule = Rule::new(Access::Admin).scoped(Scope::ReportsRead);
/// All callers who request a booking.
pub(crate) const BOOKING_REQUEST: Rule =
    Rule::new(Access::Public).scoped(Scope::BookingsWrite).limited_by(Bucket::Booking);
/// A booking's guest, client and staff, to read it.
pub(crate) const BOOKING_READ: Rule = Rule::new(Access::Guest(Purpose::View)).scoped(Scope::BookingsRead);
/// A booking's guest, client and staff, to change it.
pub(crate) const BOOKING_WRITE: Rule = Rule::new(Access::Guest(Purpose::Manage)).scoped(Scope::BookingsWrite);
/// A booking's guest with a token that may change it, client and staff, to see who sleeps where.
pub(crate) const ROOMING_LIST_READ: Rule = Rule::new(Access::Guest(Purpose::Manage)).scoped(Scope::BookingsRead);
/// Known callers, who list their own bookings.
pub(crate) const BOOKING_LIST: Rule = Rule::new(Access::Known).scoped(Scope::BookingsRead);
/// The front desk, reading.
pub(crate) const FRONT_DESK_READ: Rule = Rule::new(Access::Staff).scoped(Scope::BookingsRead);
/// The front desk, changing bookings.
pub(crate) const FRONT_DESK_WRITE: Rule = Rule::new(Access::Staff).scoped(Scope::BookingsWrite);
/// A booking's guest, client and staff, to pay for it.
pub(crate) const PAYER: Rule = Rule::new(Access::Guest(Purpose::View)).scoped(Scope::PaymentsWrite);
/// A booking's guest, client and staff, to see its payments.
pub(crate) const PAYMENT_READ: Rule = Rule::new(Access::Guest(Purpose::View)).scoped(Scope::PaymentsRead);
/// Known callers, who list payments of their own bookings.
pub(crate) const PAYMENT_LIST: Rule = Rule::new(Access::Known).scoped(Scope::PaymentsRead);
/// Staff who take and refund money.
pub(crate) const PAYMENTS_STAFF: Rule = Rule::new(Access::Staff).scoped(Scope::PaymentsWrite);
/// Staff who look at a property's takings.
pub(crate) const PAYMENTS_REPORT: Rule = Rule::new(Access::Staff).scoped(Scope::PaymentsRead);
/// Administrators who look after disputes.
pub(crate) const DISPUTES_ADMIN: Rule = Rule::new(Access::Admin).scoped(Scope::PaymentsRead);
/// Staff who have mails sent.
pub(crate) const NOTIFICATIONS_STAFF: Rule = Rule::new(Access::Staff).scoped(Scope::NotificationsWrite);
