//! A queue of work on a GPU, and copies that are put into it.

use std::sync::Arc;

use super::abi::{STREAM_NON_BLOCKING, StreamHandle};
use super::{Context, CudaError, DeviceBuffer, PinnedBuffer};

/// A queue of work: what is put in runs in order, while the caller goes on.
pub struct Stream {
    context: Arc<Context>,
    pub(super) handle: StreamHandle,
}

impl Stream {
    /// An empty queue that does not wait for other users of CUDA in the process.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        let _bound = context.bind()?;
        let driver = context.driver();
        let mut handle = StreamHandle::default();
        let create = driver.table().cuStreamCreateWithPriority;
        // SAFETY: the pointer is to a live handle; flags and priority are plain numbers.
        let code = unsafe { create(&raw mut handle, STREAM_NON_BLOCKING, 0) };
        driver.check("cuStreamCreateWithPriority", code)?;
        Ok(Self {
            context: Arc::clone(context),
            handle,
        })
    }

    /// The GPU that it is a queue of.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Waits until everything in it is done.
    ///
    /// # Errors
    /// Something in it failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        let _bound = self.context.bind()?;
        // SAFETY: the handle lives as long as self.
        let code = unsafe { (self.context.driver().table().cuStreamSynchronize)(self.handle) };
        self.context.driver().check("cuStreamSynchronize", code)
    }

    /// Puts in a copy of the first pinned bytes to the start of the buffer.
    ///
    /// # Errors
    /// They do not fit, or the driver refuses.
    ///
    /// # Safety
    /// The caller guarantees that until the stream has been synchronised both buffers stay
    /// alive, the pinned bytes are not written, and nothing else accesses the range of `to`.
    pub unsafe fn upload(
        &self,
        to: &DeviceBuffer,
        from: &PinnedBuffer,
        bytes: usize,
    ) -> Result<(), CudaError> {
        let bytes = bytes.min(from.bytes());
        let address = to.range(0, bytes)?;
        if bytes == 0 {
            return Ok(());
        }
        let _bound = self.context.bind()?;
        let copy = self.context.driver().table().cuMemcpyHtoDAsync_v2;
        // SAFETY: `range` proved that `bytes` fit the device buffer, and `bytes` is at most the
        // pinned length. That both stay alive and untouched until the copy is done is this
        // function's contract.
        let code = unsafe { copy(address, from.pointer(), bytes, self.handle) };
        self.context.driver().check("cuMemcpyHtoDAsync", code)
    }

    /// Puts in a copy of the buffer's first bytes to the start of the pinned ones.
    ///
    /// # Errors
    /// They do not fit, or the driver refuses.
    ///
    /// # Safety
    /// The caller guarantees that until the stream has been synchronised both buffers stay
    /// alive and nobody reads or writes the pinned bytes.
    pub unsafe fn download(
        &self,
        to: &mut PinnedBuffer,
        from: &DeviceBuffer,
        bytes: usize,
    ) -> Result<(), CudaError> {
        let bytes = bytes.min(to.bytes());
        let address = from.range(0, bytes)?;
        if bytes == 0 {
            return Ok(());
        }
        let _bound = self.context.bind()?;
        let copy = self.context.driver().table().cuMemcpyDtoHAsync_v2;
        // SAFETY: `range` proved that the device buffer has so many bytes, and `bytes` is at most the
        // pinned length. That both stay alive and untouched until the copy is done is this
        // function's contract.
        let code = unsafe { copy(to.pointer(), address, bytes, self.handle) };
        self.context.driver().check("cuMemcpyDtoHAsync", code)
    }

    /// Puts in that all bytes of the buffer become zero.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Safety
    /// The caller guarantees that until the stream has been synchronised the buffer stays alive and
    /// nothing else accesses it.
    pub unsafe fn clear(&self, buffer: &DeviceBuffer) -> Result<(), CudaError> {
        let _bound = self.context.bind()?;
        let fill = self.context.driver().table().cuMemsetD8Async;
        // SAFETY: the buffer has so many bytes, at least one. That it stays alive and untouched
        // until the stream has been synchronised is this function's contract.
        let code = unsafe { fill(buffer.address(), 0, buffer.bytes().max(1), self.handle) };
        self.context.driver().check("cuMemsetD8Async", code)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Ok(_bound) = self.context.bind() else {
            return;
        };
        let table = self.context.driver().table();
        // SAFETY: new created the handle, and nobody uses it after this; work in it goes on.
        unsafe { (table.cuStreamDestroy_v2)(self.handle) };
    }
}
