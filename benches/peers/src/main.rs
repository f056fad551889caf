//! Times one forward pass of the same ONNX file in several engines, interleaved in one process.
//!
//! Comes in: an ONNX model with one `[1, 3, size, size]` input. Goes out: a table of minimum and
//! median times with ratios, and the same as JSON. Every engine's answer is compared with the
//! first engine's before a time is believed.

mod engine;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, thread};

use engine::Failure;
use report::{Row, report};

/// Largest difference of any output value, relative to the largest value of the reference.
const TOLERANCE: f32 = 1e-3;

/// Lets the thread pool of the engine that ran before go to sleep: some spin for a while.
const PAUSE: Duration = Duration::from_millis(30);

struct Options {
    model: PathBuf,
    size: usize,
    rounds: usize,
    threads: Vec<usize>,
    python: Option<PathBuf>,
    json: Option<PathBuf>,
}

fn main() -> Result<(), Failure> {
    let options = parse(env::args().skip(1))?;
    let input = image_like_input(options.size);
    let mut rows = Vec::new();
    for &threads in &options.threads {
        rows.extend(compare(&options, threads, &input)?);
    }
    report(
        &options.model,
        options.size,
        options.rounds,
        &rows,
        options.json.as_deref(),
    )
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, Failure> {
    let usage = "usage: peers MODEL.onnx [--size 640] [--rounds 30] [--threads 1,2] \
                 [--python PYTHON_WITH_ONNXRUNTIME] [--json FILE]";
    let mut options = Options {
        model: args.next().ok_or(usage)?.into(),
        size: 640,
        rounds: 30,
        threads: vec![1, 2],
        python: None,
        json: None,
    };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or(usage)?;
        match flag.as_str() {
            "--size" => options.size = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--threads" => {
                options.threads = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--python" => options.python = Some(value.into()),
            "--json" => options.json = Some(value.into()),
            _ => return Err(format!("unknown flag {flag}; {usage}").into()),
        }
    }
    Ok(options)
}

/// Smooth, deterministic values between 0 and 1 with some detail, as an image has.
fn image_like_input(size: usize) -> Vec<f32> {
    (0..3 * size * size)
        .map(|i| {
            let (c, y, x) = (i / (size * size), i / size % size, i % size);
            let wave = (x as f32 * 0.031 + c as f32).sin() * (y as f32 * 0.017).cos();
            let grain = (i.wrapping_mul(2_654_435_761) >> 7) % 256;
            0.5 + 0.4 * wave + 0.1 * (grain as f32 / 255.0 - 0.5)
        })
        .collect()
}

fn compare(options: &Options, threads: usize, input: &[f32]) -> Result<Vec<Row>, Failure> {
    let mut engines = engine::all(
        &options.model,
        options.size,
        threads,
        options.python.as_deref(),
    )?;
    let reference = engines[0].run(input)?.output;
    let mut rows = Vec::new();
    for engine in &mut engines {
        let answer = engine.run(input)?.output;
        let difference = relative_difference(&reference, &answer);
        if !(difference <= TOLERANCE) {
            return Err(format!("{} answers differently: {difference:e}", engine.name()).into());
        }
        rows.push(Row::new(engine.name(), threads, difference));
    }
    for round in 0..options.rounds {
        for index in 0..engines.len() {
            // Another engine goes first in each round, so that none always follows the same one.
            let index = (index + round) % engines.len();
            thread::sleep(PAUSE);
            rows[index].times.push(engines[index].run(input)?.time);
        }
    }
    Ok(rows)
}

fn relative_difference(reference: &[f32], answer: &[f32]) -> f32 {
    if reference.len() != answer.len() {
        return f32::INFINITY;
    }
    let largest = reference.iter().fold(1e-6f32, |most, v| most.max(v.abs()));
    reference
        .iter()
        .zip(answer)
        .map(|(a, b)| (a - b).abs() / largest)
        .fold(0.0, |most, v| {
            if v.is_nan() {
                f32::INFINITY
            } else {
                most.max(v)
            }
        })
}

/// Runs `work` and tells how long it took.
fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, Duration), Failure> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed()))
}
