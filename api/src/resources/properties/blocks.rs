//! Blocks: beds that are not for sale on some nights. They go through the property's queue, as bookings do.

use crate::auth::policy::Caller;
use crate::commands::idempotency::IdempotentRequest;
use crate::form::form;
use crate::form::presence::{optional, required};
use crate::form::reader::Pointer;
use crate::form::types::{self, MAX_FREE_TEXT_CHARS, date, one_of, text, trimmed};
use crate::http::extract::{Form, IdempotencyKey, PathId, PreferredWait, QueryParams, StaffOfProperty};
use crate::http::middleware::RequestContext;
use crate::http::pagination::{Page, PageQuery, Paged};
use crate::http::problem::{self, Problem};
use crate::http::response::{Either, JsonResponse, RetryAfter, Shown};
use crate::resources::properties::bed_holds;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use chrono::{NaiveDate, Utc};
use pvt_domain::block::{Block, BlockKind, BlockStatus, MAX_BLOCK_BEDS};
use pvt_domain::ids::{BedId, BlockId, PropertyId};
use pvt_domain::messages::{BlockBeds, UnblockBeds};
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// When to look for the result, in seconds.
const RETRY_AFTER_SECS: u32 = 1;

/// A block: beds that are not for sale on some nights.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Block")]
pub(super) struct BlockView {
    id: BlockId,
    property_id: PropertyId,
    status: BlockStatus,
    kind: BlockKind,
    bed_ids: Vec<BedId>,
    from: NaiveDate,
    until: NaiveDate,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// For example `staff:a1b2c3d4e5f6`.
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted_by: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Block> for BlockView {
    fn from(block: Block) -> Self {
        let reason = block.history.first().and_then(|entry| entry.reason.clone());
        let created_by = block.history.first().map(|entry| entry.actor.to_string()).unwrap_or_default();
        let lifted_by =
            block.history.iter().rfind(|entry| entry.to == BlockStatus::Lifted).map(|entry| entry.actor.to_string());
        let Block { id, property_id, status, kind, bed_ids, from, until, created_at, updated_at, .. } = block;
        Self {
            id,
            property_id,
            status,
            kind,
            bed_ids,
            from,
            until,
            reason,
            created_by,
            lifted_by,
            created_at,
            updated_at,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// Lifted ones too.
    #[schemars(extend("enum" = ["true", "false"]))]
    all: Option<String>,
}

form! {
    /// A block of beds.
    pub(crate) struct BlockForm {
        property_id: PropertyId = required(text()),
        kind: BlockKind = required(one_of(&BlockKind::ALL)),
        bed_ids: Vec<BedId> = required(types::list(text(), MAX_BLOCK_BEDS).at_least(1)),
        /// First night.
        from: NaiveDate = required(date()),
        /// The first night that can be sold again.
        until: NaiveDate = required(date()),
        reason: Option<String> = optional(trimmed(0, MAX_FREE_TEXT_CHARS)),
    }
    example json!({ "property_id": "pvt-quebec", "kind": "maintenance", "bed_ids": ["q1-1", "q1-2"],
        "from": "2027-02-01", "until": "2027-02-05", "reason": "new mattresses" });
    check(at, reader) {
        if reason.iter().flatten().any(|text: &String| text.chars().count() > MAX_FREE_TEXT_CHARS) {
            let message = format!("at most {MAX_FREE_TEXT_CHARS} characters");
            reader.violation(&Pointer::Key(at, "reason"), "invalid_reason", message);
        }
        if bed_ids.as_ref().is_some_and(Vec::is_empty) {
            reader.violation(&Pointer::Key(at, "bed_ids"), "missing", "name at least one bed");
        }
        if from.zip(until).is_some_and(|(from, until)| until <= from) {
            reader.violation(&Pointer::Key(at, "until"), "empty_range", "must lie after from");
        }
    }
}

/// `GET /api/blocks?property_id=…`: those that hold their beds; with `all=true` lifted ones too.
pub(super) async fn list(
    State(app): State<SharedApp>,
    StaffOfProperty { property, .. }: StaffOfProperty,
    query: PageQuery,
    QueryParams(ListQuery { all }): QueryParams<ListQuery>,
) -> Result<Paged<BlockView>, Problem> {
    let active = match all.as_deref() {
        None | Some("false") => true,
        Some("true") => false,
        Some(_) => return Err(Problem::new(problem::INVALID_QUERY, "`all` takes true or false.")),
    };
    let (mongo, of, after, wanted) = (app.mongo.clone(), property.clone(), query.after.clone(), query.fetch_limit());
    let found =
        store_call::read(async move { mongo.blocks().list(&of, active, after.as_deref(), wanted).await }).await?;
    let path = format!("/api/blocks?property_id={property}{}", if active { "" } else { "&all=true" });
    Page::of(found, &query, |block| block.id.to_string()).respond(&path, &query, BlockView::from)
}

/// `POST /api/blocks`: 201 with the block, 409 with the bookings in the way, 202 when that takes longer.
pub(super) async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    context: RequestContext,
    IdempotencyKey(key): IdempotencyKey,
    PreferredWait { command: wait, .. }: PreferredWait,
    Form { value: form, fingerprint }: Form<BlockForm>,
) -> Result<Either<JsonResponse<201, BlockView>, PendingBlock>, Problem> {
    let caller = caller.staff_of(&form.property_id)?;
    let block_id = BlockId::derive(caller.client().unwrap_or_default(), &key);
    let once = IdempotentRequest::take(&app, &caller, &key, fingerprint)?;
    let BlockForm { property_id, kind, bed_ids, from, until, reason } = form;
    let request = BlockBeds {
        block_id,
        property_id,
        kind,
        bed_ids,
        from,
        until,
        actor: caller.actor(),
        reason,
        requested_at: Utc::now().into(),
    };
    let block = bed_holds::block(&app, &context, request, wait).await?;
    once.done();
    Ok(match block {
        Some(block) => Either::This(JsonResponse::new(&BlockView::from(block))),
        None => Either::That(pending(block_id)),
    })
}

/// `DELETE /api/blocks/{id}`: the beds are for sale again.
pub(super) async fn lift(
    State(app): State<SharedApp>,
    PathId(block_id): PathId<BlockId>,
    caller: Caller,
    context: RequestContext,
    PreferredWait { command: wait, .. }: PreferredWait,
) -> Result<Either<Shown<BlockView>, PendingBlock>, Problem> {
    let block = bed_holds::stored(&app, block_id).await?.filter(|block| caller.is_staff_of(&block.property_id));
    let block = block.ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let request = UnblockBeds {
        block_id,
        property_id: block.property_id,
        actor: caller.actor(),
        reason: None,
        requested_at: Utc::now().into(),
    };
    Ok(match bed_holds::unblock(&app, &context, request, wait).await? {
        Some(block) => Either::This(Shown::new(&BlockView::from(block))),
        None => Either::That(pending(block_id)),
    })
}

/// The broker has the command; it is not decided yet.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PendingBlock")]
pub(super) struct PendingView {
    id: BlockId,
    #[schemars(extend("const" = true))]
    pending: bool,
}

type PendingBlock = JsonResponse<202, PendingView, RetryAfter>;

fn pending(id: BlockId) -> PendingBlock {
    PendingBlock::new(&PendingView { id, pending: true }).with(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS))
}
