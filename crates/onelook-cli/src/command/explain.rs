//! `onelook explain`: shows the plan that would run: graph, kernels, memory, and why each was chosen.

mod gpu;

use onelook::graph::{Explanation, infer_shapes};
use onelook::types::Shape;
use onelook::{Device, Model};
use serde_json::{Value, json};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{ExplainArgs, ImageSize};

pub fn run(args: &ExplainArgs, console: &Console) -> Result<(), Failure> {
    if let Device::CudaPlanned(target) = args.model.options()?.device {
        return gpu::run(args, target, console);
    }
    let model = args.model.load(console)?;
    let input = input_shape(&model, args.imgsz, args.batch);
    let explanation = model.explain(model.plan_kind(), &input)?;
    if args.graph && !console.is_json() {
        let shapes = infer_shapes(model.graph(), std::slice::from_ref(&input))
            .map_err(onelook::Error::from)?;
        console.line(model.graph().to_text(Some(&shapes)))?;
    }
    plan(&explanation, console)?;
    memory(&model, &explanation, console)?;
    console.value(&value(&model, &input, &explanation))?;
    Ok(())
}

/// `[batch, 3, height, width]` of what was asked for, else of the model.
pub fn input_shape(model: &Model, size: Option<ImageSize>, batch: usize) -> Shape {
    let ImageSize([height, width]) = size.unwrap_or(ImageSize(model.metadata().image_size));
    Shape::from([batch.max(1), 3, height, width])
}

fn plan(explanation: &Explanation, console: &Console) -> Result<(), Failure> {
    console.line(format!(
        "{:>4}  {:<28} {:<34} {:<18} {:>9} {:>9}  choice",
        "", "node", "kernel", "output", "MFLOP", "MB"
    ))?;
    for (index, node) in explanation.nodes.iter().enumerate() {
        console.line(format!(
            "{index:>4}  {:<28} {:<34} {:<18} {:>9.1} {:>9.2}  {}",
            node.name,
            node.kernel,
            node.output.to_string(),
            node.flops as f64 / 1e6,
            node.bytes as f64 / 1e6,
            node.choice
        ))?;
    }
    Ok(())
}

fn memory(model: &Model, explanation: &Explanation, console: &Console) -> Result<(), Failure> {
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    let flops: u64 = explanation.nodes.iter().map(|node| node.flops).sum();
    console.line(format!(
        "\ndevice    {} ({}), {}",
        explanation.device,
        model.device_reason(),
        explanation.precision
    ))?;
    console.line(format!("work      {:.2} GFLOP a run", flops as f64 / 1e9))?;
    console.line(format!(
        "arena     {:.1} MB at its peak",
        megabytes(explanation.arena_bytes)
    ))?;
    console.line(format!(
        "          {:.1} MB if no two values shared memory",
        megabytes(explanation.unshared_bytes)
    ))?;
    console.line(format!(
        "weights   {:.1} MB",
        megabytes(explanation.weight_bytes)
    ))?;
    if let Some(modules) = explanation.modules {
        console.line(format!("modules   {modules}, equal kernels counted once"))?;
    }
    Ok(())
}

fn value(model: &Model, input: &Shape, explanation: &Explanation) -> Value {
    let nodes = explanation.nodes.iter().map(|node| {
        json!({
            "name": node.name,
            "op": node.op,
            "kernel": node.kernel,
            "choice": node.choice,
            "output": node.output.to_vec(),
            "flops": node.flops,
            "bytes": node.bytes,
        })
    });
    json!({
        "model": model.name(),
        "input": input.to_vec(),
        "device": explanation.device,
        "because": model.device_reason(),
        "precision": explanation.precision.name(),
        "arena_bytes": explanation.arena_bytes,
        "unshared_bytes": explanation.unshared_bytes,
        "weight_bytes": explanation.weight_bytes,
        "modules": explanation.modules,
        "nodes": nodes.collect::<Vec<_>>(),
    })
}
