//! What must hold before a commit lands: formatting, lints, documentation, tests.

use std::env;
use std::path::PathBuf;

use crate::cli_docs;
use crate::ptx;
use crate::shell::{Outcome, cargo, root, run, succeeds};

/// The gates that take a few minutes at most.
pub fn check() -> Outcome {
    static_gates()?;
    run(&mut cargo(&[
        "test",
        "--workspace",
        "--lib",
        "--bins",
        "--locked",
    ]))?;
    run(&mut cargo(&["test", "--package", "xtask", "--locked"]))
}

/// Everything that CI holds against a commit.
pub fn ci() -> Outcome {
    static_gates()?;
    cli_docs::docs(&["--check".to_owned()])?;
    ptx::quick()?;
    test(&[])
}

/// All tests. Those on real pictures and weights need data that the repository does not carry.
pub fn test(args: &[String]) -> Outcome {
    announce_data();
    // Doc tests go first: the last lines that a reader sees count the real tests.
    run(&mut cargo(&[
        "test",
        "--workspace",
        "--doc",
        "--quiet",
        "--locked",
    ]))?;
    let nextest = succeeds(&mut cargo(&["nextest", "--version"]));
    let mut tests = if nextest {
        cargo(&["nextest", "run", "--workspace", "--locked"])
    } else {
        cargo(&[
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--locked",
        ])
    };
    run(tests.args(args))
}

fn static_gates() -> Outcome {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    for manifest in [
        "fuzz/Cargo.toml",
        "benches/peers/Cargo.toml",
        "proto/Cargo.toml",
    ] {
        run(&mut cargo(&["fmt", "--manifest-path", manifest, "--check"]))?;
    }
    let lints = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    run(&mut cargo(&lints))?;
    let docs = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
    run(cargo(&docs).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Says loudly whether the tests on real pictures and weights will run: runners hide the output
/// of a test that passes.
fn announce_data() {
    let folder = env::var_os("ONELOOK_TEST_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    if folder.is_dir() {
        eprintln!("real pictures and weights: {}", folder.display());
    } else {
        eprintln!(
            "SKIPPED: tests on real pictures and weights, because {} is not there \
             (set ONELOOK_TEST_DATA to a folder that has them)",
            folder.display()
        );
    }
}
