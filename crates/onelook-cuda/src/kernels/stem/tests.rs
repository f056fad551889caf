//! The first convolution against a plain letterbox and sums in f64.

use onelook_types::{AxisTap, LetterboxPlacement};

use super::*;
use crate::kernels::trial::{self, Given};
use crate::pictures::{Picture, pack};

/// Taps as bilinear scaling has them.
fn taps(source: usize, target: usize) -> Vec<AxisTap> {
    let tap = |index: usize| {
        let position = (index as f32 + 0.5) * source as f32 / target as f32 - 0.5;
        let fraction = position - position.floor();
        let clamp = |at: f32| at.clamp(0.0, source as f32 - 1.0) as usize;
        let second = (fraction * 2048.0).round() as u16;
        AxisTap {
            first: clamp(position.floor()),
            second: clamp(position.floor() + 1.0),
            weights: [2048 - second, second],
        }
    };
    (0..target).map(tap).collect()
}

/// A picture of the batch: its size, the scaled size and where that lies.
struct Sample {
    pixels: Vec<u8>,
    placement: LetterboxPlacement,
    columns: Vec<AxisTap>,
    rows: Vec<AxisTap>,
    bgr: bool,
}

impl Sample {
    fn new(source: [usize; 2], scaled: [usize; 2], corner: [usize; 2], input: [usize; 2]) -> Self {
        let bytes = trial::values(
            (source[0] * 31 + source[1]) as u64,
            source[0] * source[1] * 3,
        );
        Self {
            pixels: bytes
                .iter()
                .map(|value| (value * 63.0 + 127.0) as u8)
                .collect(),
            placement: LetterboxPlacement {
                height: input[0],
                width: input[1],
                scaled_height: scaled[0],
                scaled_width: scaled[1],
                top: corner[0],
                left: corner[1],
                source_height: source[0],
                source_width: source[1],
            },
            columns: taps(source[1], scaled[1]),
            rows: taps(source[0], scaled[0]),
            bgr: source[0] % 2 == 1,
        }
    }

    fn picture(&self) -> Picture<'_> {
        Picture {
            pixels: &self.pixels,
            bgr: self.bgr,
            placement: self.placement,
            padding: 114,
            columns: &self.columns,
            rows: &self.rows,
        }
    }

    /// The letterboxed value, by OpenCV's formula.
    fn value(&self, y: usize, x: usize, colour: usize) -> u8 {
        let place = &self.placement;
        let (row, column) = (y.wrapping_sub(place.top), x.wrapping_sub(place.left));
        let (Some(row), Some(column)) = (self.rows.get(row), self.columns.get(column)) else {
            return 114;
        };
        let colour = if self.bgr { 2 - colour } else { colour };
        let at =
            |y: usize, x: usize| u32::from(self.pixels[(y * place.source_width + x) * 3 + colour]);
        let [w0, w1] = column.weights.map(u32::from);
        let across = |y: usize| (at(y, column.first) * w0 + at(y, column.second) * w1) >> 4;
        let [v0, v1] = row.weights.map(u32::from);
        let sum = ((across(row.first) * v0) >> 16) + ((across(row.second) * v1) >> 16);
        ((sum + 2) >> 2) as u8
    }
}

fn textbook(sample: &Sample, weights: &[f32], bias: &[f32], shape: &StemShape) -> Vec<f64> {
    let [height, width] = shape.output;
    let taps = shape.kernel[0] * shape.kernel[1];
    let mut out = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        for channel in 0..shape.channels {
            let mut sum = 0.0;
            for (tap, colour) in (0..taps).flat_map(|tap| (0..3).map(move |colour| (tap, colour))) {
                let place = |axis: usize, at: u32, tap: u32| {
                    (at * shape.stride[axis] + tap).wrapping_sub(shape.padding[axis])
                };
                let y = place(0, y, tap / shape.kernel[1]);
                let x = place(1, x, tap % shape.kernel[1]);
                if y < shape.input[0] && x < shape.input[1] {
                    let value = sample.value(y as usize, x as usize, colour as usize);
                    let weight = weights[((channel * 3 + colour) * taps + tap) as usize];
                    sum += f64::from(value) / 255.0 * f64::from(weight);
                }
            }
            sum += f64::from(bias[channel as usize]);
            out.push(match shape.activation {
                Some(Activation::Silu) => sum / (1.0 + (-sum).exp()),
                _ => sum,
            });
        }
    }
    out
}

fn check(shape: &StemShape, samples: &[Sample]) {
    let taps = shape.kernel[0] * shape.kernel[1];
    let weights = trial::values(1, (shape.channels * 3 * taps) as usize);
    let bias = trial::values(2, shape.channels as usize);
    let mut expected = Vec::new();
    for sample in samples {
        expected.extend(textbook(sample, &weights, &bias, shape));
    }
    let pictures: Vec<_> = samples.iter().map(Sample::picture).collect();
    let batch = samples.len() as u32;
    let pixels = shape.output[0] * shape.output[1] * batch;
    let given = [
        Given::Bytes(pack(&pictures).unwrap()),
        Given::Bytes(shape.element.encode(pack_weights(&weights, shape))),
        Given::Bytes(Element::F32.encode(bias)),
        Given::Room((pixels * shape.pitch * shape.element.bytes()) as usize),
    ];
    let tiled = stem(Target::Sm90a, "stem", shape, batch);
    trial::run(&tiled, &given, |rooms| {
        let values = shape.element.decode(&rooms[0]);
        let actual = trial::gather(&values, shape.channels, shape.pitch);
        trial::assert_near(shape.element, &actual, &expected);
    });
}

fn shape(element: Element, channels: u32, input: [u32; 2]) -> StemShape {
    StemShape {
        element,
        input,
        kernel: [3, 3],
        stride: [2, 2],
        padding: [1, 1],
        output: input.map(|side| side.div_ceil(2)),
        channels,
        pitch: channels + 8,
        activation: Some(Activation::Silu),
    }
}

#[test]
fn pictures_of_any_size_are_scaled_and_convolved() {
    for element in [Element::F16, Element::F32] {
        check(
            &shape(element, 16, [32, 64]),
            &[
                Sample::new([21, 43], [31, 63], [0, 1], [32, 64]),
                Sample::new([64, 100], [32, 50], [0, 7], [32, 64]),
                Sample::new([20, 64], [20, 64], [6, 0], [32, 64]),
            ],
        );
    }
}

#[test]
fn any_number_of_channels_and_taps_will_do() {
    for element in [Element::F16, Element::F32] {
        let sample = || [Sample::new([9, 13], [19, 25], [1, 2], [21, 27])];
        for channels in [8, 48, 96] {
            check(&shape(element, channels, [21, 27]), &sample());
        }
        let wide = StemShape {
            kernel: [6, 6],
            padding: [2, 2],
            output: [10, 13],
            activation: None,
            ..shape(element, 32, [21, 27])
        };
        check(&wide, &sample());
        let dense = StemShape {
            stride: [1, 1],
            output: [21, 27],
            ..wide
        };
        check(
            &StemShape {
                kernel: [3, 5],
                padding: [1, 2],
                ..dense
            },
            &sample(),
        );
    }
}
