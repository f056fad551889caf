//! `onelook convert`: any model file in, the native form out.

use std::path::PathBuf;

use onelook::{read_model, write_model};
use serde_json::json;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::ConvertArgs;
use crate::options::warn_of_random_weights;

pub fn run(args: &ConvertArgs, console: &Console) -> Result<(), Failure> {
    let source = args.model.locate(console)?;
    let file_name = PathBuf::from(source.file_name().unwrap_or_default());
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| file_name.with_extension("safetensors"));
    if out.extension().is_none_or(|ending| ending != "safetensors") {
        return Err(Failure::Usage(format!(
            "--out '{}': the native form ends in .safetensors; other forms cannot be written",
            out.display()
        )));
    }
    if out.exists() && !args.force {
        return Err(Failure::failed(
            "file",
            format!(
                "'{}' is there already: remove it or add --force",
                out.display()
            ),
        ));
    }
    let model = read_model(&source, &args.model.options()?)?;
    warn_of_random_weights(&source.display().to_string(), &model.metadata, console);
    let bytes = write_model(&model, &out)?;
    console.line(format!("{} ({:.1} MB)", out.display(), bytes as f64 / 1e6))?;
    console.value(&json!({"path": out.display().to_string(), "bytes": bytes}))?;
    Ok(())
}
