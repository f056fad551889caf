//! Pools against the textbook's.

use super::*;
use crate::kernels::trial::{self, Given};

/// The pool of a map without gaps between pixels.
fn textbook(values: &[f32], shape: &PoolShape) -> Vec<f32> {
    let map = &shape.input;
    let ([height, width], channels) = (shape.output, map.channels as usize);
    let mut out = Vec::new();
    for picture in values.chunks_exact(map.pixels() as usize * channels) {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let mut largest = vec![f32::NEG_INFINITY; channels];
            let window = |axis: usize, at: u32, side: u32| {
                (0..shape.kernel[axis])
                    .map(move |tap| {
                        (at * shape.stride[axis] + tap).wrapping_sub(shape.padding[axis])
                    })
                    .filter(move |&at| at < side)
            };
            for y in window(0, y, map.height) {
                for x in window(1, x, map.width) {
                    let pixel = &picture[((y * map.width + x) as usize) * channels..];
                    for (largest, &value) in largest.iter_mut().zip(pixel) {
                        *largest = largest.max(value);
                    }
                }
            }
            out.extend(largest);
        }
    }
    out
}

fn map(height: u32, width: u32, channels: u32) -> Map {
    let pitch = channels + 8;
    Map {
        height,
        width,
        channels,
        pitch,
    }
}

#[test]
fn a_chain_gives_every_pool_of_it() {
    for element in [Element::F16, Element::F32] {
        for (height, width, batch) in [(5, 5, 1), (20, 20, 1), (9, 23, 2), (1, 7, 1)] {
            let input = map(height, width, 16);
            let shape = ChainShape {
                element,
                input,
                window: 5,
                pitches: vec![24, 16, 32],
            };
            let values = trial::values(3, (input.pixels() * 16 * batch) as usize);
            let mut expected = vec![values.clone()];
            let single = PoolShape {
                element,
                input,
                kernel: [5, 5],
                stride: [1, 1],
                padding: [2, 2],
                output: [height, width],
                pitch: 0,
            };
            for _ in 0..3 {
                expected.push(textbook(expected.last().unwrap(), &single));
            }
            let room = |&pitch: &u32| {
                let map = Map { pitch, ..input };
                Given::Room(map.reach_bytes(element, batch))
            };
            let mut given = vec![Given::Bytes(element.encode(trial::spread(&values, &input)))];
            given.extend(shape.pitches.iter().map(room));
            let tiled = pool_chain(Target::Sm90a, "chain", &shape, batch);
            trial::run(&tiled, &given, |outputs| {
                for ((output, expected), &pitch) in
                    outputs.iter().zip(&expected[1..]).zip(&shape.pitches)
                {
                    let actual = trial::gather(&element.decode(output), 16, pitch);
                    assert_eq!(&actual, expected);
                }
            });
        }
    }
}

#[test]
fn single_pools_take_any_window() {
    for (kernel, stride, padding, output) in [
        ([2, 2], [2, 2], [0, 0], [4, 5]),
        ([3, 5], [2, 1], [1, 2], [5, 11]),
        ([2, 2], [1, 1], [0, 0], [9, 11]),
    ] {
        for element in [Element::F16, Element::F32] {
            let input = map(9, 11, 8);
            let shape = PoolShape {
                element,
                input,
                kernel,
                stride,
                padding,
                output,
                pitch: 8,
            };
            let values = trial::values(5, 2 * 9 * 11 * 8);
            let expected = textbook(&values, &shape);
            let pixels = 2 * output[0] * output[1];
            let given = [
                Given::Bytes(element.encode(trial::spread(&values, &input))),
                Given::Room((pixels * 8 * element.bytes()) as usize),
                Given::Word(pixels),
            ];
            let tiled = pool(Target::Sm90a, "single", &shape, 2);
            trial::run(&tiled, &given, |outputs| {
                assert_eq!(element.decode(&outputs[0]), expected);
            });
        }
    }
}
