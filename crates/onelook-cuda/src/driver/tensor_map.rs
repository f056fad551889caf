//! Descriptions of tensors for TMA: address and extents in, the driver's 128 bytes out.

use std::ptr;

use super::abi::TensorMap;
use super::{Context, CudaError, DeviceBuffer};

/// `CU_TENSOR_MAP_DATA_TYPE_FLOAT16`.
const FLOAT16: u32 = 6;
/// `CU_TENSOR_MAP_L2_PROMOTION_L2_128B`.
const L2_PROMOTION_128: u32 = 2;
const MAX_RANK: usize = 5;

/// How 16-byte pieces are exchanged in shared memory, by the bytes after which it repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swizzling {
    /// Not at all.
    None = 0,
    /// Over 32 bytes.
    Bytes32 = 1,
    /// Over 64 bytes.
    Bytes64 = 2,
    /// Over 128 bytes.
    Bytes128 = 3,
}

/// A dense tensor of halves and the box that one copy takes from it; the fastest axis first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiled<'a> {
    /// Elements along each axis, one to five of them.
    pub extents: &'a [u64],
    /// Bytes from one index to the next along each axis but the first: multiples of 16.
    pub strides: &'a [u64],
    /// Elements of the box along each axis, at most 256 each.
    pub box_extents: &'a [u32],
    /// How the box lies in shared memory.
    pub swizzling: Swizzling,
}

impl TensorMap {
    /// Describes a tensor that starts at `offset` of the buffer; reads outside of it give zeros.
    ///
    /// # Errors
    /// The tensor does not lie in the buffer, or the driver or the GPU has no TMA.
    pub fn tiled(
        context: &Context,
        buffer: &DeviceBuffer,
        offset: usize,
        tensor: &Tiled<'_>,
    ) -> Result<Self, CudaError> {
        let rank = tensor.extents.len();
        let wrong = |reason: &str| CudaError::Plan {
            launch: "a tensor map".to_owned(),
            reason: reason.to_owned(),
        };
        let lengths = (rank, tensor.strides.len() + 1, tensor.box_extents.len());
        if !(1..=MAX_RANK).contains(&rank) || lengths != (rank, rank, rank) {
            return Err(wrong("its axes, strides and box do not agree"));
        }
        let address = buffer.range(offset, bytes(tensor).ok_or_else(|| wrong("too large"))?)?;
        let driver = context.driver();
        let Some(encode) = driver.table().cuTensorMapEncodeTiled else {
            return Err(wrong("the driver has no tensor maps"));
        };
        let _bound = context.bind()?;
        let mut map = Self([0; 16]);
        let steps = [1_u32; MAX_RANK];
        // SAFETY: every array has `rank` entries (strides one less), checked above, and the map is
        // 128 live bytes aligned to 64; the address is a number to the call.
        let code = unsafe {
            encode(
                &raw mut map,
                FLOAT16,
                rank as u32,
                ptr::without_provenance_mut(address as usize),
                tensor.extents.as_ptr(),
                tensor.strides.as_ptr(),
                tensor.box_extents.as_ptr(),
                steps.as_ptr(),
                0,
                tensor.swizzling as u32,
                L2_PROMOTION_128,
                0,
            )
        };
        driver.check("cuTensorMapEncodeTiled", code)?;
        Ok(map)
    }
}

/// Bytes from the first to the last element.
fn bytes(tensor: &Tiled<'_>) -> Option<usize> {
    let mut last = tensor.extents[0].checked_sub(1)?.checked_mul(2)?;
    for (extent, stride) in tensor.extents[1..].iter().zip(tensor.strides) {
        last = last.checked_add(extent.checked_sub(1)?.checked_mul(*stride)?)?;
    }
    usize::try_from(last.checked_add(2)?).ok()
}
