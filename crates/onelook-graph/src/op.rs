//! Typed operators. One file per operator: its attributes, its shape rule, its plain execution,
//! and its tests. To add one, write the file and name it in `with_operators` below; a new operator
//! is the cautious case of every pass until it says more of itself.

mod activation;
mod attention;
mod batch_norm;
mod binary;
mod concat;
mod constant;
mod conv;
mod copy;
mod depth_to_space;
mod mat_mul;
mod pool;
pub mod program;
mod reduce;
mod reshape;
mod reshape_to;
mod slice;
mod softmax;
mod split;
#[cfg(test)]
mod tested;
mod transpose;
mod upsample;

pub use activation::Activation;
pub use attention::Attention;
pub use batch_norm::BatchNorm;
pub use binary::Binary;
pub use concat::Concat;
pub use constant::Constant;
pub use conv::Conv;
pub use copy::Copy;
pub use depth_to_space::DepthToSpace;
pub use mat_mul::MatMul;
pub use pool::MaxPool;
pub use program::Program;
pub use reduce::{Reduce, Reduction};
pub use reshape::Reshape;
pub use reshape_to::ReshapeTo;
pub use slice::Slice;
pub use softmax::Softmax;
pub use split::Split;
pub use transpose::Transpose;
pub use upsample::Upsample;

use onelook_types::{Shape, Tensor};

use crate::GraphError;

/// What every operator can tell about itself.
pub trait Operator {
    /// The operator's name in listings, lower case.
    fn name(&self) -> &'static str;

    /// The attributes in listings, short; empty when there are none.
    fn attributes(&self) -> String {
        String::new()
    }

    /// Checks what the operator carries, whatever its inputs are.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The shapes of the outputs.
    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError>;

    /// Computes the outputs plainly, with f32 operands; the truth for tests.
    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError>;

    /// Multiplications and additions for one run; 0 where they do not count.
    fn flops(&self, _inputs: &[&Shape]) -> u64 {
        0
    }

    /// Learned values that the operator carries.
    fn parameters(&self) -> usize {
        0
    }

    /// Values that a node with this operator reads (`None`: one or more) and writes.
    fn operands(&self) -> (Option<usize>, usize) {
        (Some(1), 1)
    }

    /// Whether all operands and results are maps, `[batch, channels, height, width]`, so that engines
    /// run it in their channel layout.
    fn is_on_maps(&self) -> bool {
        false
    }

    /// Whether the first axis of the results counts images, each made of that image's values alone,
    /// when the first axis of all operands does.
    fn is_per_image(&self) -> bool {
        self.is_on_maps()
    }

    /// Whether results are values of the operands or 0, so that what is never negative stays so.
    fn only_moves_values(&self) -> bool {
        false
    }
}

/// Hands the names of all operators to a macro: first those with tensors of their own, then those that
/// are plain data.
macro_rules! with_operators {
    ($macro:ident) => {
        $macro! {
            [BatchNorm, Constant, Conv]
            [
                Activation, Attention, Binary, Concat, Copy, DepthToSpace, MatMul, MaxPool, Program,
                Reduce, Reshape, ReshapeTo, Slice, Softmax, Split, Transpose, Upsample,
            ]
        }
    };
}
pub(crate) use with_operators;

macro_rules! define_op {
    ([$($weighted:ident),* $(,)?] [$($plain:ident),* $(,)?]) => {
        define_op!($($weighted,)* $($plain,)*);
    };
    ($($variant:ident),* $(,)?) => {
        /// An operator with its attributes and weights.
        #[derive(Debug, Clone)]
        pub enum Op {
            $(
                #[doc = concat!("See [`", stringify!($variant), "`](type@", stringify!($variant), ").")]
                $variant($variant),
            )*
        }

        impl Op {
            /// The operator behind the variant.
            pub fn as_operator(&self) -> &dyn Operator {
                match self { $(Self::$variant(operator) => operator,)* }
            }
        }

        $(
            impl From<$variant> for Op {
                fn from(operator: $variant) -> Self {
                    Self::$variant(operator)
                }
            }
        )*
    };
}

with_operators!(define_op);

impl Op {
    /// The operator's name in listings.
    pub fn name(&self) -> &'static str {
        self.as_operator().name()
    }
}

/// The only input of an operator that takes one.
fn single<'a, T>(op: &str, inputs: &[&'a T]) -> Result<&'a T, GraphError> {
    match inputs {
        [input] => Ok(input),
        _ => Err(GraphError::shape(
            op,
            &[],
            format!("it takes one input, got {}", inputs.len()),
        )),
    }
}

/// The extents of an image tensor.
fn nchw(op: &str, shape: &Shape) -> Result<[usize; 4], GraphError> {
    shape.nchw().ok_or_else(|| {
        GraphError::shape(op, &[shape], "it takes batch x channels x height x width")
    })
}

/// An axis below the rank.
fn check_axis(op: &str, shape: &Shape, axis: usize) -> Result<(), GraphError> {
    if axis < shape.len() {
        return Ok(());
    }
    Err(GraphError::shape(
        op,
        &[shape],
        format!("there is no axis {axis}"),
    ))
}

/// Extent after sliding a window of `kernel` over `extent` plus padding.
fn window_extent(
    extent: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Option<usize> {
    let reach = dilation
        .checked_mul(kernel.checked_sub(1)?)?
        .checked_add(1)?;
    let room = extent.checked_add(padding)?.checked_sub(reach)?;
    Some(room.checked_div(stride)? + 1)
}
