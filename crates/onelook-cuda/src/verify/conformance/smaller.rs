//! The same spec on smaller maps, for cases that would take long: channels, taps, strides, tiles
//! and pitches stay, so the kernel differs in nothing but extents.

use crate::kernels::attention::AttentionShape;
use crate::kernels::conv::ConvShape;
use crate::kernels::depthwise::DepthwiseShape;
use crate::kernels::head::{HeadLevel, HeadShape};
use crate::kernels::pool::{ChainShape, PoolShape};
use crate::kernels::reorder::ReorderShape;
use crate::kernels::stem::StemShape;
use crate::kernels::window::Window;
use crate::kernels::{KernelSpec, Map};

/// The spec with outputs of at most this height and width, both even.
pub fn smaller(spec: &KernelSpec, most: [u32; 2]) -> KernelSpec {
    let cut = |map: &Map| Map {
        height: map.height.min(most[0]),
        width: map.width.min(most[1]),
        ..*map
    };
    match spec {
        KernelSpec::Conv { shape, tile } => KernelSpec::Conv {
            shape: smaller_conv(shape, most),
            tile: *tile,
        },
        KernelSpec::Depthwise { shape, tile } => {
            let (window, input) = seen(&shape.window, &shape.input, most);
            KernelSpec::Depthwise {
                shape: DepthwiseShape {
                    input,
                    window,
                    ..shape.clone()
                },
                tile: *tile,
            }
        }
        KernelSpec::PoolChain(shape) => KernelSpec::PoolChain(ChainShape {
            input: cut(&shape.input),
            ..shape.clone()
        }),
        KernelSpec::Pool(shape) => {
            let (window, input) = seen(&shape.window, &shape.input, most);
            KernelSpec::Pool(PoolShape {
                input,
                window,
                ..shape.clone()
            })
        }
        KernelSpec::ToMap(planes) => KernelSpec::ToMap(ReorderShape {
            map: cut(&planes.map),
            ..*planes
        }),
        KernelSpec::FromMap(planes) => KernelSpec::FromMap(ReorderShape {
            map: cut(&planes.map),
            ..*planes
        }),
        KernelSpec::Stem(shape) => {
            let (window, input) = smaller_window(&shape.window, shape.input, most);
            KernelSpec::Stem(StemShape {
                input,
                window,
                ..shape.clone()
            })
        }
        KernelSpec::Attention(shape) => KernelSpec::Attention(AttentionShape {
            input: cut(&shape.input),
            ..*shape
        }),
        KernelSpec::Head(shape) => KernelSpec::Head(smaller_head(shape, cut)),
        KernelSpec::Nms(_) => spec.clone(),
    }
}

fn smaller_conv(shape: &ConvShape, most: [u32; 2]) -> ConvShape {
    let (window, [height, width]) = smaller_window(&shape.window, shape.input(), most);
    let mut inputs = shape.inputs.clone();
    for input in &mut inputs {
        input.map.height = height / input.upsample;
        input.map.width = width / input.upsample;
    }
    ConvShape {
        inputs,
        window,
        ..shape.clone()
    }
}

/// The capacity for candidates stays in proportion to the anchors.
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

/// The window with at most so large an output, and the map under it.
fn seen(window: &Window, map: &Map, most: [u32; 2]) -> (Window, Map) {
    let (window, [height, width]) = smaller_window(window, [map.height, map.width], most);
    let map = Map {
        height,
        width,
        ..*map
    };
    (window, map)
}

/// The window with at most so large an output, and the input's extents: as many steps as remain of
/// those that the larger one had.
fn smaller_window(window: &Window, input: [u32; 2], most: [u32; 2]) -> (Window, [u32; 2]) {
    let output = least(window.output, most);
    let extents = [0, 1].map(|axis| (output[axis] * window.stride[axis]).min(input[axis]));
    (Window { output, ..*window }, extents)
}
