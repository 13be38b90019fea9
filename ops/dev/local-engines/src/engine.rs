//! One engine of an instance, to be killed, frozen and brought back by fault tests.

use crate::Progress;
use crate::error::EngineError;
use crate::instance::Instance;
use crate::kind::EngineKind;
use crate::native;
use crate::urls::Urls;

/// A handle on one engine; it owns nothing and can be made as often as needed.
#[derive(Clone, Copy, Debug)]
pub struct LocalEngine<'a> {
    instance: &'a Instance,
    kind: EngineKind,
}

impl<'a> LocalEngine<'a> {
    pub(crate) fn new(instance: &'a Instance, kind: EngineKind) -> Self {
        Self { instance, kind }
    }

    /// Which engine it is.
    #[must_use]
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// Its main process while it runs as a local program.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn pid(&self) -> Result<Option<i32>, EngineError> {
        Ok(native::alive(self.instance.state_dir(), self.kind)?.map(|process| process.pid))
    }

    /// Ends every process of the engine with SIGKILL and returns when they are gone.
    ///
    /// # Errors
    /// It does not run, or does not die.
    pub async fn kill9(&self) -> Result<(), EngineError> {
        match self.instance.containers()? {
            Some(compose) => compose.service_command("kill", self.kind).await,
            None => native::kill9(self.instance.state_dir(), self.kind).await,
        }
    }

    /// Starts it on its old ports with its old data, and returns when it answers. Running already is fine.
    ///
    /// # Errors
    /// As [`Instance::ensure`].
    pub async fn start(&self, progress: Progress<'_>) -> Result<Urls, EngineError> {
        self.instance.ensure(&[self.kind], progress).await
    }

    /// Stops it in an orderly way, if it runs, and starts it again.
    ///
    /// # Errors
    /// As [`Instance::stop`] and [`Instance::ensure`].
    pub async fn restart(&self, progress: Progress<'_>) -> Result<Urls, EngineError> {
        self.instance.stop(&[self.kind]).await?;
        self.start(progress).await
    }

    /// Freezes it (SIGSTOP): connections stay open, nothing is answered.
    ///
    /// # Errors
    /// It does not run.
    pub async fn pause(&self) -> Result<(), EngineError> {
        match self.instance.containers()? {
            Some(compose) => compose.service_command("pause", self.kind).await,
            None => native::pause(self.instance.state_dir(), self.kind),
        }
    }

    /// Lets it go on after [`LocalEngine::pause`].
    ///
    /// # Errors
    /// It does not run.
    pub async fn resume(&self) -> Result<(), EngineError> {
        match self.instance.containers()? {
            Some(compose) => compose.service_command("unpause", self.kind).await,
            None => native::resume(self.instance.state_dir(), self.kind),
        }
    }
}
