//! A buffer in the GPU's memory; copies to and from it are checked against its bounds.

use std::sync::Arc;

use super::abi::DevicePointer;
use super::pool::Block;
use super::{Context, CudaError};

/// Memory of a GPU; it goes back to the context's pool when dropped.
///
/// A caller that enqueues work on it keeps it alive until the stream has been synchronised.
pub struct DeviceBuffer {
    context: Arc<Context>,
    block: Block,
    bytes: usize,
}

impl DeviceBuffer {
    /// Memory of undefined content; `purpose` is for the error if there is none.
    ///
    /// # Errors
    /// The GPU has no memory left, or the limit does not allow so much.
    pub fn new(context: &Arc<Context>, bytes: usize, purpose: &str) -> Result<Self, CudaError> {
        Ok(Self {
            context: Arc::clone(context),
            block: context.take(bytes, purpose)?,
            bytes,
        })
    }

    /// Bytes asked for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of the first byte.
    pub fn address(&self) -> DevicePointer {
        self.block.pointer
    }

    /// Copies bytes to `offset` and waits until they are there.
    ///
    /// # Errors
    /// They do not fit, or the driver refuses.
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), CudaError> {
        let address = self.range(offset, from.len())?;
        if from.is_empty() {
            return Ok(());
        }
        let bound = self.context.bind()?;
        let copy = self.context.driver().table().cuMemcpyHtoD_v2;
        // SAFETY: the source is a live slice of this length, the destination was checked to lie in
        // the buffer; the call reads the source to its end before it returns.
        let code = unsafe { copy(address, from.as_ptr().cast(), from.len()) };
        self.context.driver().check("cuMemcpyHtoD", code)?;
        drop(bound);
        // The call returns when the bytes are on their way; streams of ours would not wait for
        // them.
        self.context.synchronize()
    }

    /// Copies bytes from `offset` and waits until they are here.
    ///
    /// # Errors
    /// There are not so many, or the driver refuses.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), CudaError> {
        let address = self.range(offset, to.len())?;
        if to.is_empty() {
            return Ok(());
        }
        let _bound = self.context.bind()?;
        let copy = self.context.driver().table().cuMemcpyDtoH_v2;
        // SAFETY: the destination is a live slice of this length that nobody else sees, the source
        // was checked to lie in the buffer; the call waits for the copy.
        let code = unsafe { copy(to.as_mut_ptr().cast(), address, to.len()) };
        self.context.driver().check("cuMemcpyDtoH", code)
    }

    /// Sets every byte to `value` and waits for it.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn fill(&mut self, value: u8) -> Result<(), CudaError> {
        let bound = self.context.bind()?;
        let fill = self.context.driver().table().cuMemsetD8_v2;
        // SAFETY: the block has at least so many bytes.
        let code = unsafe { fill(self.block.pointer, value, self.bytes.max(1)) };
        self.context.driver().check("cuMemsetD8", code)?;
        drop(bound);
        self.context.synchronize()
    }

    /// The address of a range that lies in the buffer.
    pub(super) fn range(&self, offset: usize, bytes: usize) -> Result<DevicePointer, CudaError> {
        let end = offset.checked_add(bytes);
        if end.is_none_or(|end| end > self.bytes) {
            return Err(CudaError::Plan {
                launch: format!("a buffer of {} bytes", self.bytes),
                reason: format!("{bytes} bytes from {offset} on do not lie in it"),
            });
        }
        Ok(self.block.pointer + offset as u64)
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        self.context.pool.give_back(self.block);
    }
}
