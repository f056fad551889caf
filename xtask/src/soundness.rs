//! Unsafe code and threads under tools that see what a test does not: miri, loom, the sanitizers.
//!
//! Each tool compiles in a folder of its own below target/. What the toolchain at hand lacks is named, with the command
//! that brings it; the quick parts are in `cargo xtask ci`.

use std::path::Path;
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
            Self::Asan => sanitized("address", &[], args),
            Self::Tsan => {
                thread_pool_under_tsan()?;
                sanitized("thread", &[BUILD_STD], args)
            }
        }
    }

    /// The part that takes a few minutes, or word of what is missing.
    pub fn quick(self) -> Outcome {
        let tests = QUICK_MIRI.map(str::to_owned);
        let outcome = match self {
            Self::Loom | Self::Asan => self.run(&[]),
            Self::Miri => self.run(&tests),
            Self::Tsan => thread_pool_under_tsan(),
        };
        match outcome {
            Err(why) if why.contains(MISSING) => {
                eprintln!("SKIPPED: {why}");
                Ok(())
            }
            outcome => outcome,
        }
    }
}

const BUILD_STD: &str = "-Zbuild-std";
const MISSING: &str = "is missing: ";
const MIRI: &str = "rustup toolchain install nightly --component miri --component rust-src";
const SOURCE: &str = "rustup component add rust-src";

/// Memory, views and the kernels that are plain loops; the tiled ones take many minutes.
const QUICK_MIRI: [&str; 10] = [
    "kernels::buffer",
    "kernels::layout",
    "kernels::copy",
    "kernels::channels",
    "kernels::reorder",
    "kernels::elementwise",
    "kernels::upsample",
    "kernels::reduce",
    "kernels::broadcast",
    "kernels::strided_copy",
];

/// The pool's own tests. The standard library takes part in what orders two threads, so it is compiled along.
fn thread_pool_under_tsan() -> Outcome {
    let source = read(&mut rustc(&["--print", "sysroot"]))?;
    let source = format!("{}/lib/rustlib/src/rust/library", source.trim());
    if !Path::new(&source).is_dir() {
        return Err(format!("rust-src {MISSING}{SOURCE}"));
    }
    let mut test = under("thread")?;
    test.args([BUILD_STD, "--manifest-path", "loom/Cargo.toml", "--lib"]);
    run(&mut test)
}

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

/// The CPU engine's tests with every access checked.
fn sanitized(sanitizer: &str, build: &[&str], args: &[String]) -> Outcome {
    let mut test = under(sanitizer)?;
    test.args(build)
        .args(CPU)
        .args(["--lib", "--tests", "--"])
        .args(args);
    run(&mut test)
}

/// `cargo test` under a sanitizer. Its flag is unstable, its runtime is not: it comes with the stable toolchain.
fn under(sanitizer: &str) -> Outcome<Command> {
    let host = read(&mut rustc(&["-vV"]))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc -vV names no host")?;
    let folder = format!("target/{sanitizer}-sanitizer");
    let mut test = cargo(&[
        "test",
        "--locked",
        "--target",
        host,
        "--target-dir",
        &folder,
    ]);
    test.env("RUSTC_BOOTSTRAP", "1");
    test.env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"));
    Ok(test)
}
