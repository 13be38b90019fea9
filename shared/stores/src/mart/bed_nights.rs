//! Bed-nights sold by a booking: one row per bed and night, each with its exact share of the price. Pure.

use chrono::NaiveDate;
use pvt_domain::booking::Stay;
use pvt_domain::events::BookingEvent;
use pvt_domain::ids::BedId;
use pvt_domain::money::shares;

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

/// Bed-nights sold by this revision of the booking: none when it holds no beds, or only holds them until it is paid.
///
/// The amounts of the beds of a stay on a night add up to that night's price. A stay without beds has none.
pub(super) fn sold(event: &BookingEvent) -> Vec<BedNight<'_>> {
    if !event.status.has_sold() {
        return Vec::new();
    }
    let prices = event.price.as_ref().map_or(&[][..], |price| price.nights.as_slice());
    let mut rows = Vec::new();
    for (stay_index, stay) in event.stays.iter().enumerate() {
        let amounts = prices.get(stay_index).into_iter().flatten().copied();
        for (night, amount) in stay.nights().iter().zip(amounts.chain(std::iter::repeat(0))) {
            let beds = stay.beds_on(night);
            let parts = shares(amount, beds.len());
            rows.extend(beds.iter().zip(parts).map(|(bed, amount)| BedNight { stay_index, stay, bed, night, amount }));
        }
    }
    rows
}
