//! Which class is built by which function. To add a module, write its file and name it here.

mod activation;
mod attention;
mod batch_norm;
mod c2f;
mod c3;
mod concat;
mod conv;
mod detect;
mod pool;
mod pose;
mod segment;
mod sequence;
mod sppf;
mod upsample;

use onelook_types::{Head, Task};

use super::builder::{Build, Builder};
use super::module::Module;
use crate::ValueId;
use crate::read::ReadError;

type BuildHead = fn(&mut Builder<'_>, &Module<'_>, &[ValueId]) -> Result<Head, ReadError>;

const BUILDERS: &[(&str, Build)] = &[
    ("Attention", attention::attention),
    ("BatchNorm2d", batch_norm::batch_norm),
    ("Bottleneck", c2f::bottleneck),
    ("C2PSA", attention::c2psa),
    ("C2f", c2f::c2f),
    ("C3", c3::c3),
    ("C3k", c3::c3),
    ("C3k2", c2f::c2f),
    ("Concat", concat::concat),
    ("Conv", conv::conv_block),
    ("Conv2d", conv::conv2d),
    ("ConvTranspose2d", conv::conv_transpose2d),
    ("DWConv", conv::conv_block),
    ("Dropout", activation::identity),
    ("Identity", activation::identity),
    ("MaxPool2d", pool::max_pool),
    ("PSABlock", attention::psa_block),
    ("ReLU", activation::activation),
    ("SPPF", sppf::sppf),
    ("Sequential", sequence::sequence),
    ("SiLU", activation::activation),
    ("Sigmoid", activation::activation),
    ("Upsample", upsample::upsample),
];

const HEADS: &[(&str, BuildHead)] = &[
    ("Detect", detect::detect),
    ("Pose", pose::pose),
    ("Pose26", pose::pose),
    ("Segment", segment::segment),
    ("Segment26", segment::segment),
];

/// What these heads are trained for.
pub(super) const TASKS: &[Task] = &[Task::Detect, Task::Segment, Task::Pose];

/// Classes whose parents read their children themselves, or decode what post-processing decodes, or
/// serve training only.
const PARTS: &[&str] = &[
    "DFL",
    "Linear",
    "ModuleList",
    "Proto",
    "Proto26",
    "RealNVP",
    "Tanh",
];

/// The function that builds a module of this class.
pub(super) fn builder(class: &str) -> Option<Build> {
    find(BUILDERS, class)
}

/// The function that builds a head of this class.
pub(super) fn head(class: &str) -> Option<BuildHead> {
    find(HEADS, class)
}

pub(super) fn is_known(class: &str) -> bool {
    builder(class).is_some() || head(class).is_some() || PARTS.contains(&class)
}

fn find<T: Copy>(table: &[(&str, T)], class: &str) -> Option<T> {
    table
        .iter()
        .find(|(name, _)| *name == class)
        .map(|&(_, build)| build)
}

/// The input of a module that takes one.
fn single(module: &Module<'_>, inputs: &[ValueId]) -> Result<ValueId, ReadError> {
    match inputs {
        [input] => Ok(*input),
        _ => Err(module.unsupported(format!("takes one input, not {}", inputs.len()))),
    }
}
