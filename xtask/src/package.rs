//! What people install: a tarball, a Debian package, the script that installs the tarball, and their sums.
//!
//! `cargo xtask package [--binary FILE]` writes them to `target/dist`. Two runs on the same commit give the same bytes.

mod debian;
mod notices;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::python::{TRIPLE, portable_binary};
use crate::shell::{Outcome, command, interpreter, read, root, run, target, write_text};

/// What the packaged binary has besides the default build.
const FEATURES: &str = "parquet,nats,kafka";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Shells, and the names of their completions in the tarball.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "onelook.bash"),
    ("zsh", "_onelook"),
    ("fish", "onelook.fish"),
];

/// Everything that goes into packages, once.
struct Parts {
    binary: PathBuf,
    /// `onelook.1`, and a file per shell.
    manual: String,
    completions: Vec<(&'static str, String)>,
    notices: String,
    /// Seconds since 1970 that all files are dated.
    epoch: String,
}

/// Writes all packages; `--binary FILE` takes one that is there, for trying the packages themselves.
pub fn package(args: &[String]) -> Outcome {
    let binary = match args {
        [] => portable_binary("dist", FEATURES)?,
        [flag, file] if flag == "--binary" => root().join(file),
        _ => return Err("package: only --binary FILE may follow".to_owned()),
    };
    let dist = target().join("dist");
    // What an earlier version left there must not be published with this one.
    let _ = fs::remove_dir_all(&dist);
    let stage = dist.join("stage");
    make_folder(&stage)?;
    let parts = Parts::gather(binary)?;
    let tarball = tarball(&parts, &stage, &dist)?;
    let debian = debian::package(&parts, &stage, &dist)?;
    copy(
        &root().join("scripts/package/install.sh"),
        &dist.join("install.sh"),
        0o755,
    )?;
    fs::remove_dir_all(&stage).map_err(|error| format!("{}: {error}", stage.display()))?;
    let files = [tarball.as_str(), debian.as_str(), "install.sh"];
    let sums = read(command("sha256sum").current_dir(&dist).args(files))?;
    write_text(&dist.join("SHA256SUMS"), &sums)?;
    eprintln!("\nin {}:\n{sums}", dist.display());
    Ok(())
}

/// What the installer does with releases that are good, corrupt and missing.
pub fn check_installer() -> Outcome {
    let python = interpreter();
    run(command(&python).arg("scripts/package/check.py"))
}

impl Parts {
    fn gather(binary: PathBuf) -> Outcome<Self> {
        let said = |words: &[&str]| read(command(&binary.to_string_lossy()).args(words));
        let mut completions = Vec::new();
        for (shell, name) in COMPLETIONS {
            completions.push((name, said(&["completions", shell])?));
        }
        Ok(Self {
            manual: said(&["man"])?,
            completions,
            notices: notices::collect(FEATURES)?,
            epoch: epoch()?,
            binary,
        })
    }

    fn completion(&self, name: &str) -> &str {
        let found = self.completions.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, text)| text)
    }
}

/// The time of the commit, unless SOURCE_DATE_EPOCH says another.
fn epoch() -> Outcome<String> {
    if let Ok(epoch) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let last = read(command("git").args(["log", "-1", "--format=%ct"]))?;
    Ok(last.trim().to_owned())
}

/// One folder with everything in it; gives the name of the file.
fn tarball(parts: &Parts, stage: &Path, dist: &Path) -> Outcome<String> {
    let name = format!("onelook-{VERSION}-{TRIPLE}");
    let folder = stage.join(&name);
    copy(&parts.binary, &folder.join("bin/onelook"), 0o755)?;
    for document in [
        "README.md",
        "README.zh-CN.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
    ] {
        copy(&root().join(document), &folder.join(document), 0o644)?;
    }
    write(&folder.join("LICENSES-OF-DEPENDENCIES"), &parts.notices)?;
    write(&folder.join("share/man/man1/onelook.1"), &parts.manual)?;
    for (shell_file, place) in [
        ("onelook.bash", "share/bash-completion/completions/onelook"),
        ("_onelook", "share/zsh/site-functions/_onelook"),
        (
            "onelook.fish",
            "share/fish/vendor_completions.d/onelook.fish",
        ),
    ] {
        write(&folder.join(place), parts.completion(shell_file))?;
    }
    copy_units(&folder.join("systemd"))?;
    let file = format!("{name}.tar.gz");
    run(command("tar")
        .arg("--directory")
        .arg(stage)
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", parts.epoch))
        .args(["--use-compress-program", "gzip -9n", "--create", "--file"])
        .arg(dist.join(&file))
        .arg(&name))?;
    Ok(file)
}

/// The units of systemd into a folder.
fn copy_units(folder: &Path) -> Outcome {
    let units = root().join("scripts/systemd");
    let entries = fs::read_dir(&units).map_err(|error| format!("{}: {error}", units.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", units.display()))?;
        copy(&entry.path(), &folder.join(entry.file_name()), 0o644)?;
    }
    Ok(())
}

fn make_folder(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Writes a file that all may read, and the folders that it lies in.
fn write(path: &Path, text: &str) -> Outcome {
    make_folder(path.parent().unwrap_or(path))?;
    write_text(path, text)?;
    set_mode(path, 0o644)
}

/// Copies a file, and makes the folders that it lies in.
fn copy(from: &Path, to: &Path, mode: u32) -> Outcome {
    make_folder(to.parent().unwrap_or(to))?;
    fs::copy(from, to)
        .map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))?;
    set_mode(to, mode)
}

/// What a package grants does not hang on the umask of who builds it.
fn set_mode(path: &Path, mode: u32) -> Outcome {
    run_quietly("chmod", &format!("{mode:o}"), path)
}

fn run_quietly(program: &str, word: &str, path: &Path) -> Outcome {
    read(command(program).arg(word).arg(path)).map(drop)
}
