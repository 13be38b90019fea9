//! Inputs of a reshuffle: the units of stays, and the nights around a stay to consider.

use crate::grid::{HORIZON_NIGHTS, OccupancyGrid, Row, Span};
use crate::inventory::RoomKind;
use crate::nights::Nights;
use std::collections::HashMap;

/// Nights around a stay that are considered first. Reading every booking of a busy property is slow and seldom needed.
const NEAR_NIGHTS: usize = 14;
/// Nights around a stay that are considered next.
const NEARBY_NIGHTS: usize = 70;

/// Unit of each bed.
pub(crate) fn unit_of(units: &[Vec<usize>]) -> HashMap<usize, usize> {
    units.iter().enumerate().flat_map(|(unit, beds)| beds.iter().map(move |bed| (*bed, unit))).collect()
}

/// The units of a stay: its room, or each of its beds; `None` when its beds are not those of whole units of this type.
pub(crate) fn homes(
    beds: &[usize],
    units: &[Vec<usize>],
    unit_of: &HashMap<usize, usize>,
    kind: RoomKind,
) -> Option<Vec<usize>> {
    let mut homes: Vec<usize> = beds.iter().map(|bed| unit_of.get(bed).copied()).collect::<Option<_>>()?;
    if kind == RoomKind::Private {
        homes.dedup();
        let whole = homes.len() == 1 && units[homes[0]].len() == beds.len();
        return whole.then_some(homes);
    }
    Some(homes)
}

/// Ranges of nights whose stays may be reassigned: near the requested stays first, finally as far as stays can depend
/// on each other.
///
/// Where no unit is taken on both sides of a midnight, no stay spans it, so reassignments beyond it cannot help.
pub(crate) fn reach(grid: &OccupancyGrid, fixed: &[Row], requested: &[Span]) -> Vec<Nights> {
    let first = requested.iter().map(Span::first).min().unwrap_or(0);
    let end = requested.iter().map(Span::end).max().unwrap_or(first);
    let stayed_through = |midnight: usize| fixed.iter().any(|row| row.taken(midnight - 1) && row.taken(midnight));
    let begin = (1..=first).rev().find(|midnight| !stayed_through(*midnight)).unwrap_or(0);
    let last = (end..HORIZON_NIGHTS).find(|midnight| !stayed_through(*midnight)).unwrap_or(HORIZON_NIGHTS);
    let nights = |from: usize, until: usize| Nights::new(grid.date_at(from), grid.date_at(until));
    let near = |by: usize| nights(begin.max(first.saturating_sub(by)), last.min(end + by));
    let mut reaches = vec![near(NEAR_NIGHTS), near(NEARBY_NIGHTS), nights(begin, last)];
    reaches.dedup();
    reaches
}
