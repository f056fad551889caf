//! Test cases for pools, attention and reordering.

use super::{Expected, KernelArg, KernelTestCase, Random, Results, input_arg};
use crate::kernels::attention::AttentionShape;
use crate::kernels::pool::{ChainShape, PoolShape};
use crate::kernels::reorder::ReorderShape;
use crate::kernels::{Element, Map};

pub(super) fn random_map(map: &Map, batch: u32, element: Element, random: &mut Random) -> Vec<f32> {
    let values = (map.pixels() * batch * map.pitch) as usize;
    random.rounded(values, 2.0, element)
}

fn output(pixels: u32, pitch: u32, element: Element) -> KernelArg {
    KernelArg::Output((pixels * pitch * element.bytes()) as usize)
}

/// The largest value of a window, which may reach beyond the map.
fn largest(
    map: &Map,
    values: &[f32],
    image: u32,
    [top, left]: [i64; 2],
    [rows, columns]: [u32; 2],
    channel: u32,
) -> f64 {
    let clip = |first: i64, size: u32, end: u32| {
        let last = (first + i64::from(size)).clamp(0, i64::from(end)) as u32;
        first.max(0) as u32..last
    };
    let mut most = f64::NEG_INFINITY;
    for y in clip(top, rows, map.height) {
        for x in clip(left, columns, map.width) {
            let place = ((image * map.height + y) * map.width + x) * map.pitch + channel;
            most = most.max(f64::from(values[place as usize]));
        }
    }
    most
}

pub(super) fn pool_chain(shape: &ChainShape, batch: u32, random: &mut Random) -> KernelTestCase {
    let (element, map) = (shape.element, &shape.input);
    let values = random_map(map, batch, element, random);
    let pixels = map.pixels() * batch;
    let mut all = vec![input_arg(element, &values)];
    all.extend(
        shape
            .pitches
            .iter()
            .map(|&pitch| output(pixels, pitch, element)),
    );
    let expected = (1..).zip(&shape.pitches).map(|(pools, &pitch)| {
        let reach = i64::from(shape.window / 2 * pools);
        let side = 2 * reach as u32 + 1;
        let values = (0..pixels * map.channels).map(|index| {
            let (pixel, channel) = (index / map.channels, index % map.channels);
            let (x, y) = (pixel % map.width, pixel / map.width % map.height);
            let corner = [i64::from(y) - reach, i64::from(x) - reach];
            let image = pixel / map.pixels();
            largest(map, &values, image, corner, [side, side], channel)
        });
        Expected {
            output: pools as usize - 1,
            element,
            pitch: pitch as usize,
            columns: map.channels as usize,
            values: values.collect(),
        }
    });
    KernelTestCase {
        results: Results::Rows(expected.collect()),
        args: all,
    }
}

pub(super) fn pool(shape: &PoolShape, batch: u32, random: &mut Random) -> KernelTestCase {
    let (element, map) = (shape.element, &shape.input);
    let values = random_map(map, batch, element, random);
    let window = &shape.window;
    let pixels = window.pixels() * batch;
    let results = (0..pixels * map.channels).map(|index| {
        let (pixel, channel) = (index / map.channels, index % map.channels);
        let (image, at) = window.locate(pixel);
        let corner = [0, 1].map(|axis| {
            i64::from(at[axis] * window.stride[axis]) - i64::from(window.padding[axis])
        });
        largest(map, &values, image, corner, window.kernel, channel)
    });
    let expected = Expected {
        output: 0,
        element,
        pitch: shape.pitch as usize,
        columns: map.channels as usize,
        values: results.collect(),
    };
    KernelTestCase {
        args: vec![
            input_arg(element, &values),
            output(pixels, shape.pitch, element),
            KernelArg::Word(pixels),
        ],
        results: Results::Rows(vec![expected]),
    }
}

