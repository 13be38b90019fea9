//! The worker `scheduler`: consumes nothing and publishes the commands of due schedules.

use crate::declaration::{Dependencies, Start, WorkerDeclaration};
use crate::scheduler::Scheduler;

/// The worker `scheduler`.
pub(crate) const WORKER: WorkerDeclaration = WorkerDeclaration {
    name: "scheduler",
    about: "publishes the commands of due schedules",
    health_port: 8086,
    queues: &[],
    start: Start::Task(|dependencies, shutdown| {
        let Dependencies { mongo, publisher, topology, schedules, .. } = dependencies;
        let scheduler = Scheduler::new(mongo.clone(), publisher.clone(), topology.clone());
        let scheduler = scheduler.with_schedules(schedules.clone());
        Box::pin(async move { Ok(scheduler.run(shutdown).await?) })
    }),
};
