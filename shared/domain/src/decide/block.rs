//! Blocks: they claim free beds only, and a refusal names the conflicting bookings.

use super::{Decider, Decision, NoRevision};
use crate::actor::Actor;
use crate::block::{Block, BlockEntry, BlockKind, BlockStatus, MAX_BLOCK_BED_NIGHTS, MAX_BLOCK_BEDS};
use crate::events::{INVENTORY_CHANGED, InventoryChanged};
use crate::ids::{BlockId, PropertyId};
use crate::messages::{BlockBeds, RefusalCode, ReplyOutcome, UnblockBeds};
use crate::nights::Nights;
use std::collections::BTreeSet;
use uuid::Uuid;

impl Decider<'_> {
    pub(super) fn block(&mut self, command_id: Uuid, requested: &BlockBeds) -> Result<Decision, NoRevision> {
        if let Some(block) = self.blocked(requested.block_id) {
            return match block.history.first() {
                Some(first) if is_same(block, requested) => {
                    Ok(Decision::Changed(Box::new(InventoryChanged::of(block, first))))
                }
                _ => Err(NoRevision::Answer(Decision::Refused(ReplyOutcome::KeyReused, None))),
            };
        }
        let property = &requested.property_id;
        let nights = Nights::new(requested.from, requested.until);
        let today = self.today(property);
        self.journal.adopt(property, self.known.grids.get(property));
        let Some(grid) = self.grid(property) else {
            return Err(self.refuse(property, NoRevision::because(RefusalCode::Closed), NoRevision::Unread));
        };
        let beds: BTreeSet<usize> = requested.bed_ids.iter().filter_map(|bed| grid.bed_number(bed)).collect();
        if beds.is_empty() || beds.len() != requested.bed_ids.len() || beds.len() > MAX_BLOCK_BEDS {
            return Err(self.refuse(property, NoRevision::because(RefusalCode::BedUnfit), NoRevision::Unread));
        }
        let bed_nights = usize::try_from(nights.count()).unwrap_or(0).saturating_mul(beds.len());
        let Some(span) = grid.span(nights).filter(|_| requested.from >= today && bed_nights <= MAX_BLOCK_BED_NIGHTS)
        else {
            return Err(self.refuse(property, NoRevision::because(RefusalCode::InvalidDates), NoRevision::Unread));
        };
        if !beds.iter().all(|bed| grid.is_free(*bed, &span)) {
            return Err(self.bed_taken(property, None, &requested.bed_ids, nights));
        }
        beds.into_iter().for_each(|bed| self.journal.take(property, bed, &span));
        let block = Block {
            id: requested.block_id,
            property_id: property.clone(),
            rev: 0,
            status: BlockStatus::Active,
            kind: requested.kind,
            bed_ids: requested.bed_ids.clone(),
            from: requested.from,
            until: requested.until,
            created_at: requested.requested_at,
            updated_at: requested.requested_at,
            history: Vec::new(),
        };
        Ok(self.advance_block(block, BlockStatus::Active, command_id, &requested.actor, requested.reason.as_ref()))
    }

    pub(super) fn unblock(&mut self, command_id: Uuid, requested: &UnblockBeds) -> Result<Decision, NoRevision> {
        let Some(block) = self.blocked(requested.block_id) else {
            let never = lifted_before_creation(requested);
            return Ok(self.advance_block(
                never,
                BlockStatus::Lifted,
                command_id,
                &requested.actor,
                requested.reason.as_ref(),
            ));
        };
        if block.status == BlockStatus::Lifted
            && let Some(entry) = block.history.iter().rfind(|entry| entry.to == BlockStatus::Lifted)
        {
            return Ok(Decision::Changed(Box::new(InventoryChanged::of(block, entry))));
        }
        let block = block.clone();
        self.open(&requested.property_id, &block);
        Ok(self.advance_block(block, BlockStatus::Lifted, command_id, &requested.actor, requested.reason.as_ref()))
    }

    fn blocked(&self, id: BlockId) -> Option<&Block> {
        self.blocks.get(&id).or_else(|| self.known.blocks.get(&id))
    }

    fn open(&mut self, property: &PropertyId, block: &Block) {
        self.journal.adopt(property, self.known.grids.get(property));
        let Some(grid) = self.grid(property) else { return };
        let Some(span) = grid.clipped_span(block.nights()) else { return };
        let beds: Vec<usize> = block.bed_ids.iter().filter_map(|bed| grid.bed_number(bed)).collect();
        beds.into_iter().for_each(|bed| self.journal.free(property, bed, &span));
    }

    fn advance_block(
        &mut self,
        mut block: Block,
        to: BlockStatus,
        command_id: Uuid,
        actor: &Actor,
        reason: Option<&String>,
    ) -> Decision {
        let rev = block.rev + 1;
        let event_id = block.id.event_id(rev, INVENTORY_CHANGED);
        let entry =
            BlockEntry { rev, at: self.now, to, command_id, event_id, actor: actor.clone(), reason: reason.cloned() };
        (block.rev, block.status, block.updated_at) = (rev, to, self.now);
        let event = InventoryChanged::of(&block, &entry);
        block.history.push(entry);
        let id = block.id;
        if self.blocks.insert(id, block).is_none() {
            self.block_order.push(id);
        }
        Decision::Changed(Box::new(event))
    }
}

/// The record of a block that was lifted before it was created: its creation may still be queued, and will be refused
/// as a reuse of its id.
fn lifted_before_creation(requested: &UnblockBeds) -> Block {
    let day = requested.requested_at.as_datetime().date_naive();
    Block {
        id: requested.block_id,
        property_id: requested.property_id.clone(),
        rev: 0,
        status: BlockStatus::Lifted,
        kind: BlockKind::InternalUse,
        bed_ids: Vec::new(),
        from: day,
        until: day,
        created_at: requested.requested_at,
        updated_at: requested.requested_at,
        history: Vec::new(),
    }
}

fn is_same(block: &Block, requested: &BlockBeds) -> bool {
    (&block.property_id, block.kind, &block.bed_ids, block.from, block.until)
        == (&requested.property_id, requested.kind, &requested.bed_ids, requested.from, requested.until)
}
