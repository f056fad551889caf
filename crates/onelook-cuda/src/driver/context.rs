//! A GPU in use: its primary context, which everybody in the process shares.
//!
//! Each call makes the context current for the calling thread and puts back what was there, so
//! that other users of CUDA in the process notice nothing.

use std::sync::Arc;

use super::abi::ContextHandle;
use super::pool::Pool;
use super::{CudaError, DeviceInfo, Driver};

/// A GPU in use.
pub struct Context {
    driver: Arc<Driver>,
    device: DeviceInfo,
    handle: ContextHandle,
    pub(super) pool: Pool,
}

/// Memory of a GPU at a moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Free bytes.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

impl Context {
    /// Opens the GPU of this number; of its memory at most `memory_limit` bytes are taken for
    /// buffers (the driver's own needs, some hundreds of MB, come on top).
    ///
    /// # Errors
    /// There is no such GPU, it is too old, or it has no memory left.
    pub fn open(
        driver: &Arc<Driver>,
        number: usize,
        memory_limit: Option<u64>,
    ) -> Result<Arc<Self>, CudaError> {
        let device = driver.device(number)?;
        device.target()?;
        let mut handle = ContextHandle::default();
        let retain = driver.table().cuDevicePrimaryCtxRetain;
        // SAFETY: the pointer is to a live handle and the device is the driver's own.
        let code = unsafe { retain(&raw mut handle, device.handle) };
        driver.check("cuDevicePrimaryCtxRetain", code)?;
        Ok(Arc::new(Self {
            driver: Arc::clone(driver),
            device,
            handle,
            pool: Pool::new(memory_limit),
        }))
    }

    /// What the GPU is.
    pub fn device(&self) -> &DeviceInfo {
        &self.device
    }

    /// The driver that it was opened with.
    pub fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// What is free now.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn memory(&self) -> Result<MemoryInfo, CudaError> {
        let _bound = self.bind()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: both pointers are to live integers.
        let code = unsafe { (self.driver.table().cuMemGetInfo_v2)(&raw mut free, &raw mut total) };
        self.driver.check("cuMemGetInfo", code)?;
        Ok(MemoryInfo {
            free: free as u64,
            total: total as u64,
        })
    }

    pub(super) fn handle(&self) -> ContextHandle {
        self.handle
    }

    /// Waits until the GPU has done all that this process asked of it.
    ///
    /// # Errors
    /// Something that was asked failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        let _bound = self.bind()?;
        // SAFETY: the call has no arguments.
        let code = unsafe { (self.driver.table().cuCtxSynchronize)() };
        self.driver.check("cuCtxSynchronize", code)
    }

    /// Makes the context current for this thread until the guard goes.
    pub(super) fn bind(&self) -> Result<Bound<'_>, CudaError> {
        // SAFETY: the handle is retained as long as self lives.
        let code = unsafe { (self.driver.table().cuCtxPushCurrent_v2)(self.handle) };
        self.driver.check("cuCtxPushCurrent", code)?;
        Ok(Bound {
            driver: &self.driver,
            _stays_on_its_thread: std::marker::PhantomData,
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.trim();
        // SAFETY: the context was retained once by open, and is released once here. What lives in
        // it holds the context in an Arc, so it is gone.
        unsafe { (self.driver.table().cuDevicePrimaryCtxRelease_v2)(self.device.handle) };
    }
}

/// The context is current while this lives.
pub(super) struct Bound<'a> {
    driver: &'a Driver,
    _stays_on_its_thread: std::marker::PhantomData<*const ()>,
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        let mut popped = ContextHandle::default();
        // SAFETY: the pointer is to a live handle; what is popped is what bind pushed, because
        // guards go in reverse order on their thread.
        unsafe { (self.driver.table().cuCtxPopCurrent_v2)(&raw mut popped) };
    }
}
