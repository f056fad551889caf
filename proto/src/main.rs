//! Writes the Rust form of the server's `.proto` files into the folder that is given.
//!
//! Run by `cargo xtask proto`, which knows where the result belongs.

use std::error::Error;
use std::path::PathBuf;

const SOURCES: [&str; 2] = ["inference.proto", "health.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(sources), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: onelook-proto FOLDER_OF_PROTO_FILES TARGET_FOLDER".into());
    };
    let descriptors = protox::compile(SOURCES, [&sources])?;
    tonic_prost_build::configure()
        .build_transport(false)
        // The server asks nobody; its tests do.
        .client_mod_attribute("inference", "#[cfg(test)]")
        .client_mod_attribute("grpc.health.v1", "#[cfg(test)]")
        .bytes(".inference")
        .out_dir(&target)
        .compile_fds(descriptors)?;
    Ok(())
}
