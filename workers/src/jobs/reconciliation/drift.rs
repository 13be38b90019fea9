//! Compares a property's bookings with its claims. Pure: it judges one reading and repairs nothing.

use chrono::NaiveDate;
use pvt_domain::decide::Owner;
use pvt_domain::ids::{BedId, BookingId, PropertyId};
use pvt_stores::mongo::commit::{StoredClaim, claim_key};
use pvt_stores::mongo::reconciliations::{BookingSummary, ClaimToRestore, Finding, FindingKind, PropertySnapshot};
use std::collections::{HashMap, HashSet};

/// A disagreement of claims and bookings, with what its repair needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Drift {
    /// The claim is to be deleted.
    Orphan(StoredClaim, &'static str),
    /// The claim is to be inserted.
    Missing(ClaimToRestore),
    /// Two active bookings have the same bed-night.
    Conflict { booking: BookingId, holder: BookingId, key: String },
    /// The claim's key or owner cannot be read.
    Unreadable(StoredClaim),
}

impl Drift {
    /// How it is reported before any repair.
    pub(super) fn finding(&self) -> Finding {
        let (kind, subject, detail) = match self {
            Self::Orphan(claim, why) => (FindingKind::OrphanClaim, claim.key.clone(), format!("claimed by booking {}: {why}", claim.booking)),
            Self::Missing(lost) => {
                let key = claim_key(&lost.property_id, &lost.bed_id, lost.night);
                (FindingKind::MissingClaim, key, format!("booking {} has this bed-night and no claim to it", lost.booking_id))
            }
            Self::Conflict { booking, holder, key } => {
                (FindingKind::Conflict, key.clone(), format!("booking {booking} has this bed-night, claimed by active booking {holder}"))
            }
            Self::Unreadable(claim) => (FindingKind::UnreadableClaim, claim.key.clone(), format!("owner `{}`", claim.booking)),
        };
        Finding { kind, severity: kind.severity(), subject, detail, repaired: false }
    }
}

/// Every disagreement of bookings and claims; blocks own theirs alone. First those that free a bed-night, so that what is missing can be restored in its place.
pub(super) fn claims(property_id: &PropertyId, snapshot: &PropertySnapshot) -> Vec<Drift> {
    let bookings: HashMap<BookingId, &BookingSummary> = snapshot.bookings.iter().map(|booking| (booking.id, booking)).collect();
    let owned: HashSet<(BookingId, &BedId, NaiveDate)> =
        snapshot.bookings.iter().flat_map(|booking| booking.bed_nights().map(|(bed, night)| (booking.id, bed, night))).collect();
    let mut drifts = Vec::new();
    let mut rightful: HashMap<(BedId, NaiveDate), BookingId> = HashMap::with_capacity(snapshot.claims.len());
    for claim in &snapshot.claims {
        if matches!(claim.booking.parse(), Ok(Owner::Block(_))) {
            continue;
        }
        let (Some((bed, night)), Ok(owner)) = (claim.bed_night(), claim.booking.parse::<BookingId>()) else {
            drifts.push(Drift::Unreadable(claim.clone()));
            continue;
        };
        if owned.contains(&(owner, &bed, night)) {
            rightful.insert((bed, night), owner);
        } else {
            drifts.push(Drift::Orphan(claim.clone(), flaw(bookings.get(&owner).copied())));
        }
    }
    for booking in &snapshot.bookings {
        for (bed, night) in booking.bed_nights() {
            match rightful.get(&(bed.clone(), night)) {
                Some(holder) if *holder == booking.id => {}
                Some(holder) => drifts.push(Drift::Conflict { booking: booking.id, holder: *holder, key: claim_key(property_id, bed, night) }),
                None => drifts.push(Drift::Missing(ClaimToRestore { property_id: property_id.clone(), booking_id: booking.id, bed_id: bed.clone(), night })),
            }
        }
    }
    drifts
}

/// Why a booking does not own what was claimed for it.
fn flaw(owner: Option<&BookingSummary>) -> &'static str {
    match owner {
        None => "there is no such booking in this property",
        Some(owner) if !owner.status.holds_beds() => "the booking is not active",
        Some(_) => "the bed-night is not in its stays",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_domain::booking::{Status, Stay, StayRequest};

    const HOSTEL: &str = "hostel";

    fn id(number: u8) -> BookingId {
        BookingId::derive(None, &number.to_string(), "test")
    }

    fn booking(number: u8, status: Status, bed: &str) -> BookingSummary {
        let asked = StayRequest::new("dorm", "2027-02-10".parse().unwrap(), "2027-02-12".parse().unwrap(), 1);
        let stay = Stay::of(&asked, vec![bed.into()]);
        BookingSummary::new(id(number), status, vec![stay], chrono::DateTime::UNIX_EPOCH.into(), [uuid::Uuid::nil()])
    }

    fn claim(bed: &str, night: &str, owner: &str) -> StoredClaim {
        StoredClaim { key: format!("{HOSTEL}|{bed}|{night}"), booking: owner.to_owned() }
    }

    fn kinds(bookings: Vec<BookingSummary>, claims: Vec<StoredClaim>) -> Vec<FindingKind> {
        super::claims(&HOSTEL.into(), &PropertySnapshot { bookings, claims }).iter().map(|drift| drift.finding().kind).collect()
    }

    fn claims_of(number: u8, bed: &str) -> Vec<StoredClaim> {
        ["2027-02-10", "2027-02-11"].map(|night| claim(bed, night, &id(number).to_string())).to_vec()
    }

    #[test]
    fn agreement_is_no_drift() {
        assert_eq!(kinds(vec![booking(1, Status::Confirmed, "a"), booking(2, Status::Cancelled, "a")], claims_of(1, "a")), []);
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
    fn an_unprotected_bed_night_is_missing_its_claim() {
        assert_eq!(kinds(vec![booking(1, Status::Confirmed, "a")], claims_of(1, "a")[..1].to_vec()), [FindingKind::MissingClaim]);
    }

    #[test]
    fn a_bed_night_held_by_an_orphan_is_freed_before_it_is_restored() {
        let found = kinds(vec![booking(1, Status::Confirmed, "a"), booking(2, Status::Cancelled, "a")], claims_of(2, "a"));
        assert_eq!(found, [FindingKind::OrphanClaim, FindingKind::OrphanClaim, FindingKind::MissingClaim, FindingKind::MissingClaim]);
    }

    #[test]
    fn two_active_bookings_of_one_bed_are_a_conflict() {
        let found = kinds(vec![booking(1, Status::Confirmed, "a"), booking(2, Status::Confirmed, "a")], claims_of(1, "a"));
        assert_eq!(found, [FindingKind::Conflict; 2]);
    }

    #[test]
    fn what_cannot_be_read_is_left_to_people() {
        assert_eq!(kinds(vec![], vec![claim("a", "someday", &id(1).to_string()), claim("a", "2027-02-10", "")]), [FindingKind::UnreadableClaim; 2]);
    }
}
