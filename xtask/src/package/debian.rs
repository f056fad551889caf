//! The Debian package: a tree of files and their description, packed by dpkg-deb.
//!
//! What it depends on is what dpkg-shlibdeps finds the binary to need.

use std::path::Path;

use super::{Parts, VERSION, copy, copy_units, make_folder, run_quietly, write};
use crate::shell::{Outcome, command, read, root, run, write_text};

const ARCHITECTURE: &str = "amd64";

const MAINTAINER: &str = "onelook contributors <onelook-rs@users.noreply.github.com>";

/// The lines of the description below the first; empty ones are a dot.
const DESCRIPTION: &str = " One binary that finds, follows and counts objects in images, videos and
 live streams with models of the YOLO family. It reads checkpoints of
 Ultralytics (.pt) and ONNX exports as they are, without Python, and serves
 them over HTTP and gRPC with a web page.
 .
 Videos and cameras need ffmpeg. Models are not part of the package and have
 licences of their own.";

/// Writes the package to `dist`; gives the name of the file.
pub fn package(parts: &Parts, stage: &Path, dist: &Path) -> Outcome<String> {
    let tree = stage.join("debian-tree");
    let documents = tree.join("usr/share/doc/onelook");
    let templates = root().join("scripts/package");
    copy(&parts.binary, &tree.join("usr/bin/onelook"), 0o755)?;
    write(&tree.join("usr/share/man/man1/onelook.1"), &parts.manual)?;
    for (name, place) in [
        (
            "onelook.bash",
            "usr/share/bash-completion/completions/onelook",
        ),
        ("_onelook", "usr/share/zsh/vendor-completions/_onelook"),
        (
            "onelook.fish",
            "usr/share/fish/vendor_completions.d/onelook.fish",
        ),
    ] {
        write(&tree.join(place), parts.completion(name))?;
    }
    copy_units(&tree.join("usr/lib/systemd/system"))?;
    copy(
        &templates.join("onelook.sysusers"),
        &tree.join("usr/lib/sysusers.d/onelook.conf"),
        0o644,
    )?;
    copy(
        &templates.join("onelook.lintian-overrides"),
        &tree.join("usr/share/lintian/overrides/onelook"),
        0o644,
    )?;
    copy(
        &templates.join("copyright"),
        &documents.join("copyright"),
        0o644,
    )?;
    write(&documents.join("LICENSES-OF-DEPENDENCIES"), &parts.notices)?;
    write(&documents.join("changelog"), &changelog(&parts.epoch)?)?;
    for compressed in [
        tree.join("usr/share/man/man1/onelook.1"),
        documents.join("LICENSES-OF-DEPENDENCIES"),
        documents.join("changelog"),
    ] {
        run_quietly("gzip", "-9nf", &compressed)?;
    }
    let control = tree.join("DEBIAN");
    write(&control.join("control"), &control_file(&tree, stage)?)?;
    write(&control.join("md5sums"), &sums(&tree)?)?;
    for script in ["postinst", "postrm"] {
        copy(&templates.join(script), &control.join(script), 0o755)?;
    }
    let name = format!("onelook_{VERSION}_{ARCHITECTURE}.deb");
    run(command("dpkg-deb")
        .args(["--root-owner-group", "-Zxz", "--build"])
        .arg(&tree)
        .arg(dist.join(&name))
        .env("SOURCE_DATE_EPOCH", &parts.epoch))?;
    Ok(name)
}

fn control_file(tree: &Path, stage: &Path) -> Outcome<String> {
    let used = read(
        command("du")
            .args(["--summarize", "--block-size=1024"])
            .arg(tree),
    )?;
    let kilobytes = used.split_whitespace().next().unwrap_or("0");
    let depends = libraries(tree, stage)?;
    Ok(format!(
        "Package: onelook\n\
         Version: {VERSION}\n\
         Architecture: {ARCHITECTURE}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {kilobytes}\n\
         Depends: {depends}\n\
         Suggests: ffmpeg\n\
         Section: science\n\
         Priority: optional\n\
         Homepage: https://github.com/onelook-rs/onelook\n\
         Description: object detection with models of the YOLO family\n\
         {DESCRIPTION}\n"
    ))
}

/// The packages of the libraries that the binary was linked with.
fn libraries(tree: &Path, stage: &Path) -> Outcome<String> {
    // dpkg-shlibdeps asks for the description of a source package.
    make_folder(&stage.join("debian"))?;
    let source = "Source: onelook\n\nPackage: onelook\nArchitecture: any\n";
    write_text(&stage.join("debian/control"), source)?;
    let said = read(
        command("dpkg-shlibdeps")
            .current_dir(stage)
            .arg("-O")
            .arg(tree.join("usr/bin/onelook")),
    )
    .map_err(|error| format!("{error}\napt-get install dpkg-dev"))?;
    let depends = said.trim().strip_prefix("shlibs:Depends=");
    depends
        .map(str::to_owned)
        .ok_or_else(|| format!("dpkg-shlibdeps said '{said}' in place of shlibs:Depends"))
}

/// The changelog in Debian's form: what changed is in CHANGELOG.md.
fn changelog(epoch: &str) -> Outcome<String> {
    let date = read(
        command("date")
            .args(["--utc", "--rfc-email", "--date"])
            .arg(format!("@{epoch}")),
    )?;
    let date = date.trim();
    Ok(format!(
        "onelook ({VERSION}) unstable; urgency=medium\n\n  \
         * https://github.com/onelook-rs/onelook/blob/main/CHANGELOG.md\n\n \
         -- {MAINTAINER}  {date}\n"
    ))
}

/// The sums by which `dpkg --verify` finds changed files, in the order of their paths.
fn sums(tree: &Path) -> Outcome<String> {
    let listed = read(
        command("find")
            .current_dir(tree)
            .args(["usr", "-type", "f"]),
    )?;
    let mut files: Vec<&str> = listed.lines().collect();
    files.sort_unstable();
    read(command("md5sum").current_dir(tree).args(files))
}

#[cfg(test)]
mod tests {
    use super::DESCRIPTION;

    #[test]
    fn each_line_of_the_description_is_indented_and_short() {
        for line in DESCRIPTION.lines() {
            assert!(line.starts_with(' ') && line.len() <= 80, "{line}");
        }
    }
}
