//! Depthwise and 1x1 convolutions together against sums in f64.

use super::*;
use crate::interpreter::{Machine, Value};
use crate::kernels::conv::pack_weights;
use crate::kernels::testing::{Deviation, apply_f64, random, schedules};

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
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        output: [height, width],
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

/// Everything that goes in, rounded as the kernel gets it.
struct Given {
    input: Vec<f32>,
    inner_weights: Vec<f32>,
    inner_biases: Vec<f32>,
    inner_residual: Vec<f32>,
    weights: Vec<f32>,
    biases: Vec<f32>,
    residual: Vec<f32>,
}

impl Given {
    fn new(shape: &DepthwiseShape, batch: u32) -> Self {
        let element = shape.element;
        let rounded = |count: u32, scale: f32, seed: u64| {
            element.decode(&element.encode(random(count as usize, scale, seed)))
        };
        let pixels = batch * shape.output[0] * shape.output[1];
        let (channels, outputs) = (shape.input.channels, shape.part.channels);
        Self {
            input: rounded(batch * shape.input.pixels() * shape.input.pitch, 1.0, 1),
            inner_weights: random((channels * 9) as usize, 0.5, 2),
            inner_biases: random(channels as usize, 0.5, 3),
            inner_residual: rounded(pixels * shape.inner_residual.unwrap_or(0), 1.0, 4),
            weights: rounded(channels * outputs, 0.3, 5),
            biases: random(outputs as usize, 0.5, 6),
            residual: rounded(pixels * shape.residual.unwrap_or(0), 1.0, 7),
        }
    }

    /// `[pixel][output]` in f64.
    fn expected(&self, shape: &DepthwiseShape, batch: u32) -> Vec<f64> {
        let [rows, columns] = shape.output.map(|side| side as i64);
        let map = &shape.input;
        let (channels, outputs) = (map.channels as usize, shape.part.channels as usize);
        let mut all = Vec::new();
        for pixel in 0..i64::from(batch) * rows * columns {
            let (x, y, picture) = (
                pixel % columns,
                pixel / columns % rows,
                pixel / columns / rows,
            );
            let middle: Vec<f64> = (0..channels)
                .map(|channel| {
                    let mut sum = f64::from(self.inner_biases[channel]);
                    for tap in 0..9 {
                        let y = y * i64::from(shape.stride[0]) + tap as i64 / 3 - 1;
                        let x = x * i64::from(shape.stride[1]) + tap as i64 % 3 - 1;
                        if (0..i64::from(map.height)).contains(&y)
                            && (0..i64::from(map.width)).contains(&x)
                        {
                            let line = picture * i64::from(map.height) + y;
                            let place =
                                (line * i64::from(map.width) + x) as usize * map.pitch as usize;
                            sum += f64::from(self.input[place + channel])
                                * f64::from(self.inner_weights[channel * 9 + tap]);
                        }
                    }
                    let added = shape.inner_residual.map_or(0.0, |pitch| {
                        f64::from(self.inner_residual[pixel as usize * pitch as usize + channel])
                    });
                    apply_f64(shape.inner_activation, sum) + added
                })
                .collect();
            for output in 0..outputs {
                let weights = &self.weights[output * channels..][..channels];
                let products = weights.iter().zip(&middle).map(|(&w, m)| f64::from(w) * m);
                let sum = f64::from(self.biases[output]) + products.sum::<f64>();
                let added = shape.residual.map_or(0.0, |pitch| {
                    f64::from(self.residual[pixel as usize * pitch as usize + output])
                });
                all.push(apply_f64(shape.activation, sum) + added);
            }
        }
        all
    }
}

fn check(shape: &DepthwiseShape, tile: Tile, target: Target, batch: u32) {
    let element = shape.element;
    let given = Given::new(shape, batch);
    let expected = given.expected(shape, batch);
    let (channels, outputs) = (shape.input.channels as usize, shape.part.channels as usize);
    let packed = pack_weights(&given.weights, &[channels], 1, element, &tile);
    let mut biases = given.biases.clone();
    biases.resize(outputs.next_multiple_of(tile.n as usize), 0.0);
    let inner = pack_depthwise(&given.inner_weights, 9, element);
    let tiled = depthwise(target, "depthwise", shape, tile, batch);
    let pixels = batch * shape.output[0] * shape.output[1];
    let encode = |values: &[f32]| element.encode(values.iter().copied());
    let floats = |values: &[f32]| Element::F32.encode(values.iter().copied());
    let mut inputs = vec![
        encode(&given.input),
        floats(&inner),
        floats(&given.inner_biases),
    ];
    inputs.extend(shape.inner_residual.map(|_| encode(&given.inner_residual)));
    inputs.extend([encode(&packed), floats(&biases)]);
    inputs.extend(shape.residual.map(|_| encode(&given.residual)));
    for schedule in schedules() {
        let mut machine = Machine::new();
        let whole = |buffer, bytes| Value::Memory {
            buffer,
            offset: 0,
            bytes,
        };
        let mut values: Vec<Value> = Vec::new();
        for bytes in &inputs {
            let buffer = machine.allocate(bytes.len());
            machine.write(buffer, 0, bytes);
            values.push(whole(buffer, bytes.len()));
        }
        let pitch = (shape.part.pitch * element.bytes()) as usize;
        let result = machine.allocate(pixels as usize * pitch);
        values.push(whole(result, pixels as usize * pitch));
        values.push(Value::Word(pixels));
        machine
            .launch(&tiled.kernel, tiled.grid, &values, &schedule)
            .unwrap_or_else(|trap| panic!("{shape:?} {tile:?}: {trap}"));
        let mut deviation = Deviation::default();
        for (pixel, expected) in expected.chunks_exact(outputs).enumerate() {
            let bytes = outputs * element.bytes() as usize;
            let actual = machine.read(result, pixel * pitch, bytes).unwrap();
            deviation.add(&element.decode(&actual), expected);
        }
        deviation.assert_within(element, &format!("{shape:?} {tile:?}"));
    }
}

#[test]
fn both_convolutions_come_to_what_their_sums_are() {
    for element in [Element::F16, Element::F32] {
        for (target, stages) in [(Target::Sm75, 2), (Target::Sm80, 3)] {
            let tile = Tile {
                m: 32,
                n: 40,
                pieces: 4,
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
    for (pieces, warps) in [(8, [1, 1, 4]), (2, [1, 1, 1])] {
        let tile = Tile {
            m: 16,
            n: 32,
            pieces,
            warps,
            stages: 4,
        };
        check(&shape, tile, Target::Sm90a, 1);
    }
}

#[test]
fn every_second_pixel() {
    let mut shape = shape(Element::F16, [7, 5], 16, 16);
    shape.stride = [2, 2];
    shape.output = [4, 3];
    let tile = Tile {
        m: 64,
        n: 16,
        pieces: 2,
        warps: [4, 1, 1],
        stages: 3,
    };
    check(&shape, tile, Target::Sm80, 3);
}
