//! Runs the fuzz targets, each for so many seconds, with bounds on memory and time per input.
//!
//! The stable compiler does with RUSTC_BOOTSTRAP. The readers are safe Rust, so panics, hangs and memory are what is
//! looked for; `--asan` watches each access too, at half the speed, for the kernels that some targets end in.

use std::fs;

use crate::shell::{Outcome, cargo, read, root, run, succeeds};

const INPUT_BYTES: &str = "-max_len=65536";
const MEMORY_MB: &str = "-rss_limit_mb=2048";
const SECONDS_PER_INPUT: &str = "-timeout=10";

/// `[SECONDS] [TARGET] [--asan]`
pub fn fuzz(args: &[String]) -> Outcome {
    let (switches, args): (Vec<&String>, Vec<&String>) =
        args.iter().partition(|word| word.starts_with("--"));
    let sanitizer = match switches[..] {
        [] => "none",
        [switch] if switch == "--asan" => "address",
        _ => return Err(format!("unknown switches {switches:?}; there is --asan")),
    };
    let seconds: u32 = match args.first() {
        Some(text) => text
            .parse()
            .map_err(|_| format!("'{text}' is not a number of seconds"))?,
        None => 60,
    };
    if !succeeds(&mut cargo(&["fuzz", "--version"])) {
        return Err("cargo-fuzz is missing: cargo install cargo-fuzz --locked".to_owned());
    }
    let all = read(&mut cargo(&["fuzz", "list"]))?;
    let wanted: Vec<&str> = match args.get(1) {
        Some(name) => vec![name.as_str()],
        None => all.lines().collect(),
    };
    for target in wanted {
        fuzz_one(target, seconds, sanitizer)?;
    }
    Ok(())
}

fn fuzz_one(target: &str, seconds: u32, sanitizer: &str) -> Outcome {
    // New finds go to the first folder, the committed seeds are only read.
    let corpus = format!("fuzz/corpus/{target}");
    let folder = root().join(&corpus);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let seeds = format!("fuzz/seeds/{target}");
    let limit = format!("-max_total_time={seconds}");
    run(cargo(&[
        "fuzz",
        "run",
        "--sanitizer",
        sanitizer,
        target,
        &corpus,
        &seeds,
        "--",
    ])
    .args([
        &limit,
        SECONDS_PER_INPUT,
        MEMORY_MB,
        INPUT_BYTES,
        "-print_final_stats=1",
    ])
    .env("RUSTC_BOOTSTRAP", "1"))
}
