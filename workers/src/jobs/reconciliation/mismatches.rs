//! Mismatches between the bookings and blocks of a property and its claims, found in one snapshot. Pure.

use chrono::NaiveDate;
use pvt_domain::decide::Owner;
use pvt_domain::ids::{BedId, PropertyId};
use pvt_stores::mongo::commit::{StoredClaim, claim_key};
use pvt_stores::mongo::reconciliations::{ClaimToRestore, Finding, FindingKind, PropertySnapshot};
use std::collections::{HashMap, HashSet};

/// A mismatch between a claim and its owner, with what its repair needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClaimMismatch {
    /// The claim has no active owner and is deleted.
    Orphan(StoredClaim, &'static str),
    /// The claim is missing and is inserted.
    Missing(ClaimToRestore),
    /// Two active owners have the same bed-night.
    Conflict { owner: Owner, holder: Owner, key: String },
    /// The claim's key or owner cannot be read.
    Unreadable(StoredClaim),
}

impl ClaimMismatch {
    /// The finding before any repair.
    pub(super) fn finding(&self) -> Finding {
        let (kind, subject, detail) = match self {
            Self::Orphan(claim, reason) => {
                (FindingKind::OrphanClaim, claim.key.clone(), format!("claimed by {}: {reason}", claim.booking))
            }
            Self::Missing(lost) => {
                let key = claim_key(&lost.property_id, &lost.bed_id, lost.night);
                (
                    FindingKind::MissingClaim,
                    key,
                    format!("{} owns this bed-night without a claim", describe_owner(lost.owner)),
                )
            }
            Self::Conflict { owner, holder, key } => (
                FindingKind::Conflict,
                key.clone(),
                format!(
                    "{} owns this bed-night, which is claimed by active {}",
                    describe_owner(*owner),
                    describe_owner(*holder)
                ),
            ),
            Self::Unreadable(claim) => {
                (FindingKind::UnreadableClaim, claim.key.clone(), format!("owner `{}`", claim.booking))
            }
        };
        Finding { kind, severity: kind.severity(), subject, detail, repaired: false }
    }
}

fn describe_owner(owner: Owner) -> String {
    match owner {
        Owner::Booking(id) => format!("booking {id}"),
        Owner::Block(id) => format!("block {id}"),
    }
}

/// All mismatches of bookings, blocks and claims. Those that free a bed-night come first, so that a missing claim can
/// take its place.
pub(super) fn find(property_id: &PropertyId, snapshot: &PropertySnapshot) -> Vec<ClaimMismatch> {
    let of_bookings = snapshot
        .bookings
        .iter()
        .flat_map(|booking| booking.bed_nights().map(|(bed, night)| (Owner::Booking(booking.id), bed, night)));
    let of_blocks = snapshot
        .blocks
        .iter()
        .flat_map(|block| block.claims().map(|(bed, night)| (Owner::Block(block.id), bed, night)));
    let rights: Vec<(Owner, &BedId, NaiveDate)> = of_bookings.chain(of_blocks).collect();
    let owned: HashSet<(Owner, &BedId, NaiveDate)> = rights.iter().copied().collect();
    let mut mismatches = Vec::new();
    let mut rightful: HashMap<(BedId, NaiveDate), Owner> = HashMap::with_capacity(snapshot.claims.len());
    for claim in &snapshot.claims {
        let (Some((bed, night)), Ok(owner)) = (claim.bed_night(), claim.booking.parse::<Owner>()) else {
            mismatches.push(ClaimMismatch::Unreadable(claim.clone()));
            continue;
        };
        if owned.contains(&(owner, &bed, night)) {
            rightful.insert((bed, night), owner);
        } else {
            mismatches.push(ClaimMismatch::Orphan(claim.clone(), orphan_reason(owner, snapshot)));
        }
    }
    for (owner, bed, night) in rights {
        match rightful.get(&(bed.clone(), night)) {
            Some(holder) if *holder == owner => {}
            Some(holder) => mismatches.push(ClaimMismatch::Conflict {
                owner,
                holder: *holder,
                key: claim_key(property_id, bed, night),
            }),
            None => mismatches.push(ClaimMismatch::Missing(ClaimToRestore {
                property_id: property_id.clone(),
                owner,
                bed_id: bed.clone(),
                night,
            })),
        }
    }
    mismatches
}

