//! Control of one engine of an instance, for fault tests: kill, pause, resume, restart.

use crate::error::EngineError;
use crate::instance::Instance;
use crate::kind::EngineKind;
use crate::native;
use crate::progress::Progress;
use crate::urls::Urls;

/// A handle on one engine. It owns nothing and can be created any number of times.
#[derive(Clone, Copy, Debug)]
pub struct LocalEngine<'a> {
    instance: &'a Instance,
    kind: EngineKind,
}

impl Instance {
    /// A handle on one of its engines.
    #[must_use]
    pub fn engine(&self, kind: EngineKind) -> LocalEngine<'_> {
        LocalEngine { instance: self, kind }
    }
}

impl LocalEngine<'_> {
    /// The kind of the engine.
    #[must_use]
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// The pid of its main process while it runs as a local program.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn pid(&self) -> Result<Option<i32>, EngineError> {
        Ok(native::alive(self.instance.state_dir(), self.kind)?.map(|process| process.pid))
    }

    /// Ends every process of the engine with SIGKILL and returns when they are gone.
    ///
    /// # Errors
    /// It does not run, or a process survives.
    pub async fn kill9(&self) -> Result<(), EngineError> {
        match self.instance.containers()? {
            Some(compose) => compose.service_command("kill", self.kind).await,
            None => native::kill9(self.instance.state_dir(), self.kind).await,
        }
    }

    /// Starts it on its old ports with its old data, unless it runs, and returns when it answers.
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

    /// Pauses it (SIGSTOP): connections stay open, nothing is answered.
    ///
    /// # Errors
    /// It does not run.
    pub async fn pause(&self) -> Result<(), EngineError> {
        match self.instance.containers()? {
            Some(compose) => compose.service_command("pause", self.kind).await,
            None => native::pause(self.instance.state_dir(), self.kind),
        }
    }

    /// Resumes it after [`LocalEngine::pause`].
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
