//! Times in, a table for people and JSON for keeping out.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::Failure;

pub struct Row {
    engine: String,
    threads: usize,
    difference: f32,
    pub times: Vec<Duration>,
}

impl Row {
    pub fn new(engine: String, threads: usize, difference: f32) -> Self {
        Self {
            engine,
            threads,
            difference,
            times: Vec::new(),
        }
    }

    fn min_ms(&self) -> f64 {
        self.times
            .iter()
            .min()
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    fn median_ms(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort();
        times
            .get(times.len() / 2)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// Prints the table; ratios are time over onelook's time at the same thread count.
pub fn report(
    model: &Path,
    size: usize,
    rounds: usize,
    rows: &[Row],
    json_path: Option<&Path>,
) -> Result<(), Failure> {
    let cpu = cpu_model();
    let model = model.file_name().unwrap_or_default().to_string_lossy();
    println!("{model}, batch 1, {size}x{size}, {rounds} interleaved rounds, {cpu}\n");
    println!(
        "| threads | engine | min ms | median ms | min / onelook | median / onelook | max rel. difference |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut entries = Vec::new();
    for row in rows {
        let base = rows
            .iter()
            .find(|r| r.threads == row.threads)
            .unwrap_or(row);
        let (min, median) = (row.min_ms(), row.median_ms());
        let (min_ratio, median_ratio) = (min / base.min_ms(), median / base.median_ms());
        println!(
            "| {} | {} | {min:.2} | {median:.2} | {min_ratio:.2} | {median_ratio:.2} | {:.1e} |",
            row.threads, row.engine, row.difference
        );
        entries.push(json!({
            "engine": row.engine, "threads": row.threads, "min_ms": min, "median_ms": median,
            "min_over_onelook": min_ratio, "median_over_onelook": median_ratio,
            "max_relative_difference": row.difference,
        }));
    }
    let Some(path) = json_path else { return Ok(()) };
    let result = json!({
        "what": "forward pass", "model": model, "batch": 1, "size": size, "rounds": rounds,
        "cpu": cpu, "commit": commit(), "engines": Value::Array(entries),
    });
    fs::write(path, format!("{result:#}\n"))?;
    println!("\nsaved to {}", path.display());
    Ok(())
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name
        .and_then(|rest| rest.split(':').nth(1))
        .unwrap_or("unknown CPU")
        .trim();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} logical cores")
}

fn commit() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .output();
    output.map_or_else(
        |_| "unknown".into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
