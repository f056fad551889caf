//! A tiny network for trying a device out where no model is at hand.

use std::sync::Arc;

use onelook_graph::op::{Activation, Conv};
use onelook_graph::{CompileOptions, Graph, Prepared, pass};
use onelook_types::{Shape, Tensor};

use super::{Device, EngineOptions};
use crate::Error;

/// Two convolutions with random weights.
fn graph() -> Graph {
    let mut graph = Graph::new();
    let mut value = graph.add_input("image");
    for (name, channels, outputs) in [("first", 3, 16), ("second", 16, 8)] {
        let weight = random([outputs, channels, 3, 3], 0.1);
        let mut conv = Conv::new(Arc::new(weight), Some(Arc::new(random([outputs], 0.1))));
        conv.stride = [2, 2];
        conv.padding = [1; 4];
        value = graph.add(name, conv, &[value]);
        value = graph.add(&format!("{name}.silu"), Activation::Silu, &[value]);
    }
    graph.outputs.push(value);
    pass::optimise(&mut graph);
    graph
}

/// What came of the tiny network.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplePass {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Largest difference between a value of the output and that of the reference executor, as a part of
    /// the largest value there.
    pub worst_difference: f32,
}

/// Runs the tiny network on random input, on a device and by the reference executor.
pub fn sample_pass(device: &Device, options: &EngineOptions) -> Result<SamplePass, Error> {
    let input = random([1, 3, 64, 64], 1.0);
    let output = run(device, options, &input)?;
    let expected = run(&Device::Reference, &EngineOptions::default(), &input)?;
    let largest = expected
        .data()
        .iter()
        .fold(0.0, |most, value| value.abs().max(most));
    let pairs = output.data().iter().zip(expected.data());
    // NaN is the worst of all.
    let worst = pairs.fold(0.0, |most: f32, (value, expected)| {
        let difference = (value - expected).abs();
        if difference > most || difference.is_nan() {
            difference
        } else {
            most
        }
    });
    Ok(SamplePass {
        input: input.shape().clone(),
        output: output.shape().clone(),
        worst_difference: worst / largest,
    })
}

fn run(device: &Device, options: &EngineOptions, input: &Tensor) -> Result<Tensor, Error> {
    let backend = device.open(options)?.backend;
    let compile = CompileOptions {
        precision: options.precision,
        ..CompileOptions::default()
    };
    let executable = backend.compile(&graph(), &compile);
    let executable = executable.map_err(|source| Error::Compile {
        name: "sample".to_owned(),
        source,
    })?;
    let item = Prepared::Tensors(std::slice::from_ref(input));
    let outputs = executable.run(&[item])?.into_raw()?;
    Ok(outputs.into_iter().next().unwrap_or_default())
}

/// Values from 0 to `scale`, the same at every call.
pub fn random(shape: impl Into<Shape>, scale: f32) -> Tensor {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    Tensor::from_fn(shape, |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 * scale
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_network_runs_on_every_device_of_this_build() {
        for device in [Device::Auto, Device::Cpu, Device::Reference] {
            let pass = sample_pass(&device, &EngineOptions::default()).unwrap();
            assert_eq!(pass.input, Shape::from([1, 3, 64, 64]));
            assert_eq!(pass.output, Shape::from([1, 8, 16, 16]));
            assert!(pass.worst_difference < 1e-5, "{}", pass.worst_difference);
        }
    }
}
