//! `onelook bench`: the time of a run, in total and per node, on random input.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onelook::graph::{Ceiling, ExplainedNode, PlanKind};
use onelook::types::{Frame, Shape};
use onelook::{Model, Options, Pipeline, PreparedInput, random, usable_cores};
use serde_json::json;

use super::explain::input_shape;
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::BenchArgs;

/// Times of whole runs, ascending.
struct Times(Vec<Duration>);

pub fn run(args: &BenchArgs, console: &Console) -> Result<(), Failure> {
    if args.runs == 0 || args.batch == 0 {
        return Err(Failure::Usage(
            "--runs and --batch: expected at least 1".to_owned(),
        ));
    }
    let model = Arc::new(args.model.load(console)?);
    let shape = input_shape(&model, args.imgsz, args.batch);
    let inputs = random_batch(&model, &shape)?;
    let batch: Vec<&PreparedInput<'_>> = inputs.iter().collect();
    let bar = console.bar(args.warmup + args.runs, "running");
    for _ in 0..args.warmup {
        model.run(&batch)?;
        bar.inc(1);
    }
    let mut times = Vec::with_capacity(args.runs);
    for _ in 0..args.runs {
        let start = Instant::now();
        model.run(&batch)?;
        times.push(start.elapsed());
        bar.inc(1);
    }
    bar.finish_and_clear();
    times.sort();
    let nodes = match args.nodes && !console.is_json() {
        true => fastest_nodes(&model, &batch, args.runs.min(5))?,
        false => Vec::new(),
    };
    report(args, &model, &shape, &Times(times), &nodes, console)
}

/// Random input in the form that predictions take on this model's engine.
fn random_batch(model: &Arc<Model>, shape: &Shape) -> Result<Vec<PreparedInput<'static>>, Failure> {
    if model.plan_kind() == PlanKind::Tensor {
        return Ok(vec![PreparedInput::Tensor(random(shape.clone(), 1.0))]);
    }
    let (batch, height, width) = (shape[0], shape[2], shape[3]);
    let pixels = random([height, width, 3], 255.0).into_data();
    let pixels = pixels.into_iter().map(|value| value as u8).collect();
    let frame = Frame::new(width, height, pixels)
        .map_err(|error| Failure::Usage(format!("--imgsz: {error}")))?;
    let options = Options {
        image_size: Some([height, width]),
        ..Options::default()
    };
    let pipeline = Pipeline::new(Arc::clone(model), options)?;
    let frame = Arc::new(frame);
    let prepared = (0..batch).map(|_| pipeline.prepare(Arc::clone(&frame)).input);
    Ok(prepared.collect())
}

impl Times {
    fn least(&self) -> f64 {
        self.0.first().map_or(0.0, milliseconds)
    }

    fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() % 2 {
            0 => (milliseconds(&self.0[middle - 1]) + milliseconds(&self.0[middle])) / 2.0,
            _ => milliseconds(&self.0[middle]),
        }
    }
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The least time of each node over some profiled runs.
fn fastest_nodes(
    model: &Model,
    batch: &[&PreparedInput<'_>],
    runs: usize,
) -> Result<Vec<Duration>, Failure> {
    let mut least: Vec<Duration> = model.profile(batch)?;
    for _ in 1..runs {
        for (least, time) in least.iter_mut().zip(model.profile(batch)?) {
            *least = time.min(*least);
        }
    }
    Ok(least)
}

fn report(
    args: &BenchArgs,
    model: &Model,
    shape: &Shape,
    times: &Times,
    nodes: &[Duration],
    console: &Console,
) -> Result<(), Failure> {
    let explanation = model.explain(model.plan_kind(), shape)?;
    let flops = model.flops(shape)? as f64;
    let (least, median) = (times.least(), times.median());
    let threads = args.model.engine.threads.unwrap_or_else(usable_cores);
    let total: f64 = nodes.iter().map(milliseconds).sum();
    for (node, time) in explanation.nodes.iter().zip(nodes) {
        let time = milliseconds(time);
        console.line(format!(
            "{time:>9.3} ms {:>5.1}%  {:>7.1} GFLOP/s  {:<28} {}",
            100.0 * time / total.max(f64::MIN_POSITIVE),
            node.flops as f64 / 1e6 / time.max(1e-6),
            node.name,
            node.kernel
        ))?;
    }
    // Behind the timed runs: it loads the device.
    let ceiling = model.ceiling();
    for (kernel, work) in kernels(&explanation.nodes, nodes) {
        console.line(format!(
            "{:>9.3} ms {:>5.1}%  {:>7.1} GFLOP/s  {}{kernel}",
            work.milliseconds,
            100.0 * work.milliseconds / total.max(f64::MIN_POSITIVE),
            work.gflops(),
            share(work.gflops(), ceiling.as_ref()),
        ))?;
    }
    console.line(format!(
        "{} at {shape} on {}, {} ({}): min {least:.2} ms, median {median:.2} ms over {} runs, {:.2} GFLOP a run, {:.1} GFLOP/s{}",
        model.name(),
        model.device(),
        explanation.precision,
        kernel_path(&explanation.nodes),
        args.runs,
        flops / 1e9,
        flops / 1e6 / median,
        of_ceiling(flops / 1e6 / median, ceiling.as_ref()),
    ))?;
    console.value(&json!({
        "min_ms": least,
        "median_ms": median,
        "threads": threads,
        "batch": args.batch,
        "precision": explanation.precision.name(),
        "kernel_path": kernel_path(&explanation.nodes),
        "gflops": flops / 1e6 / median,
        "gflop_per_run": flops / 1e9,
        "ceiling_gflops": ceiling.as_ref().map(|ceiling| ceiling.gflops),
        "runs": args.runs,
        "model": model.name(),
        "device": model.device(),
        "input": shape.to_vec(),
    }))?;
    Ok(())
}

/// What all nodes of one kernel do.
#[derive(Default)]
struct KernelWork {
    milliseconds: f64,
    flops: f64,
}

impl KernelWork {
    fn gflops(&self) -> f64 {
        self.flops / 1e6 / self.milliseconds.max(1e-6)
    }
}

/// The nodes' times added up by kernel, convolutions also by their filters, the longest first.
fn kernels(nodes: &[ExplainedNode], times: &[Duration]) -> Vec<(String, KernelWork)> {
    let mut works: BTreeMap<String, KernelWork> = BTreeMap::new();
    for (node, time) in nodes.iter().zip(times) {
        let work = works.entry(kernel_kind(node)).or_default();
        work.milliseconds += milliseconds(time);
        work.flops += node.flops as f64;
    }
    let mut works: Vec<_> = works.into_iter().collect();
    works.sort_by(|(_, a), (_, b)| b.milliseconds.total_cmp(&a.milliseconds));
    works
}

/// The kernel, for convolutions with size and stride: `conv_f32_blocked_avx512 3x3 stride 2`.
fn kernel_kind(node: &ExplainedNode) -> String {
    let words: Vec<&str> = node.op.split_whitespace().collect();
    let after = |word| {
        let place = words.iter().position(|&w| w == word)?;
        words.get(place + 1).copied()
    };
    match words.first() {
        Some(&"conv") => {
            let size = words.get(1).copied().unwrap_or_default();
            let stride =
                after("stride").map_or(String::new(), |stride| format!(" stride {stride}"));
            format!("{} {size}{stride}", node.kernel)
        }
        _ => node.kernel.clone(),
    }
}

/// A column of the node table: the share of the ceiling, empty where none is known.
fn share(gflops: f64, ceiling: Option<&Ceiling>) -> String {
    ceiling.map_or(String::new(), |ceiling| {
        format!("{:>5.1}% of the ceiling  ", 100.0 * gflops / ceiling.gflops)
    })
}

fn of_ceiling(gflops: f64, ceiling: Option<&Ceiling>) -> String {
    ceiling.map_or(String::new(), |ceiling| {
        format!(
            ", {:.0}% of the {:.0} GFLOP/s that {} reaches here",
            100.0 * gflops / ceiling.gflops,
            ceiling.gflops,
            ceiling.path
        )
    })
}

/// The kernel that does most of the multiplications: it says by which instructions a precision is computed.
fn kernel_path(nodes: &[ExplainedNode]) -> &str {
    let mut flops: BTreeMap<&str, u64> = BTreeMap::new();
    for node in nodes {
        *flops.entry(&node.kernel).or_default() += node.flops;
    }
    let most = flops.into_iter().max_by_key(|&(_, flops)| flops);
    most.map_or("", |(kernel, _)| kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(op: &str, kernel: &str, flops: u64) -> ExplainedNode {
        ExplainedNode {
            name: "n".to_owned(),
            op: op.to_owned(),
            kernel: kernel.to_owned(),
            choice: String::new(),
            output: Shape::from([1]),
            flops,
            bytes: 0,
        }
    }

    #[test]
    fn nodes_are_added_up_by_kernel_and_filter() {
        let nodes = [
            node("conv 1x1 16->16 silu", "conv_f32", 1_000_000),
            node("conv 3x3 16->16 stride 2 padding 1", "conv_f32", 9_000_000),
            node("add", "add_f32", 0),
            node("conv 1x1 8->8", "conv_f32", 3_000_000),
        ];
        let times = [1, 9, 2, 3].map(Duration::from_millis);
        let works = kernels(&nodes, &times);
        let names: Vec<&str> = works.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["conv_f32 3x3 stride 2", "conv_f32 1x1", "add_f32"]);
        assert!((works[1].1.gflops() - 1.0).abs() < 1e-9);
        let ceiling = Ceiling {
            path: "avx2 f32".to_owned(),
            gflops: 4.0,
        };
        assert!(share(1.0, Some(&ceiling)).contains("25.0%"));
        assert_eq!(share(1.0, None), "");
    }

    #[test]
    fn the_kernel_path_is_where_most_of_the_work_is() {
        let nodes = [("stem", 5), ("conv", 3), ("conv", 3)];
        let nodes = nodes.map(|(kernel, flops)| node("conv 1x1 8->8", kernel, flops));
        assert_eq!(kernel_path(&nodes), "conv");
        assert_eq!(kernel_path(&[]), "");
    }

    #[test]
    fn the_median_of_an_even_count_is_between_its_middle_two() {
        let times =
            |list: &[u64]| Times(list.iter().map(|&ms| Duration::from_millis(ms)).collect());
        assert_eq!(times(&[1, 2, 9]).median(), 2.0);
        assert_eq!(times(&[1, 2, 4, 9]).median(), 3.0);
        assert_eq!(times(&[1, 2, 4, 9]).least(), 1.0);
    }
}