pub(super) fn attention(shape: &AttentionShape, batch: u32, random: &mut Random) -> KernelTestCase {
    let (element, map, op) = (shape.element, &shape.input, &shape.attention);
    let values = random_map(map, batch, element, random);
    let pixels = map.pixels() as usize;
    let value = |image: usize, pixel: usize, channel: usize| {
        f64::from(values[(image * pixels + pixel) * map.pitch as usize + channel])
    };
    let outputs = op.heads * op.head_size;
    let mut results = vec![0.0; batch as usize * pixels * outputs];
    for (row, results) in results.chunks_exact_mut(outputs).enumerate() {
        let (image, query) = (row / pixels, row % pixels);
        for head in 0..op.heads {
            let first = head * op.key_size;
            let score = |key: usize| -> f64 {
                let product = |c: usize| {
                    let key_channel = op.heads * op.key_size + first + c;
                    value(image, query, first + c) * value(image, key, key_channel)
                };
                f64::from(op.scale) * (0..op.key_size).map(product).sum::<f64>()
            };
            let scores: Vec<f64> = (0..pixels).map(score).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            for c in 0..op.head_size {
                let channel = 2 * op.heads * op.key_size + head * op.head_size + c;
                let sum = |(key, weight): (usize, &f64)| weight * value(image, key, channel);
                let sum: f64 = weights.iter().enumerate().map(sum).sum();
                results[head * op.head_size + c] = sum / total;
            }
        }
    }
    let expected = Expected {
        output: 0,
        element,
        pitch: shape.pitch as usize,
        columns: outputs,
        values: results,
    };
    KernelTestCase {
        args: vec![
            input_arg(element, &values),
            output(map.pixels() * batch, shape.pitch, element),
        ],
        results: Results::Rows(vec![expected]),
    }
}

/// Where a map's value comes from among the planes: pixel and channel in, place out.
fn plane(planes: &ReorderShape, pixel: u32, channel: u32) -> usize {
    let (image, inside) = (pixel / planes.map.pixels(), pixel % planes.map.pixels());
    ((image * planes.channels + channel) * planes.map.pixels() + inside) as usize
}

pub(super) fn to_map(planes: &ReorderShape, batch: u32, random: &mut Random) -> KernelTestCase {
    let (element, map) = (planes.element, &planes.map);
    let pixels = map.pixels() * batch;
    let values = random.values((pixels * planes.channels) as usize, 1.0);
    let results = (0..pixels * map.channels).map(|index| {
        let (pixel, channel) = (index / map.channels, index % map.channels);
        let there = channel < planes.channels;
        if there {
            f64::from(values[plane(planes, pixel, channel)])
        } else {
            0.0
        }
    });
    let expected = Expected {
        output: 0,
        element,
        pitch: map.pitch as usize,
        columns: map.channels as usize,
        values: results.collect(),
    };
    KernelTestCase {
        args: vec![
            input_arg(Element::F32, &values),
            output(pixels, map.pitch, element),
            KernelArg::Word(pixels),
        ],
        results: Results::Rows(vec![expected]),
    }
}

pub(super) fn from_map(planes: &ReorderShape, batch: u32, random: &mut Random) -> KernelTestCase {
    let (element, map) = (planes.element, &planes.map);
    let pixels = map.pixels() * batch;
    let values = random_map(map, batch, element, random);
    let mut results = vec![0.0; (pixels * planes.channels) as usize];
    for pixel in 0..pixels {
        for channel in 0..planes.channels {
            let value = values[(pixel * map.pitch + channel) as usize];
            results[plane(planes, pixel, channel)] = f64::from(value);
        }
    }
    let expected = Expected {
        output: 0,
        element: Element::F32,
        pitch: results.len(),
        columns: results.len(),
        values: results,
    };
    KernelTestCase {
        args: vec![
            input_arg(element, &values),
            output(pixels, planes.channels, Element::F32),
            KernelArg::Word(pixels),
        ],
        results: Results::Rows(vec![expected]),
    }
}
