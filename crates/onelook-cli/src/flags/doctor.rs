//! Flags of `onelook doctor`.

use clap::Args;

use super::model::ModelArgs;

/// Shows the devices, which one is chosen and why, and runs a test.
#[derive(Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub model: ModelArgs,
}
