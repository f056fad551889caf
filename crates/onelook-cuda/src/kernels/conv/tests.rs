//! Convolutions against sums in f64, under schedules that look for trouble.

use onelook_graph::op::Activation;

use super::*;
use crate::kernels::KernelSpec;
use crate::verify::conformance::assert_conforms;

/// A convolution to try, and its tile.
struct Case {
    shape: ConvShape,
    tile: Tile,
    target: Target,
    batch: u32,
}

fn shape(element: Element, [height, width]: [u32; 2], channels: u32, outputs: u32) -> ConvShape {
    ConvShape {
        element,
        inputs: vec![segment([height, width], channels, channels, 1)],
        window: Window {
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            output: [height, width],
        },
        parts: vec![Part {
            channels: outputs,
            pitch: outputs,
        }],
        activation: Some(Activation::Silu),
        residual: None,
    }
}

fn segment([height, width]: [u32; 2], channels: u32, pitch: u32, upsample: u32) -> Segment {
    let map = Map {
        height,
        width,
        channels,
        pitch,
    };
    Segment { map, upsample }
}

fn tile(m: u32, n: u32, vectors: u32, warps: [u32; 3], stages: u32) -> Tile {
    Tile {
        m,
        n,
        vectors,
        warps,
        stages,
    }
}

fn check(case: &Case) {
    let Case {
        shape,
        tile,
        target,
        batch,
    } = case;
    let spec = KernelSpec::Conv {
        shape: shape.clone(),
        tile: *tile,
    };
    assert_conforms(&spec, *target, *batch);
}

#[test]
fn all_of_a_convolution_is_there_in_both_formats_on_old_and_new_devices() {
    for element in [Element::F16, Element::F32] {
        for target in [Target::Sm75, Target::Sm80] {
            check(&Case {
                shape: shape(element, [7, 9], 16, 24),
                tile: tile(
                    32,
                    24,
                    4,
                    [2, 1, 1],
                    if target == Target::Sm75 { 2 } else { 3 },
                ),
                target,
                batch: 2,
            });
        }
    }
}

#[test]
fn strides_and_channels_that_do_not_fill_a_chunk() {
    let mut shape = shape(Element::F16, [9, 11], 8, 40);
    shape.window.stride = [2, 2];
    shape.window.output = [5, 6];
    shape.activation = None;
    let target = Target::Sm90a;
    for tile in [tile(16, 16, 4, [1, 1, 2], 4), tile(64, 40, 8, [4, 1, 1], 2)] {
        check(&Case {
            shape: shape.clone(),
            tile,
            target,
            batch: 1,
        });
    }
}

#[test]
fn pieces_of_concatenations_and_of_smaller_maps() {
    let mut shape = shape(Element::F16, [6, 8], 0, 16);
    shape.window.kernel = [1, 1];
    shape.window.padding = [0, 0];
    shape.inputs = vec![
        segment([3, 4], 24, 32, 2),
        segment([6, 8], 16, 16, 1),
        segment([6, 8], 8, 48, 1),
    ];
    shape.residual = Some(24);
    for tile in [tile(32, 16, 2, [2, 1, 1], 3), tile(16, 16, 8, [1, 1, 4], 3)] {
        check(&Case {
            shape: shape.clone(),
            tile,
            target: Target::Sm80,
            batch: 3,
        });
    }
    shape.window.kernel = [3, 3];
    shape.window.padding = [1, 1];
    check(&Case {
        shape,
        tile: tile(32, 16, 4, [2, 1, 1], 3),
        target: Target::Sm80,
        batch: 1,
    });
}

#[test]
fn outputs_side_by_side_go_to_their_own_buffers() {
    for element in [Element::F16, Element::F32] {
        let mut shape = shape(element, [5, 5], 32, 0);
        shape.window.kernel = [1, 1];
        shape.window.padding = [0, 0];
        shape.parts = vec![
            Part {
                channels: 24,
                pitch: 40,
            },
            Part {
                channels: 48,
                pitch: 48,
            },
        ];
        check(&Case {
            shape,
            tile: tile(16, 32, 4, [1, 2, 2], 3),
            target: Target::Sm86,
            batch: 2,
        });
    }
}
