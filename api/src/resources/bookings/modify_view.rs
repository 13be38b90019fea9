//! Preview of a modification: its price, its fee and what has to be paid.

use super::preview_head::PreviewHead;
use super::view::PriceView;
use crate::resources::warning::Warning;
use pvt_domain::booking::{Booking, Stay, StayRequest, left_out};
use pvt_domain::money::Money;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// A modification as it would be decided now. Whether beds are free is not checked.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ChangePreview")]
pub(super) struct ChangePreviewView<'a> {
    #[serde(flatten)]
    head: PreviewHead<'a>,
    stays: Vec<StayRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<PriceView<'a>>,
    /// What this change adds to the fees that are owed: what cancelling costs now, less what cancelling costs right
    /// after it, as far as price and fees together do not exceed the highest price that the booking had.
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    /// Fees of all changes, owed beside the price.
    #[serde(skip_serializing_if = "Option::is_none")]
    change_fee: Option<Money>,
    /// Balance due after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Money>,
    /// What has to be paid before the change takes effect; its beds are held meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    payable: Option<Money>,
    /// What would be refunded of what was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<Money>,
    /// What it would do that the caller may not mean: stays that it drops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

impl<'a> ChangePreviewView<'a> {
    /// `decided` is the booking after the change was decided, `changed` after it has taken effect. An earlier change
    /// may be pending in both.
    pub(super) fn new(booking: &'a Booking, decided: &Booking, changed: &'a Booking, at: Timestamp) -> Self {
        let payable = (decided.pending_change != changed.pending_change).then(|| decided.payable());
        let money = |amount: i64| changed.price.as_ref().map(|price| Money::new(amount, price.currency));
        Self {
            head: PreviewHead::new(booking, at),
            stays: changed.stays.iter().map(Stay::as_request).collect(),
            price: changed.price.as_ref().map(|price| PriceView::new(price, &changed.stays)),
            fee: money((changed.change_fee() - booking.change_fee()).max(0)),
            change_fee: money(changed.change_fee()),
            due: money(changed.balance()),
            payable: payable.and_then(money),
            warnings: Warning::of_dropped(&left_out(&booking.stays, &changed.stays)),
            refund: money((changed.payment.refund_due() - booking.payment.refund_due()).max(0)),
        }
    }
}
