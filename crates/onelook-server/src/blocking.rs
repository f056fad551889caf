//! Work that would hold up the threads that answer requests.

use crate::problem::Problem;

/// Runs long work on a thread of the blocking pool, away from those that answer requests.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(format!("a worker thread failed: {error}")))
}
