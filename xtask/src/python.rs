//! The Python package: its tests, and the wheel that people install.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::shell::{Outcome, cargo, command, interpreter, root, run, target};

const PACKAGE: &str = "crates/onelook-python";

/// What glibc the wheel asks for: that of CentOS 7 and everything after it.
const MANYLINUX: &str = "manylinux2014";

/// For which machines the wheel and other packages are.
pub const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Types and tests of the package, on a module of the development profile; the arguments go to pytest.
pub fn test(args: &[String]) -> Outcome {
    let python = environment("python", &format!("{PACKAGE}/requirements.txt"))?;
    build_in_place()?;
    let in_package = |tool: &str| {
        let mut command = command(&python);
        command.current_dir(root().join(PACKAGE)).args(["-m", tool]);
        command
    };
    run(&mut in_package("mypy"))?;
    run(in_package("pytest")
        .env("ONELOOK_BINARY", development_binary())
        .args(args))
}

/// Executes the notebooks with the package of the development profile; the arguments go to their runner.
pub fn notebooks(args: &[String]) -> Outcome {
    run(command(&interpreter()).args(["scripts/notebooks/build.py", "--check"]))?;
    build_in_place()?;
    let python = environment("notebooks", "notebooks/requirements.txt")?;
    // `python -m onelook` looks for the binary where pip would have put it.
    let binary = target().join("notebooks/bin/onelook");
    let _ = fs::remove_file(&binary);
    fs::hard_link(development_binary(), &binary)
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    run(command(&python)
        .env("PYTHONPATH", root().join(PACKAGE).join("python"))
        .arg("scripts/notebooks/run.py")
        .args(args))
}

/// The binary of the development profile.
pub fn development_binary() -> PathBuf {
    target().join("debug/onelook")
}

/// The native module of the development profile within the package's folder, and the binary.
pub fn build_in_place() -> Outcome {
    // The targets of the Rust tests and this module: the dependencies have the same features and are not built again.
    let build = ["build", "--workspace", "--lib", "--bins", "--tests"];
    run(cargo(&build).arg("--locked"))?;
    let built = target().join("debug/lib_native.so");
    let module = root().join(PACKAGE).join("python/onelook/_native.abi3.so");
    // A module that an interpreter has open keeps its file.
    let _ = fs::remove_file(&module);
    fs::copy(&built, &module)
        .map_err(|error| format!("{} to {}: {error}", built.display(), module.display()))?;
    Ok(())
}

/// Tests of the scripts around images of containers. They need no daemon, but Python 3.11.
pub fn scripts() -> Outcome {
    let discover = ["-m", "unittest", "discover", "scripts/containers"];
    run(command(&interpreter()).args(discover))
}

/// The wheel, with the binary in it, in `target/wheels`.
pub fn wheel() -> Outcome {
    let python = environment("python-wheel", &format!("{PACKAGE}/requirements-wheel.txt"))?;
    let zig = ["-m", "maturin", "build", "--release", "--locked", "--zig"];
    let manifest = format!("{PACKAGE}/Cargo.toml");
    let tagged = [
        "--compatibility",
        MANYLINUX,
        "--target",
        TRIPLE,
        "--manifest-path",
    ];
    let scripts = root().join(PACKAGE).join("onelook.data/scripts");
    fs::create_dir_all(&scripts).map_err(|error| format!("{}: {error}", scripts.display()))?;
    let built = portable_binary("release", "parquet")?;
    let installed = scripts.join("onelook");
    fs::copy(&built, &installed).map_err(|error| format!("{}: {error}", built.display()))?;
    run(command(&python)
        .env("PATH", path_with_environment()?)
        .args(zig)
        .args(tagged)
        .arg(manifest))
}

/// The binary for every Linux with the glibc of the wheel's tag or a later one.
pub fn portable_binary(profile: &str, features: &str) -> Outcome<PathBuf> {
    environment("python-wheel", &format!("{PACKAGE}/requirements-wheel.txt"))?;
    // zig links against that glibc, whatever the machine has.
    let build = ["zigbuild", "--locked", "--package", "onelook-cli"];
    run(cargo(&build)
        .args(["--profile", profile, "--features", features, "--target"])
        .arg(format!("{TRIPLE}.2.17"))
        .env("PATH", path_with_environment()?))?;
    Ok(target().join(TRIPLE).join(profile).join("onelook"))
}

/// The interpreter of an environment in `target`, which has what a list of the repository names.
pub fn environment(name: &str, list: &str) -> Outcome<String> {
    let folder = target().join(name);
    let python = folder.join("bin/python");
    let wanted =
        fs::read_to_string(root().join(list)).map_err(|error| format!("{list}: {error}"))?;
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).ok().as_deref() != Some(&wanted) {
        run(command(&interpreter())
            .args(["-m", "venv", "--clear"])
            .arg(&folder))?;
        let install = ["-m", "pip", "install", "--quiet", "--requirement", list];
        run(command(&python.to_string_lossy()).args(install))?;
        fs::write(&installed, wanted)
            .map_err(|error| format!("{}: {error}", installed.display()))?;
    }
    Ok(python.to_string_lossy().into_owned())
}

/// The search path with maturin, zig and cargo-zigbuild first.
fn path_with_environment() -> Outcome<String> {
    let path = env::var("PATH").unwrap_or_default();
    Ok(format!(
        "{}:{path}",
        target().join("python-wheel/bin").display()
    ))
}
