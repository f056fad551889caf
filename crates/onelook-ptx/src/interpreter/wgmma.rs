//! Asynchronous matrix products by four warps (`wgmma`): they may read shared memory until the
//! wait, and their accumulators may not be read before it.
//!
//! Each of the four warps computes its own sixteen rows, so each is run by itself.

use super::access::fragment;
use super::context::{BlockContext, LaunchContext};
use super::lanes::Lanes;
use super::mma::multiply_f16;
use super::pending::PendingProduct;
use super::tensor_map::swizzled;
use super::trap::Fault;
use super::warp::Warp;
use crate::lang::{MatrixA, Reg, Reg64, Swizzle};

/// A matrix in shared memory with k innermost.
struct Matrix {
    start: u32,
    leading: u32,
    stride: u32,
    swizzle: Swizzle,
}

impl Matrix {
    fn of(descriptor: u64) -> Result<Self, Fault> {
        let field = |at: u32| ((descriptor >> at & 0x3fff) << 4) as u32;
        if descriptor >> 49 & 7 != 0 {
            return Err(Fault::warp(
                "descriptors with a base offset are not interpreted",
            ));
        }
        let swizzle = match descriptor >> 62 {
            0 => Swizzle::None,
            1 => Swizzle::Bytes128,
            2 => Swizzle::Bytes64,
            _ => Swizzle::Bytes32,
        };
        Ok(Self {
            start: field(0),
            leading: field(16),
            stride: field(32),
            swizzle,
        })
    }

    /// The address of 16 bytes of a row: the first eight of k or the others.
    fn address(&self, row: u32, half: u32) -> u32 {
        let pitch = match self.swizzle {
            Swizzle::None => 16,
            Swizzle::Bytes32 => 32,
            Swizzle::Bytes64 => 64,
            Swizzle::Bytes128 => 128,
        };
        let along = match self.swizzle {
            Swizzle::None => half * self.leading,
            _ => half * 16,
        };
        let address = self.start + row / 8 * self.stride + row % 8 * pitch + along;
        swizzled(address, self.swizzle)
    }
}

impl Warp {
    pub(super) fn wgmma(
        &mut self,
        (n, accumulate): (u32, bool),
        d: &[Reg],
        (a, b): (MatrixA, Reg64),
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        self.registers.converged("wgmma")?;
        if !n.is_multiple_of(8) || !(8..=256).contains(&n) || d.len() as u32 != n / 2 {
            return Err(Fault::warp(format!(
                "wgmma has no n = {n} with {} sums",
                d.len()
            )));
        }
        device.report.mma += u64::from(n / 8);
        let mut reads = Vec::new();
        let first = (self.number % 4 * 16) as u32;
        let (left, factors): (Vec<Lanes>, Vec<Reg>) = match a {
            MatrixA::Registers(registers) => {
                self.registers.check_fenced(&registers)?;
                let words = registers.map(|register| self.registers.word(register).copied());
                (
                    words.into_iter().collect::<Result<_, _>>()?,
                    registers.to_vec(),
                )
            }
            MatrixA::Shared(descriptor) => {
                let matrix = self.matrix(descriptor)?;
                let mut fragments = Vec::new();
                for (rows, half) in [(0, 0), (8, 0), (0, 1), (8, 1)] {
                    fragments.push(self.rows(&matrix, first + rows, half, &mut reads, block)?);
                }
                (fragments, Vec::new())
            }
        };
        let right = self.matrix(b)?;
        self.registers.check_fenced(d)?;
        let left = [&left[0], &left[1], &left[2], &left[3]];
        for (column, sums) in d.chunks_exact(4).enumerate() {
            let b =
                [0, 1].map(|half| self.rows(&right, 8 * column as u32, half, &mut reads, block));
            let [b0, b1] = b;
            let (b0, b1) = (b0?, b1?);
            let before = self
                .registers
                .sums([sums[0], sums[1], sums[2], sums[3]], accumulate)?;
            let before = [&before[0], &before[1], &before[2], &before[3]];
            let out = multiply_f16(before, &left, &[&b0, &b1]);
            for (&register, lanes) in sums.iter().zip(&out) {
                self.registers.begin_sum(register, lanes);
            }
        }
        self.registers.keep(&factors);
        self.products.under_way.push(PendingProduct {
            group: None,
            reads,
            sums: d.to_vec(),
            factors,
        });
        Ok(())
    }

    fn matrix(&self, descriptor: Reg64) -> Result<Matrix, Fault> {
        let lanes = self.registers.long(descriptor)?;
        if lanes.iter().any(|&lane| lane != lanes[0]) {
            return Err(Fault::warp("lanes of a warp have different descriptors"));
        }
        Matrix::of(lanes[0])
    }

    /// The fragment of eight rows and eight of k.
    fn rows(
        &self,
        matrix: &Matrix,
        first: u32,
        half: u32,
        reads: &mut Vec<usize>,
        block: &mut BlockContext<'_>,
    ) -> Result<Lanes, Fault> {
        let mut rows = [[0; 16]; 8];
        for (row, values) in rows.iter_mut().enumerate() {
            let thread = self.thread(row);
            let address = matrix.address(first + row as u32, half);
            let at = block.shared.place(thread, address, 16)?;
            block.shared.read(thread, at, 16)?;
            block.shared.check_fenced(thread, at, 16, "wgmma reads")?;
            block.shared.keep_reading(thread, at, 16);
            values.copy_from_slice(&block.shared.bytes[at..at + 16]);
            reads.push(at);
        }
        Ok(fragment(&rows, false))
    }

    pub(super) fn wgmma_wait(
        &mut self,
        pending: u32,
        block: &mut BlockContext<'_>,
    ) -> Result<(), Fault> {
        self.registers.converged("wgmma's wait")?;
        let closed = self.products.closed;
        let all = std::mem::take(&mut self.products.under_way);
        let over =
            |product: &PendingProduct| product.group.is_some_and(|group| group + pending < closed);
        let (ended, under_way): (Vec<_>, Vec<_>) = all.into_iter().partition(over);
        for product in ended {
            for at in product.reads {
                block.shared.end_reading(self.thread(0), at, 16);
            }
            self.registers.end_sums(&product.sums);
            self.registers.release(&product.factors);
        }
        for product in &under_way {
            for &at in &product.reads {
                block.shared.keep_reading(self.thread(0), at, 16);
            }
            self.registers.keep_sums(&product.sums);
            self.registers.keep(&product.factors);
        }
        self.products.under_way = under_way;
        Ok(())
    }
}
