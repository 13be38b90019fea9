//! Commands of the partitioned booking queues: everything that gives or takes beds, one queue a property, so that all
//! of it happens in one order.

use super::{DecodeError, Inbox, MessageType, decode_body};
use crate::block::BlockKind;
use crate::booking::{Guest, Source, StayRequest};
use crate::ids::{BedId, BlockId, BookingId, PropertyId, RatePlanId};
use crate::ledger::Summary;
use crate::rates::quote::Quote;
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wire name of [`RequestBooking`].
pub const BOOKING_REQUEST: &str = "booking.request.v1";
/// Wire name of [`ModifyBooking`].
pub const BOOKING_MODIFY: &str = "booking.modify.v1";
/// Wire name of [`CancelBooking`].
pub const BOOKING_CANCEL: &str = "booking.cancel.v1";
/// Wire name of [`ConfirmBooking`].
pub const BOOKING_CONFIRM: &str = "booking.confirm.v1";
/// Wire name of [`CheckInBooking`].
pub const BOOKING_CHECK_IN: &str = "booking.check_in.v1";
/// Wire name of [`CheckOutBooking`].
pub const BOOKING_CHECK_OUT: &str = "booking.check_out.v1";
/// Wire name of [`MarkNoShow`].
pub const BOOKING_MARK_NO_SHOW: &str = "booking.mark_no_show.v1";
/// Wire name of [`ReinstateBooking`].
pub const BOOKING_REINSTATE: &str = "booking.reinstate.v1";
/// Wire name of [`AssignBeds`].
pub const BOOKING_ASSIGN: &str = "booking.assign.v1";
/// Wire name of [`ExpireHold`].
pub const BOOKING_EXPIRE_HOLD: &str = "booking.expire_hold.v1";
/// Wire name of [`SettlePayment`].
pub const BOOKING_SETTLE_PAYMENT: &str = "booking.settle_payment.v1";
/// Wire name of [`BlockBeds`].
pub const INVENTORY_BLOCK: &str = "inventory.block.v1";
/// Wire name of [`UnblockBeds`].
pub const INVENTORY_UNBLOCK: &str = "inventory.unblock.v1";

const KINDS: [&str; 13] = [
    BOOKING_REQUEST,
    BOOKING_MODIFY,
    BOOKING_CANCEL,
    BOOKING_CONFIRM,
    BOOKING_CHECK_IN,
    BOOKING_CHECK_OUT,
    BOOKING_MARK_NO_SHOW,
    BOOKING_REINSTATE,
    BOOKING_ASSIGN,
    BOOKING_EXPIRE_HOLD,
    BOOKING_SETTLE_PAYMENT,
    INVENTORY_BLOCK,
    INVENTORY_UNBLOCK,
];

fn is_false(value: &bool) -> bool {
    !value
}

/// A guest wants beds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestBooking {
    /// Derived at intake; the same for every repetition.
    pub booking_id: BookingId,
    /// Authenticated client, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Fingerprint of the body as sent.
    pub fingerprint: String,
    /// The hostel.
    pub property_id: PropertyId,
    /// The price list.
    pub rate_plan_id: RatePlanId,
    /// Where it came from.
    pub source: Source,
    /// What is wanted.
    pub stays: Vec<StayRequest>,
    /// For whom.
    pub guest: Guest,
    /// When intake accepted it.
    pub requested_at: Timestamp,
    /// The price that was promised; intake verified its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// Staff sell it in spite of restrictions.
    #[serde(default, skip_serializing_if = "is_false")]
    pub override_restrictions: bool,
}

/// What every command about a stored booking says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandHeader {
    /// Which.
    pub booking_id: BookingId,
    /// Its hostel, which decides the partition.
    pub property_id: PropertyId,
    /// The revision that the asker saw; when the booking has moved on, the answer is `stale`. Absent: whatever it is
    /// now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_rev: Option<u32>,
    /// Who asks: `guest`, `client:<id>`, `staff:<id>`, `system`.
    pub actor: String,
    /// Whether an administrator asks, who may undo what is older than a business day.
    #[serde(default, skip_serializing_if = "is_false")]
    pub as_admin: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// A stay as it is to be after a modification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayModification {
    /// The stay.
    #[serde(flatten)]
    pub stay: StayRequest,
    /// Index of the present stay that this one continues; absent for one that is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<usize>,
    /// The beds that it must get; absent leaves the choice, which keeps the present ones where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beds: Option<Vec<BedId>>,
}

