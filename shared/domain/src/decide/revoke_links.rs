//! Revocation of a booking's links by staff.

use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::Action;
use crate::messages::RevokeLinks;
use uuid::Uuid;

impl Decider<'_> {
    /// Ends every token that was issued for the booking, in any status: guests may follow a link after a cancellation,
    /// too.
    pub(super) fn revoke_links(&mut self, command_id: Uuid, revoke: &RevokeLinks) -> Result<Decision, NoRevision> {
        let mut booking = self.target_of(command_id, &revoke.header)?;
        booking.token_epoch = booking.token_epoch.saturating_add(1);
        let (status, revision) = (booking.status, Revision::of(Action::RevokeLinks, command_id, &revoke.header));
        Ok(Decision::Decided(Box::new(self.advance(booking, status, revision))))
    }
}
