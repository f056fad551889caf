//! How large an image may be.

use clap::Args;

use super::value::{byte_size, megapixels};

/// How large an image may be.
#[derive(Args, Clone, Default)]
pub struct LimitArgs {
    /// Most megapixels of one image [default: 179]
    #[arg(long, value_parser = megapixels, value_name = "MP")]
    pub max_pixels: Option<u64>,
    /// Most bytes of one image file, such as 512MiB [default: 256MiB]
    #[arg(long, value_parser = byte_size, value_name = "BYTES")]
    pub max_bytes: Option<u64>,
}
