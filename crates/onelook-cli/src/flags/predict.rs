//! Flags of `onelook predict`.

use clap::Args;

use super::inference::InferenceArgs;

/// Finds objects in images and videos.
#[derive(Args)]
#[command(mut_arg("source", |source| source.required(true)))]
pub struct PredictArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,
}
