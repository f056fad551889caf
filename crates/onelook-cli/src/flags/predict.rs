//! Flags of `onelook predict`.

use clap::Args;

use super::inference::InferenceArgs;
use super::job::JobArgs;

/// Finds objects in images and videos.
#[derive(Args)]
#[command(mut_arg("source", |source| source.required_unless_present("job")))]
pub struct PredictArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,
    #[command(flatten)]
    pub job: JobArgs,
}
