//! Marks in a stream, and the time between two of them.

use std::sync::Arc;
use std::time::Duration;

use super::abi::{EVENT_DEFAULT, EventHandle};
use super::{Context, CudaError, Stream};

/// A mark that comes when the stream has done what was put in before it.
pub struct Event {
    context: Arc<Context>,
    pub(super) handle: EventHandle,
}

impl Event {
    /// A mark that is in no stream yet.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        let _bound = context.bind()?;
        let mut handle = EventHandle::default();
        let create = context.driver().table().cuEventCreate;
        // SAFETY: the pointer is to a live handle.
        let code = unsafe { create(&raw mut handle, EVENT_DEFAULT) };
        context.driver().check("cuEventCreate", code)?;
        Ok(Self {
            context: Arc::clone(context),
            handle,
        })
    }

    /// Puts it into the stream.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn record(&self, stream: &Stream) -> Result<(), CudaError> {
        let _bound = self.context.bind()?;
        let record = self.context.driver().table().cuEventRecord;
        // SAFETY: both handles are live.
        let code = unsafe { record(self.handle, stream.handle) };
        self.context.driver().check("cuEventRecord", code)
    }

    /// Waits until it has come.
    ///
    /// # Errors
    /// What was before it failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        let _bound = self.context.bind()?;
        // SAFETY: the handle lives as long as self.
        let code = unsafe { (self.context.driver().table().cuEventSynchronize)(self.handle) };
        self.context.driver().check("cuEventSynchronize", code)
    }

    /// The time on the GPU from `earlier` to this one; both have come.
    ///
    /// # Errors
    /// One of them has not.
    pub fn since(&self, earlier: &Self) -> Result<Duration, CudaError> {
        let _bound = self.context.bind()?;
        let mut milliseconds = 0.0;
        let elapsed = self.context.driver().table().cuEventElapsedTime;
        // SAFETY: the pointer is to a live number and both handles are live.
        let code = unsafe { elapsed(&raw mut milliseconds, earlier.handle, self.handle) };
        self.context.driver().check("cuEventElapsedTime", code)?;
        let seconds = f64::from(milliseconds.max(0.0)) / 1e3;
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }
}

impl Stream {
    /// What comes later waits until the event has come.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn wait(&self, event: &Event) -> Result<(), CudaError> {
        let _bound = self.context().bind()?;
        let wait = self.context().driver().table().cuStreamWaitEvent;
        // SAFETY: both handles are live.
        let code = unsafe { wait(self.handle, event.handle, 0) };
        self.context().driver().check("cuStreamWaitEvent", code)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let Ok(_bound) = self.context.bind() else {
            return;
        };
        // SAFETY: new created the handle, and nobody uses it after this.
        unsafe { (self.context.driver().table().cuEventDestroy_v2)(self.handle) };
    }
}
