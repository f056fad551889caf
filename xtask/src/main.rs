//! The project's chores behind `cargo xtask VERB`; the justfile is their table of contents.
//!
//! Each verb runs cargo or a script of the repository from its root and stops at the first
//! failure. CI runs these verbs and nothing else: green here is green there.

mod cli_docs;
mod containers;
mod figures;
mod fuzz;
mod gates;
mod package;
mod proto;
mod ptx;
mod python;
mod shell;
mod site;
mod soundness;

use std::env;
use std::process::ExitCode;

use shell::Outcome;
use soundness::Tool;

const USAGE: &str = "\
cargo xtask VERB

  check                 formatting, lints, documentation, unit tests
  test [ARGS]           all tests (cargo-nextest when installed), ARGS go to the runner
  ci                    what CI runs: check and test in one
  deny                  cargo-deny: licences, sources, bans and advisories of all dependencies
  miri [TEST..]         the portable kernels, buffers and views in the interpreter of Rust
  loom [TEST..]         the thread pool in every order of its threads' steps
  asan [TEST..]         the CPU engine's tests under AddressSanitizer
  tsan [TEST..]         the same under ThreadSanitizer
  fuzz [SECONDS] [NAME] [--asan]
                        every fuzz target, or one, for SECONDS each (60)
  docs [--check]        docs/cli.md from the binary's own help
  python [ARGS]         types and tests of the Python package, ARGS go to pytest
  notebooks [ARGS]      executes the notebooks, ARGS go to scripts/notebooks/run.py
  site [--pages | --commands]
                        the documentation site in target/site/html, and every command on it
  wheel                 the Python package with the binary in it, in target/wheels
  containers [--development] [ARGS]
                        images of containers, built and tried, ARGS go to scripts/containers/check.py
  package [--binary FILE]
                        tarball, Debian package, installer and their sums, in target/dist
  proto [--check]       the server's .proto files as Rust
  ptx [--quick] [--target sm_90a] [--model yolo11x] [--write]
                        every CUDA kernel through ptxas: registers, spills, occupancy
  model [NAME]          fetches a model of the registry (yolo26n)
  peers [..]            forward pass against OpenVINO, ONNX Runtime, ncnn, PyTorch, rten, tract
  cold-start [..]       process start to first box against an onnxruntime script
  size                  CPU seconds of a cold release build, size of the binary";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let (verb, rest) = match args.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    match run(verb, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &str, rest: &[String]) -> Outcome {
    match verb {
        "check" => gates::check(),
        "test" => gates::test(rest),
        "ci" => gates::ci(),
        "deny" => gates::deny(),
        "miri" => Tool::Miri.run(rest),
        "loom" => Tool::Loom.run(rest),
        "asan" => Tool::Asan.run(rest),
        "tsan" => Tool::Tsan.run(rest),
        "fuzz" => fuzz::fuzz(rest),
        "docs" => cli_docs::docs(rest),
        "proto" => proto::proto(rest),
        "python" => python::test(rest),
        "notebooks" => python::notebooks(rest),
        "site" => site::site(rest),
        "wheel" => python::wheel(),
        "containers" => containers::containers(rest),
        "package" => package::package(rest),
        "ptx" => ptx::ptx(rest),
        "model" => figures::model(rest),
        "peers" => figures::peers(rest),
        "cold-start" => figures::cold_start(rest),
        "size" => figures::size(),
        "help" | "--help" | "-h" => {
            eprintln!("{USAGE}");
            Ok(())
        }
        other => Err(format!("unknown verb '{other}'\n\n{USAGE}")),
    }
}
