//! Blocks and releases of beds: commands through the property's queue, waited for.
//!
//! Beds that are removed are blocked first, for as long as any guest could hold them: only the queue can tell that they
//! are free, and while they are blocked no booking can take them.

use crate::commands::submit::{Submission, reply_until};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::resources::properties::change::{CHANGE_BUDGET, EditOutcome, PropertyChange, pause_or_refuse};
use crate::router::refused_beds;
use crate::state::SharedApp;
use crate::store_call;
use chrono::{Days, NaiveDate, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::block::{Block, BlockKind, BlockStatus};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::{BedId, BlockId, PropertyId};
use pvt_domain::intake::{MAX_DAYS_AHEAD, MAX_NIGHTS};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::{BlockBeds, MessageType, RefusalDetail, Reply, ReplyOutcome, UnblockBeds};
use pvt_stores::mongo::transactions::Attempts;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a change of an inventory waits for its beds.
const HOLD_WAIT: Duration = Duration::from_secs(10);
/// How often, and after what pause, a block is lifted while the broker is away.
const RELEASE_ATTEMPTS: u32 = 5;
const RELEASE_PAUSE: Duration = Duration::from_secs(3);
/// When to try again, in seconds.
const RETRY_AFTER_SECS: u32 = 2;

/// What became of a command.
enum Outcome {
    /// The block, unless that is not known in time.
    Decided(Option<Block>),
    /// It was refused, and changed nothing.
    Refused(RefusalDetail),
}

impl Outcome {
    fn decided(self, app: &SharedApp, property: &PropertyId) -> Result<Option<Block>, Problem> {
        match self {
            Self::Decided(block) => Ok(block),
            Self::Refused(why) => Err(refused_beds(app, property, &why)),
        }
    }
}

/// Blocks beds and returns the block; `None` when the reply does not arrive in time.
///
/// # Errors
/// 409 with the bookings in the way, 422 for a key that named another block.
pub(crate) async fn block(
    app: &SharedApp,
    context: &RequestContext,
    request: BlockBeds,
    wait: Duration,
) -> Result<Option<Block>, Problem> {
    let property = request.property_id.clone();
    request_block(app, context, request, wait).await?.decided(app, &property)
}

async fn request_block(
    app: &SharedApp,
    context: &RequestContext,
    request: BlockBeds,
    wait: Duration,
) -> Result<Outcome, Problem> {
    let id = request.block_id;
    let command_id = Uuid::new_v5(&id.as_uuid(), b"block");
    let by = (&request.property_id, request.actor.clone());
    let reply = command(app, context, by, id, command_id, &request, wait).await?;
    settled(app, id, BlockStatus::Active, reply).await
}

/// Lifts a block and returns it; `None` when the reply does not arrive in time.
///
/// # Errors
/// When the command cannot be published.
pub(crate) async fn unblock(
    app: &SharedApp,
    context: &RequestContext,
    request: UnblockBeds,
    wait: Duration,
) -> Result<Option<Block>, Problem> {
    let (id, property) = (request.block_id, request.property_id.clone());
    let reply = lift(app, context, &request, wait).await?;
    settled(app, id, BlockStatus::Lifted, reply).await?.decided(app, &property)
}

async fn lift(
    app: &SharedApp,
    context: &RequestContext,
    request: &UnblockBeds,
    wait: Duration,
) -> Result<Option<Reply>, Problem> {
    let command_id = Uuid::new_v5(&request.block_id.as_uuid(), b"unblock");
    let by = (&request.property_id, request.actor.clone());
    command(app, context, by, request.block_id, command_id, request, wait).await
}

async fn command<M: MessageType>(
    app: &SharedApp,
    context: &RequestContext,
    (property, actor): (&PropertyId, Actor),
    block: BlockId,
    id: Uuid,
    command: &M,
    wait: Duration,
) -> Result<Option<Reply>, Problem> {
    let (property, subject) = (property.as_str(), block.as_uuid());
    let submission = Submission { command, id, property, subject, actor, context, record: None };
    let slot = submission.send_for_reply(app, &app.booking_replies).await?;
    Ok(reply_until(slot, Instant::now() + wait).await)
}

async fn settled(app: &SharedApp, id: BlockId, status: BlockStatus, reply: Option<Reply>) -> Result<Outcome, Problem> {
    match reply {
        Some(Reply { outcome: ReplyOutcome::KeyReused, .. }) => return Err(problem::IDEMPOTENCY_KEY_REUSED.into()),
        Some(Reply { outcome: ReplyOutcome::Refused, detail: Some(why), .. }) => return Ok(Outcome::Refused(*why)),
        _ => {}
    }
    Ok(Outcome::Decided(stored(app, id).await?.filter(|block| block.status == status || reply.is_some())))
}

/// The block as it is stored.
///
/// # Errors
/// 503 when that cannot be read.
pub(crate) async fn stored(app: &SharedApp, id: BlockId) -> Result<Option<Block>, Problem> {
    let mongo = app.mongo.clone();
    Ok(store_call::read(async move { mongo.blocks().find_by_ids([id]).await }).await?.remove(&id))
}

/// Changes an inventory by an edit that removes the beds that `leaving` names; they are blocked while it lasts.
///
/// # Errors
/// 409 with the bookings that hold one of them, and what [`PropertyChange::apply`] refuses; then nothing is changed.
pub(crate) async fn change_removing_beds(
    app: &SharedApp,
    context: &RequestContext,
    change: PropertyChange,
    leaving: impl Fn(&Inventory) -> Result<Vec<BedId>, Problem> + Send + Sync + 'static,
    edit: impl Fn(&mut Inventory) -> Result<EditOutcome, Problem> + Send + Sync + 'static,
) -> Result<Arc<Inventory>, Problem> {
    let tasks = app.tasks.clone();
    let (app, context) = (app.clone(), context.clone());
    // Not by the request itself: a caller who hangs up would leave the beds blocked.
    let changing = tasks.spawn(async move {
        let mut attempts = Attempts::within(CHANGE_BUDGET);
        loop {
            let inventory = change.read(&app).await?;
            let beds = leaving(&inventory)?;
            let held = hold(&app, &context, &inventory, &beds, &change.actor).await?;
            // On the revision from which `leaving` named the beds, and only while their blocks are active: if one is
            // lifted, even by the release below, a change that has not ended fails.
            let changed = change.apply_to(&app, inventory, &held.blocks, &edit).await;
            held.release(&app, &context).await;
            if let Some((inventory, _)) = changed? {
                return Ok(inventory);
            }
            pause_or_refuse(&mut attempts).await?;
        }
    });
    changing.await.map_err(Problem::internal)?
}

/// Beds that are blocked while the inventory is changed.
struct HeldBeds {
    property: PropertyId,
    blocks: Vec<BlockId>,
    actor: Actor,
}

/// Blocks these beds from today to the last night that can be booked.
///
/// # Errors
/// 409 with the bookings that hold one of them; then none is blocked.
async fn hold(
    app: &SharedApp,
    context: &RequestContext,
    inventory: &Inventory,
    beds: &[BedId],
    actor: &Actor,
) -> Result<HeldBeds, Problem> {
    let today = business_date(&inventory.property, Utc::now().into());
    let mut held = HeldBeds { property: inventory.property.id.clone(), blocks: Vec::new(), actor: actor.clone() };
    let mut conflicts: Option<RefusalDetail> = None;
    // One bed a block: a block of several would be too large for one transaction.
    for bed in beds {
        let block_id = BlockId::from_uuid(Uuid::new_v4());
        held.blocks.push(block_id);
        let request = BlockBeds {
            block_id,
            property_id: inventory.property.id.clone(),
            kind: BlockKind::InternalUse,
            bed_ids: vec![bed.clone()],
            from: today,
            until: booking_horizon(today),
            actor: actor.clone(),
            reason: Some("the bed is being removed from sale".to_owned()),
            requested_at: Utc::now().into(),
        };
        // Anything but a refusal may have become a block, now or later, and is released.
        let outcome = match request_block(app, context, request, HOLD_WAIT).await {
            Ok(Outcome::Decided(Some(_))) => continue,
            Ok(Outcome::Decided(None)) => Problem::from(problem::STILL_PROCESSING).retry_after(RETRY_AFTER_SECS),
            Ok(Outcome::Refused(why)) => {
                held.blocks.pop();
                // What is in the way of the other beds is reported in the same answer.
                let all = conflicts.get_or_insert(RefusalDetail { bookings: Vec::new(), ..why.clone() });
                all.bookings.extend(why.bookings);
                all.booking_count = all.booking_count.max(why.booking_count);
                continue;
            }
            Err(problem) => problem,
        };
        held.release(app, context).await;
        return Err(outcome);
    }
    let Some(why) = conflicts else { return Ok(held) };
    held.release(app, context).await;
    let most = why.booking_count;
    let mut why = RefusalDetail { bookings: Vec::new(), ..why.clone() }.naming(why.bookings);
    why.booking_count = why.booking_count.max(most);
    Err(refused_beds(app, &inventory.property.id, &why))
}

/// The first date that no booking can reach yet.
fn booking_horizon(today: NaiveDate) -> NaiveDate {
    let reach = MAX_DAYS_AHEAD.saturating_add(MAX_NIGHTS.unsigned_abs());
    today.checked_add_days(Days::new(reach)).unwrap_or(today)
}

impl HeldBeds {
    /// Lifts the blocks. A block that could not be lifted stays, and staff see it among the property's blocks.
    async fn release(self, app: &SharedApp, context: &RequestContext) {
        for block_id in self.blocks {
            let request = UnblockBeds {
                block_id,
                property_id: self.property.clone(),
                actor: self.actor.clone(),
                reason: None,
                requested_at: Utc::now().into(),
            };
            for attempt in 1..=RELEASE_ATTEMPTS {
                match lift(app, context, &request, Duration::ZERO).await {
                    Ok(_) => break,
                    Err(_) if attempt < RELEASE_ATTEMPTS => tokio::time::sleep(RELEASE_PAUSE).await,
                    Err(_) => {
                        tracing::warn!(
                            %block_id,
                            property = %request.property_id,
                            "block of beds to be removed could not be lifted",
                        );
                    }
                }
            }
        }
    }
}
