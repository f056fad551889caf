//! The worker of `peers.py` for the engines that are Rust crates.
//!
//! Comes in: `ENGINE MODEL SIZE THREADS BATCH PRECISION IMAGES`, then commands on standard input. Goes out: a line of
//! JSON that describes the engine, then one line per command. `worker.py` describes the commands.

mod engine;

use std::io::{BufRead, Write};
use std::time::Instant;
use std::{env, fs, io};

use cpu_time::ProcessTime;
use engine::{Failure, Request, Time};
use serde_json::json;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [engine, model, size, threads, batch, precision, images] = arguments.as_slice() else {
        return Err("usage: peers ENGINE MODEL SIZE THREADS BATCH PRECISION IMAGES".into());
    };
    let request = Request {
        model: model.clone(),
        size: size.parse()?,
        threads: threads.parse()?,
        batch: batch.parse()?,
        precision: precision.clone(),
    };
    let images = Images {
        bytes: fs::read(images)?,
        image_bytes: 3 * request.size * request.size,
        batch: request.batch,
    };
    let mut engine = engine::load(engine, request)?;
    let mut answers = io::stdout();
    writeln!(
        answers,
        "{}",
        json!({"engine": engine.name(), "path": engine.path()})
    )?;
    let (mut last, mut input) = (None, Vec::new());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        let (command, first) = (words.next(), words.next().unwrap_or_default().parse()?);
        if last != Some(first) {
            input = images.batch_from(first)?;
            last = Some(first);
        }
        let run = engine.run(&input)?;
        if command == Some("save") {
            let bytes: Vec<u8> = run.output.iter().flat_map(|v| v.to_le_bytes()).collect();
            fs::write(words.next().ok_or("save: a file is missing")?, bytes)?;
        }
        let Time { elapsed, cpu } = run.time;
        writeln!(answers, "{} {}", elapsed.as_nanos(), cpu.as_nanos())?;
    }
    Ok(())
}

/// All images as bytes, one after the other.
struct Images {
    bytes: Vec<u8>,
    image_bytes: usize,
    batch: usize,
}

impl Images {
    /// `batch` images from number `first` on as values from 0 to 1; after the last comes the first.
    fn batch_from(&self, first: usize) -> Result<Vec<f32>, Failure> {
        let images: Vec<&[u8]> = self.bytes.chunks_exact(self.image_bytes).collect();
        if images.is_empty() {
            return Err("the file holds no image".into());
        }
        let numbers = (first..first + self.batch).map(|number| number % images.len());
        let bytes = numbers.flat_map(|number| images[number]);
        Ok(bytes.map(|&byte| f32::from(byte) / 255.0).collect())
    }
}

/// Runs `work` and tells how long it took.
fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, Time), Failure> {
    let (start, cpu) = (Instant::now(), ProcessTime::try_now()?);
    let result = work()?;
    let time = Time {
        elapsed: start.elapsed(),
        cpu: cpu.try_elapsed()?,
    };
    Ok((result, time))
}
