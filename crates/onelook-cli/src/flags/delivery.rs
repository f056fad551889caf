//! Flags that say where events go.

use std::path::PathBuf;

use clap::Args;

/// Other programs that get events.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Events for other programs")]
pub struct DeliveryArgs {
    /// URL that gets each event of lines and zones as a POST of JSON, in order and until it was accepted,
    /// as Standard Webhooks defines it.
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// File with the key that signs events for --webhook: 24 to 64 bytes in base64.
    #[arg(long, value_name = "FILE")]
    pub webhook_key_file: Option<PathBuf>,
    /// Directory in which events wait while a receiver is away; of this process alone. `serve` needs it,
    /// `count` and `track` take a temporary one.
    #[arg(long, alias = "webhook-spool", value_name = "DIR")]
    pub event_spool: Option<PathBuf>,
    /// Most megabytes of events that wait for one receiver; beyond, the oldest are given up and counted.
    #[arg(
        long,
        alias = "webhook-spool-size",
        default_value_t = 100,
        value_name = "MB"
    )]
    pub event_spool_size: usize,
}
