//! Memory of the host that the GPU copies from and to without the CPU's help.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use super::abi::HOST_ALLOC_PORTABLE;
use super::{Context, CudaError};

/// Pinned bytes of the host, zero at first.
pub struct PinnedBuffer {
    context: Arc<Context>,
    memory: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory is plain bytes that only this value points to; the driver allows it to be
// used and freed from any thread.
unsafe impl Send for PinnedBuffer {}
// SAFETY: a shared reference gives out shared slices only; writing takes a unique one.
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    /// Takes so many bytes.
    ///
    /// # Errors
    /// The host has no memory left, or does not allow to pin so much.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, CudaError> {
        let driver = context.driver();
        let _bound = context.bind()?;
        let mut memory: *mut c_void = ptr::null_mut();
        let allocate = driver.table().cuMemHostAlloc;
        // SAFETY: the pointer is to a live pointer; at least one byte is asked for.
        let code = unsafe { allocate(&raw mut memory, bytes.max(1), HOST_ALLOC_PORTABLE) };
        driver.check("cuMemHostAlloc", code)?;
        let Some(memory) = NonNull::new(memory.cast::<u8>()) else {
            return Err(CudaError::Call {
                function: "cuMemHostAlloc",
                code,
                name: "no address".to_owned(),
                text: "the driver reports success without memory".to_owned(),
            });
        };
        // SAFETY: the driver gave max(bytes, 1) bytes here that nobody else has.
        unsafe { memory.write_bytes(0, bytes.max(1)) };
        Ok(Self {
            context: Arc::clone(context),
            memory,
            bytes,
        })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the memory has so many bytes, set by new, and lives as long as self.
        unsafe { slice::from_raw_parts(self.memory.as_ptr(), self.bytes) }
    }

    /// The bytes, to write on.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the memory has so many bytes, set by new, and lives as long as self, which is
        // borrowed uniquely, so no other slice of it exists.
        unsafe { slice::from_raw_parts_mut(self.memory.as_ptr(), self.bytes) }
    }

    /// Where they are, for copies that the GPU makes.
    pub(super) fn pointer(&self) -> *mut c_void {
        self.memory.as_ptr().cast()
    }

    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        let Ok(_bound) = self.context.bind() else {
            return;
        };
        // SAFETY: new took it from the driver, and nobody else points to it.
        unsafe { (self.context.driver().table().cuMemFreeHost)(self.pointer()) };
    }
}
