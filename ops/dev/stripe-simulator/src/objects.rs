//! Stripe's objects with their JSON in Stripe's documented shape. They hold data and decide nothing.

pub(crate) mod balance;
pub(crate) mod charge;
pub(crate) mod dispute;
pub(crate) mod event;
pub(crate) mod intent;
pub(crate) mod refund;
pub(crate) mod session;

use crate::table::Row;
use serde::{Deserialize, Serialize};

/// A payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// A card: the result is immediate.
    Card,
    /// A bank debit: the result comes days later.
    BankDebit,
}

impl Method {
    /// Stripe's type name, which for bank debits depends on the currency.
    pub(crate) fn stripe_type(self, currency: &str) -> &'static str {
        match (self, currency) {
            (Self::Card, _) => "card",
            (Self::BankDebit, "cad") => "acss_debit",
            (Self::BankDebit, "eur") => "sepa_debit",
            (Self::BankDebit, _) => "us_bank_account",
        }
    }
}

/// Implements [`Row`] for objects with `id` and `created`.
macro_rules! rows {
    ($($object:ty),+) => { $(impl Row for $object {
        fn id(&self) -> &str {
            &self.id
        }

        fn created(&self) -> i64 {
            self.created
        }
    })+ };
}

rows!(
    balance::BalanceTransaction,
    charge::Charge,
    dispute::Dispute,
    event::Event,
    intent::Intent,
    refund::Refund,
    session::Session
);

/// Decimal digits of a currency.
pub(crate) fn exponent(currency: &str) -> u32 {
    match currency {
        "bif" | "clp" | "djf" | "gnf" | "jpy" | "kmf" | "krw" | "mga" | "pyg" | "rwf" | "vnd" | "vuv" | "xaf"
        | "xof" | "xpf" => 0,
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 3,
        _ => 2,
    }
}

/// An amount in minor units formatted for people: `12.50 CAD`.
pub(crate) fn shown(amount: i64, currency: &str) -> String {
    let digits = exponent(currency) as usize;
    let (sign, minor) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    let unit = 10_u64.pow(exponent(currency));
    let fraction = if digits == 0 { String::new() } else { format!(".{:0digits$}", minor % unit) };
    format!("{sign}{}{fraction} {}", minor / unit, currency.to_uppercase())
}

#[cfg(test)]
mod tests {
    #[test]
    fn amounts_are_formatted_by_currency() {
        let shown = |amount, currency| super::shown(amount, currency);
        assert_eq!(
            [shown(1_250, "cad"), shown(-5, "eur"), shown(900, "jpy"), shown(1_001, "kwd")],
            ["12.50 CAD", "-0.05 EUR", "900 JPY", "1.001 KWD"]
        );
    }
}
