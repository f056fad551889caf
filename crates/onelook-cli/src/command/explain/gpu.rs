//! `onelook explain --device cuda:sm_90`: what a GPU would run, worked out on any machine.

use onelook::graph::infer_shapes;
use onelook::types::{Precision, Shape};
use onelook::{GpuPlan, GpuTarget, PlannedLaunch, plan_for_gpu, read_model};
use serde_json::{Value, json};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{ExplainArgs, ImageSize};
use crate::options::warn_of_random_weights;

/// Characters of the column of layers.
const LAYERS_WIDTH: usize = 46;

pub fn run(args: &ExplainArgs, target: GpuTarget, console: &Console) -> Result<(), Failure> {
    let path = args.model.locate(console)?;
    let name = path.display().to_string();
    let model = read_model(&path, &args.model.options()?)?;
    warn_of_random_weights(&name, &model.metadata, console);
    let ImageSize([height, width]) = args.imgsz.unwrap_or(ImageSize(model.metadata.image_size));
    let input = Shape::from([args.batch.max(1), 3, height, width]);
    let precision = args.model.engine.quantize.unwrap_or(Precision::F16);
    if args.graph && !console.is_json() {
        let mut graph = model.graph.clone();
        onelook::graph::pass::optimise(&mut graph);
        let shapes =
            infer_shapes(&graph, std::slice::from_ref(&input)).map_err(onelook::Error::from)?;
        console.line(graph.to_text(Some(&shapes)))?;
    }
    let plan = plan_for_gpu(model, target, precision, &input)?;
    launches(&plan, console)?;
    totals(&plan, target, precision, console)?;
    console.value(&value(&plan, &name, target, precision, &input))?;
    Ok(())
}

fn launches(plan: &GpuPlan, console: &Console) -> Result<(), Failure> {
    console.line(format!(
        "{:>4}  {:<LAYERS_WIDTH$} {:<36} {:>16} {:>4} {:>7} {:>6} {:>9} {:>8} {:>8} {:>8}  choice",
        "",
        "layers",
        "kernel",
        "blocks x threads",
        "regs",
        "shared",
        "blocks",
        "MFLOP",
        "MB",
        "floor us",
        "est. us"
    ))?;
    for (index, launch) in plan.launches.iter().enumerate() {
        console.line(row(index, launch))?;
    }
    Ok(())
}

fn row(index: usize, launch: &PlannedLaunch) -> String {
    let blocks: u64 = launch.grid.iter().map(|&side| u64::from(side)).product();
    format!(
        "{index:>4}  {:<LAYERS_WIDTH$} {:<36} {:>16} {:>4} {:>7} {:>6} {:>9.1} {:>8.2} {:>8.2} {:>8.2}  {}",
        shortened(&launch.layers),
        launch.kernel,
        format!("{blocks} x {}", launch.threads),
        launch.registers,
        launch.shared_bytes,
        launch.blocks_per_multiprocessor,
        launch.flops as f64 / 1e6,
        launch.bytes as f64 / 1e6,
        launch.floor_us,
        launch.estimated_us,
        launch.choice
    )
}

/// As many layers as fit the column, and how many more.
fn shortened(layers: &str) -> String {
    if layers.len() <= LAYERS_WIDTH {
        return layers.to_owned();
    }
    let all: Vec<&str> = layers.split(" + ").collect();
    match all[..] {
        [first, _, ..] => format!("{first} + {} more", all.len() - 1),
        _ => layers.to_owned(),
    }
}

fn totals(
    plan: &GpuPlan,
    target: GpuTarget,
    precision: Precision,
    console: &Console,
) -> Result<(), Failure> {
    let ends = ends(plan);
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    let flops: u64 = plan.launches.iter().map(|launch| launch.flops).sum();
    console.line(format!(
        "\ndevice     {target}, figures of {}, {precision}; planned only, nothing ran",
        plan.gpu
    ))?;
    console.line(format!(
        "launches   {} of {} modules, {ends}",
        plan.launches.len(),
        plan.modules
    ))?;
    console.line(format!("work       {:.2} GFLOP a run", flops as f64 / 1e9))?;
    console.line(format!(
        "arena      {:.1} MB at its peak, {:.1} MB if no two values shared memory",
        megabytes(plan.arena_bytes),
        megabytes(plan.unshared_bytes)
    ))?;
    console.line(format!(
        "constants  {:.1} MB",
        megabytes(plan.constant_bytes)
    ))?;
    console.line(format!(
        "busy       {:.0} us estimated if launches shared the device without loss",
        plan.busy_us
    ))?;
    for run in &plan.totals {
        console.line(format!(
            "{:<18} {:.0} us estimated: {} launches on the longest chain",
            run.mechanism, run.estimated_us, run.chain
        ))?;
    }
    Ok(())
}

fn ends(plan: &GpuPlan) -> &'static str {
    match plan.whole {
        true => "from images to boxes",
        false => "from tensors to the graph's outputs",
    }
}

fn value(
    plan: &GpuPlan,
    name: &str,
    target: GpuTarget,
    precision: Precision,
    input: &Shape,
) -> Value {
    let launches = plan.launches.iter().map(|launch| {
        json!({
            "layers": launch.layers,
            "kernel": launch.kernel,
            "grid": launch.grid,
            "threads": launch.threads,
            "choice": launch.choice,
            "registers": launch.registers,
            "shared_bytes": launch.shared_bytes,
            "blocks_per_multiprocessor": launch.blocks_per_multiprocessor,
            "flops": launch.flops,
            "bytes": launch.bytes,
            "after": launch.after,
            "floor_us": launch.floor_us,
            "estimated_us": launch.estimated_us,
        })
    });
    let totals = plan.totals.iter().map(|run| {
        json!({
            "mechanism": run.mechanism,
            "chain": run.chain,
            "chain_us": run.chain_us,
            "estimated_us": run.estimated_us,
        })
    });
    json!({
        "model": name,
        "input": input.to_vec(),
        "device": format!("cuda:{target}"),
        "gpu": plan.gpu,
        "precision": precision.name(),
        "ends": ends(plan),
        "arena_bytes": plan.arena_bytes,
        "unshared_bytes": plan.unshared_bytes,
        "constant_bytes": plan.constant_bytes,
        "modules": plan.modules,
        "busy_us": plan.busy_us,
        "totals": totals.collect::<Vec<_>>(),
        "launches": launches.collect::<Vec<_>>(),
    })
}
