//! Test cases for convolutions.

use super::{Expected, KernelArg, KernelTestCase, Random, Results, apply, input_arg};
use crate::kernels::conv::{ConvShape, pack_weights};
use crate::kernels::depthwise::{DepthwiseShape, pack_depthwise};
use crate::kernels::gemm::Tile;
use crate::kernels::{Element, Map};

/// A convolution of random maps with random weights.
pub(super) fn conv(
    shape: &ConvShape,
    tile: &Tile,
    batch: u32,
    random: &mut Random,
) -> KernelTestCase {
    let element = shape.element;
    let taps = (shape.window.taps()) as usize;
    let (channels, outputs) = (shape.channels() as usize, shape.outputs() as usize);
    let inputs: Vec<Vec<f32>> = shape
        .inputs
        .iter()
        .map(|input| random.rounded(values(&input.map, batch), 1.0, element))
        .collect();
    let scale = 1.7 / ((channels * taps) as f32).sqrt();
    let weights = random.rounded(outputs * channels * taps, scale, element);
    let biases = random.values(outputs, 0.5);
    let pixels = shape.window.pixels() * batch;
    let residual = shape
        .residual
        .map(|pitch| random.rounded((pixels * pitch) as usize, 1.0, element));

    let segments: Vec<usize> = shape
        .inputs
        .iter()
        .map(|i| i.map.channels as usize)
        .collect();
    let packed = pack_weights(&weights, &segments, taps, element, tile);
    let mut case: Vec<KernelArg> = inputs
        .iter()
        .map(|input| input_arg(element, input))
        .collect();
    case.push(input_arg(element, &packed));
    case.push(input_arg(Element::F32, &padded(&biases, tile)));
    case.extend(residual.as_ref().map(|values| input_arg(element, values)));
    for part in &shape.parts {
        case.push(KernelArg::Output(
            (pixels * part.pitch * element.bytes()) as usize,
        ));
    }
    case.push(KernelArg::Word(pixels));
    case.extend(shape.extent_words().into_iter().map(KernelArg::Word));

    // Weights in the order of a pixel's values: taps, then channels.
    let weights: Vec<f64> = (0..outputs * taps * channels)
        .map(|index| {
            let (output, tap) = (index / (taps * channels), index / channels % taps);
            f64::from(weights[(output * channels + index % channels) * taps + tap])
        })
        .collect();
    let mut results = Vec::with_capacity(pixels as usize * outputs);
    let mut seen = vec![0.0; taps * channels];
    for pixel in 0..pixels {
        see(shape, &inputs, pixel, &mut seen);
        for (output, weights) in weights.chunks_exact(taps * channels).enumerate() {
            let sum = f64::from(biases[output]) + dot(weights, &seen);
            let added = match (&residual, shape.residual) {
                (Some(values), Some(pitch)) => f64::from(values[(pixel * pitch) as usize + output]),
                _ => 0.0,
            };
            results.push(apply(shape.activation, sum) + added);
        }
    }
    let mut first = 0;
    let parts = shape.parts.iter().enumerate().map(|(output, part)| {
        let columns = part.channels as usize;
        let rows = results.chunks_exact(outputs);
        let values = rows
            .flat_map(|row| &row[first..][..columns])
            .copied()
            .collect();
        first += columns;
        Expected {
            output,
            element,
            pitch: part.pitch as usize,
            columns,
            values,
        }
    });
    KernelTestCase {
        results: Results::Rows(parts.collect()),
        args: case,
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Values of a map's buffer.
fn values(map: &Map, batch: u32) -> usize {
    (map.pixels() * batch * map.pitch) as usize
}

fn padded(biases: &[f32], tile: &Tile) -> Vec<f32> {
    let mut biases = biases.to_vec();
    biases.resize(biases.len().next_multiple_of(tile.n as usize), 0.0);
    biases
}

/// What an output pixel sees: taps, then channels; zeros outside.
fn see(shape: &ConvShape, inputs: &[Vec<f32>], pixel: u32, seen: &mut [f64]) {
    let [height, width] = shape.input();
    let (image, at) = shape.window.locate(pixel);
    let channels = shape.channels() as usize;
    for (tap, seen) in (0..).zip(seen.chunks_exact_mut(channels)) {
        let [y, x] = shape.window.seen(at, tap);
        if y >= height || x >= width {
            seen.fill(0.0);
            continue;
        }
        let mut first = 0;
        for (input, values) in shape.inputs.iter().zip(inputs) {
            let map = &input.map;
            let line = image * map.height + y / input.upsample;
            let place = ((line * map.width + x / input.upsample) * map.pitch) as usize;
            let values = &values[place..][..map.channels as usize];
            for (seen, &value) in seen[first..].iter_mut().zip(values) {
                *seen = f64::from(value);
            }
            first += values.len();
        }
    }
}

/// A depthwise and a 1x1 convolution of a random map with random weights.
pub(super) fn depthwise(
    shape: &DepthwiseShape,
    tile: &Tile,
    batch: u32,
    random: &mut Random,
) -> KernelTestCase {
    let (element, map) = (shape.element, &shape.input);
    let taps = (shape.window.taps()) as usize;
    let (channels, outputs) = (map.channels as usize, shape.part.channels as usize);
    let pixels = batch * shape.window.pixels();
    let input = random.rounded(values(map, batch), 1.0, element);
    let inner_weights = random.values(channels * taps, 1.7 / (taps as f32).sqrt());
    let inner_biases = random.values(channels, 0.5);
    let mut optional = |pitch: Option<u32>| {
        pitch.map(|pitch| random.rounded((pixels * pitch) as usize, 1.0, element))
    };
    let (inner_residual, residual) = (optional(shape.inner_residual), optional(shape.residual));
    let weights = random.rounded(channels * outputs, 1.7 / (channels as f32).sqrt(), element);
    let biases = random.values(outputs, 0.5);

    let packed = pack_weights(&weights, &[channels], 1, element, tile);
    let inner = pack_depthwise(&inner_weights, taps, element);
    let floats = |values: &[f32]| input_arg(Element::F32, values);
    let mut all = vec![
        input_arg(element, &input),
        floats(&inner),
        floats(&inner_biases),
    ];
    all.extend(
        inner_residual
            .as_ref()
            .map(|values| input_arg(element, values)),
    );
    all.extend([input_arg(element, &packed), floats(&padded(&biases, tile))]);
    all.extend(residual.as_ref().map(|values| input_arg(element, values)));
    let pitch = shape.part.pitch;
    all.push(KernelArg::Output(
        (pixels * pitch * element.bytes()) as usize,
    ));
    all.push(KernelArg::Word(pixels));
    all.extend(shape.extent_words().into_iter().map(KernelArg::Word));

    let added = |values: &Option<Vec<f32>>, pitch: Option<u32>, pixel: u32, channel: usize| {
        let pair = values.as_ref().zip(pitch);
        pair.map_or(0.0, |(values, pitch)| {
            f64::from(values[(pixel * pitch) as usize + channel])
        })
    };
    let mut results = Vec::new();
    for pixel in 0..pixels {
        let middle: Vec<f64> = (0..channels)
            .map(|channel| {
                let weights = &inner_weights[channel * taps..][..taps];
                let sum = slide(shape, &input, pixel, channel, weights);
                let sum = sum + f64::from(inner_biases[channel]);
                let residual = added(&inner_residual, shape.inner_residual, pixel, channel);
                apply(shape.inner_activation, sum) + residual
            })
            .collect();
        for (output, weights) in weights.chunks_exact(channels).enumerate() {
            let products = weights.iter().zip(&middle).map(|(&w, m)| f64::from(w) * m);
            let sum = f64::from(biases[output]) + products.sum::<f64>();
            let residual = added(&residual, shape.residual, pixel, output);
            results.push(apply(shape.activation, sum) + residual);
        }
    }
    KernelTestCase {
        args: all,
        results: Results::Rows(vec![Expected {
            output: 0,
            element,
            pitch: pitch as usize,
            columns: outputs,
            values: results,
        }]),
    }
}

/// One channel's sum over taps.
fn slide(
    shape: &DepthwiseShape,
    input: &[f32],
    pixel: u32,
    channel: usize,
    weights: &[f32],
) -> f64 {
    let map = &shape.input;
    let (image, at) = shape.window.locate(pixel);
    let term = |(tap, &weight): (u32, &f32)| {
        let [y, x] = shape.window.seen(at, tap);
        if y >= map.height || x >= map.width {
            return 0.0;
        }
        let place = ((image * map.height + y) * map.width + x) * map.pitch;
        f64::from(input[place as usize + channel]) * f64::from(weight)
    };
    (0..).zip(weights).map(term).sum()
}
