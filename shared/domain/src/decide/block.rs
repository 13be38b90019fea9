//! Deciding blocks: they take free beds only, and a refusal names the bookings in the way.

use super::{Decider, Stop, Verdict};
use crate::block::{Block, BlockEntry, BlockKind, BlockStatus, MAX_BLOCK_BED_NIGHTS, MAX_BLOCK_BEDS};
use crate::events::{INVENTORY_CHANGED, InventoryChanged};
use crate::ids::{BlockId, PropertyId};
use crate::messages::{BlockBeds, RefusalCode, ReplyOutcome, UnblockBeds};
use crate::nights::Nights;
use std::collections::BTreeSet;
use uuid::Uuid;

impl Decider<'_> {
    pub(super) fn block(&mut self, command_id: Uuid, asked: &BlockBeds) -> Result<Verdict, Stop> {
        if let Some(block) = self.blocked(asked.block_id) {
            return match block.history.first() {
                Some(first) if is_same(block, asked) => {
                    Ok(Verdict::Changed(Box::new(InventoryChanged::of(block, first))))
                }
                _ => Err(Stop::Answer(Verdict::Refused(ReplyOutcome::KeyReused, None))),
            };
        }
        let property = &asked.property_id;
        let nights = Nights::new(asked.from, asked.until);
        let today = self.today(property);
        self.journal.adopt(property, self.known.views.get(property));
        let Some(view) = self.view(property) else {
            return Err(self.refuse(property, Stop::because(RefusalCode::Closed), Stop::Unread));
        };
        let beds: BTreeSet<usize> = asked.bed_ids.iter().filter_map(|bed| view.bed_number(bed)).collect();
        if beds.is_empty() || beds.len() != asked.bed_ids.len() || beds.len() > MAX_BLOCK_BEDS {
            return Err(self.refuse(property, Stop::because(RefusalCode::BedUnfit), Stop::Unread));
        }
        let bed_nights = usize::try_from(nights.count()).unwrap_or(0).saturating_mul(beds.len());
        let Some(span) = view.span(nights).filter(|_| asked.from >= today && bed_nights <= MAX_BLOCK_BED_NIGHTS) else {
            return Err(self.refuse(property, Stop::because(RefusalCode::InvalidDates), Stop::Unread));
        };
        if !beds.iter().all(|bed| view.is_free(*bed, &span)) {
            return Err(self.taken(property, None, &asked.bed_ids, nights));
        }
        beds.into_iter().for_each(|bed| self.journal.take(property, bed, &span));
        let block = Block {
            id: asked.block_id,
            property_id: property.clone(),
            rev: 0,
            status: BlockStatus::Active,
            kind: asked.kind,
            bed_ids: asked.bed_ids.clone(),
            from: asked.from,
            until: asked.until,
            created_at: asked.requested_at,
            updated_at: asked.requested_at,
            history: Vec::new(),
        };
        Ok(self.advance_block(block, BlockStatus::Active, command_id, &asked.actor, asked.reason.as_ref()))
    }

    pub(super) fn unblock(&mut self, command_id: Uuid, asked: &UnblockBeds) -> Result<Verdict, Stop> {
        let Some(block) = self.blocked(asked.block_id) else {
            let never = never_made(asked);
            return Ok(self.advance_block(never, BlockStatus::Lifted, command_id, &asked.actor, asked.reason.as_ref()));
        };
        if block.status == BlockStatus::Lifted
            && let Some(entry) = block.history.iter().rfind(|entry| entry.to == BlockStatus::Lifted)
        {
            return Ok(Verdict::Changed(Box::new(InventoryChanged::of(block, entry))));
        }
        let block = block.clone();
        self.open(&asked.property_id, &block);
        Ok(self.advance_block(block, BlockStatus::Lifted, command_id, &asked.actor, asked.reason.as_ref()))
    }

    fn blocked(&self, id: BlockId) -> Option<&Block> {
        self.blocks.get(&id).or_else(|| self.known.blocks.get(&id))
    }

    fn open(&mut self, property: &PropertyId, block: &Block) {
        self.journal.adopt(property, self.known.views.get(property));
        let Some(view) = self.view(property) else { return };
        let Some(span) = view.clipped_span(block.nights()) else { return };
        let beds: Vec<usize> = block.bed_ids.iter().filter_map(|bed| view.bed_number(bed)).collect();
        beds.into_iter().for_each(|bed| self.journal.free(property, bed, &span));
    }

    fn advance_block(
        &mut self,
        mut block: Block,
        to: BlockStatus,
        command_id: Uuid,
        actor: &str,
        reason: Option<&String>,
    ) -> Verdict {
        let rev = block.rev + 1;
        let event_id = block.id.event_id(rev, INVENTORY_CHANGED);
        let entry = BlockEntry {
            rev,
            at: self.now,
            to,
            command_id,
            event_id,
            actor: actor.to_owned(),
            reason: reason.cloned(),
        };
        (block.rev, block.status, block.updated_at) = (rev, to, self.now);
        let event = InventoryChanged::of(&block, &entry);
        block.history.push(entry);
        let id = block.id;
        if self.blocks.insert(id, block).is_none() {
            self.block_order.push(id);
        }
        Verdict::Changed(Box::new(event))
    }
}

/// A block that was lifted before it was decided, or was refused: it may still wait somewhere, and then is another one
/// than this.
fn never_made(asked: &UnblockBeds) -> Block {
    let day = asked.requested_at.as_datetime().date_naive();
    Block {
        id: asked.block_id,
        property_id: asked.property_id.clone(),
        rev: 0,
        status: BlockStatus::Lifted,
        kind: BlockKind::InternalUse,
        bed_ids: Vec::new(),
        from: day,
        until: day,
        created_at: asked.requested_at,
        updated_at: asked.requested_at,
        history: Vec::new(),
    }
}

fn is_same(block: &Block, asked: &BlockBeds) -> bool {
    (&block.property_id, block.kind, &block.bed_ids, block.from, block.until)
        == (&asked.property_id, asked.kind, &asked.bed_ids, asked.from, asked.until)
}
