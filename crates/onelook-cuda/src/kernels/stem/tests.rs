//! The first convolution against a plain letterbox and sums in f64.

use super::*;
use crate::kernels::KernelSpec;
use crate::verify::conformance::stem::{Sample, case};
use crate::verify::conformance::{Random, assert_conforms, assert_passes};

fn shape(element: Element, channels: u32, input: [u32; 2]) -> StemShape {
    StemShape {
        element,
        input,
        window: Window {
            kernel: [3, 3],
            stride: [2, 2],
            padding: [1, 1],
            output: input.map(|side| side.div_ceil(2)),
        },
        channels,
        pitch: channels + 8,
        activation: Some(Activation::Silu),
    }
}

#[test]
fn images_of_any_size_are_scaled_and_convolved() {
    let input = [32, 64];
    let places = [
        ([21, 43], [31, 63], [0, 1]),
        ([64, 100], [32, 50], [0, 7]),
        ([20, 64], [20, 64], [6, 0]),
    ];
    for element in [Element::F16, Element::F32] {
        let random = &mut Random(1);
        let sample = |(source, scaled, corner)| Sample::new(source, scaled, corner, input, random);
        let samples: Vec<Sample> = places.into_iter().map(sample).collect();
        let shape = shape(element, 16, input);
        let case = case(&shape, &samples, random);
        assert_passes(&case, &KernelSpec::Stem(shape), Target::Sm90a, 3);
    }
}

#[test]
fn any_number_of_channels_and_taps_will_do() {
    let check = |shape: &StemShape| {
        assert_conforms(&KernelSpec::Stem(shape.clone()), Target::Sm90a, 1);
    };
    for element in [Element::F16, Element::F32] {
        for channels in [8, 48, 96] {
            check(&shape(element, channels, [21, 27]));
        }
        let shape = shape(element, 32, [21, 27]);
        let wide = StemShape {
            window: Window {
                kernel: [6, 6],
                padding: [2, 2],
                output: [10, 13],
                ..shape.window
            },
            activation: None,
            ..shape
        };
        check(&wide);
        check(&StemShape {
            window: Window {
                kernel: [3, 5],
                stride: [1, 1],
                padding: [1, 2],
                output: [21, 27],
            },
            ..wide
        });
    }
}
