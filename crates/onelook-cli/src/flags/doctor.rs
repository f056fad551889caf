//! Flags of `onelook doctor`.

use clap::Args;

use super::model::ModelArgs;

/// Shows which devices were found, what was chosen and why, and tries it out.
#[derive(Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub model: ModelArgs,
}
