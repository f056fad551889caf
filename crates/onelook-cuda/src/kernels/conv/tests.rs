//! Convolutions against sums in f64, under schedules that look for trouble.

use onelook_graph::op::Activation;

use super::*;
use crate::interpreter::{Machine, Value};
use crate::kernels::testing::{Deviation, apply_f64, random, schedules};

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
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        output: [height, width],
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

fn tile(m: u32, n: u32, pieces: u32, warps: [u32; 3], stages: u32) -> Tile {
    Tile {
        m,
        n,
        pieces,
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
    let element = shape.element;
    let taps = (shape.kernel[0] * shape.kernel[1]) as usize;
    let (channels, outputs) = (shape.channels() as usize, shape.outputs() as usize);
    let weights = random(outputs * channels * taps, 1.0 / (channels as f32).sqrt(), 1);
    let biases = random(outputs, 1.0, 2);
    let inputs: Vec<Vec<f32>> = (3..)
        .zip(&shape.inputs)
        .map(|(seed, input)| {
            random(
                (input.map.pixels() * batch * input.map.pitch) as usize,
                1.0,
                seed,
            )
        })
        .collect();
    let rounded = |values: &[f32]| element.decode(&element.encode(values.iter().copied()));
    let inputs: Vec<Vec<f32>> = inputs.iter().map(|values| rounded(values)).collect();
    let weights = rounded(&weights);
    let pixels = shape.output[0] * shape.output[1] * batch;
    let residual = shape
        .residual
        .map(|pitch| rounded(&random((pixels * pitch) as usize, 1.0, 99)));
    let expected = expected(case, &inputs, &weights, &biases, residual.as_deref());

    let channels: Vec<usize> = shape
        .inputs
        .iter()
        .map(|i| i.map.channels as usize)
        .collect();
    let packed = pack_weights(&weights, &channels, taps, element, tile);
    let mut padded = biases.clone();
    padded.resize(outputs.next_multiple_of(tile.n as usize), 0.0);
    let tiled = conv(*target, "conv", shape, *tile, *batch);
    for schedule in schedules() {
        let mut machine = Machine::new();
        let mut values = Vec::new();
        let mut given = |machine: &mut Machine, bytes: &[u8]| {
            let buffer = machine.allocate(bytes.len());
            machine.write(buffer, 0, bytes);
            values.push(Value::Memory {
                buffer,
                offset: 0,
                bytes: bytes.len(),
            });
        };
        for input in &inputs {
            given(&mut machine, &element.encode(input.iter().copied()));
        }
        given(&mut machine, &element.encode(packed.iter().copied()));
        given(&mut machine, &Element::F32.encode(padded.iter().copied()));
        if let Some(residual) = &residual {
            given(&mut machine, &element.encode(residual.iter().copied()));
        }
        let mut results = Vec::new();
        for part in &shape.parts {
            let bytes = (pixels * part.pitch * element.bytes()) as usize;
            let buffer = machine.allocate(bytes);
            results.push((buffer, part));
            values.push(Value::Memory {
                buffer,
                offset: 0,
                bytes,
            });
        }
        values.push(Value::Word(pixels));
        machine
            .launch(&tiled.kernel, tiled.grid, &values, &schedule)
            .unwrap_or_else(|trap| panic!("{shape:?} {tile:?}: {trap}"));
        let mut deviation = Deviation::default();
        let mut first = 0;
        for (buffer, part) in results {
            for pixel in 0..pixels as usize {
                let offset = pixel * (part.pitch * element.bytes()) as usize;
                let bytes = (part.channels * element.bytes()) as usize;
                let actual = element.decode(&machine.read(buffer, offset, bytes).unwrap());
                let expected = &expected[pixel * outputs + first..][..part.channels as usize];
                deviation.add(&actual, expected);
            }
            first += part.channels as usize;
        }
        deviation.assert_within(element, &format!("{shape:?} {tile:?}"));
    }
}

/// `[pixel][output]` in f64.
fn expected(
    case: &Case,
    inputs: &[Vec<f32>],
    weights: &[f32],
    biases: &[f32],
    residual: Option<&[f32]>,
) -> Vec<f64> {
    let shape = &case.shape;
    let [height, width] = shape.input().map(|side| side as i64);
    let [rows, columns] = shape.output.map(|side| side as i64);
    let (channels, outputs) = (shape.channels() as usize, shape.outputs() as usize);
    let taps = (shape.kernel[0] * shape.kernel[1]) as usize;
    let read = |picture: i64, y: i64, x: i64| -> Vec<f64> {
        let pixel = |(input, values): (&Segment, &Vec<f32>)| -> Vec<f64> {
            let up = i64::from(input.upsample);
            let map = &input.map;
            let line = picture * i64::from(map.height) + y / up;
            let first = (line * i64::from(map.width) + x / up) as usize * map.pitch as usize;
            let values = &values[first..][..map.channels as usize];
            values.iter().map(|&value| f64::from(value)).collect()
        };
        shape.inputs.iter().zip(inputs).flat_map(pixel).collect()
    };
    let mut all = Vec::new();
    for pixel in 0..i64::from(case.batch) * rows * columns {
        let (x, y, picture) = (
            pixel % columns,
            pixel / columns % rows,
            pixel / columns / rows,
        );
        let mut sums: Vec<f64> = biases.iter().map(|&bias| f64::from(bias)).collect();
        for tap in 0..taps {
            let (ky, kx) = (
                tap as i64 / i64::from(shape.kernel[1]),
                tap as i64 % i64::from(shape.kernel[1]),
            );
            let y = y * i64::from(shape.stride[0]) + ky - i64::from(shape.padding[0]);
            let x = x * i64::from(shape.stride[1]) + kx - i64::from(shape.padding[1]);
            if !(0..height).contains(&y) || !(0..width).contains(&x) {
                continue;
            }
            let values = read(picture, y, x);
            for (output, sum) in sums.iter_mut().enumerate() {
                for (channel, value) in values.iter().enumerate() {
                    *sum += value * f64::from(weights[(output * channels + channel) * taps + tap]);
                }
            }
        }
        for (output, sum) in sums.iter().enumerate() {
            let added = residual.map_or(0.0, |residual| {
                f64::from(residual[pixel as usize * shape.residual.unwrap() as usize + output])
            });
            all.push(apply_f64(shape.activation, *sum) + added);
        }
        debug_assert_eq!(sums.len(), outputs);
    }
    all
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
    shape.stride = [2, 2];
    shape.output = [5, 6];
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
    shape.kernel = [1, 1];
    shape.padding = [0, 0];
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
    shape.kernel = [3, 3];
    shape.padding = [1, 1];
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
        shape.kernel = [1, 1];
        shape.padding = [0, 0];
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
