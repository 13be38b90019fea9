//! What a booking has sold: a row for every bed and night, each with its exact share of the price. Pure.

use chrono::NaiveDate;
use pvt_domain::booking::Stay;
use pvt_domain::events::BookingEvent;
use pvt_domain::ids::BedId;

/// One bed of one stay for one night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BedNight<'a> {
    pub(super) stay_index: usize,
    pub(super) stay: &'a Stay,
    pub(super) bed: &'a BedId,
    pub(super) night: NaiveDate,
    /// Minor units before tax.
    pub(super) amount: i64,
}

/// The bed-nights that this revision of the booking has sold: none when it holds no beds.
///
/// The amounts of the beds of a stay on a night add up to that night's price. A stay without beds has none.
pub(super) fn sold(event: &BookingEvent) -> Vec<BedNight<'_>> {
    if !event.status.holds_beds() {
        return Vec::new();
    }
    let prices = event.price.as_ref().map_or(&[][..], |price| price.nights.as_slice());
    let mut rows = Vec::new();
    for (stay_index, stay) in event.stays.iter().enumerate() {
        let amounts = prices.get(stay_index).into_iter().flatten().copied();
        for (night, amount) in stay.nights().iter().zip(amounts.chain(std::iter::repeat(0))) {
            let shares = equal_shares(amount, stay.assigned_beds.len());
            rows.extend(stay.assigned_beds.iter().zip(shares).map(|(bed, amount)| BedNight { stay_index, stay, bed, night, amount }));
        }
    }
    rows
}

/// `amount` in `parts` parts that differ by at most one and add up to it: the largest-remainder method for equal weights, where
/// all remainders are equal and the first parts take what is left over.
fn equal_shares(amount: i64, parts: usize) -> impl Iterator<Item = i64> {
    // More beds than an i64 counts cannot exist; no parts share nothing.
    let count = i64::try_from(parts).unwrap_or(i64::MAX).max(1);
    let (each, left_over) = (amount.div_euclid(count), amount.rem_euclid(count));
    (0..count).take(parts).map(move |part| each + i64::from(part < left_over))
}

#[cfg(test)]
mod tests {
    use super::equal_shares;
    use proptest::prelude::*;

    #[test]
    fn the_first_beds_take_the_odd_cents() {
        assert_eq!(equal_shares(100, 3).collect::<Vec<_>>(), [34, 33, 33]);
        assert_eq!(equal_shares(-100, 3).collect::<Vec<_>>(), [-33, -33, -34]);
        assert_eq!(equal_shares(100, 0).count(), 0);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_are_nearly_equal(amount in -10_000_000_i64..10_000_000, parts in 1_usize..40) {
            let shares: Vec<i64> = equal_shares(amount, parts).collect();
            prop_assert_eq!(shares.len(), parts);
            prop_assert_eq!(shares.iter().sum::<i64>(), amount);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
