//! Unsafe code and threads under tools that see what a test does not: miri, loom, the sanitizers.
//!
//! Each tool compiles in a folder of its own below target/. What the toolchain at hand lacks is named, with the command
//! that brings it; the quick parts are in `cargo xtask ci`.

use std::process::Command;

use crate::shell::{Outcome, cargo, command, read, run, succeeds};

/// Tests of the CPU engine that the sanitizers and miri run.
const CPU: [&str; 2] = ["--package", "onelook-cpu"];

/// A tool of this file.
#[derive(Clone, Copy)]
pub enum Tool {
    Miri,
    Loom,
    Asan,
    Tsan,
}

impl Tool {
    /// Runs it; `args` go to the test runner behind `--`, names of tests for example.
    pub fn run(self, args: &[String]) -> Outcome {
        match self {
            Self::Loom => run(cargo(&[
                "test",
                "--manifest-path",
                "loom/Cargo.toml",
                "--locked",
                "--tests",
                "--",
            ])
            .args(args)
            .env("RUSTFLAGS", "--cfg loom")
            .env("CARGO_TARGET_DIR", "target/loom")),
            Self::Miri => {
                require(
                    &mut miri(&["--version"]),
                    "the miri of a nightly toolchain",
                    MIRI,
                )?;
                let test = ["test", "--lib", "--locked", "--target-dir", "target/miri"];
                // Proptest looks for a file of earlier failures.
                let flags = "-Zmiri-disable-isolation -Zmiri-strict-provenance";
                run(miri(&test)
                    .args(CPU)
                    .arg("--")
                    .args(args)
                    .env("MIRIFLAGS", flags))
            }
            Self::Asan => sanitized("address", &[], &["--lib", "--tests"], args),
            Self::Tsan => {
                // The standard library takes part in what orders two threads, so it is compiled along.
                let source = read(&mut rustc(&["--print", "sysroot"]))?;
                let source = format!("{}/lib/rustlib/src/rust/library", source.trim());
                let has_source = std::path::Path::new(&source).is_dir();
                require(
                    &mut command(if has_source { "true" } else { "false" }),
                    "rust-src",
                    SOURCE,
                )?;
                sanitized("thread", &["-Zbuild-std"], &["--lib", "--tests"], args)
            }
        }
    }

    /// The part that takes a minute or two, or word of what is missing.
    pub fn quick(self) -> Outcome {
        let tests: &[&str] = match self {
            Self::Loom | Self::Asan => &[],
            Self::Miri => &QUICK_MIRI,
            Self::Tsan => &QUICK_TSAN,
        };
        let tests: Vec<String> = tests.iter().map(|&test| test.to_owned()).collect();
        match self.run(&tests) {
            Err(why) if why.contains(MISSING) => {
                eprintln!("SKIPPED: {why}");
                Ok(())
            }
            outcome => outcome,
        }
    }
}

const MISSING: &str = "is missing: ";
const MIRI: &str = "rustup toolchain install nightly --component miri --component rust-src";
const SOURCE: &str = "rustup component add rust-src";

/// Every kernel once, without the shapes that take minutes.
const QUICK_MIRI: [&str; 0] = [];
const QUICK_TSAN: [&str; 0] = [];

fn require(probe: &mut Command, what: &str, advice: &str) -> Outcome {
    if succeeds(probe) {
        return Ok(());
    }
    Err(format!("{what} {MISSING}{advice}"))
}

fn miri(args: &[&str]) -> Command {
    let mut miri = command("rustup");
    miri.args(["run", "nightly", "cargo", "miri"]).args(args);
    miri
}

fn rustc(args: &[&str]) -> Command {
    let mut rustc = command("rustc");
    rustc.args(args);
    rustc
}

/// The CPU engine's tests with every access checked. The sanitizers' flags are unstable, their runtimes are not: they
/// come with the stable toolchain.
fn sanitized(sanitizer: &str, build: &[&str], tests: &[&str], args: &[String]) -> Outcome {
    let host = read(&mut rustc(&["-vV"]))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc -vV names no host")?.to_owned();
    let folder = format!("target/{sanitizer}-sanitizer");
    let mut test = cargo(&[
        "test",
        "--locked",
        "--target",
        &host,
        "--target-dir",
        &folder,
    ]);
    test.args(build).args(CPU).args(tests).arg("--").args(args);
    run(test
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}")))
}
