//! The Python package: its tests, and the wheel that people install.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::shell::{Outcome, cargo, command, root, run};

const PACKAGE: &str = "crates/onelook-python";

/// What glibc the wheel asks for: that of CentOS 7 and everything after it.
const MANYLINUX: &str = "manylinux2014";

/// Types and tests of the package, on a module of the development profile; the arguments go to pytest.
pub fn test(args: &[String]) -> Outcome {
    let python = environment("python", "requirements.txt")?;
    // The targets of the Rust tests and this module: the dependencies have the same features and are not built again.
    let build = ["build", "--workspace", "--lib", "--bins", "--tests"];
    run(cargo(&build).arg("--locked"))?;
    let built = target().join("debug/lib_native.so");
    let module = root().join(PACKAGE).join("python/onelook/_native.abi3.so");
    // A module that an interpreter has open keeps its file.
    let _ = fs::remove_file(&module);
    fs::copy(&built, &module)
        .map_err(|error| format!("{} to {}: {error}", built.display(), module.display()))?;
    let in_package = |tool: &str| {
        let mut command = command(&python);
        command.current_dir(root().join(PACKAGE)).args(["-m", tool]);
        command
    };
    run(&mut in_package("mypy"))?;
    let binary = target().join("debug/onelook");
    run(in_package("pytest")
        .env("ONELOOK_BINARY", binary)
        .args(args))
}

/// Tests of the scripts around images of containers. They need no daemon, but Python 3.11.
pub fn scripts() -> Outcome {
    let discover = ["-m", "unittest", "discover", "scripts/containers"];
    run(command(&interpreter()).args(discover))
}

/// The wheel, with the binary in it, in `target/wheels`.
pub fn wheel() -> Outcome {
    let python = environment("python-wheel", "requirements-wheel.txt")?;
    // zig links against the glibc of the wheel's tag, whatever the machine has.
    let triple = "x86_64-unknown-linux-gnu";
    let zig = ["-m", "maturin", "build", "--release", "--locked", "--zig"];
    let manifest = format!("{PACKAGE}/Cargo.toml");
    let tagged = [
        "--compatibility",
        MANYLINUX,
        "--target",
        triple,
        "--manifest-path",
    ];
    let scripts = root().join(PACKAGE).join("onelook.data/scripts");
    fs::create_dir_all(&scripts).map_err(|error| format!("{}: {error}", scripts.display()))?;
    let binary = [
        "zigbuild",
        "--release",
        "--locked",
        "--package",
        "onelook-cli",
        "--features",
        "parquet",
        "--target",
    ];
    run(cargo(&binary)
        .arg(format!("{triple}.2.17"))
        .env("PATH", path_with_environment()?))?;
    let built = target().join(triple).join("release/onelook");
    let installed = scripts.join("onelook");
    fs::copy(&built, &installed).map_err(|error| format!("{}: {error}", built.display()))?;
    run(command(&python)
        .env("PATH", path_with_environment()?)
        .args(zig)
        .args(tagged)
        .arg(manifest))
}

/// The interpreter of an environment in `target`, which has what the list of the package's folder names.
fn environment(name: &str, list: &str) -> Outcome<String> {
    let folder = target().join(name);
    let python = folder.join("bin/python");
    let list = format!("{PACKAGE}/{list}");
    let wanted =
        fs::read_to_string(root().join(&list)).map_err(|error| format!("{list}: {error}"))?;
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).ok().as_deref() != Some(&wanted) {
        run(command(&interpreter())
            .args(["-m", "venv", "--clear"])
            .arg(&folder))?;
        let install = ["-m", "pip", "install", "--quiet", "--requirement", &list];
        run(command(&python.to_string_lossy()).args(install))?;
        fs::write(&installed, wanted)
            .map_err(|error| format!("{}: {error}", installed.display()))?;
    }
    Ok(python.to_string_lossy().into_owned())
}

/// The Python of the system, or the one that `PYTHON` names.
fn interpreter() -> String {
    env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// The search path with maturin, zig and cargo-zigbuild first.
fn path_with_environment() -> Outcome<String> {
    let path = env::var("PATH").unwrap_or_default();
    Ok(format!(
        "{}:{path}",
        target().join("python-wheel/bin").display()
    ))
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
