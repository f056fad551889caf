//! What a launch computes. The kernel's name, its text and its test case follow from it.

use onelook_ptx::lang::Target;

use super::attention::{self, AttentionShape};
use super::conv::{self, ConvShape};
use super::depthwise::{self, DepthwiseShape};
use super::gemm::Tile;
use super::head::{self, HeadShape};
use super::nms::{self, NmsShape};
use super::pool::{self, ChainShape, PoolShape};
use super::reorder::{self, ReorderShape};
use super::stem::{self, StemShape};
use super::{Element, Tiled};

/// What a kernel computes, with everything that it is specialised for except device and batch.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    missing_docs,
    reason = "the variants are named for their kernels' files"
)]
pub enum KernelSpec {
    Conv { shape: ConvShape, tile: Tile },
    Depthwise { shape: DepthwiseShape, tile: Tile },
    PoolChain(ChainShape),
    Pool(PoolShape),
    Attention(AttentionShape),
    Stem(StemShape),
    Head(HeadShape),
    Nms(NmsShape),
    ToMap(ReorderShape),
    FromMap(ReorderShape),
}

impl KernelSpec {
    /// The format of its maps.
    pub fn element(&self) -> Element {
        match self {
            Self::Conv { shape, .. } => shape.element,
            Self::Depthwise { shape, .. } => shape.element,
            Self::PoolChain(shape) => shape.element,
            Self::Pool(shape) => shape.element,
            Self::Attention(shape) => shape.element,
            Self::Stem(shape) => shape.element,
            Self::Head(shape) => shape.element,
            Self::Nms(_) => Element::F32,
            Self::ToMap(planes) | Self::FromMap(planes) => planes.element,
        }
    }

    /// What names of its kernels begin with: operator, format, layout, then what sizes say most.
    pub fn base(&self) -> String {
        let element = self.element().name();
        match self {
            Self::Conv { shape, .. } => {
                let [down, across] = shape.window.kernel;
                let (channels, outputs) = (shape.channels(), shape.outputs());
                format!("conv_{element}_nhwc_{down}x{across}_{channels}_{outputs}")
            }
            Self::Depthwise { shape, .. } => {
                let (channels, outputs) = (shape.input.channels, shape.part.channels);
                format!("depthwise_{element}_nhwc_{channels}_{outputs}")
            }
            Self::PoolChain(_) | Self::Pool(_) => format!("max_pool_{element}_nhwc"),
            Self::Attention(_) => format!("attention_{element}_nhwc"),
            Self::Stem(shape) => format!("stem_{element}_nhwc_{}", shape.channels),
            Self::Head(shape) => format!("head_{element}_nhwc_{}", shape.classes),
            Self::Nms(shape) => format!("nms_f32_{}", shape.classes),
            Self::ToMap(_) => format!("reorder_{element}_to_nhwc"),
            Self::FromMap(_) => format!("reorder_{element}_from_nhwc"),
        }
    }

    /// The same for maps of any extents, where the kernel is the same for all of them.
    #[must_use]
    pub fn of_any_extents(&self) -> Self {
        match self {
            Self::Conv { shape, tile } => Self::Conv {
                shape: shape.of_any_extents(),
                tile: *tile,
            },
            Self::Depthwise { shape, tile } => Self::Depthwise {
                shape: shape.of_any_extents(),
                tile: *tile,
            },
            other => other.clone(),
        }
    }

    /// The kernel for a device, and the blocks for a batch.
    pub fn tiled(&self, target: Target, name: &str, batch: u32) -> Tiled {
        match self {
            Self::Conv { shape, tile } => conv::conv(target, name, shape, *tile, batch),
            Self::Depthwise { shape, tile } => {
                depthwise::depthwise(target, name, shape, *tile, batch)
            }
            Self::PoolChain(shape) => pool::pool_chain(target, name, shape, batch),
            Self::Pool(shape) => pool::pool(target, name, shape, batch),
            Self::Attention(shape) => attention::attention(target, name, shape, batch),
            Self::Stem(shape) => stem::stem(target, name, shape, batch),
            Self::Head(shape) => head::head(target, name, shape, batch),
            Self::Nms(shape) => nms::nms(target, name, shape, batch),
            Self::ToMap(planes) => reorder::to_map(target, name, planes, batch),
            Self::FromMap(planes) => reorder::from_map(target, name, planes, batch),
        }
    }
}
