//! In the place of `parquet_file.rs` in a build without Parquet; `JobOutput` refuses the format before.

use std::fs::File;
use std::path::PathBuf;

use super::row::{ImageRow, RowMetadata};

const MISSING: &str = "this build has no Parquet";

pub fn encode(_: &[ImageRow], _: &RowMetadata) -> Result<Vec<u8>, &'static str> {
    Err(MISSING)
}

pub fn concatenate(_: &[PathBuf], _: &mut File) -> Result<(), &'static str> {
    Err(MISSING)
}
