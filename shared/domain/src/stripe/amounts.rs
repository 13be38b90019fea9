//! Amounts that Stripe takes, by currency: minimum, maximum, and the steps in which an amount is counted.
//!
//! From Stripe's document on currencies, <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts> and
//! `#special-cases`, read as of September 2026; the rule for currencies with three decimals is in its versions up to
//! 2022, <https://web.archive.org/web/20221231002856/https://stripe.com/docs/currencies>. The minimum depends on the
//! currency in which an account is settled: those here are for accounts settled in the same currency.

use crate::money::{Currency, Money};
use std::fmt;

/// Limits of a currency, in our minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Least amount of a payment.
    pub min: i64,
    /// Largest amount of a payment. Cards may take more; what every payment method takes is offered.
    pub max: i64,
    /// Every amount, of payments and of refunds, is a multiple of this.
    pub step: i64,
}

/// Reason for which Stripe does not take an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountRefusal {
    /// It counts the currency in other units than ISO 4217.
    Units(Currency),
    /// Less than the minimum.
    TooSmall(Money),
    /// More than the maximum.
    TooLarge(Money),
    /// Not a multiple of this.
    Step(Money),
}

/// Digits of the largest amount.
const MAX_8_DIGITS: i64 = 99_999_999;
const MAX_9_DIGITS: i64 = 999_999_999;
const MAX_10_DIGITS: i64 = 9_999_999_999;
const MAX_12_DIGITS: i64 = 999_999_999_999;

/// Limits of a currency; `None` where Stripe counts other units than ISO 4217 does, so that amounts would be a
/// hundredth or a hundredfold of what is meant: it takes ISK and UGX in hundredths and MGA in whole ones.
pub fn limits(currency: Currency) -> Option<Limits> {
    use Currency as C;
    let min = match currency {
        C::ISK | C::UGX | C::MGA => return None,
        C::GBP => 30,
        C::USD | C::ARS | C::AUD | C::BRL | C::CAD | C::CHF | C::COP | C::EUR | C::IDR | C::ILS | C::INR | C::NZD => 50,
        C::PHP | C::RUB | C::SGD | C::ZAR | C::JPY | C::KRW => 50,
        C::AED | C::MYR | C::PLN | C::RON => 200,
        C::DKK => 250,
        C::NOK | C::SEK => 300,
        C::HKD => 400,
        C::MXN | C::THB => 1_000,
        C::CZK => 1_500,
        C::HUF => 17_500,
        _ => 1,
    };
    let max = match currency {
        C::IDR => MAX_12_DIGITS,
        C::COP => MAX_10_DIGITS,
        C::INR => MAX_9_DIGITS,
        _ => MAX_8_DIGITS,
    };
    let step = match currency {
        C::BHD | C::JOD | C::KWD | C::OMR | C::TND => 10,
        _ => 1,
    };
    Some(Limits { min: min.max(step), max, step })
}

/// Whether Stripe takes a payment of this amount.
///
/// # Errors
/// The reason, when it does not.
pub fn check(money: Money) -> Result<(), AmountRefusal> {
    let limits = limits(money.currency).ok_or(AmountRefusal::Units(money.currency))?;
    let bound = |amount| Money::new(amount, money.currency);
    match money.amount {
        amount if amount < limits.min => Err(AmountRefusal::TooSmall(bound(limits.min))),
        amount if amount > limits.max => Err(AmountRefusal::TooLarge(bound(limits.max))),
        amount if amount % limits.step != 0 => Err(AmountRefusal::Step(bound(limits.step))),
        _ => Ok(()),
    }
}

/// The largest part of an amount that one payment can take; zero when there is none.
pub fn payable_part(amount: i64, currency: Currency) -> i64 {
    let Some(limits) = limits(currency) else { return 0 };
    let part = in_steps(amount.min(limits.max), currency);
    if part < limits.min { 0 } else { part }
}

/// The largest multiple of the currency's step within an amount.
pub fn in_steps(amount: i64, currency: Currency) -> i64 {
    let step = limits(currency).map_or(1, |limits| limits.step);
    amount - amount % step
}

impl fmt::Display for AmountRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units(currency) => write!(f, "Stripe counts {} in other units than ISO 4217", currency.code()),
            Self::TooSmall(least) => write!(f, "Stripe takes no less than {least}"),
            Self::TooLarge(most) => write!(f, "Stripe takes no more than {most}"),
            Self::Step(step) => write!(f, "Stripe takes multiples of {step} only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AmountRefusal, check, in_steps, limits, payable_part};
    use crate::money::{Currency, Money};
    use proptest::prelude::*;

    #[test]
    fn limits_are_those_of_the_document() {
        let refused = |amount, currency| check(Money::new(amount, currency)).unwrap_err().to_string();
        assert_eq!(refused(49, Currency::CAD), "Stripe takes no less than 0.50 CAD");
        assert_eq!(refused(29, Currency::GBP), "Stripe takes no less than 0.30 GBP");
        assert_eq!(refused(17_499, Currency::HUF), "Stripe takes no less than 175.00 HUF");
        assert_eq!(refused(49, Currency::JPY), "Stripe takes no less than 50 JPY");
        assert_eq!(refused(100_000_000, Currency::EUR), "Stripe takes no more than 999999.99 EUR");
        assert_eq!(refused(5_124, Currency::KWD), "Stripe takes multiples of 0.010 KWD only");
        assert_eq!(refused(500, Currency::ISK), "Stripe counts ISK in other units than ISO 4217");
        for (amount, currency) in
            [(50, Currency::CAD), (999_999_999_999, Currency::IDR), (5_120, Currency::KWD), (1, Currency::VND)]
        {
            assert_eq!(check(Money::new(amount, currency)), Ok(()), "{amount} {currency}");
        }
    }

    #[test]
    fn part_that_can_be_paid_is_the_largest() {
        assert_eq!(payable_part(5_124, Currency::KWD), 5_120);
        assert_eq!([payable_part(49, Currency::CAD), payable_part(50, Currency::CAD)], [0, 50]);
        assert_eq!(payable_part(200_000_000, Currency::CAD), 99_999_999);
        assert_eq!([payable_part(500, Currency::UGX), payable_part(-5, Currency::EUR)], [0, 0]);
        assert_eq!(in_steps(4_608, Currency::KWD), 4_600);
    }

    fn currencies() -> Vec<Currency> {
        (0..1_000).filter_map(Currency::from_numeric).collect()
    }

    proptest! {
        /// What is offered to a guest is always taken, and never more than is due.
        #[test]
        fn payable_part_is_taken(amount in -1_000_i64..2_000_000_000_000,
            currency in prop::sample::select(currencies())) {
            let part = payable_part(amount, currency);
            prop_assert!(part == 0 || (part <= amount && check(Money::new(part, currency)).is_ok()), "{part}");
            if let Some(limits) = limits(currency).filter(|limits| amount >= limits.min) {
                prop_assert!(part == limits.max - limits.max % limits.step || amount - part < limits.step);
            }
            let other_units = matches!(check(Money::new(amount, currency)), Err(AmountRefusal::Units(_)));
            prop_assert_eq!(other_units, limits(currency).is_none());
        }
    }
}
