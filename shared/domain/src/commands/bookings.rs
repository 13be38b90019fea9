//! Commands of the partitioned booking queues: everything that claims or releases beds, in one order per property.

use crate::actor::Actor;
use crate::block::BlockKind;
use crate::booking::{Guest, PlaceGuest, Source, StayRequest};
use crate::ids::{BedId, BlockId, BookingId, PropertyId, RatePlanId};
use crate::ledger::Summary;
use crate::rates::quote::Quote;
use crate::timestamp::Timestamp;
use crate::wire::{inbox, queues};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

inbox! {
    /// Inbox of the partitioned booking queues.
    pub enum BookingCommand on queues::BOOKINGS {
        commands {
            /// Request beds for a guest.
            BOOKING_REQUEST = "booking.request.v1" => Request(Box<RequestBooking>);
            /// Change dates, guests, room types, beds or prices, all or nothing.
            BOOKING_MODIFY = "booking.modify.v1" => Modify(Box<ModifyBooking>);
            /// Cancel a booking.
            BOOKING_CANCEL = "booking.cancel.v1" => Cancel(CancelBooking);
            /// Confirm a held booking without payment.
            BOOKING_CONFIRM = "booking.confirm.v1" => Confirm(ConfirmBooking);
            /// Check in the guests.
            BOOKING_CHECK_IN = "booking.check_in.v1" => CheckIn(CheckInBooking);
            /// Check out the guests and release the nights that they do not use.
            BOOKING_CHECK_OUT = "booking.check_out.v1" => CheckOut(CheckOutBooking);
            /// Mark a booking as a no-show.
            BOOKING_MARK_NO_SHOW = "booking.mark_no_show.v1" => NoShow(MarkNoShow);
            /// Undo a check-in or a no-show.
            BOOKING_REINSTATE = "booking.reinstate.v1" => Reinstate(ReinstateBooking);
            /// Assign beds, or pin and unpin them.
            BOOKING_ASSIGN = "booking.assign.v1" => Assign(AssignBeds);
            /// Say who sleeps in which place.
            BOOKING_NAME_GUESTS = "booking.name_guests.v1" => NameGuests(Box<NameGuests>);
            /// Revoke the links that were given to the guest.
            BOOKING_REVOKE_LINKS = "booking.revoke_links.v1" => RevokeLinks(RevokeLinks);
            /// Release the beds of an expired hold that can no longer be paid.
            BOOKING_EXPIRE_HOLD = "booking.expire_hold.v1" => ExpireHold(ExpireHold);
            /// Apply the totals of a booking's ledger.
            BOOKING_SETTLE_PAYMENT = "booking.settle_payment.v1" => SettlePayment(SettlePayment);
            /// Block beds on some nights.
            INVENTORY_BLOCK = "inventory.block.v1" => Block(BlockBeds);
            /// Lift a block.
            INVENTORY_UNBLOCK = "inventory.unblock.v1" => Unblock(UnblockBeds);
        }
        events {}
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Request for beds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestBooking {
    /// Derived at intake; the same for every retry.
    pub booking_id: BookingId,
    /// Authenticated client, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Fingerprint of the body in its canonical form; of earlier versions, as sent.
    pub fingerprint: String,
    /// Fingerprint of the body as sent, where it differs: earlier versions stored that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint_as_sent: Option<String>,
    /// Property.
    pub property_id: PropertyId,
    /// Rate plan.
    pub rate_plan_id: RatePlanId,
    /// Sales channel.
    pub source: Source,
    /// Requested stays.
    pub stays: Vec<StayRequest>,
    /// Guest.
    pub guest: Guest,
    /// When intake accepted it.
    pub requested_at: Timestamp,
    /// Quoted price; intake verified its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// Staff override restrictions.
    #[serde(default, skip_serializing_if = "is_false")]
    pub override_restrictions: bool,
}

/// Header of every command about a stored booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandHeader {
    /// Booking.
    pub booking_id: BookingId,
    /// Its property, which decides the partition.
    pub property_id: PropertyId,
    /// The revision that the caller saw; when the booking has a later one, the reply is `stale`. Absent: any revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_rev: Option<u32>,
    /// Who requests it: `guest`, `client:<id>`, `staff:<id>`, `system`.
    pub actor: Actor,
    /// Whether the caller is an administrator, who may undo what is older than a business day.
    #[serde(default, skip_serializing_if = "is_false")]
    pub as_admin: bool,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// A stay after a modification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StayModification {
    /// The stay.
    #[serde(flatten)]
    pub stay: StayRequest,
    /// Index of the present stay that this one continues; absent for an added one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<usize>,
    /// Beds to assign; absent: the allocation chooses, keeping the present ones where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beds: Option<Vec<BedId>>,
}

/// Modification of dates, guests, room types, beds, rate plan or guest data: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModifyBooking {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// All stays after the modification; a present stay that none continues is dropped. Absent: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<Vec<StayModification>>,
    /// Another rate plan; it takes effect when the booking is repriced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_plan_id: Option<RatePlanId>,
    /// New guest data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Guest>,
    /// Whether the booking is repriced; otherwise the agreed total is kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reprice: bool,
    /// Quoted price; intake verified its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// Staff override restrictions.
    #[serde(default, skip_serializing_if = "is_false")]
    pub override_restrictions: bool,
    /// Staff waive the fees of the guest's earlier changes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waive_change_fees: bool,
}

