//! The ptxas gate: every kernel of every model, assembled for every target.
//!
//! Finds ptxas or fetches it; the example `ptx` of onelook-cuda does the rest. ptxas is not ours to
//! distribute: it goes to the target folder and nowhere else.

use std::path::PathBuf;
use std::{env, fs};

use crate::shell::{Outcome, cargo, command, interpreter, root, run, succeeds, target};

/// The last ptxas that knows sm_75 to sm_121, as its wheel on PyPI.
const WHEEL: &str = "nvidia-cuda-nvcc-cu12==12.9.86";
/// Of the wheel for Linux on x86-64.
const SHA256: &str = "5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0";
const INSIDE: &str = "nvidia/cuda_nvcc/bin/ptxas";

/// Assembles all kernels; `--write` renews the summary in docs/kernels.md. The full tables go to
/// target/ptx; the other arguments are the example's.
pub fn ptx(args: &[String]) -> Outcome {
    let page = root().join("docs/kernels.md").display().to_string();
    let mut words: Vec<String> = Vec::new();
    for word in args {
        words.push(word.clone());
        if word == "--write" {
            words.push(page.clone());
        }
    }
    gate(&find_or_fetch()?, &words)
}

/// The small networks' kernels, where there is a ptxas or a way to one; else says that it skips.
pub fn quick() -> Outcome {
    match find_or_fetch() {
        Ok(ptxas) => {
            let tests = [
                "test",
                "--quiet",
                "--locked",
                "--package",
                "onelook-ptx",
                "--lib",
                "emit::",
            ];
            run(cargo(&tests).env("ONELOOK_PTXAS", &ptxas))?;
            gate(&ptxas, &["--quick".to_owned()])
        }
        Err(why) => {
            test_support::skip("ptxas", &why);
            Ok(())
        }
    }
}

fn gate(ptxas: &str, words: &[String]) -> Outcome {
    let folder = target().join("ptx").display().to_string();
    // What an earlier run left would be taken for this one's; that nothing is there is no harm.
    let _ = fs::remove_dir_all(&folder);
    let mut example = cargo(&["run", "--quiet", "--locked", "--package", "onelook-cuda"]);
    example.args([
        "--example",
        "ptx",
        "--",
        "--ptxas",
        ptxas,
        "--folder",
        &folder,
    ]);
    run(example.args(words))
}

/// `ONELOOK_PTXAS`, what PATH has, what an earlier run fetched, or a fresh copy.
pub fn find_or_fetch() -> Outcome<String> {
    if let Ok(path) = env::var("ONELOOK_PTXAS") {
        return Ok(path);
    }
    if succeeds(command("ptxas").arg("--version")) {
        return Ok("ptxas".to_owned());
    }
    let folder = target().join("ptxas-12.9.86");
    let ptxas = folder.join(INSIDE);
    if !ptxas.exists() {
        fetch(&folder)?;
    }
    Ok(ptxas.display().to_string())
}

/// pip compares the wheel's digest; a wheel is a zip, which Python unpacks without its modes.
fn fetch(folder: &PathBuf) -> Outcome {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("set ONELOOK_PTXAS: it is fetched only for Linux on x86-64".to_owned());
    }
    let python = interpreter();
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let wanted = folder.join("requirements.txt");
    let line = format!("{WHEEL} --hash=sha256:{SHA256}\n");
    fs::write(&wanted, line).map_err(|error| format!("{}: {error}", wanted.display()))?;
    let mut pip = command(&python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ]);
    pip.args(["--only-binary=:all:", "--dest"]).arg(folder);
    run(pip.arg("--requirement").arg(&wanted))?;
    let unpack = "import glob, os, sys, zipfile\n\
        folder, inside = sys.argv[1:]\n\
        wheel = glob.glob(os.path.join(folder, '*.whl'))[0]\n\
        zipfile.ZipFile(wheel).extract(inside, folder)\n\
        os.chmod(os.path.join(folder, inside), 0o755)\n\
        os.remove(wheel)\n";
    run(command(&python)
        .args(["-c", unpack])
        .arg(folder)
        .arg(INSIDE))
}