/// The reason reason a claim's owner does not own its bed-night.
fn orphan_reason(owner: Owner, snapshot: &PropertySnapshot) -> &'static str {
    match owner {
        Owner::Booking(id) => match snapshot.bookings.iter().find(|booking| booking.id == id) {
            None => "the property has no such booking",
            Some(booking) if !booking.status.holds_beds() => "the booking is not active",
            Some(_) => "the bed-night is not in its stays",
        },
        Owner::Block(id) if snapshot.blocks.iter().any(|block| block.id == id) => "the bed-night is not in the block",
        Owner::Block(_) => "the property has no such active block",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_domain::block::{Block, BlockKind, BlockStatus};
    use pvt_domain::booking::{Status, Stay, StayRequest};
    use pvt_domain::ids::{BlockId, BookingId};
    use pvt_stores::mongo::reconciliations::BookingSummary;

    const PROPERTY: &str = "property";

    fn id(number: u8) -> BookingId {
        BookingId::derive(None, &number.to_string(), "test")
    }

    fn booking(number: u8, status: Status, bed: &str) -> BookingSummary {
        let asked = StayRequest::new("dorm", "2027-02-10".parse().unwrap(), "2027-02-12".parse().unwrap(), 1);
        let stay = Stay::of(&asked, vec![bed.into()]);
        BookingSummary::new(id(number), status, vec![stay], chrono::DateTime::UNIX_EPOCH.into(), [uuid::Uuid::nil()])
    }

    fn claim(bed: &str, night: &str, owner: &str) -> StoredClaim {
        StoredClaim { key: format!("{PROPERTY}|{bed}|{night}"), booking: owner.to_owned() }
    }

    fn kinds(bookings: Vec<BookingSummary>, claims: Vec<StoredClaim>) -> Vec<FindingKind> {
        kinds_with(bookings, Vec::new(), claims)
    }

    fn kinds_with(bookings: Vec<BookingSummary>, blocks: Vec<Block>, claims: Vec<StoredClaim>) -> Vec<FindingKind> {
        super::find(&PROPERTY.into(), &PropertySnapshot { bookings, blocks, claims })
            .iter()
            .map(|mismatch| mismatch.finding().kind)
            .collect()
    }

    fn block(bed: &str, status: BlockStatus) -> Block {
        let (from, until) = ("2027-02-10".parse().unwrap(), "2027-02-12".parse().unwrap());
        let at = chrono::DateTime::UNIX_EPOCH.into();
        let (id, property_id, kind) = (BlockId::derive("tests", bed), PROPERTY.into(), BlockKind::Maintenance);
        Block {
            id,
            property_id,
            rev: 1,
            status,
            kind,
            bed_ids: vec![bed.into()],
            from,
            until,
            created_at: at,
            updated_at: at,
            history: Vec::new(),
        }
    }

    fn claims_of_block(bed: &str) -> Vec<StoredClaim> {
        let owner = Owner::Block(block(bed, BlockStatus::Active).id).to_string();
        ["2027-02-10", "2027-02-11"].map(|night| claim(bed, night, &owner)).to_vec()
    }

    fn claims_of(number: u8, bed: &str) -> Vec<StoredClaim> {
        ["2027-02-10", "2027-02-11"].map(|night| claim(bed, night, &id(number).to_string())).to_vec()
    }

    #[test]
    fn consistent_claims_have_no_mismatch() {
        assert_eq!(
            kinds(vec![booking(1, Status::Confirmed, "a"), booking(2, Status::Cancelled, "a")], claims_of(1, "a")),
            []
        );
    }

    #[test]
    fn a_claim_without_an_active_owner_is_an_orphan() {
        assert_eq!(kinds(vec![], claims_of(1, "a")), [FindingKind::OrphanClaim; 2]);
        assert_eq!(kinds(vec![booking(1, Status::Cancelled, "a")], claims_of(1, "a")), [FindingKind::OrphanClaim; 2]);
    }

    #[test]
    fn a_claim_of_a_bed_night_outside_the_stays_is_an_orphan() {
        let mut claims = claims_of(1, "a");
        claims.push(claim("a", "2027-02-12", &id(1).to_string()));
        assert_eq!(kinds(vec![booking(1, Status::Confirmed, "a")], claims), [FindingKind::OrphanClaim]);
    }

    #[test]
    fn bed_night_without_claim_is_a_missing_claim() {
        assert_eq!(
            kinds(vec![booking(1, Status::Confirmed, "a")], claims_of(1, "a")[..1].to_vec()),
            [FindingKind::MissingClaim]
        );
    }

    #[test]
    fn a_bed_night_held_by_an_orphan_is_freed_before_it_is_restored() {
        let found =
            kinds(vec![booking(1, Status::Confirmed, "a"), booking(2, Status::Cancelled, "a")], claims_of(2, "a"));
        assert_eq!(
            found,
            [FindingKind::OrphanClaim, FindingKind::OrphanClaim, FindingKind::MissingClaim, FindingKind::MissingClaim]
        );
    }

    #[test]
    fn two_active_bookings_of_one_bed_are_a_conflict() {
        let found =
            kinds(vec![booking(1, Status::Confirmed, "a"), booking(2, Status::Confirmed, "a")], claims_of(1, "a"));
        assert_eq!(found, [FindingKind::Conflict; 2]);
    }

    #[test]
    fn blocks_are_compared_in_both_directions() {
        let held = || vec![block("a", BlockStatus::Active)];
        assert_eq!(kinds_with(vec![], held(), claims_of_block("a")), []);
        assert_eq!(kinds_with(vec![], held(), vec![]), [FindingKind::MissingClaim; 2]);
        assert_eq!(
            kinds_with(vec![], vec![block("a", BlockStatus::Lifted)], claims_of_block("a")),
            [FindingKind::OrphanClaim; 2]
        );
        assert_eq!(
            kinds_with(vec![], held(), claims_of_block("b")),
            [FindingKind::OrphanClaim, FindingKind::OrphanClaim, FindingKind::MissingClaim, FindingKind::MissingClaim]
        );
        assert_eq!(
            kinds_with(vec![booking(1, Status::Confirmed, "a")], held(), claims_of(1, "a")),
            [FindingKind::Conflict; 2]
        );
    }

    #[test]
    fn unreadable_claim_is_reported_only() {
        assert_eq!(
            kinds(vec![], vec![claim("a", "someday", &id(1).to_string()), claim("a", "2027-02-10", "")]),
            [FindingKind::UnreadableClaim; 2]
        );
    }
}
