//! The verbs of matrices: `ldmatrix`, `mma`, and Hopper's `mbarrier`, TMA and `wgmma`.

use super::{
    Builder, F16x2, F32, Feature, Instruction, MatrixA, MmaShape, Reg, Reg64, SharedAddress, U32,
};

/// How 16-byte vectors of a matrix in shared memory are exchanged, so that columns spread over
/// banks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Swizzle {
    /// Not at all.
    None,
    /// Within rows of 32 bytes.
    Bytes32,
    /// Within rows of 64 bytes.
    Bytes64,
    /// Within rows of 128 bytes.
    Bytes128,
}

/// What a `wgmma` descriptor says besides the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes between neighbouring core matrices along the rows' direction.
    pub leading_bytes: u32,
    /// Bytes between groups of eight rows.
    pub stride_bytes: u32,
    /// How vectors are exchanged.
    pub swizzle: Swizzle,
}

impl Descriptor {
    /// The bits above the address (PTX ISA, "Matrix Descriptor Format").
    pub fn fixed_bits(self) -> u64 {
        let mode = match self.swizzle {
            Swizzle::None => 0,
            Swizzle::Bytes128 => 1,
            Swizzle::Bytes64 => 2,
            Swizzle::Bytes32 => 3,
        };
        let field = |bytes: u32| u64::from((bytes >> 4) & 0x3fff);
        field(self.leading_bytes) << 16 | field(self.stride_bytes) << 32 | mode << 62
    }
}

impl Builder {
    /// Loads `N` matrices (1, 2 or 4) of 8x8 f16 values: lane `8 m + r` gives the address of row
    /// `r` of matrix `m`. Lane `l` gets the two f16 values at row `l / 4`, columns `2 (l % 4)` and
    /// the next; with `transposed`, of the transposed matrix.
    pub fn load_matrix<const N: usize>(
        &self,
        from: SharedAddress<'_>,
        transposed: bool,
    ) -> [F16x2<'_>; N] {
        let to = [(); N].map(|()| self.reg());
        self.emit(Instruction::LoadMatrix {
            to: to.to_vec(),
            from: from.to_address(),
            transposed,
        });
        to.map(|register| F16x2::in_register(self, register))
    }

    /// `sums += a · b` for 16x16 and 16x8 f16 values. Lane `l`, with `g = l / 4` and `t = l % 4`,
    /// holds: of the sums rows g, g, g+8, g+8 and columns 2t, 2t+1, 2t, 2t+1; of a the pairs at (g,
    /// 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8); of b the pairs of rows 2t and 2t+8 in column g.
    pub fn mma(&self, sums: [F32<'_>; 4], a: [F16x2<'_>; 4], b: [F16x2<'_>; 2]) {
        let d = sums.map(F32::register);
        let (a, b) = (a.map(F16x2::register), b.map(F16x2::register));
        if self.target().has(Feature::MmaK16) {
            return self.emit_mma(MmaShape::M16N8K16, d, &a, &b);
        }
        self.emit_mma(MmaShape::M16N8K8, d, &a[..2], &b[..1]);
        self.emit_mma(MmaShape::M16N8K8, d, &a[2..], &b[1..]);
    }

    /// `sums += a · b` for 16x32 and 32x8 signed bytes; the sums are integers.
    ///
    /// # Panics
    /// When the target is older than sm_80.
    pub fn mma_bytes(&self, sums: [U32<'_>; 4], a: [U32<'_>; 4], b: [U32<'_>; 2]) {
        assert!(self.target().has(Feature::MmaK16));
        let (a, b) = (a.map(U32::register), b.map(U32::register));
        self.emit_mma(MmaShape::M16N8K32Bytes, sums.map(U32::register), &a, &b);
    }

    fn emit_mma(&self, shape: MmaShape, d: [Reg; 4], a: &[Reg], b: &[Reg]) {
        let (a, b) = (a.to_vec(), b.to_vec());
        self.emit(Instruction::Mma { shape, d, a, b });
    }

    /// Makes a barrier of 8 bytes in shared memory; one thread does, then
    /// [`proxy_fence`](Self::proxy_fence) and a block barrier.
    pub fn mbarrier_init(&self, at: SharedAddress<'_>, count: u32) {
        let at = at.to_address();
        self.emit(Instruction::MbarrierInit { at, count });
    }

    /// Arrives, and expects so many bytes more of tensor loads in this phase.
    pub fn mbarrier_expect<'k>(&'k self, at: SharedAddress<'k>, bytes: U32<'k>) {
        let (at, bytes) = (at.to_address(), bytes.operand());
        self.emit(Instruction::MbarrierExpect { at, bytes });
    }

    /// Arrives.
    pub fn mbarrier_arrive(&self, at: SharedAddress<'_>) {
        self.emit(Instruction::MbarrierArrive {
            at: at.to_address(),
        });
    }

    /// Waits until the phase of this parity has completed.
    pub fn mbarrier_wait<'k>(&'k self, at: SharedAddress<'k>, parity: U32<'k>) {
        let (at, parity) = (at.to_address(), parity.operand());
        self.emit(Instruction::MbarrierWait { at, parity });
    }

    /// Makes earlier writes to shared memory visible to TMA and `wgmma`.
    pub fn proxy_fence(&self) {
        self.emit(Instruction::ProxyFence);
    }

    /// Begins to copy a box of a tensor; one thread does. Coordinates and offsets in the window
    /// (for im2col maps, else none) come innermost first.
    pub fn tensor_load<'k>(
        &'k self,
        to: SharedAddress<'k>,
        map: usize,
        coordinates: &[U32<'k>],
        window: &[U32<'k>],
        barrier: SharedAddress<'k>,
    ) {
        let operands = |values: &[U32<'k>]| values.iter().map(|value| value.operand()).collect();
        self.emit(Instruction::TensorLoad {
            to: to.to_address(),
            map,
            coordinates: operands(coordinates),
            window: operands(window),
            barrier: barrier.to_address(),
        });
    }

    /// A descriptor of a matrix in shared memory.
    pub fn descriptor(&self, at: SharedAddress<'_>, layout: Descriptor) -> Reg64 {
        let to = self.reg64();
        self.emit(Instruction::MakeDescriptor {
            to,
            address: at.address().operand(),
            fixed: layout.fixed_bits(),
        });
        to
    }

    /// Begins `sums = a · b (+ sums)` by four warps: 64 rows, `n` columns, k = 16. `sums` has half
    /// of `n` floats per lane: of every 8 columns, those that [`mma`](Self::mma) has, warp `w`
    /// holding rows from `16 w` on.
    pub fn wgmma(&self, n: u32, sums: &[F32<'_>], a: MatrixA, b: Reg64, accumulate: bool) {
        assert_eq!(sums.len() as u32, n / 2);
        let d = sums.iter().map(|sum| sum.register()).collect();
        self.emit(Instruction::Wgmma {
            n,
            d,
            a,
            b,
            accumulate,
        });
    }

    /// Orders accesses to the sums and to shared memory before the next product.
    pub fn wgmma_fence(&self) {
        self.emit(Instruction::WgmmaFence);
    }

    /// Closes a group of matrix products.
    pub fn wgmma_commit(&self) {
        self.emit(Instruction::WgmmaCommit);
    }

    /// Waits until at most so many groups are under way.
    pub fn wgmma_wait(&self, pending: u32) {
        self.emit(Instruction::WgmmaWait { pending });
    }
}
