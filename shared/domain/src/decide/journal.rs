//! Occupancy grids of a batch, changed in place, with an undo log of the present command.

use crate::grid::{OccupancyGrid, Row, Span};
use crate::ids::{BedId, PropertyId};
use std::collections::HashMap;

/// Grids that the batch has touched. A grid is copied once per batch, when it is first touched.
#[derive(Default)]
pub(super) struct Journal {
    grids: HashMap<PropertyId, OccupancyGrid>,
    /// Rows before the present command, oldest first.
    undo: Vec<(PropertyId, usize, Row)>,
}

impl Journal {
    pub(super) fn grid(&self, property: &PropertyId) -> Option<&OccupancyGrid> {
        self.grids.get(property)
    }

    /// Copies a grid into the journal.
    pub(super) fn adopt(&mut self, property: &PropertyId, original: Option<&OccupancyGrid>) {
        if !self.grids.contains_key(property)
            && let Some(grid) = original
        {
            self.grids.insert(property.clone(), grid.clone());
        }
    }

    pub(super) fn take(&mut self, property: &PropertyId, bed: usize, span: &Span) {
        if let Some(grid) = self.grids.get_mut(property) {
            self.undo.push((property.clone(), bed, *grid.row(bed)));
            grid.take(bed, span);
        }
    }

    pub(super) fn free(&mut self, property: &PropertyId, bed: usize, span: &Span) {
        if let Some(grid) = self.grids.get_mut(property) {
            self.undo.push((property.clone(), bed, *grid.row(bed)));
            grid.free(bed, span);
        }
    }

    /// Marks beds as dirty. This is not undone: only decided commands mark beds.
    pub(super) fn mark_dirty(&mut self, property: &PropertyId, beds: &[BedId]) {
        if let Some(grid) = self.grids.get_mut(property) {
            grid.mark_dirty(beds);
        }
    }

    /// A savepoint for [`Self::undo_to`].
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    pub(super) fn undo_to(&mut self, mark: usize) {
        for (property, bed, row) in self.undo.drain(mark..).rev() {
            if let Some(grid) = self.grids.get_mut(&property) {
                grid.restore(bed, row);
            }
        }
    }

    /// Keeps the changes of the present command.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    pub(super) fn into_grids(self) -> HashMap<PropertyId, OccupancyGrid> {
        self.grids
    }
}
