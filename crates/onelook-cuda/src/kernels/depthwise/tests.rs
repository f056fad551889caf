//! Depthwise and 1x1 convolutions together against sums in f64.

use super::*;
use crate::kernels::KernelSpec;
use crate::verify::conformance::assert_conforms;

fn shape(
    element: Element,
    [height, width]: [u32; 2],
    channels: u32,
    outputs: u32,
) -> DepthwiseShape {
    DepthwiseShape {
        element,
        input: Map {
            height,
            width,
            channels,
            pitch: channels + 8,
        },
        window: Window {
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            output: [height, width],
        },
        inner_activation: Some(Activation::Silu),
        inner_residual: None,
        part: Part {
            channels: outputs,
            pitch: outputs + 16,
        },
        activation: Some(Activation::Silu),
        residual: None,
    }
}

fn check(shape: &DepthwiseShape, tile: Tile, target: Target, batch: u32) {
    let spec = KernelSpec::Depthwise {
        shape: shape.clone(),
        tile,
    };
    assert_conforms(&spec, target, batch);
}

#[test]
fn both_convolutions_come_to_what_their_sums_are() {
    for element in [Element::F16, Element::F32] {
        for (target, stages) in [(Target::Sm75, 2), (Target::Sm80, 3)] {
            let tile = Tile {
                m: 32,
                n: 40,
                vectors: 4,
                warps: [2, 1, 1],
                stages,
            };
            check(&shape(element, [5, 7], 48, 80), tile, target, 2);
        }
    }
}

#[test]
fn residuals_are_added_between_and_last() {
    let mut shape = shape(Element::F16, [4, 4], 80, 24);
    shape.inner_residual = Some(80);
    shape.inner_activation = None;
    shape.residual = Some(40);
    shape.activation = None;
    for (vectors, warps) in [(8, [1, 1, 4]), (2, [1, 1, 1])] {
        let tile = Tile {
            m: 16,
            n: 32,
            vectors,
            warps,
            stages: 4,
        };
        check(&shape, tile, Target::Sm90a, 1);
    }
}

#[test]
fn every_second_pixel() {
    let mut shape = shape(Element::F16, [7, 5], 16, 16);
    shape.window.stride = [2, 2];
    shape.window.output = [4, 3];
    let tile = Tile {
        m: 64,
        n: 16,
        vectors: 2,
        warps: [4, 1, 1],
        stages: 3,
    };
    check(&shape, tile, Target::Sm80, 3);
}
