//! Flags that say how objects are tracked.

use clap::Args;

/// How objects are tracked.
#[derive(Args, Clone)]
pub struct TrackerArgs {
    /// Tracker: default, bytetrack, botsort, ocsort, tracktrack, or a .yaml file in the reference's
    /// form.
    #[arg(long, default_value = "default", value_name = "NAME|FILE")]
    pub tracker: String,
    /// Never follow an object into another class.
    #[arg(long)]
    pub per_class: bool,
}
