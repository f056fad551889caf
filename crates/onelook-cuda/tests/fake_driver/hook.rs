//! Passes launches to a test that executes them in place of a GPU.

use std::sync::{Mutex, PoisonError};

use crate::launched::{Hook, LaunchArg, Launched};

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// From now on `hook` runs every launch.
pub fn set(hook: Hook) {
    *HOOK.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
}

/// Passes a launch to the hook; whether there is one.
pub fn hand_over(text: &str, grid: [u32; 3], values: &[LaunchArg]) -> bool {
    let hook = *HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hook) = hook {
        hook(&Launched {
            text: text.as_ptr(),
            text_bytes: text.len(),
            grid,
            values: values.as_ptr(),
            count: values.len(),
        });
    }
    hook.is_some()
}
