//! Workers inside the test process, for tests that need a worker that no program provides.

use super::Stack;
use anyhow::{Context, Result};
use pvt_messaging::Publisher;
use pvt_worker_runtime::{Engine, EngineError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Running workers.
pub(crate) struct InProcessWorkers {
    stop: CancellationToken,
    running: JoinHandle<Result<(), EngineError>>,
    publisher: Publisher,
}

impl InProcessWorkers {
    /// Runs the workers that `register` adds to the engine.
    pub(crate) fn start(stack: &Stack, register: impl FnOnce(Engine) -> Result<Engine, EngineError>) -> Result<Self> {
        let publisher = Publisher::start(stack.namespace.amqp_url(), stack.topology.clone(), "in-process-workers");
        let engine = register(Engine::new(stack.namespace.amqp_url(), stack.topology.clone(), publisher.clone()))?;
        let stop = CancellationToken::new();
        Ok(Self { running: tokio::spawn(engine.run(stop.clone())), stop, publisher })
    }

    /// Drains and stops them.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.running.await.context("the workers' task")??;
        self.publisher.close(CLOSE_LIMIT).await;
        Ok(())
    }
}
