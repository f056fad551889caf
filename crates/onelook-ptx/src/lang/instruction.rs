//! The instruction set: what one warp of 32 lanes can be told.
//!
//! Names and meanings are those of the PTX ISA where it has the instruction. Every instruction acts
//! on the lanes that are active; registers hold a value per lane.

use super::{
    Address, Atomic, Cache, Compare, CompareAs, F16x2Op, Float, FloatUnary, Integer, MatrixA,
    Meaning, MmaShape, Operand, Predicate, Reg, Reg64, RegP, ShuffleBy, Special, Vote,
};

/// One step of a kernel.
#[derive(Debug, Clone)]
pub enum Statement {
    /// An instruction.
    Do(Instruction),
    /// `then` in the lanes where the predicate holds, `otherwise` in the others.
    If {
        /// Which lanes.
        condition: RegP,
        /// Their steps.
        then: Vec<Self>,
        /// The steps of the others.
        otherwise: Vec<Self>,
    },
    /// Runs `head`, leaves the lanes where the predicate then fails, runs `body`, and again.
    While {
        /// Computes the predicate.
        head: Vec<Self>,
        /// Which lanes go on.
        condition: RegP,
        /// What they do.
        body: Vec<Self>,
    },
    /// A comment in the PTX.
    Comment(String),
}

/// One instruction.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the variant's line names its fields")]
pub enum Instruction {
    /// `to = a`.
    Move { to: Reg, a: Operand },
    /// `to = a op b`.
    Integer {
        op: Integer,
        to: Reg,
        a: Operand,
        b: Operand,
    },
    /// `to = a * b + c`, low 32 bits.
    MultiplyAdd {
        to: Reg,
        a: Operand,
        b: Operand,
        c: Operand,
    },
    /// Four bytes by number out of the eight of `a` (0 to 3) and `b` (4 to 7): `prmt.b32`;
    /// `selector` has a number of 3 bits per nibble, the lowest byte first.
    Permute {
        to: Reg,
        a: Operand,
        b: Operand,
        selector: Operand,
    },
    /// `to = a op b` on floats.
    Float {
        op: Float,
        to: Reg,
        a: Operand,
        b: Operand,
    },
    /// `to = a * b + c` on floats, rounded once.
    FusedMultiplyAdd {
        to: Reg,
        a: Operand,
        b: Operand,
        c: Operand,
    },
    /// `to = op(a)`.
    FloatUnary { op: FloatUnary, to: Reg, a: Operand },
    /// `to = a op b` on both f16 values.
    F16x2 {
        op: F16x2Op,
        to: Reg,
        a: Operand,
        b: Operand,
    },
    /// Two floats rounded to f16 values.
    PackF16x2 {
        to: Reg,
        low: Operand,
        high: Operand,
    },
    /// One of two f16 values as a float.
    UnpackF16 { to: Reg, from: Operand, high: bool },
    /// A predicate from two values.
    Compare {
        op: Compare,
        kind: CompareAs,
        to: RegP,
        a: Operand,
        b: Operand,
    },
    /// A predicate from two predicates.
    Predicate {
        op: Predicate,
        to: RegP,
        a: RegP,
        b: RegP,
    },
    /// The negated predicate.
    Not { to: RegP, a: RegP },
    /// `to = condition ? yes : no`.
    Select {
        to: Reg,
        condition: RegP,
        yes: Operand,
        no: Operand,
    },
    /// The same for addresses.
    Select64 {
        to: Reg64,
        condition: RegP,
        yes: Reg64,
        no: Reg64,
    },
    /// What a thread knows of itself.
    Special { to: Reg, what: Special },

    /// The address that is parameter number `index`.
    LoadPointer { to: Reg64, index: usize },
    /// The 32 bits that are parameter number `index`.
    LoadParameter { to: Reg, index: usize },
    /// `to = base + offset`, the offset counting bytes, unsigned.
    Advance {
        to: Reg64,
        base: Reg64,
        offset: Operand,
    },
    /// Loads 1, 2 or 4 values of `bytes` 1, 2 or 4 that lie side by side, widened with zeros.
    Load {
        to: Vec<Reg>,
        from: Address,
        bytes: u32,
        cache: Cache,
    },
    /// Stores 1, 2 or 4 values of `bytes` 1, 2 or 4 side by side.
    Store {
        to: Address,
        from: Vec<Operand>,
        bytes: u32,
    },
    /// Changes 32 bits in one go.
    Atomic {
        op: Atomic,
        old: Reg,
        at: Address,
        value: Operand,
    },
    /// Makes this thread's earlier writes visible to the whole device before its later ones.
    DeviceFence,

