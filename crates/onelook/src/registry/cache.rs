//! Where fetched models are kept.

use std::env;
use std::path::PathBuf;

/// `$ONELOOK_MODELS`, else `onelook/models` in the user's cache directory, else in the system's
/// directory for temporary files (where there is no home).
pub fn directory() -> PathBuf {
    let variable = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(own) = variable("ONELOOK_MODELS") {
        return own;
    }
    let base = variable("XDG_CACHE_HOME")
        .or_else(|| variable("LOCALAPPDATA"))
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir);
    base.join("onelook").join("models")
}
