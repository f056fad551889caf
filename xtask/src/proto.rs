//! The Rust form of the server's `.proto` files: written once, committed, compared in CI.
//!
//! The generator is a workspace of its own, so that building onelook needs no protobuf compiler.

use std::fs;
use std::path::Path;

use crate::shell::{Outcome, cargo, command, read_text, root, run, write_text};

const SOURCES: &str = "crates/onelook-server/proto";
const TARGET: &str = "crates/onelook-server/src/grpc/generated.rs";

const OPENING: &str = "\
//! Messages and services of the `.proto` files in `proto/`, as Rust.
//!
//! Written by `cargo xtask proto`; do not edit.
";

/// Package of the generator's output, and the module that it becomes.
const PACKAGES: [(&str, &str); 2] = [("inference", "inference"), ("grpc.health.v1", "health")];

/// Writes the file, or with `--check` tells whether it is fresh.
pub fn proto(args: &[String]) -> Outcome {
    let folder = root().join("proto/target/generated");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    run(cargo(&["run", "--quiet", "--locked"])
        .args(["--manifest-path", "proto/Cargo.toml", "--", SOURCES])
        .arg(&folder))?;
    let fresh = folder.join("generated.rs");
    write_text(&fresh, &joined(&folder)?)?;
    run(command("rustfmt").args(["--edition", "2024"]).arg(&fresh))?;
    let (fresh, target) = (read_text(&fresh)?, root().join(TARGET));
    if args.iter().any(|arg| arg == "--check") {
        return match read_text(&target)? == fresh {
            true => Ok(()),
            false => Err(format!("{TARGET} is stale: run cargo xtask proto")),
        };
    }
    write_text(&target, &fresh)
}

fn joined(folder: &Path) -> Outcome<String> {
    let mut text = OPENING.to_owned();
    for (package, module) in PACKAGES {
        let code = bounded(&read_text(&folder.join(format!("{package}.rs")))?)?;
        text.push_str(&format!("\npub mod {module} {{\n{code}}}\n"));
    }
    Ok(text)
}

/// Gives the server's half of the code the codec that bounds what it decodes. The generator can name one
/// codec only, for clients too.
fn bounded(code: &str) -> Outcome<String> {
    const SERVER: &str = "/// Generated server implementations.";
    let (messages, server) = code
        .split_once(SERVER)
        .ok_or("the generator's output has no server")?;
    let server = server.replace(
        "tonic_prost::ProstCodec::",
        "super::super::super::codec::BoundedCodec::",
    );
    Ok(format!("{messages}{SERVER}{server}"))
}
