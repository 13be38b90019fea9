//! Submission of commands to workers, and the wait for their replies.

use crate::commands::pending_replies::{PendingReplies, ReplySlot};
use crate::form::fingerprint::Fingerprint;
use crate::http::middleware::RequestContext;
use crate::http::problem::Problem;
use crate::state::SharedApp;
use pvt_domain::actor::Actor;
use pvt_domain::messages::MessageType;
use pvt_messaging::Outgoing;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// A command with its envelope.
pub(crate) struct Submission<'a, M> {
    pub(crate) command: &'a M,
    /// The id of the command, by which a worker recognises a repetition.
    pub(crate) id: Uuid,
    /// The property whose queue takes it; empty for a command of none.
    pub(crate) property: &'a str,
    /// The id of the subject.
    pub(crate) subject: Uuid,
    pub(crate) actor: Actor,
    pub(crate) context: &'a RequestContext,
    /// The reserved idempotency record, which is confirmed or released once the broker has answered.
    pub(crate) record: Option<(Uuid, Fingerprint)>,
}

impl<M: MessageType> Submission<'_, M> {
    /// Hands it to the broker; a reply goes to `reply_to`.
    ///
    /// # Errors
    /// 503 when the broker did not take it.
    pub(crate) async fn send(self, app: &SharedApp, reply_to: Option<String>) -> Result<(), Problem> {
        let routing_key = app.topology.command_key(self.command.kind(), self.property);
        let message = Outgoing::command(routing_key, self.id, self.command).map(|message| {
            message
                .with_correlation_id(self.subject)
                .with_traceparent(self.context.traceparent())
                .with_actor(self.actor)
                .with_reply_to(reply_to)
        });
        let (remember, record) = (app.clone(), self.record);
        let ended = move |confirmed: bool| match (record, confirmed) {
            (None, _) => {}
            (Some((id, fingerprint)), true) => remember.idempotency.confirm(id, fingerprint),
            (Some((id, _)), false) => remember.idempotency.release(id),
        };
        app.publish(message, ended).await
    }

    /// As [`Self::send`], with a slot for the reply; `None` when too many are waited for.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) async fn send_for_reply<R: Clone>(
        self,
        app: &SharedApp,
        replies: &PendingReplies<R>,
    ) -> Result<Option<ReplySlot<R>>, Problem> {
        // The slot is taken before the command is sent, so that no reply is missed.
        let slot = replies.wait_for(self.id);
        let reply_to = slot.as_ref().and_then(|_| app.reply_queue.queue());
        self.send(app, reply_to).await?;
        Ok(slot)
    }
}

/// The reply, if it arrives before `deadline`.
pub(crate) async fn reply_until<R>(slot: Option<ReplySlot<R>>, deadline: Instant) -> Option<R> {
    timeout_at(deadline, &mut slot?.reply).await.ok()?.ok()
}
