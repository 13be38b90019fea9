//! Scripted workers: they act as a test says and record their messages.

use chrono::{DateTime, Utc};
use pvt_domain::failure::Failure;
use pvt_domain::messages::{DecodeError, Inbox, decode_body};
use pvt_messaging::{Outgoing, Target};
use pvt_worker_runtime::{Batch, BatchWorker, Job, Queue, RetryDelay, Shape, Spec, Worker};
use serde::Deserialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

pub(crate) const SINGLE: &str = "emails";
pub(crate) const BATCHED: &str = "bookings.0";

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Note {
    pub(crate) text: String,
}

impl Inbox for Note {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            "note.take.v1" => decode_body(body),
            other => Err(DecodeError::unknown(other, &["note.take.v1"])),
        }
    }
}

/// The action of a scripted handler.
pub(crate) enum Action {
    Succeed,
    /// Emits a command to `payments` with the id of the handled message.
    Emit,
    /// Emits to a queue of this full name.
    EmitTo(String),
    Fail(Failure),
    Panic,
    Stall(Duration),
    WaitFor(Arc<tokio::sync::Notify>),
}

/// One call of a handler: the texts, ids and attempts of its messages.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) texts: Vec<String>,
    pub(crate) ids: Vec<Uuid>,
    pub(crate) attempts: Vec<u32>,
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Call>>>);

impl Log {
    fn record<'a>(&self, jobs: impl Iterator<Item = &'a Job<Note>>) {
        let mut call = Call { texts: Vec::new(), ids: Vec::new(), attempts: Vec::new() };
        for job in jobs {
            call.texts.push(job.message.text.clone());
            call.ids.push(job.meta.id);
            call.attempts.push(job.meta.attempt);
        }
        self.0.lock().unwrap().push(call);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.calls().iter().map(|call| call.ids.len()).sum()
    }

    pub(crate) fn ids(&self) -> std::collections::BTreeSet<Uuid> {
        self.calls().into_iter().flat_map(|call| call.ids).collect()
    }
}

type Script<T> = Arc<dyn Fn(&T) -> Action + Send + Sync>;

/// Handles notes of `emails`, two at a time.
pub(crate) struct ScriptedWorker {
    pub(crate) log: Log,
    script: Script<Job<Note>>,
    dependency_answers: Option<bool>,
    /// Whether other messages were answered meanwhile.
    pub(crate) others_answered: Arc<AtomicBool>,
}

impl ScriptedWorker {
    pub(crate) fn new(script: impl Fn(&Job<Note>) -> Action + Send + Sync + 'static) -> Self {
        Self {
            log: Log::default(),
            script: Arc::new(script),
            dependency_answers: None,
            others_answered: Arc::default(),
        }
    }

    /// The same, where other messages were always answered meanwhile.
    pub(crate) fn while_others_are_answered(self) -> Self {
        Self { others_answered: Arc::new(true.into()), ..self }
    }

    /// The same, with a probe that finds this.
    pub(crate) fn with_probe(self, dependency_answers: bool) -> Self {
        Self { dependency_answers: Some(dependency_answers), ..self }
    }
}

impl Worker for ScriptedWorker {
    const SPEC: Spec = Spec {
        name: "mailer",
        queue: Queue::One("emails"),
        retry_schedule: &[RetryDelay::S5, RetryDelay::M1],
        timeout: Duration::from_secs(10),
        shape: Shape::Single { concurrency: 2 },
    };
    type Message = Note;

    async fn handle(&self, job: &mut Job<Note>) -> Result<(), Failure> {
        self.log.record(std::iter::once(&*job));
        let action = (self.script)(job);
        perform(action, std::slice::from_mut(job)).await
    }

    async fn probe(&self, _class: &'static str) -> Option<bool> {
        self.dependency_answers
    }

    fn answered_since(&self, _operation: &'static str, _since: DateTime<Utc>) -> bool {
        self.others_answered.load(Ordering::Relaxed)
    }
}

/// Consumes the queue of [`ScriptedWorker`].
pub(crate) struct SameQueueWorker;

impl Worker for SameQueueWorker {
    const SPEC: Spec = Spec { name: "rival", ..ScriptedWorker::SPEC };
    type Message = Note;

    async fn handle(&self, _job: &mut Job<Note>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Consumes a queue that does not exist.
pub(crate) struct UnknownQueueWorker;

impl Worker for UnknownQueueWorker {
    const SPEC: Spec = Spec { name: "lost", queue: Queue::One("nowhere"), ..ScriptedWorker::SPEC };
    type Message = Note;

    async fn handle(&self, _job: &mut Job<Note>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Handles batches of notes of the only booking partition; has no retry schedule.
pub(crate) struct ScriptedBatchWorker {
    pub(crate) log: Log,
    script: Script<Batch<Note>>,
    dependency_answers: Option<bool>,
}

impl ScriptedBatchWorker {
    pub(crate) fn new(script: impl Fn(&Batch<Note>) -> Action + Send + Sync + 'static) -> Self {
        Self { log: Log::default(), script: Arc::new(script), dependency_answers: None }
    }

    /// The same, with a probe that finds this.
    pub(crate) fn with_probe(self, dependency_answers: bool) -> Self {
        Self { dependency_answers: Some(dependency_answers), ..self }
    }
}

impl BatchWorker for ScriptedBatchWorker {
    const SPEC: Spec = Spec {
        name: "clerk",
        queue: Queue::Partitioned("bookings"),
        retry_schedule: &[],
        timeout: Duration::from_millis(400),
        shape: Shape::Batch { max: 20, linger: Duration::from_millis(100) },
    };
    type Message = Note;

    async fn handle(&self, batch: &mut Batch<Note>) -> Result<(), Failure> {
        self.log.record(batch.items.iter());
        for job in &mut batch.items {
            if job.message.text == "fails alone" {
                job.fail(Failure::reject("scripted", "by the test"));
            }
            if job.message.text == "unavailable alone" {
                job.fail(Failure::unavailable("smtp_down", "for this one"));
            }
        }
        let action = (self.script)(batch);
        perform(action, &mut batch.items).await
    }

    async fn probe(&self, _class: &'static str) -> Option<bool> {
        self.dependency_answers
    }
}

async fn perform(action: Action, jobs: &mut [Job<Note>]) -> Result<(), Failure> {
    match action {
        Action::Succeed => {}
        Action::Emit => {
            for job in jobs {
                let id = job.meta.id;
                job.emit(Outgoing::raw(Target::Commands, "stripe.event", id, "stripe.event.v1", "{}"));
            }
        }
        Action::EmitTo(queue) => {
            for job in jobs {
                let id = job.meta.id;
                job.emit(Outgoing::raw(Target::Queue, queue.clone(), id, "stripe.event.v1", "{}"));
            }
        }
        Action::Fail(failure) => return Err(failure),
        Action::Panic => panic!("scripted panic"),
        Action::Stall(time) => tokio::time::sleep(time).await,
        Action::WaitFor(gate) => gate.notified().await,
    }
    Ok(())
}
