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

/// Runs the tiny network on random input: the shapes of input and output.
pub fn sample_pass(device: &Device, options: &EngineOptions) -> Result<[Shape; 2], Error> {
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
    let input = random([1, 3, 64, 64], 1.0);
    let item = Prepared::Tensors(std::slice::from_ref(&input));
    let outputs = executable.run(&[item])?.into_raw()?;
    let output = outputs.first().map(|output| output.shape().clone());
    Ok([input.shape().clone(), output.unwrap_or_default()])
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
            let [input, output] = sample_pass(&device, &EngineOptions::default()).unwrap();
            assert_eq!(input, Shape::from([1, 3, 64, 64]));
            assert_eq!(output, Shape::from([1, 8, 16, 16]));
        }
    }
}