/// A booking is to be changed: dates, guests, room types, beds, price list, or who it is for. One decision: all of it
/// or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModifyBooking {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// All stays as they are to be; a present stay that none continues is dropped. Absent leaves them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<Vec<StayModification>>,
    /// Another price list; it takes effect when prices are made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_plan_id: Option<RatePlanId>,
    /// Another name or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Guest>,
    /// Whether prices are made anew; otherwise the total stays as it was agreed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reprice: bool,
    /// The price that was promised; intake verified its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// Staff change it in spite of restrictions.
    #[serde(default, skip_serializing_if = "is_false")]
    pub override_restrictions: bool,
}

/// A booking is to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelBooking {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// Staff let the guest off the fee.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waive_fee: bool,
}

/// Staff confirm a booking that waits for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmBooking {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
}

/// The guests are here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckInBooking {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
}

/// The guests leave. Nights that they do not sleep are freed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutBooking {
    /// Which, and who asks. `reason` is the note that an open balance needs.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// They may leave without having paid.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_open_balance: bool,
    /// Whether nights that are freed are taken off the price; otherwise the total stays as it was agreed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reprice: bool,
}

/// Nobody came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkNoShow {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
}

/// A check-in or a no-show was a mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReinstateBooking {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
}

/// What staff decide about the beds of one stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Index of the stay.
    pub stay: usize,
    /// Its beds from now on; absent leaves them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beds: Option<Vec<BedId>>,
    /// Whether they are promised; absent leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
}

/// Staff choose beds, or promise them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignBeds {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// For which stays.
    pub assignments: Vec<Assignment>,
}

/// Nobody can pay for a held booking any more: its beds are to be released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpireHold {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
}

/// The money of a booking has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlePayment {
    /// Which, and who asks.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// What its ledger comes to.
    pub ledger: Summary,
}

/// Beds are not to be sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockBeds {
    /// Derived at intake; the same for every repetition.
    pub block_id: BlockId,
    /// The hostel.
    pub property_id: PropertyId,
    /// Why.
    pub kind: BlockKind,
    /// Which beds.
    pub bed_ids: Vec<BedId>,
    /// First night.
    pub from: NaiveDate,
    /// First night that is for sale again.
    pub until: NaiveDate,
    /// Who asks.
    pub actor: String,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// Blocked beds are to be sold again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnblockBeds {
    /// Which block.
    pub block_id: BlockId,
    /// Its hostel, which decides the partition.
    pub property_id: PropertyId,
    /// Who asks.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was asked.
    pub requested_at: Timestamp,
}

wire_name! {
    RequestBooking => BOOKING_REQUEST,
    ModifyBooking => BOOKING_MODIFY,
    CancelBooking => BOOKING_CANCEL,
    ConfirmBooking => BOOKING_CONFIRM,
    CheckInBooking => BOOKING_CHECK_IN,
    CheckOutBooking => BOOKING_CHECK_OUT,
    MarkNoShow => BOOKING_MARK_NO_SHOW,
    ReinstateBooking => BOOKING_REINSTATE,
    AssignBeds => BOOKING_ASSIGN,
    ExpireHold => BOOKING_EXPIRE_HOLD,
    SettlePayment => BOOKING_SETTLE_PAYMENT,
    BlockBeds => INVENTORY_BLOCK,
    UnblockBeds => INVENTORY_UNBLOCK,
}

/// What the partitioned booking queues carry.
#[derive(Debug, Clone, PartialEq)]
pub enum BookingCommand {
    /// A guest wants beds.
    Request(Box<RequestBooking>),
    /// A booking is to be changed.
    Modify(Box<ModifyBooking>),
    /// A booking is to be cancelled.
    Cancel(CancelBooking),
    /// Staff confirm a booking.
    Confirm(ConfirmBooking),
    /// The guests are here.
    CheckIn(CheckInBooking),
    /// The guests leave.
    CheckOut(CheckOutBooking),
    /// Nobody came.
    NoShow(MarkNoShow),
    /// A check-in or a no-show was a mistake.
    Reinstate(ReinstateBooking),
    /// Staff choose beds.
    Assign(AssignBeds),
    /// Beds that nobody paid for are to be released.
    ExpireHold(ExpireHold),
    /// Money came or went.
    SettlePayment(SettlePayment),
    /// Beds are not to be sold.
    Block(BlockBeds),
    /// Blocked beds are to be sold again.
    Unblock(UnblockBeds),
}

