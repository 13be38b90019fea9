//! Workers that run within the test itself, because no setting of a program makes them as the test needs them.

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
    /// Runs what `register` registers.
    pub(crate) fn start(stack: &Stack, register: impl FnOnce(Engine) -> Result<Engine, EngineError>) -> Result<Self> {
        let publisher = Publisher::start(stack.namespace.amqp_url(), stack.topology.clone(), "crew");
        let engine = register(Engine::new(stack.namespace.amqp_url(), stack.topology.clone(), publisher.clone()))?;
        let stop = CancellationToken::new();
        Ok(Self { running: tokio::spawn(engine.run(stop.clone())), stop, publisher })
    }

    /// Lets them finish.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.running.await.context("the workers' task")??;
        self.publisher.close(CLOSE_LIMIT).await;
        Ok(())
    }
}
