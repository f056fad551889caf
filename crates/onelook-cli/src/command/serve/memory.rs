//! What a server asks of the C library's allocator: memory that is freed goes back.
//!
//! glibc gives threads arenas of their own, up to eight per core, and keeps what is freed in each.
//! A server frees on one thread what another took, weights of models and pixels of pictures, so
//! the arenas would grow for hours. One arena, and large pieces straight from the system, stay flat.

/// Pieces from this size on come from the system and go back to it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;

/// Settles it for the whole process; to be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn settle() {
    // SAFETY: mallopt takes two numbers and changes nothing but the allocator's parameters; no
    // other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Other allocators have no such habit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn settle() {}
