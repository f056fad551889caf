//! Flags of `onelook health`.

use clap::Args;

/// Asks a running server whether it is ready; exit code 0 if it is. For health checks of containers.
#[derive(Args)]
pub struct HealthArgs {
    /// Address of the server, with a path or without [default: this computer, with the port and the
    /// scheme that ONELOOK_SERVE_PORT and ONELOOK_SERVE_TLS_CERT set, else http and port 8000]
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// Ask whether it is alive (/livez) instead of ready (/readyz).
    #[arg(long)]
    pub live: bool,
    /// Longest time in seconds to wait for the answer.
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    pub timeout: f64,
}
