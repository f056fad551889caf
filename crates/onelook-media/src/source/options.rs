//! How sources are read, and who fetches addresses.

use std::sync::Arc;

use crate::Limits;

/// Gets what an HTTP address holds; the caller brings the client.
pub trait Fetch: Send + Sync {
    /// The body at `url`, an error if it has more than `max_bytes`.
    fn fetch(&self, url: &str, max_bytes: u64) -> Result<Vec<u8>, String>;
}

impl<F> Fetch for F
where
    F: Fn(&str, u64) -> Result<Vec<u8>, String> + Send + Sync,
{
    fn fetch(&self, url: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
        self(url, max_bytes)
    }
}

/// How sources are read.
#[derive(Clone)]
pub struct SourceOptions {
    /// Most bytes of one image, checked before it is read.
    pub max_bytes: u64,
    /// Gets `http://` and `https://` addresses; without it they are refused.
    pub fetch: Option<Arc<dyn Fetch>>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            max_bytes: Limits::default().max_bytes,
            fetch: None,
        }
    }
}
