//! Tensor maps: a tensor in device memory, and which part of it one tensor copy (TMA) takes.

use super::global::{Buffer, address_of};
use crate::lang::Swizzle;

/// Most axes of a tensor.
const RANK: usize = 5;

/// A tensor in device memory and the part of it that one copy takes; axes innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorMap {
    /// The allocation.
    pub buffer: Buffer,
    /// The tensor's first byte in it.
    pub offset: usize,
    /// Bytes of an element.
    pub element_bytes: u32,
    /// Elements along each axis.
    pub extents: Vec<u64>,
    /// Bytes from one index to the next along each axis but the first, multiples of 16.
    pub strides: Vec<u64>,
    /// Elements from one that is taken to the next, along each axis.
    pub element_strides: Vec<u32>,
    /// What a copy takes.
    pub mode: CopyMode,
    /// How the part lies in shared memory.
    pub swizzle: Swizzle,
}

/// What one copy of a tensor takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyMode {
    /// Elements along each axis.
    Tiled(Vec<u32>),
    /// Pixels of a row of windows, for tensors of channels, width, (height, (depth,)) images.
    Im2col {
        /// Per axis of pixels: where windows begin, relative to the first pixel.
        lower: Vec<i32>,
        /// Per axis of pixels: where the last window begins, relative to the last pixel.
        upper: Vec<i32>,
        /// Channels of a pixel.
        channels: u32,
        /// Pixels.
        pixels: u32,
    },
}

impl TensorMap {
    /// Bytes of one copy.
    pub fn copy_bytes(&self) -> u32 {
        let elements = match &self.mode {
            CopyMode::Tiled(extents) => (0..extents.len())
                .map(|axis| self.taken(extents, axis))
                .product(),
            CopyMode::Im2col {
                channels, pixels, ..
            } => channels * pixels,
        };
        elements * self.element_bytes
    }

    /// Elements that are taken along an axis of a box.
    pub(super) fn taken(&self, extents: &[u32], axis: usize) -> u32 {
        extents[axis].div_ceil(self.element_strides[axis].max(1))
    }

    pub(super) fn is_sound(&self) -> bool {
        let rank = self.extents.len();
        let lengths = self.strides.len() + 1 == rank && self.element_strides.len() == rank;
        let part = match &self.mode {
            CopyMode::Tiled(extents) => {
                extents.len() == rank && extents.iter().all(|extent| (1..=256).contains(extent))
            }
            CopyMode::Im2col {
                lower,
                upper,
                channels,
                pixels,
            } => {
                let axes = rank >= 3 && lower.len() == rank - 2 && upper.len() == rank - 2;
                axes && (1..=256).contains(channels) && (1..=1024).contains(pixels)
            }
        };
        let row = self.row_bytes();
        let fits = match self.swizzle {
            Swizzle::None => true,
            Swizzle::Bytes32 => row <= 32,
            Swizzle::Bytes64 => row <= 64,
            Swizzle::Bytes128 => row <= 128,
        };
        let aligned = self.offset.is_multiple_of(16) && self.strides.iter().all(|s| s % 16 == 0);
        (1..=RANK).contains(&rank)
            && matches!(self.element_bytes, 1 | 2 | 4 | 8)
            && aligned
            && lengths
            && part
            && fits
            && row.is_multiple_of(16)
    }

    /// Bytes of a row: what is taken along the innermost axis.
    pub(super) fn row_bytes(&self) -> usize {
        let elements = match &self.mode {
            CopyMode::Tiled(extents) => extents.first().copied().unwrap_or(0),
            CopyMode::Im2col { channels, .. } => *channels,
        };
        (elements * self.element_bytes) as usize
    }

    /// Where the rows of a copy begin: indices along all axes.
    pub(super) fn rows(&self, at: &[i64], window: &[u32]) -> Vec<Vec<i64>> {
        match &self.mode {
            CopyMode::Tiled(extents) => self.rows_of_box(at, extents),
            CopyMode::Im2col {
                lower,
                upper,
                pixels,
                ..
            } => self.rows_of_windows(at, window, lower, upper, *pixels),
        }
    }

    pub(super) fn rows_of_box(&self, at: &[i64], extents: &[u32]) -> Vec<Vec<i64>> {
        let mut rows = vec![at.to_vec()];
        for axis in 1..at.len() {
            let step = i64::from(self.element_strides[axis].max(1));
            let along = 0..i64::from(self.taken(extents, axis));
            let moved = along.flat_map(|number| {
                rows.iter().map(move |row| {
                    let mut row = row.clone();
                    row[axis] += number * step;
                    row
                })
            });
            rows = moved.collect();
        }
        rows
    }

    pub(super) fn rows_of_windows(
        &self,
        at: &[i64],
        window: &[u32],
        lower: &[i32],
        upper: &[i32],
        pixels: u32,
    ) -> Vec<Vec<i64>> {
        let last = at.len() - 1;
        let mut base = at.to_vec();
        let mut rows = Vec::new();
        for _ in 0..pixels {
            let mut row = base.clone();
            for (axis, &offset) in window.iter().enumerate() {
                row[axis + 1] += i64::from(offset & 0xffff);
            }
            rows.push(row);
            for axis in 1..=last {
                let Some(&upper) = upper.get(axis - 1).filter(|_| axis < last) else {
                    base[last] += 1;
                    break;
                };
                base[axis] += i64::from(self.element_strides[axis].max(1));
                if base[axis] < self.extents[axis] as i64 + i64::from(upper) {
                    break;
                }
                base[axis] = i64::from(lower[axis - 1]);
            }
        }
        rows
    }

    /// The address of a row's first element, if the row's indices lie in the tensor.
    pub(super) fn row_address(&self, row: &[i64]) -> Option<u64> {
        let mut address = address_of(self.buffer, self.offset);
        for (axis, &index) in row.iter().enumerate().skip(1) {
            let index = u64::try_from(index)
                .ok()
                .filter(|&i| i < self.extents[axis])?;
            address += index * self.strides[axis - 1];
        }
        Some(address)
    }

    /// Bytes from the first to the last element.
    pub(super) fn reach(&self) -> Option<usize> {
        if !self.is_sound() {
            return None;
        }
        let mut last = self.extents[0].checked_mul(u64::from(self.element_bytes))?;
        for (extent, stride) in self.extents[1..].iter().zip(&self.strides) {
            last = last.checked_add(extent.checked_sub(1)?.checked_mul(*stride)?)?;
        }
        usize::try_from(last).ok()
    }
}

/// An address of shared memory after the exchange of its 16-byte vectors.
pub(super) fn swizzled(address: u32, swizzle: Swizzle) -> u32 {
    let mask = match swizzle {
        Swizzle::None => 0,
        Swizzle::Bytes32 => 1,
        Swizzle::Bytes64 => 3,
        Swizzle::Bytes128 => 7,
    };
    address ^ ((address >> 7 & mask) << 4)
}