impl ModifyBooking {
    /// The new guest data, if nothing else is changed.
    pub fn guest_alone(&self) -> Option<&Guest> {
        let others = self.stays.is_some() || self.rate_plan_id.is_some() || self.quote.is_some();
        self.guest.as_ref().filter(|_| !others && !self.reprice && !self.waive_change_fees)
    }
}

/// Cancellation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelBooking {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// Staff waive the fee.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waive_fee: bool,
}

/// Confirmation of a held booking by staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfirmBooking {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
}

/// A stay, or some of its guests, for commands about a part of a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StaySelection {
    /// Index of the stay, unless its id is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay: Option<usize>,
    /// Id of the stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Some of its guests only; they become a stay of their own. Absent: as many as there are beds here, or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub guests: Option<u32>,
    /// Their beds; absent: the first ones of the stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beds: Option<Vec<BedId>>,
    /// Their positions in the stay, instead of their beds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<Vec<u32>>,
}

/// Check-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckInBooking {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// The stays whose guests have arrived; empty: all expected ones of today.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<StaySelection>,
}

/// Check-out. Unused nights are released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckOutBooking {
    /// Booking and caller. `reason` is the note required by an open balance.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// Allows an open balance.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_open_balance: bool,
    /// Whether released nights are deducted from the price; otherwise the agreed total is kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reprice: bool,
    /// The stays whose guests depart; empty: all that are in house. Those who are expected later stay expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<StaySelection>,
}

/// No-show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MarkNoShow {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// The stays whose guests did not arrive; empty: all expected ones of earlier days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<StaySelection>,
}

/// Reversal of a check-in or a no-show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReinstateBooking {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// Ids of stays whose guests came after all while others had arrived; empty: the latest check-in, or else the
    /// latest no-show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<u32>,
}

/// Bed assignment of one stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assignment {
    /// Index of the stay, unless its id is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay: Option<usize>,
    /// Id of the stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Its beds from now on; absent: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beds: Option<Vec<BedId>>,
    /// First night in these beds, for checked-in guests; absent: tonight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    /// Whether they are pinned; absent: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
}

/// Bed assignment by staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssignBeds {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// One per stay.
    pub assignments: Vec<Assignment>,
}

/// The rooming list as it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameGuests {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// Every place whose guest is known; the others are nobody's yet.
    pub guests: Vec<PlaceGuest>,
}

/// Revocation of the links that were given to the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokeLinks {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
}

/// Expiry of a hold that can no longer be paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpireHold {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
}

/// New totals of a booking's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettlePayment {
    /// Booking and caller.
    #[serde(flatten)]
    pub header: CommandHeader,
    /// Totals of the ledger.
    pub ledger: Summary,
}

/// Block of beds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockBeds {
    /// Derived at intake; the same for every retry.
    pub block_id: BlockId,
    /// Property.
    pub property_id: PropertyId,
    /// Kind.
    pub kind: BlockKind,
    /// Beds.
    pub bed_ids: Vec<BedId>,
    /// First night.
    pub from: NaiveDate,
    /// First night that is for sale again.
    pub until: NaiveDate,
    /// Who requests it.
    pub actor: Actor,
    /// Reason, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// Lifting of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnblockBeds {
    /// Block.
    pub block_id: BlockId,
    /// Its property, which decides the partition.
    pub property_id: PropertyId,
    /// Who requests it.
    pub actor: Actor,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the request.
    pub requested_at: Timestamp,
}

impl BookingCommand {
    /// The header of a command about a stored booking.
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
            Self::NameGuests(command) => Some(&command.header),
            Self::RevokeLinks(command) => Some(&command.header),
            Self::ExpireHold(command) => Some(&command.header),
            Self::SettlePayment(command) => Some(&command.header),
        }
    }

    /// The booking of the command; `None` for commands about blocks.
    pub fn booking_id(&self) -> Option<BookingId> {
        match self {
            Self::Request(request) => Some(request.booking_id),
            other => other.header().map(|header| header.booking_id),
        }
    }

    /// The block of the command; `None` for commands about bookings.
    pub fn block_id(&self) -> Option<BlockId> {
        match self {
            Self::Block(block) => Some(block.block_id),
            Self::Unblock(unblock) => Some(unblock.block_id),
            _ => None,
        }
    }

    /// The id of its booking or block, which correlates command, events and reply.
    pub fn subject(&self) -> Uuid {
        let booking = self.booking_id().map(|id| id.as_uuid());
        booking.or_else(|| self.block_id().map(|id| id.as_uuid())).unwrap_or_default()
    }

    /// The property of the command.
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
            Self::NameGuests(command) => &command.header.property_id,
            Self::RevokeLinks(command) => &command.header.property_id,
            Self::ExpireHold(command) => &command.header.property_id,
            Self::SettlePayment(command) => &command.header.property_id,
            Self::Block(block) => &block.property_id,
            Self::Unblock(unblock) => &unblock.property_id,
        }
    }
}
