//! Test cases for the first convolution: a plain letterbox in whole numbers, then sums in f64.

use onelook_graph::PlacedImage;
use onelook_types::{AxisTap, FrameView, LetterboxPlacement, PixelFormat, Thresholds};

use super::{Expected, KernelArg, KernelTestCase, Random, Results, apply, input_arg};
use crate::images::pack;
use crate::kernels::Element;
use crate::kernels::stem::{StemShape, pack_weights};

const GREY: u8 = 114;

/// What the first convolution does not read.
static THRESHOLDS: Thresholds = Thresholds::DEFAULT;

/// An image of the batch; sizes and places are down, then across.
pub(crate) struct Sample {
    pixels: Vec<u8>,
    placement: LetterboxPlacement,
    columns: Vec<AxisTap>,
    rows: Vec<AxisTap>,
    bgr: bool,
}

impl Sample {
    /// A random image, the size that it is scaled to, and where that lies in the input.
    pub(crate) fn new(
        source: [usize; 2],
        scaled: [usize; 2],
        corner: [usize; 2],
        input: [u32; 2],
        random: &mut Random,
    ) -> Self {
        let bytes = random.values(source[0] * source[1] * 3, 127.0);
        Self {
            pixels: bytes.iter().map(|value| (value + 128.0) as u8).collect(),
            placement: LetterboxPlacement {
                height: input[0] as usize,
                width: input[1] as usize,
                scaled_height: scaled[0],
                scaled_width: scaled[1],
                top: corner[0],
                left: corner[1],
                source_height: source[0],
                source_width: source[1],
            },
            columns: taps(source[1], scaled[1]),
            rows: taps(source[0], scaled[0]),
            bgr: random.value() > 0.0,
        }
    }

    fn frame(&self) -> FrameView<'_> {
        let (width, height) = (self.placement.source_width, self.placement.source_height);
        let format = match self.bgr {
            true => PixelFormat::Bgr,
            false => PixelFormat::Rgb,
        };
        let frame = FrameView::new(&self.pixels, width, height, width * 3, format);
        frame.expect("as many pixels as its size says")
    }

    fn image(&self) -> PlacedImage<'_> {
        PlacedImage {
            frame: self.frame(),
            thresholds: &THRESHOLDS,
            placement: self.placement,
            padding: GREY,
            columns: &self.columns,
            rows: &self.rows,
        }
    }

    /// The network's input: `[height][width][3]`, 0 to 255.
    fn letterboxed(&self) -> Vec<f64> {
        let place = &self.placement;
        let pixels = (0..place.height).flat_map(|y| (0..place.width).map(move |x| [y, x]));
        pixels
            .flat_map(|pixel| [0, 1, 2].map(|colour| f64::from(self.value(pixel, colour))))
            .collect()
    }

    /// A letterboxed value, by OpenCV's formula.
    fn value(&self, [y, x]: [usize; 2], colour: usize) -> u8 {
        let place = &self.placement;
        let (row, column) = (y.wrapping_sub(place.top), x.wrapping_sub(place.left));
        let (Some(row), Some(column)) = (self.rows.get(row), self.columns.get(column)) else {
            return GREY;
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

/// Images scaled up, scaled down and as they are, in turn.
pub(super) fn any(shape: &StemShape, batch: u32, random: &mut Random) -> KernelTestCase {
    let [high, wide] = shape.input.map(|side| side as usize);
    let sample = |number: u32| match number % 3 {
        0 => {
            let scaled = [high.max(2) - 1, wide.max(2) - 1];
            let source = scaled.map(|side| side * 2 / 3 + 1);
            Sample::new(source, scaled, [0, wide.min(2) - 1], shape.input, random)
        }
        1 => {
            let scaled = [high, (wide * 3 / 4).max(1)];
            let source = [high * 2, scaled[1] * 3 + 1];
            Sample::new(source, scaled, [0, wide / 8], shape.input, random)
        }
        _ => {
            let scaled = [(high * 2 / 3).max(1), wide];
            Sample::new(scaled, scaled, [high / 6, 0], shape.input, random)
        }
    };
    let samples: Vec<Sample> = (0..batch).map(sample).collect();
    case(shape, &samples, random)
}

/// These images with random weights.
pub(crate) fn case(shape: &StemShape, samples: &[Sample], random: &mut Random) -> KernelTestCase {
    let taps = shape.window.taps();
    let weights = random.rounded((shape.channels * 3 * taps) as usize, 1.0, shape.element);
    let bias = random.values(shape.channels as usize, 1.0);
    let values = samples
        .iter()
        .flat_map(|sample| convolved(&sample.letterboxed(), &weights, &bias, shape));
    let expected = Expected {
        output: 0,
        element: shape.element,
        pitch: shape.pitch as usize,
        columns: shape.channels as usize,
        values: values.collect(),
    };
    let images: Vec<PlacedImage<'_>> = samples.iter().map(Sample::image).collect();
    let pixels = shape.window.pixels() * samples.len() as u32;
    KernelTestCase {
        args: vec![
            KernelArg::Bytes(pack(&images).expect("taps and pixels fit their sizes")),
            input_arg(shape.element, &pack_weights(&weights, shape)),
            input_arg(Element::F32, &bias),
            KernelArg::Output((pixels * shape.pitch * shape.element.bytes()) as usize),
        ],
        results: Results::Rows(vec![expected]),
    }
}

/// The convolution of a letterboxed image.
fn convolved(image: &[f64], weights: &[f32], bias: &[f32], shape: &StemShape) -> Vec<f64> {
    let [height, width] = shape.window.output;
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [y, x]));
    pixels
        .flat_map(|pixel| {
            let seen = seen(image, pixel, shape);
            let channels = weights.chunks_exact(seen.len()).zip(bias);
            let sums = channels.map(move |(weights, &bias)| {
                let terms = weights.iter().zip(&seen);
                let sum: f64 = terms
                    .map(|(&weight, value)| f64::from(weight) * value)
                    .sum();
                apply(shape.activation, sum / 255.0 + f64::from(bias))
            });
            sums.collect::<Vec<f64>>()
        })
        .collect()
}

/// What an output pixel sees: `[3][taps]`, zeros outside.
fn seen(image: &[f64], at: [u32; 2], shape: &StemShape) -> Vec<f64> {
    let value = |colour: u32, tap: u32| {
        let [y, x] = shape.window.seen(at, tap);
        match y < shape.input[0] && x < shape.input[1] {
            true => image[((y * shape.input[1] + x) * 3 + colour) as usize],
            false => 0.0,
        }
    };
    (0..3)
        .flat_map(|colour| (0..shape.window.taps()).map(move |tap| value(colour, tap)))
        .collect()
}