impl BookingCommand {
    /// The order about a stored booking, for every command that is one.
    pub fn header(&self) -> Option<&CommandHeader> {
        match self {
            Self::Request(_) | Self::Block(_) | Self::Unblock(_) => None,
            Self::Modify(command) => Some(&command.header),
            Self::Cancel(command) => Some(&command.header),
            Self::Confirm(command) => Some(&command.header),
            Self::CheckIn(command) => Some(&command.header),
            Self::CheckOut(command) => Some(&command.header),
            Self::NoShow(command) => Some(&command.header),
            Self::Reinstate(command) => Some(&command.header),
            Self::Assign(command) => Some(&command.header),
            Self::ExpireHold(command) => Some(&command.header),
            Self::SettlePayment(command) => Some(&command.header),
        }
    }

    /// The booking it is about; `None` for commands about blocks.
    pub fn booking_id(&self) -> Option<BookingId> {
        match self {
            Self::Request(request) => Some(request.booking_id),
            other => other.header().map(|header| header.booking_id),
        }
    }

    /// The block it is about; `None` for commands about bookings.
    pub fn block_id(&self) -> Option<BlockId> {
        match self {
            Self::Block(block) => Some(block.block_id),
            Self::Unblock(unblock) => Some(unblock.block_id),
            _ => None,
        }
    }

    /// The id of the booking or block it is about: what correlates command, events and reply.
    pub fn subject(&self) -> Uuid {
        let booking = self.booking_id().map(|id| id.as_uuid());
        booking.or_else(|| self.block_id().map(|id| id.as_uuid())).unwrap_or_default()
    }

    /// The hostel it is about.
    pub fn property_id(&self) -> &PropertyId {
        match self {
            Self::Request(request) => &request.property_id,
            Self::Modify(command) => &command.header.property_id,
            Self::Cancel(command) => &command.header.property_id,
            Self::Confirm(command) => &command.header.property_id,
            Self::CheckIn(command) => &command.header.property_id,
            Self::CheckOut(command) => &command.header.property_id,
            Self::NoShow(command) => &command.header.property_id,
            Self::Reinstate(command) => &command.header.property_id,
            Self::Assign(command) => &command.header.property_id,
            Self::ExpireHold(command) => &command.header.property_id,
            Self::SettlePayment(command) => &command.header.property_id,
            Self::Block(block) => &block.property_id,
            Self::Unblock(unblock) => &unblock.property_id,
        }
    }
}

impl Inbox for BookingCommand {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            BOOKING_REQUEST => decode_body(body).map(|request| Self::Request(Box::new(request))),
            BOOKING_MODIFY => decode_body(body).map(|modify| Self::Modify(Box::new(modify))),
            BOOKING_CANCEL => decode_body(body).map(Self::Cancel),
            BOOKING_CONFIRM => decode_body(body).map(Self::Confirm),
            BOOKING_CHECK_IN => decode_body(body).map(Self::CheckIn),
            BOOKING_CHECK_OUT => decode_body(body).map(Self::CheckOut),
            BOOKING_MARK_NO_SHOW => decode_body(body).map(Self::NoShow),
            BOOKING_REINSTATE => decode_body(body).map(Self::Reinstate),
            BOOKING_ASSIGN => decode_body(body).map(Self::Assign),
            BOOKING_EXPIRE_HOLD => decode_body(body).map(Self::ExpireHold),
            BOOKING_SETTLE_PAYMENT => decode_body(body).map(Self::SettlePayment),
            INVENTORY_BLOCK => decode_body(body).map(Self::Block),
            INVENTORY_UNBLOCK => decode_body(body).map(Self::Unblock),
            other => Err(DecodeError::unknown(other, &KINDS)),
        }
    }
}
