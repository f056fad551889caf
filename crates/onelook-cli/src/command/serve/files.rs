//! How many files, and with them connections, the process may have open.

/// Raises the limit as far as the system allows and returns it; `None` where there is none.
#[cfg(unix)]
pub fn raise_limit() -> Option<usize> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    // Some systems refuse their own maximum: what was there before stays.
    let now = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        Err(_) => before,
    };
    now.map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Elsewhere connections are no files.
#[cfg(not(unix))]
pub fn raise_limit() -> Option<usize> {
    None
}
