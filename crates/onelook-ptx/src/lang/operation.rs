//! What instructions are made of: registers, operands, places and the functions they apply.

use std::fmt;
use std::sync::Arc;

/// A 32-bit register: an integer, a float, or two f16 values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reg(pub u32);

/// A 64-bit register: a global address or a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reg64(pub u32);

/// A predicate register: a boolean per lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegP(pub u32);

/// What 32-bit instructions read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// The same bits in every lane.
    Constant(u32),
}

impl Operand {
    /// The constant, if it is one.
    pub fn known(self) -> Option<u32> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Reg(_) => None,
        }
    }
}

/// Integer arithmetic on 32 bits, unsigned unless the name says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Integer {
    /// a + b, wrapping.
    Add,
    /// a - b, wrapping.
    Sub,
    /// a * b, low half.
    Mul,
    /// a / b; a is below 2^31, b never 0.
    Div,
    /// a % b; a is below 2^31, b never 0.
    Rem,
    /// The smaller.
    Min,
    /// The larger.
    Max,
    /// The smaller, signed.
    MinSigned,
    /// The larger, signed.
    MaxSigned,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// a << b; 0 from 32 on.
    ShiftLeft,
    /// a >> b; 0 from 32 on.
    ShiftRight,
    /// a >> b with the sign; b at most 31.
    ShiftRightSigned,
}

/// Arithmetic on floats, rounding to nearest even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Float {
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a * b.
    Mul,
    /// a / b, exactly rounded.
    Div,
    /// The smaller; a number wins over NaN.
    Min,
    /// The larger; a number wins over NaN.
    Max,
}

/// Functions of one float; all but the first three are approximate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatUnary {
    /// -x.
    Negate,
    /// |x|.
    Absolute,
    /// Largest whole number not above x.
    Floor,
    /// 2^x (`ex2.approx`, 2 ulp).
    Exp2,
    /// Logarithm to base 2 (`lg2.approx`).
    Log2,
    /// 1/x (`rcp.approx`, 1 ulp).
    Reciprocal,
    /// Square root (`sqrt.approx`).
    SquareRoot,
    /// Hyperbolic tangent (`tanh.approx`, relative error 2^-11).
    Tanh,
    /// A whole number, given as unsigned bits, as a float.
    FromUnsigned,
    /// The nearest unsigned whole number, as bits; ties to even, negative becomes 0.
    ToUnsigned,
}

/// Arithmetic on two f16 values at once, rounding to nearest even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum F16x2Op {
    /// a + b.
    Add,
    /// a * b.
    Mul,
    /// The larger.
    Max,
}

/// Comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    /// a = b.
    Equal,
    /// a ≠ b.
    NotEqual,
    /// a < b.
    Less,
    /// a ≤ b.
    LessEqual,
    /// a > b.
    Greater,
    /// a ≥ b.
    GreaterEqual,
}

/// What the compared bits are. A comparison with NaN is false, but `NotEqual`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareAs {
    /// Unsigned integers.
    Unsigned,
    /// Signed integers.
    Signed,
    /// Floats.
    Float,
}

/// Logic of predicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// Both.
    And,
    /// Any.
    Or,
    /// Exactly one.
    Xor,
}

/// A special register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// Thread in the block (`%tid.x`).
    Thread,
    /// Lane in the warp.
    Lane,
    /// Warp in the block; the same for all lanes.
    Warp,
    /// Block in the grid along x.
    BlockX,
    /// Block in the grid along y.
    BlockY,
    /// Block in the grid along z.
    BlockZ,
    /// Blocks along x.
    GridX,
    /// Address of the first byte of shared memory.
    SharedBase,
}

/// The memory that an address points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// Device memory; addresses have 64 bits.
    Global,
    /// The block's own memory; addresses have 32 bits.
    Shared,
}

/// The address of a load or store: a base and a constant offset in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// Device memory.
    Global {
        /// Address.
        base: Reg64,
        /// Bytes beyond it.
        offset: i32,
    },
    /// The block's own memory.
    Shared {
        /// Address.
        base: Operand,
        /// Bytes beyond it.
        offset: i32,
    },
}

/// How a global load treats the caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cache {
    /// As the device likes.
    #[default]
    Default,
    /// Nobody writes it while the kernel runs (`ld.global.nc`).
    ReadOnly,
    /// Only in L2 (`.cg`): what other blocks write.
    L2,
    /// Read once (`.cs`).
    Streaming,
}

/// Atomic functions on 32 bits; each gives the value of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Atomic {
    /// Adds, wrapping.
    Add,
    /// Keeps the larger, unsigned.
    Max,
    /// Bitwise or.
    Or,
    /// Stores.
    Exchange,
}

/// Which lane a shuffle reads from; all 32 lanes take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShuffleBy {
    /// Own lane xor this.
    Xor(u32),
    /// Own lane minus this, or the own lane's value where that is below 0.
    Up(u32),
    /// Own lane plus this, or the own lane's value where that is above 31.
    Down(u32),
    /// This lane (taken modulo 32).
    Lane(Operand),
}

/// A vote of all lanes about a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vote {
    /// A bit per lane.
    Ballot,
}

/// Matrix products by one warp, `d[16][8] += a[16][k] · b[k][8]`. Fragments as the PTX ISA lays
/// them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MmaShape {
    /// f16, k = 8: a has 2 registers, b 1, d 4 floats.
    M16N8K8,
    /// f16, k = 16: a has 4 registers, b 2, d 4 floats.
    M16N8K16,
    /// Signed bytes, k = 32: a has 4 registers, b 2, d 4 integers (`mma.sync ... s32.s8.s8.s32`).
    M16N8K32Bytes,
}

/// Where `wgmma` reads its first matrix from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatrixA {
    /// Shared memory, by descriptor.
    Shared(Reg64),
    /// Four registers of two f16 values.
    Registers([Reg; 4]),
}

/// A function from the bits of inputs to those of outputs.
pub type OnBits = dyn Fn(&[u32]) -> Vec<u32> + Send + Sync;

/// What a raw instruction does in one lane.
#[derive(Clone)]
pub struct Meaning(pub Arc<OnBits>);

impl fmt::Debug for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meaning")
    }
}
