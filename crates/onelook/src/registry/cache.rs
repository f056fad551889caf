//! Where fetched models and compiled kernels are kept.

use std::env;
use std::path::PathBuf;

/// `$ONELOOK_MODELS`, else `onelook/models` in the user's cache directory, else in the system's
/// directory for temporary files (where there is no home).
pub fn directory() -> PathBuf {
    variable("ONELOOK_MODELS").unwrap_or_else(|| {
        let base = user_cache().unwrap_or_else(env::temp_dir);
        base.join("onelook").join("models")
    })
}

/// Where kernels compiled for a GPU are kept: `$ONELOOK_KERNELS`, else `onelook/kernels` in the
/// user's cache directory. Nowhere without a home: what others may write must not run.
pub(crate) fn kernels_directory() -> Option<PathBuf> {
    let own = variable("ONELOOK_KERNELS");
    own.or_else(|| Some(user_cache()?.join("onelook").join("kernels")))
}

fn user_cache() -> Option<PathBuf> {
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("LOCALAPPDATA"))
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
