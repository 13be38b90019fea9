//! The worker `scheduler`: publishes the commands of due schedules, returns unroutable messages to their queues, stores
//! and replays dead letters, and counts what is in the queues.

use crate::dead_letters;
use crate::declaration::{Dependencies, Start, WorkerDeclaration};
use crate::queue_gauges::{measure_periodically, sample_periodically};
use crate::queue_samples::QueueWatch;
use crate::scheduler::Scheduler;
use crate::unroutable::route_periodically;
use anyhow::Context as _;
use pvt_messaging::management::Management;
use secrecy::ExposeSecret;

/// The worker `scheduler`.
pub(crate) const WORKER: WorkerDeclaration = WorkerDeclaration {
    name: "scheduler",
    about: "publishes the commands of due schedules, returns unroutable messages, keeps dead letters, counts queues",
    health_port: 8086,
    queues: &[],
    start: Start::Task(|dependencies, shutdown| {
        let Dependencies { config, mongo, publisher, topology, schedules, unroutable, pauses, .. } = dependencies;
        let scheduler = Scheduler::new(mongo.clone(), publisher.clone(), topology.clone());
        let scheduler = scheduler.with_schedules(schedules.clone());
        let amqp_url = config.amqp_url.expose_secret().to_owned();
        let measuring = measure_periodically(amqp_url.clone(), topology.clone(), pauses.clone(), shutdown.clone());
        let leader = scheduler.leader();
        // A process starts each of its workers once.
        let _ = dependencies.leader.set(scheduler.leader());
        let management = Management::of_broker(config.rabbitmq_management_url.expose_secret(), &amqp_url);
        let watch = |management| {
            let alarms = dependencies.alarms.clone();
            QueueWatch::new(mongo.clone(), management, topology.clone(), leader.clone(), alarms)
        };
        let sampled = management.map(watch);
        let stop_sampling = shutdown.clone();
        let collecting = dead_letters::collect_periodically(
            mongo.clone(),
            amqp_url.clone(),
            topology.clone(),
            leader.clone(),
            shutdown.clone(),
        );
        let replaying = dead_letters::replay_periodically(
            mongo.clone(),
            amqp_url.clone(),
            topology.clone(),
            leader,
            shutdown.clone(),
        );
        let counting = dead_letters::count_periodically(mongo.clone(), topology.clone(), shutdown.clone());
        let routing = route_periodically(amqp_url, topology.clone(), unroutable.clone(), shutdown.clone());
        Box::pin(async move {
            let sampling = sample_periodically(sampled.context("RABBITMQ_MANAGEMENT_URL")?, stop_sampling);
            let keeping = async {
                tokio::join!(collecting, replaying);
            };
            let leading = scheduler.run_beside(keeping, shutdown);
            let ((), (), (), (), led) = tokio::join!(measuring, sampling, routing, counting, leading);
            Ok(led?)
        })
    }),
};
