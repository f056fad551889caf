//! The same work on smaller maps, for trials that would take long: channels, taps, strides, tiles
//! and pitches stay, so the kernel differs in nothing but extents.

use crate::kernels::attention::AttentionShape;
use crate::kernels::conv::ConvShape;
use crate::kernels::depthwise::DepthwiseShape;
use crate::kernels::head::{HeadLevel, HeadShape};
use crate::kernels::pool::{ChainShape, PoolShape};
use crate::kernels::reorder::Planes;
use crate::kernels::stem::StemShape;
use crate::kernels::{Map, Work};

/// The work with outputs of at most this height and width, both even.
pub fn smaller(work: &Work, most: [u32; 2]) -> Work {
    let cut = |map: &Map| Map {
        height: map.height.min(most[0]),
        width: map.width.min(most[1]),
        ..*map
    };
    match work {
        Work::Conv { shape, tile } => Work::Conv {
            shape: smaller_conv(shape, most),
            tile: *tile,
        },
        Work::Depthwise { shape, tile } => {
            let output = least(shape.output, most);
            let extents = [shape.input.height, shape.input.width];
            let [height, width] = seen(output, shape.stride, extents);
            Work::Depthwise {
                shape: DepthwiseShape {
                    input: Map {
                        height,
                        width,
                        ..shape.input
                    },
                    output,
                    ..shape.clone()
                },
                tile: *tile,
            }
        }
        Work::PoolChain(shape) => Work::PoolChain(ChainShape {
            input: cut(&shape.input),
            ..shape.clone()
        }),
        Work::Pool(shape) => {
            let output = least(shape.output, most);
            let extents = [shape.input.height, shape.input.width];
            let [height, width] = seen(output, shape.stride, extents);
            Work::Pool(PoolShape {
                input: Map {
                    height,
                    width,
                    ..shape.input
                },
                output,
                ..shape.clone()
            })
        }
        Work::ToMap(planes) => Work::ToMap(Planes {
            map: cut(&planes.map),
            ..*planes
        }),
        Work::FromMap(planes) => Work::FromMap(Planes {
            map: cut(&planes.map),
            ..*planes
        }),
        Work::Stem(shape) => {
            let output = least(shape.output, most);
            Work::Stem(StemShape {
                input: seen(output, shape.stride, shape.input),
                output,
                ..shape.clone()
            })
        }
        Work::Attention(shape) => Work::Attention(AttentionShape {
            input: cut(&shape.input),
            ..*shape
        }),
        Work::Head(shape) => Work::Head(smaller_head(shape, cut)),
        Work::Nms(_) => work.clone(),
    }
}

fn smaller_conv(shape: &ConvShape, most: [u32; 2]) -> ConvShape {
    let output = least(shape.output, most);
    let [height, width] = seen(output, shape.stride, shape.input());
    let mut inputs = shape.inputs.clone();
    for input in &mut inputs {
        input.map.height = height / input.upsample;
        input.map.width = width / input.upsample;
    }
    ConvShape {
        inputs,
        output,
        ..shape.clone()
    }
}

/// Candidates have room in proportion to anchors.
fn smaller_head(shape: &HeadShape, cut: impl Fn(&Map) -> Map) -> HeadShape {
    let level = |level: &HeadLevel| HeadLevel {
        boxes: cut(&level.boxes),
        classes: cut(&level.classes),
        ..*level
    };
    let smaller = HeadShape {
        levels: shape.levels.iter().map(level).collect(),
        ..shape.clone()
    };
    let capacity = shape.capacity.div_ceil(shape.anchors()) * smaller.anchors();
    HeadShape {
        capacity,
        ..smaller
    }
}

fn least(extents: [u32; 2], most: [u32; 2]) -> [u32; 2] {
    [extents[0].min(most[0]), extents[1].min(most[1])]
}

/// Extents of an input for which so many steps remain of those that the larger one had.
fn seen(output: [u32; 2], stride: [u32; 2], input: [u32; 2]) -> [u32; 2] {
    [0, 1].map(|axis| (output[axis] * stride[axis]).min(input[axis]))
}