    /// Begins to copy `bytes` (4, 8 or 16) from global to shared memory; where the predicate fails,
    /// zeros arrive and nothing is read. Ends at this thread's `AsyncWait`.
    AsyncCopy {
        to: Address,
        from: Address,
        bytes: u32,
        when: Option<RegP>,
    },
    /// Closes a group of asynchronous copies.
    AsyncCommit,
    /// Waits until at most `pending` of this thread's latest groups are under way.
    AsyncWait { pending: u32 },
    /// Waits for all threads of the block; orders their accesses to memory.
    Barrier,
    /// Waits for the threads of the warp; orders their accesses to memory.
    WarpBarrier,

    /// A value of another lane.
    Shuffle {
        to: Reg,
        from: Operand,
        by: ShuffleBy,
    },
    /// What all lanes find out together.
    Vote { what: Vote, to: Reg, from: RegP },
    /// Number of bits that are 1.
    CountOnes { to: Reg, a: Operand },
    /// Number of the highest bit that is 1; all ones if none is (`bfind.u32`).
    HighestOne { to: Reg, a: Operand },
    /// The bits in opposite order.
    ReverseBits { to: Reg, a: Operand },

    /// Loads 1, 2 or 4 matrices of 8x8 f16 values (`ldmatrix`): lane `8 m + r` gives the address of
    /// row `r` of matrix `m`, 16 bytes each.
    LoadMatrix {
        to: Vec<Reg>,
        from: Address,
        transposed: bool,
    },
    /// `d += a · b`.
    Mma {
        shape: MmaShape,
        d: [Reg; 4],
        a: Vec<Reg>,
        b: Vec<Reg>,
    },

    /// Makes a barrier in shared memory that a phase of `count` arrivals completes.
    MbarrierInit { at: Address, count: u32 },
    /// Arrives, and expects so many bytes more in this phase.
    MbarrierExpect { at: Address, bytes: Operand },
    /// Arrives.
    MbarrierArrive { at: Address },
    /// Waits until the phase of this parity has completed.
    MbarrierWait { at: Address, parity: Operand },
    /// Makes generic writes to shared memory visible to asynchronous units (`fence.proxy.async`).
    ProxyFence,
    /// Begins to copy a box of a tensor to shared memory (TMA); its bytes arrive at the barrier.
    /// Coordinates: innermost first. With `window`, the tensor map is of the im2col kind and these
    /// are the offsets in the window, innermost first.
    TensorLoad {
        to: Address,
        map: usize,
        coordinates: Vec<Operand>,
        window: Vec<Operand>,
        barrier: Address,
    },
    /// A matrix descriptor for `wgmma` from an address in shared memory and the fixed bits.
    MakeDescriptor {
        to: Reg64,
        address: Operand,
        fixed: u64,
    },
    /// Orders register and shared memory accesses before the next `Wgmma` (`wgmma.fence`).
    WgmmaFence,
    /// Begins `d[64][n] = a[64][16] · b[16][n] + (accumulate ? d : 0)` by four warps; `d` has n / 2
    /// floats per lane.
    Wgmma {
        n: u32,
        d: Vec<Reg>,
        a: MatrixA,
        b: Reg64,
        accumulate: bool,
    },
    /// Closes a group of matrix products.
    WgmmaCommit,
    /// Waits until at most `pending` groups are under way.
    WgmmaWait { pending: u32 },

    /// Waits until the kernels that this one depends on have ended and their writes are visible.
    GridWait,
    /// Lets the kernels that depend on this one start.
    GridLaunch,
    /// Raw PTX with `{0}`, `{1}`... for outputs, then inputs, and what it means.
    Asm {
        text: String,
        outputs: Vec<Reg>,
        inputs: Vec<Operand>,
        meaning: Meaning,
    },
}
