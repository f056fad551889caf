//! Owned f32 memory on 64-byte lines: packed weights, arenas, scratch.
//!
//! Zeroed when made. Never grows.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes of a cache line, to which buffers are aligned.
pub const LINE_BYTES: usize = 64;

/// A fixed run of zeroed f32 that starts on a cache line.
pub struct AlignedBuffer {
    data: NonNull<f32>,
    len: usize,
}

// SAFETY: the buffer owns its memory alone, as a `Box<[f32]>` does.
unsafe impl Send for AlignedBuffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout has at least one line, so it is not empty.
        let data = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        let Some(data) = NonNull::new(data) else {
            handle_alloc_error(layout)
        };
        AlignedBuffer { data, len }
    }

    /// The pointer to the first float.
    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.data.as_ptr()
    }

    fn layout(len: usize) -> Layout {
        let bytes = len
            .checked_mul(size_of::<f32>())
            .and_then(|bytes| bytes.max(1).checked_next_multiple_of(LINE_BYTES));
        let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, LINE_BYTES).ok());
        layout.expect("a buffer is smaller than the address space")
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with the same layout.
        unsafe { dealloc(self.data.as_ptr().cast(), Self::layout(self.len)) }
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `len` floats were allocated and zeroed, and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuffer({} floats)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_zeroed_and_on_a_line() {
        for len in [0, 1, 16, 1000] {
            let buffer = AlignedBuffer::zeroed(len);
            assert_eq!(buffer.as_ptr() as usize % LINE_BYTES, 0);
            assert!(buffer.len() == len && buffer.iter().all(|&x| x == 0.0));
        }
    }
}
