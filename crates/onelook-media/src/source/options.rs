//! How sources are read, and who fetches addresses.

use std::sync::Arc;
use std::thread::available_parallelism;

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
    /// Bounds on each image.
    pub limits: Limits,
    /// Gets `http://` and `https://` addresses; without it they are refused.
    pub fetch: Option<Arc<dyn Fetch>>,
    /// Most threads that read and decode. One is started at first, and more while images are waited
    /// for: where decoding is faster than what comes after, they would only take its cores.
    pub threads: usize,
    /// Most images that wait or are being decoded.
    pub images_ahead: usize,
    /// Most bytes that they take. One image may take more, when its turn comes.
    pub bytes_ahead: u64,
}

/// More would read files faster than disks give them.
const MOST_THREADS: usize = 16;

impl Default for SourceOptions {
    fn default() -> Self {
        let threads = available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
        Self {
            limits: Limits::default(),
            fetch: None,
            threads,
            images_ahead: threads + 1,
            bytes_ahead: 512 << 20,
        }
    }
}
