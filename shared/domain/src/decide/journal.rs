//! The views of a batch, changed in place, with what it takes to undo the command at hand.

use crate::ids::PropertyId;
use crate::view::{PropertyView, Row, Span};
use std::collections::HashMap;

/// Views that the batch has touched. A view is copied once a batch, when it is first touched.
#[derive(Default)]
pub(super) struct Journal {
    views: HashMap<PropertyId, PropertyView>,
    /// Rows as they were before the command at hand, oldest first.
    undo: Vec<(PropertyId, usize, Row)>,
}

impl Journal {
    pub(super) fn view(&self, property: &PropertyId) -> Option<&PropertyView> {
        self.views.get(property)
    }

    /// Brings a view under the journal's care.
    pub(super) fn adopt(&mut self, property: &PropertyId, original: Option<&PropertyView>) {
        if !self.views.contains_key(property)
            && let Some(view) = original
        {
            self.views.insert(property.clone(), view.clone());
        }
    }

    pub(super) fn take(&mut self, property: &PropertyId, bed: usize, span: &Span) {
        if let Some(view) = self.views.get_mut(property) {
            self.undo.push((property.clone(), bed, *view.row(bed)));
            view.take(bed, span);
        }
    }

    pub(super) fn free(&mut self, property: &PropertyId, bed: usize, span: &Span) {
        if let Some(view) = self.views.get_mut(property) {
            self.undo.push((property.clone(), bed, *view.row(bed)));
            view.free(bed, span);
        }
    }

    /// A point to which [`Self::undo_to`] returns.
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    pub(super) fn undo_to(&mut self, mark: usize) {
        for (property, bed, row) in self.undo.drain(mark..).rev() {
            if let Some(view) = self.views.get_mut(&property) {
                view.restore(bed, row);
            }
        }
    }

    /// The command at hand is over.
    pub(super) fn settle(&mut self) {
        self.undo.clear();
    }

    pub(super) fn into_views(self) -> HashMap<PropertyId, PropertyView> {
        self.views
    }
}
